"""What is said about costs, and where prices come from."""

from __future__ import annotations

import json
import re
import subprocess
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

import http_peer
from fargate_driver.commands.job_costs import by_project, table
from fargate_driver.costs import bill as bills
from fargate_driver.costs import prices as price_files
from fargate_driver.costs.price_list import fetch, parse
from fargate_driver.costs.prices import PACKAGED, Price, PriceFileError
from fargate_driver.costs.task import bill
from fargate_driver.ecs.target import Target
from fargate_driver.history import Entry
from front_calls import MINIMAL
from local_fargate import FARGATE

if TYPE_CHECKING:
    from collections.abc import Iterator


def ended(project: str, cost: str, task_arn: str = "arn") -> Entry:
    """A job that is over."""
    return Entry(
        job="1",
        name="test",
        pipeline="5",
        project=project,
        state="success",
        image="",
        definition="ci:1",
        container="ci",
        task_arn=task_arn,
        cpu="1024",
        memory="2048",
        capacity="FARGATE",
        cost=cost,
        began=0.0,
        seconds=60.0,
        target=Target("us-east-1", "ci"),
    )


def product(usage: str, price: str, region: str = "us-east-1", currency: str = "USD") -> str:
    """A product as GetProducts describes it."""
    terms = {
        "SKU.JRTCKXETXF": {
            "priceDimensions": {
                "SKU.JRTCKXETXF.6YS6EN2CT7": {
                    "unit": "hours",
                    "beginRange": "0",
                    "endRange": "Inf",
                    "pricePerUnit": {currency: price},
                }
            },
            "sku": "SKU",
            "offerTermCode": "JRTCKXETXF",
            "termAttributes": {},
        }
    }
    attributes = {"regionCode": region, "servicecode": "AmazonECS", "usagetype": usage}
    return json.dumps(
        {
            "product": {"productFamily": "Compute", "attributes": attributes, "sku": "SKU"},
            "serviceCode": "AmazonECS",
            "terms": {"OnDemand": terms},
        }
    )


PRODUCTS = [
    product("USE1-Fargate-vCPU-Hours:perCPU", "0.0400000000"),
    product("USE1-Fargate-GB-Hours", "0.0040000000"),
    product("USE1-Fargate-ARM-vCPU-Hours:perCPU", "0.0300000000"),
    product("USE1-Fargate-ARM-GB-Hours", "0.0030000000"),
    product("USE1-Fargate-EphemeralStorage-GB-Hours", "0.0001000000"),
    # What must not be taken for it.
    product("USE1-Fargate-Windows-vCPU-Hours:perCPU", "0.09"),
    product("USE1-Fargate-Windows-OS-Hours:perCPU", "0.046"),
    product("USE1-ECS-EC2-vCPU-Hours", "0.0"),
    product("USE1-ECS-Anywhere-Instance-hours", "0.01025"),
    product("USE1-Fargate-vCPU-Hours:perCPU-SpotDiscount", "0.01"),
    product("CNN1-Fargate-vCPU-Hours:perCPU", "0.3", "cn-north-1", "CNY"),
    product("EUX9-Fargate-vCPU-Hours:perCPU", "0.05", "eu-x-9"),
    "{}",
    "not JSON",
]


def test_prices_are_found_among_other_products() -> None:
    found = parse(PRODUCTS, "2026-01-02")
    assert [(p.key, p.vcpu_hour, p.gb_hour, p.storage_gb_hour) for p in found] == [
        (("us-east-1", "X86_64", False), Decimal("0.04"), Decimal("0.004"), Decimal("0.0001")),
        (("us-east-1", "ARM64", False), Decimal("0.03"), Decimal("0.003"), Decimal("0.0001")),
    ]


def test_the_packaged_prices_are_sourced_and_plausible(tmp_path: Path) -> None:
    known = price_files.known(tmp_path / "none")
    assert len(known) == len(json.loads(PACKAGED.read_text())["prices"])
    for price in known.values():
        assert price.source
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", price.read)
        assert Decimal("0.02") < price.vcpu_hour < Decimal("0.1")
        assert 8 < price.vcpu_hour / price.gb_hour < 10


def test_rows_of_the_operators_file_win(tmp_path: Path) -> None:
    own = tmp_path / "prices.json"
    mine = Price(
        "us-east-1", "X86_64", True, Decimal("0.012"), Decimal(0), None, "bill", "2026-01-02"
    )
    price_files.write(own, [mine])
    known = price_files.known(own)
    assert known[mine.key] == mine
    assert ("us-east-1", "X86_64", False) in known


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        '{"prices": [{}]}',
        '{"prices": [{"vcpu_hour": "NaN"}]}',
        "[" * 100000,
        '{"prices": 3}',
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, content: str) -> None:
    own = tmp_path / "prices.json"
    own.write_text(content)
    with pytest.raises(PriceFileError, match=r"^.*prices\.json: .*fargate prices update$"):
        price_files.known(own)


