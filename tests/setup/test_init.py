"""`fargate init`: what it asks, what it takes, what it writes, and what it leaves alone."""

from __future__ import annotations

import functools
import json
import tomllib
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from cfnlint.data import AdditionalSpecs
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver import settings
from fargate_driver.commands import application
from fargate_driver.setup import files, policy
from fargate_driver.setup.questions import QUESTIONS
from front_calls import flags
from help_texts import examples, helps
from init_calls import HOSTED, MADE, THERE, init, made, plan, words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOSTILE = [
    "",
    " ",
    "-x",
    '"; x = "',
    "a'b",
    "$(id)",
    "${AWS::AccountId}",
    "`id`",
    "a\nb",
    "a\x1b[31m",
    "\\",
    "END",
    "%{ if true }",
    "{{resolve:ssm:x}}",
    "@{policy}",
    "é" * 300,
    "0" * 400,
]


def refused(make: Callable[[str], Any], text: str) -> tuple[Any, str]:
    """What is made of a text, or the complaint about it."""
    try:
        return make(text), ""
    except ValueError as error:
        return None, str(error)


def test_without_questions(tmp_path: Path) -> None:
    done = init(tmp_path / "a" / "b", **MADE, **HOSTED)
    assert (done.returncode, done.stderr) == (0, "")
    names = ["fargate.toml", "runner-config.toml", "policy.json", "cloudformation.yaml"]
    for name in names:
        assert f"wrote {tmp_path}/a/b/{name}\n" in done.stdout
        assert ((tmp_path / "a" / "b" / name).stat().st_mode & 0o777) == 0o644
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == sorted(names)
    assert "\nNext:\n1. " in done.stdout
    assert "--stack-name gitlab-fargate-gitlab-ci" in done.stdout


def test_asked_until_the_answers_are_right(tmp_path: Path) -> None:
    typed = [
        *("; rm", "eu-central-1", "1234", "123456789012", "none"),
        *(
            "subnet-$x",
            "subnet-0abc0000000000001, subnet-0abc0000000000002",
            "sg-0abc0000000000001",
        ),
        *("", "perhaps", "yes", "", "", ""),  # cluster, images, runner, helper image, job image
        THERE["execution_role"],
        *("", "", "", "a=b,a=c", "team=ci", "", "", "ci", "", ""),
    ]
    done = init(tmp_path, typed="\n".join(typed) + "\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Error: ") == 5
    assert "'subnet-$x' is not allowed; allowed: up to 16 subnet ids" in done.stdout
    loaded = settings.load(flags(config=str(tmp_path / "fargate.toml")))
    assert loaded.warnings == []
    assert loaded.settings.fargate.tags == {"team": "ci"}
    assert len(loaded.settings.fargate.subnets) == 2
    assert loaded.settings.images.enabled


def test_an_answer_that_is_needed_is_asked_for(tmp_path: Path) -> None:
    done = init(tmp_path / "out", typed="eu-central-1\n\n \n1\n")
    said = [line for line in done.stdout.split("Error: ") if "allowed: the 12 digits" in line]
    assert [line.startswith("an answer is needed; allowed: ") for line in said] == [1, 1, 0]


def test_all_that_is_missing_is_named_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    assert application(flags(), words(tmp_path / "out", spot="no")) == 2
    lines = capfd.readouterr().err.removeprefix("fargate: ").split("; ")[:-1]
    missing = ["region", "account", "vpc", "subnets", "token-secret", "driver-package"]
    assert [line.partition(" is needed: ")[0] for line in lines] == [f"--{one}" for one in missing]
    assert not (tmp_path / "out").exists()


def test_the_end_of_input_writes_nothing(tmp_path: Path) -> None:
    done = init(tmp_path / "out", typed="eu-central-1\n")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--account is needed, or somebody who answers" in done.stderr
    assert not (tmp_path / "out").exists()


