"""`[[Capacity]]`: the one section that a file may have several of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fargate_driver.settings import ConfigurationError, Loaded, load
from front_calls import MINIMAL, environment, flags

if TYPE_CHECKING:
    from fargate_driver.gitlab.environment import RunnerEnvironment


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str, env: RunnerEnvironment | None = None, **values: Any) -> Loaded:
    Path("f.toml").write_text(MINIMAL + text, "utf-8")
    return load(flags(config="f.toml", **values), env)


def test_a_list_in_order_and_in_any_letter_case() -> None:
    settings, _, warnings, _ = loaded(
        '[[capacity]]\nname = "spot"\nPROVIDER = "FARGATE_SPOT"\n'
        'subnets = ["subnet-1", "subnet-2"]\n'
        '[[capacity]]\nprovider = "FARGATE"\nweight = 3\nbase = 2\nPlatformVersion = "1.4.0"\n'
        '[[capacity]]\nLaunchType = "FARGATE"\nSubnet = "subnet-3"\n'
    )
    assert warnings == []
    spot, provider, launch_type = settings.capacity
    assert (spot.label, spot.provider, spot.weight, spot.base) == ("spot", "FARGATE_SPOT", 1, None)
    assert spot.subnets == ("subnet-1", "subnet-2")
    assert (provider.label, provider.weight, provider.base) == ("FARGATE", 3, 2)
    assert (provider.subnets, provider.platform_version) == (None, "1.4.0")
    assert (launch_type.label, launch_type.launch_type) == ("FARGATE", "FARGATE")
    assert launch_type.subnets == ("subnet-3",)


def test_without_it_the_cluster_decides() -> None:
    assert loaded("").settings.capacity == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            '[Capacity]\nProvider = "FARGATE"',
            "f.toml: [[Capacity]]: is a table; allowed: [[Capacity]] for each",
        ),
        (
            '[[Capacity]]\nProvider = "FARGATE"\n[[Capacity]]\nName = "nothing"',
            "f.toml: [[Capacity]] number 2, LaunchType: is missing, and Provider too; allowed:"
            ' "FARGATE", or Provider instead of it',
        ),
        (
            # Bug 10: https://github.com/dask/dask-cloudprovider/pull/348
            '[[Capacity]]\nProvider = "FARGATE"\nLaunchType = "FARGATE"',
            "f.toml: [[Capacity]] number 1, LaunchType: is given beside Provider; allowed:"
            ' "FARGATE", or Provider instead of it',
        ),
        (
            '[[Capacity]]\nLaunchType = "EC2"',
            "f.toml: [[Capacity]] number 1, LaunchType: is a string ('EC2'); allowed:"
            ' "FARGATE", or Provider instead of it',
        ),
        (
            '[[Capacity]]\nLaunchType = "FARGATE"\nWeight = 2',
            "f.toml: [[Capacity]] number 1, Weight: is given beside LaunchType; allowed:"
            " a whole number from 1 to 1000 (only with Provider)",
        ),
        (
            '[[Capacity]]\nLaunchType = "FARGATE"\nBase = 0',
            "f.toml: [[Capacity]] number 1, Base: is given beside LaunchType; allowed:"
            " a whole number from 0 to 100000 (only with Provider)",
        ),
        (
            '[[Capacity]]\nProvider = "-x"',
            "f.toml: [[Capacity]] number 1, Provider: '-x' is not allowed; allowed:"
            " a capacity provider's name like FARGATE_SPOT (without LaunchType)",
        ),
        (
            '[[Capacity]]\nProvider = "a"\nWeight = 0',
            "f.toml: [[Capacity]] number 1, Weight: 0 is out of range; allowed:"
            " a whole number from 1 to 1000 (only with Provider)",
        ),
        (
            '[[Capacity]]\nProvider = "a"\nSubnets = ["-x"]',
            "f.toml: [[Capacity]] number 1, Subnets: '-x' is not allowed; allowed:"
            " a subnet id (subnet-…) or a list of up to 16",
        ),
        (
            '[[Capacity]]\nProvider = "a"\nprovider = "b"',
            "f.toml: [[Capacity]] number 1, Provider: is given twice, as Provider and provider;"
            " allowed: one of them",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, line: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(text)
    assert str(caught.value).splitlines() == [line]


def test_what_is_unknown_is_ignored_aloud() -> None:
    _, _, warnings, _ = loaded('[[Capacity]]\nProvider = "a"\nWait = 3\nCluster = "b"')
    assert warnings == [
        "f.toml: [[Capacity]] number 1, Wait: unknown, ignored: did you mean Weight?",
        "f.toml: [[Capacity]] number 1, Cluster: unknown, ignored: it belongs to [Fargate]",
    ]


def test_the_jobs_choice_of_a_platform_beats_the_whole_file() -> None:
    text = '[[Capacity]]\nProvider = "a"\nPlatformVersion = "1.3.0"'
    chosen = environment(CUSTOM_ENV_FARGATE_PLATFORM_VERSION="1.4.0")
    for found in (loaded(text, chosen), loaded(text, platform_version="1.4.0")):
        assert found.settings.fargate.platform_version == "1.4.0"
        assert found.settings.capacity[0].platform_version is None
    assert loaded(text).settings.capacity[0].platform_version == "1.3.0"