TASK: dict[str, Any] = {
    "cpu": "2048",
    "memory": "4096",
    "capacityProviderName": "FARGATE",
    "attributes": [{"name": "ecs.cpu-architecture", "value": "arm64"}],
    "createdAt": 1000.0,
    "pullStartedAt": 1010.0,
}
KNOWN = {p.key: p for p in parse(PRODUCTS, "2026-01-02")}


@pytest.mark.parametrize(
    ("change", "hourly"),
    [
        ({}, 0.072),
        ({"attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}]}, 0.096),
        ({"ephemeralStorage": {"sizeInGiB": 20}}, 0.072),
        ({"ephemeralStorage": {"sizeInGiB": 120}}, 0.082),
        ({"capacityProviderName": "FARGATE_SPOT"}, None),
        ({"attributes": []}, None),
        ({"attributes": [{"name": "ecs.cpu-architecture"}]}, None),
    ],
)
def test_a_task_is_billed_by_its_size(change: dict[str, Any], hourly: float | None) -> None:
    found = bill({**TASK, **change}, "us-east-1", KNOWN)
    assert found is not None
    assert (found.begun, found.hourly) == (
        1010.0,
        hourly if hourly is None else pytest.approx(hourly),
    )
    assert "2 vCPU, 4 GB" in found.size


def test_a_file_that_is_not_there_is_fine_and_one_that_cannot_be_is_one_line(
    tmp_path: Path,
) -> None:
    assert price_files.known(tmp_path / "prices.json") == price_files.known(None)
    with pytest.raises(PriceFileError, match="can't be read: File name too long"):
        price_files.known(tmp_path / ("x" * 300))


def test_unknown_regions_and_sizes_have_no_price() -> None:
    found = bill(TASK, "eu-x-9", KNOWN)
    assert found is not None
    assert found.words().endswith("its price is unknown")
    assert bill({**TASK, "cpu": "?"}, "us-east-1", KNOWN) is None


def test_a_minute_is_billed_at_least(tmp_path: Path) -> None:
    now = time.time()
    bills.Bill("2 vCPU", 6.0, now - 3).save(str(tmp_path))
    found = bills.load(str(tmp_path))
    assert found is not None
    assert found.cost() == pytest.approx(0.1, abs=0.001)
    assert re.fullmatch(
        r"the task has run for \d+ s with 2 vCPU: about \$0\.10 on AWS", found.words()
    )
    assert bills.Bill("2 vCPU", 6.0, now - 600).cost() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("content", ["", "a\nb\n", "a\nb\nc\n", "a\n1\n2\n3\n"])
def test_a_bill_that_is_damaged_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "bill").write_text(content)
    assert bills.load(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (185, "3 min 5 s"), (7260, "2 h 1 min")]
)
def test_durations(seconds: int, text: str) -> None:
    assert bills.duration(seconds) == text


class PriceList:
    """Answers GetProducts in two pages, or with an error."""

    def __init__(self) -> None:
        self.requests: list[tuple[str | None, dict[str, Any]]] = []
        self.denied = False
        self.odd = b""

    def __call__(self, asked: http_peer.Request) -> http_peer.Answer:
        body = json.loads(asked.body)
        self.requests.append((asked.headers["X-Amz-Target"], body))
        answer: dict[str, Any] = {
            "FormatVersion": "aws_v1",
            "PriceList": PRODUCTS[:3],
            "NextToken": "2",
        }
        if body.get("NextToken"):
            answer = {"FormatVersion": "aws_v1", "PriceList": PRODUCTS[3:]}
        if self.denied:
            answer = {"__type": "AccessDeniedException", "message": "not authorized"}
        text = self.odd or json.dumps(answer).encode()
        kind = {"Content-Type": "application/x-amz-json-1.1"}
        return http_peer.Answer(400 if self.denied else 200, text, kind)


@pytest.fixture
def price_list(monkeypatch: pytest.MonkeyPatch) -> Iterator[PriceList]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "example")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    answers = PriceList()
    with http_peer.serving(answers) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", url)
        yield answers