def test_none_of_what_is_not_asked_for_is_no_mistake(tmp_path: Path) -> None:
    assert init(tmp_path / "out", **THERE, manager="none").returncode == 0


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({**THERE, "region": ""}, "--region: '' is not allowed"),
        ({**THERE, "account": "12345678901"}, "--account: '12345678901' is not allowed"),
        ({**THERE, "vpc": "vpc-0abc"}, "--vpc has no use with the other answers"),
        ({**THERE, "manager": "ec2"}, "--manager has no use with the other answers"),
        ({**MADE, "manager": "ec2"}, "--token-secret is needed"),
        ({**MADE, "token_secret": HOSTED["token_secret"]}, "--driver-package is needed"),
        ({**MADE, **HOSTED, "driver_package": "gitlab-fargate-driver"}, "--driver-package: 'git"),
        ({**MADE, **HOSTED, "public_ip": "ssh"}, "--public-ip: ssh is for a host"),
        ({**MADE, **HOSTED, "region": "eu-west-1"}, "is of another region than eu-west-1"),
        ({**THERE, "account": "210987654321"}, "is of another account than 210987654321"),
        ({**MADE, **HOSTED, "cluster": "ci_a"}, "--cluster: 'ci_a' is not allowed for one that"),
        ({**MADE, **HOSTED, "cluster": "ci--a"}, "--cluster: 'ci--a' is not allowed for one that"),
        (
            {**MADE, **HOSTED, "cluster": "CI"},
            "--cluster: 'CI' is not allowed for one that",
        ),
        ({**THERE, "runner_version": "v18"}, "--runner-version: 'v18' is not allowed; allowed: a"),
        ({**THERE, "limit": "0"}, "--limit: '0' is not allowed; allowed: a whole number from 1"),
        ({**THERE, "tags": "aws:x=y"}, "--tags: 'aws:x' starts with aws:"),
        ({**THERE, "endpoint_url": "http://u:p@h/"}, "--endpoint-url: "),
    ],
)
def test_wrong_flags_are_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], answers: dict[str, str], complaint: str
) -> None:
    assert application(flags(), words(tmp_path / "out", **answers)) == 2
    error = capfd.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_examples_of_the_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asking, silent = examples(helps()["fargate init"])
    assert "--yes" not in asking
    monkeypatch.chdir(tmp_path)
    assert application(flags(), silent) == 0
    loaded = settings.load(flags(config="fargate/fargate.toml"))
    assert loaded.warnings == []
    # No log group was named.
    assert "logs:" not in (tmp_path / "fargate" / "policy.json").read_text()


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    mine = tmp_path / "policy.json"
    mine.write_text("mine")
    done = init(tmp_path, **THERE)
    assert done.returncode == 2
    assert f"{mine} is there already; give --force to replace it" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["policy.json"]
    # Every question is answered by its default; the last one is about the file.
    every = {question.key: "" for question in QUESTIONS if question.asked}
    typed = "\n" * (len(every) - len(THERE)) + "n\n"
    done = init(tmp_path, typed=typed, **THERE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert mine.read_text() == "mine"
    assert f"kept {mine}" in done.stdout
    assert (tmp_path / "fargate.toml").exists()
    (tmp_path / "fargate.toml").unlink()
    (tmp_path / "fargate.toml").symlink_to("elsewhere")
    assert init(tmp_path, **THERE).returncode == 2
    assert init(tmp_path, "--force", **THERE).returncode == 0
    assert json.loads(mine.read_text())["Version"] == "2012-10-17"
    assert not (tmp_path / "elsewhere").exists()


def test_an_unusable_directory_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = init(tmp_path / "file" / "below", **THERE)
    assert done.returncode == 2
    assert (done.stderr.count("\n"), "Not a directory" in done.stderr) == (1, True)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.key)
def test_nothing_that_needs_quoting_gets_through(question: object) -> None:
    check = next(one.check for one in QUESTIONS if one is question)
    for text in HOSTILE:
        value, complaint = refused(check, text)
        assert complaint.isprintable()
        shown = json.dumps(value, ensure_ascii=False)
        assert not set("\\$`%'") & set(shown), value


def contents_with(key: str, text: str) -> dict[str, str]:
    return files.contents(plan(THERE, **{key: text}))


TEXTS = st.text(max_size=80) | st.from_regex(r"[a-z0-9:/.$\"'{}@-]{1,40}", fullmatch=True)


@given(name=TEXTS, cluster=TEXTS, tags=TEXTS, image=TEXTS, path=TEXTS)
def test_whatever_is_answered_the_files_can_be_read(
    name: str, cluster: str, tags: str, image: str, path: str
) -> None:
    answers = {"name": name, "cluster": cluster, "tags": tags, "job_image": image, "records": path}
    for key, text in answers.items():
        found, complaint = refused(functools.partial(contents_with, key), text)
        assert complaint.isprintable()
        if found is None:
            continue
        for file in ("fargate.toml", "runner-config.toml"):
            tomllib.loads(found[file])
        json.loads(found["policy.json"])


def test_the_runners_block() -> None:
    block = tomllib.loads(files.contents(made("none"))["runner-config.toml"])
    (runner,) = block["runners"]
    assert runner["executor"] == "custom"
    for stage in ("config", "prepare", "run", "cleanup"):
        assert runner["custom"][f"{stage}_args"][-2:] == ["custom", stage]
    assert runner["custom"]["graceful_kill_timeout"] < 300
    assert runner["custom"]["prepare_exec_timeout"] > 600


def test_only_what_aws_cannot_limit_is_a_wildcard() -> None:
    everything = policy.Features(*[True] * len(policy.Features._fields))
    document = policy.policy(everything, plan(THERE).scope)
    known = json.loads(resources.files(AdditionalSpecs).joinpath("Policies.json").read_text())
    for statement in document["Statement"]:
        for action in statement["Action"]:
            service, _, operation = action.partition(":")
            kinds = known[service]["Actions"][operation.lower()].get("Resources", [])
            # Fargate has no container instances.
            if service == "iam" or kinds not in ([], ["container-instance"]):
                assert "*" not in statement["Resource"], action
                assert "*" not in action
            else:
                assert statement["Resource"] == ["*"], action
    unlimited = [one for one in document["Statement"] if "*" in one["Resource"]]
    assert [one["Sid"] for one in unlimited if "Condition" in one] == ["FindTasks"]


@pytest.mark.parametrize(
    ("region", "partition", "suffix"),
    [
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
    ],
)
def test_other_partitions(
    region: str, partition: str, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    found = plan(THERE, region=region, execution_role=f"arn:{partition}:iam::123456789012:role/x")
    assert found.scope.prefix == f"arn:{partition}:ecs:{region}:123456789012"
    assert str(found.helper_image).startswith(f"123456789012.dkr.ecr.{region}.{suffix}/")
    assert application(flags(), ["helper-image", "--region", region]) == 0
    assert f"registry=ACCOUNT.dkr.ecr.{region}.{suffix}\n" in capfd.readouterr().out