def prices(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FARGATE, *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_update_fetches_all_pages_and_keeps_own_spot_rows(
    tmp_path: Path, price_list: PriceList
) -> None:
    own = tmp_path / "prices.json"
    spot = Price(
        "us-east-1", "X86_64", True, Decimal("0.012"), Decimal(0), None, "bill", "2026-01-02"
    )
    price_files.write(own, [spot])
    done = prices("prices", "update", "--file", str(own))
    assert (done.stdout, done.stderr, done.returncode) == (
        f"{own}: prices of 1 regions, 2 rows\n",
        "",
        0,
    )
    assert [target for target, _ in price_list.requests] == ["AWSPriceListService.GetProducts"] * 2
    assert price_list.requests[0][1]["ServiceCode"] == "AmazonECS"
    known = {price.key: price for price in price_files.read(own)}
    assert known[spot.key] == spot
    assert known["us-east-1", "ARM64", False].vcpu_hour == Decimal("0.03")


def test_update_without_the_right_says_which(tmp_path: Path, price_list: PriceList) -> None:
    price_list.denied = True
    own = tmp_path / "prices.json"
    done = prices("prices", "update", "--file", str(own))
    assert done.returncode == 2
    assert "pricing:GetProducts" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not own.exists()


def test_update_of_a_file_that_can_not_be_read_is_one_line(
    tmp_path: Path, price_list: PriceList
) -> None:
    assert price_list.requests == []
    done = prices("prices", "update", "--file", str(tmp_path / ("x" * 300)))
    assert done.returncode == 2
    assert done.stderr.endswith(": can't be read: File name too long\n")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"{}", b'{"PriceList": null}', b"\x1f\x8b"])
def test_update_tells_what_is_none_of_awss_answers(price_list: PriceList, answer: bytes) -> None:
    price_list.odd = answer
    with pytest.raises(PriceFileError, match="the answer is none of AWS's") as e:
        fetch("2026-01-02")
    assert "\n" not in str(e.value)


def test_the_documented_rows_are_prices(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "costs.md").read_text()
    (block,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    own = tmp_path / "prices.json"
    own.write_text(block)
    assert [price.spot for price in price_files.read(own)] == [True]


def test_list_shows_a_dash_for_what_is_unknown(tmp_path: Path) -> None:
    config = tmp_path / "fargate.toml"
    config.write_text(
        '[Fargate]\nCluster = "ci"\nRegion = "us-east-1"\nSubnet = "subnet-0abc"\n'
        'SecurityGroup = "sg-0abc"\n[TaskMetadata]\nDirectory = "records"\n'
        '[SSH]\nUsername = "root"\n'
    )
    done = prices("--config", str(config), "prices", "list")
    assert done.returncode == 0, done.stderr
    (row,) = [line.split() for line in done.stdout.splitlines() if "us-east-2" in line]
    assert row[:5] == ["us-east-2", "X86_64", "0.04048", "0.004445", "\u2013"]


@pytest.mark.parametrize(("columns", "titles"), [(40, 4), (71, 4), (72, 7)])
def test_list_on_a_narrow_terminal(
    columns: int, titles: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "fargate-prices.json"
    amounts = {"vcpu_hour": "0.01517", "gb_hour": "0.001659", "storage_gb_hour": None}
    row = {"region": "ap-northeast-1", "architecture": "X86_64", "spot": True, **amounts}
    own.write_text(json.dumps({"prices": [{**row, "source": "a bill", "read": "2026-01-02"}]}))
    (tmp_path / "fargate.toml").write_text(MINIMAL)
    monkeypatch.setenv("COLUMNS", str(columns))
    done = prices("--config", str(tmp_path / "fargate.toml"), "prices", "list")
    head, *rows = done.stdout.splitlines()
    assert max(map(len, (head, *rows))) <= columns
    assert len(head.split()) == titles
    (row_at,) = [n for n, one in enumerate(rows) if "0.01517" in one]
    assert rows[row_at].split()[:2] == ["ap-northeast-1", "X86_64"]
    assert "Spot" in rows[row_at] + rows[row_at + 1]


@pytest.mark.parametrize(
    ("dollars", "text"),
    [
        (0.000823, "0.00082"),
        (0.0016, "0.0016"),
        (0.0123, "0.012"),
        (1.234, "1.23"),
        (0, "0.000000"),
    ],
)
def test_amounts_have_two_digits_that_say_something(dollars: float, text: str) -> None:
    assert bills.shown(dollars) == text


def test_costs_are_summed_by_project() -> None:
    jobs = [
        ended(project="a/b", cost="0.5"),
        ended(project="a/b", cost="0.25"),
        ended(project="a/b", cost=""),
        ended(project="c/[red]d", cost="2"),
        ended(project="a/b", task_arn="", cost=""),
    ]
    found = by_project(jobs)
    assert [(c.project, c.jobs, c.dollars, c.unknown) for c in found] == [
        ("c/[red]d", 1, 2.0, 0),
        ("a/b", 3, 0.75, 1),
    ]
    for width, took in ((80, ["1m00s"]), (40, [])):
        console = Console(width=width)
        with console.capture() as capture:
            console.print(table(found, width))
        lines = capture.get().splitlines()
        assert lines[1].split() == ["c/[red]d", "1", *took, "$2.00", "-"]
        assert lines[2].split() == ["a/b", "3", *(["3m00s"] if took else []), "$0.75", "1"]
