"""What a job chooses about the size and place of its task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.errors import JobConfigurationError
from fargate_driver.gitlab.choices import Choices, choose
from front_calls import environment
from job_response import IMAGES, settings

if TYPE_CHECKING:
    from pathlib import Path

ALL = """
[Allow]
MaxCPU = 4096
MaxMemory = "16 GB"
MaxEphemeralStorage = 100
TaskRoles = ["arn:aws:iam::123456789012:role/ci-*"]
Capacities = ["spot", "big-*"]
Architectures = ["ARM64"]
[[Capacity]]
Name = "spot"
Provider = "FARGATE_SPOT"
[[Capacity]]
Name = "big-a"
Provider = "FARGATE"
[[Capacity]]
Name = "secret"
LaunchType = "FARGATE"
"""
HOSTILE = ["$(id)", "`id`;", "../..", "9" * 10_000, "١٠٢٤", "1e3", "-1", "0x400", "a\nb", "\u202e"]


def chosen(
    folder: Path, text: str = ALL, *, derived: bool = True, platform: str | None = None, **job: Any
) -> Choices:
    env = environment(**{f"CUSTOM_ENV_FARGATE_{name}": value for name, value in job.items()})
    return choose(settings(folder, IMAGES + text), env, derived=derived, platform=platform)


def refused(folder: Path, text: str = ALL, **job: Any) -> list[str]:
    with pytest.raises(JobConfigurationError) as caught:
        chosen(folder, text, **job)
    lines = str(caught.value).split("\n")
    assert all(line.isprintable() and len(line) < 300 for line in lines)
    return lines


def test_all_of_it(tmp_path: Path) -> None:
    role = "arn:aws:iam::123456789012:role/ci-deploy"
    found = chosen(
        tmp_path,
        CPU="2 vCPU",
        MEMORY="8GB",
        EPHEMERAL_STORAGE="100",
        ARCHITECTURE="arm64",
        CAPACITY="big-a",
        TASK_ROLE=role,
    )
    assert found.architecture == "ARM64"
    assert found.overrides(1024, 2048) == {
        "cpu": "2048",
        "memory": "8192",
        "ephemeralStorage": {"sizeInGiB": 100},
        "taskRoleArn": role,
    }
    config = settings(tmp_path, IMAGES + ALL)
    assert [entry.label for entry in found.settings(config).capacity] == ["big-a"]


def test_nothing_chosen_changes_nothing(tmp_path: Path) -> None:
    found = chosen(tmp_path, "")
    assert found.overrides(1024, 2048) == {}
    config = settings(tmp_path, IMAGES + ALL)
    assert found.settings(config) is config


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("CPU", "MaxCPU"),
        ("MEMORY", "MaxMemory"),
        ("EPHEMERAL_STORAGE", "MaxEphemeralStorage"),
        ("CAPACITY", "Capacities"),
        ("TASK_ROLE", "TaskRoles"),
        ("ARCHITECTURE", "Architectures"),
    ],
)
def test_each_is_off_until_allowed(tmp_path: Path, name: str, key: str) -> None:
    if name == "ARCHITECTURE":
        with pytest.raises(JobConfigurationError) as caught:
            chosen(tmp_path, "", ARCHITECTURE="arm64").check_architecture("X86_64", ())
        line = str(caught.value)
    else:
        (line,) = refused(tmp_path, "", **{name: "1"})
    assert line.startswith(f"variable FARGATE_{name}")
    assert line.endswith(f"can't be chosen on this runner; its operator allows it by [Allow] {key}")


def test_what_nobody_ever_allowed_is_told_and_ignored_without_images(tmp_path: Path) -> None:
    """As with the Go driver, which knows none of these variables."""
    names = ("CPU", "MEMORY", "EPHEMERAL_STORAGE", "CAPACITY", "TASK_ROLE", "ARCHITECTURE")
    env = environment(**{f"CUSTOM_ENV_FARGATE_{name}": "a\nb" for name in names})
    found = choose(settings(tmp_path, ""), env, derived=False)
    assert found.overrides(0, 0) == {}
    assert [line.partition(" is ignored: it can't be chosen on")[0] for line in found.warnings] == [
        f"variable FARGATE_{name}: 'a\\nb'"
        for name in ("CPU", "MEMORY", "EPHEMERAL_STORAGE", "ARCHITECTURE", "CAPACITY", "TASK_ROLE")
    ]
    assert found.warnings[0].endswith("its operator allows it by [Allow] MaxCPU")
    # Whoever wrote of it in [Allow], if only to allow none, wants it kept to.
    for allow in ("TaskRoles = []", "Capacities = []", "MaxCPU = 1024", "Architectures = []"):
        with pytest.raises(JobConfigurationError) as caught:
            choose(settings(tmp_path, f"[Allow]\n{allow}\n"), env, derived=False)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    "name", ["CPU", "MEMORY", "EPHEMERAL_STORAGE", "CAPACITY", "TASK_ROLE", "ARCHITECTURE"]
)
def test_hostile_values_are_one_line(tmp_path: Path, name: str, value: str) -> None:
    (line,) = refused(tmp_path, **{name: value})
    assert line.startswith(f"variable FARGATE_{name}: ")


@pytest.mark.parametrize(
    ("job", "line"),
    [
        (
            {"CPU": "8 vCPU"},
            "FARGATE_CPU: '8 vCPU' is more than [Allow] MaxCPU lets jobs have; allowed: CPU units"
            " or vCPU, up to 4096 (4 vCPU)",
        ),
        (
            {"CPU": "3000"},
            "FARGATE_CPU: Fargate has no tasks with '3000'; the nearest: 2048 (2 vCPU); allowed:"
            " CPU units or vCPU, up to 4096 (4 vCPU)",
        ),
        (
            {"MEMORY": "3.5 GB"},
            "FARGATE_MEMORY: Fargate has no tasks with '3.5 GB'; the nearest: 3072 (3 GB); allowed:"
            " MiB or GB, up to 16384 (16 GB)",
        ),
        (
            {"EPHEMERAL_STORAGE": "20"},
            "FARGATE_EPHEMERAL_STORAGE: Fargate has no tasks with '20'; the nearest: 21 GiB;"
            " allowed: GiB from 21, up to 100 GiB",
        ),
        (
            {"CAPACITY": "secret"},
            "FARGATE_CAPACITY: 'secret' can't be chosen here; allowed: spot, big-a",
        ),
        (
            {"TASK_ROLE": "arn:aws:iam::123456789012:role/admin"},
            "FARGATE_TASK_ROLE: 'arn:aws:iam::123456789012:role/admin' can't be chosen here;"
            " allowed: arn:aws:iam::123456789012:role/ci-*",
        ),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, job: dict[str, str], line: str) -> None:
    assert refused(tmp_path, **job) == [f"variable {line}"]


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    assert len(refused(tmp_path, CPU="x", MEMORY="x", CAPACITY="x", TASK_ROLE="x")) == 4


def test_sizes_that_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(JobConfigurationError) as caught:
        chosen(tmp_path, CPU="1024", MEMORY="16GB").overrides(1024, 2048)
    assert str(caught.value) == (
        "variables FARGATE_CPU and FARGATE_MEMORY: Fargate has no tasks of 1 vCPU with 16 GB"
        " (FARGATE_CPU 1024, FARGATE_MEMORY 16384); the nearest that is allowed: 2 vCPU with 16 GB"
        " (FARGATE_CPU 2048, FARGATE_MEMORY 16384)"
    )


@pytest.mark.parametrize(
    ("job", "usual", "size"),
    [
        ({"CPU": "4096"}, (1024, 2048), ("4096", "8192")),
        ({"MEMORY": "8 GB"}, (1024, 2048), ("1024", "8192")),
        ({"MEMORY": "16 GB"}, (1024, 2048), ("2048", "16384")),
        ({"CPU": "1 vCPU"}, (1024, 2048), ("1024", "2048")),
        ({"CPU": "1 vCPU"}, (2048, 4096), ("1024", "4096")),
        ({"CPU": "0.25 vCPU"}, (2048, 16384), ("256", "2048")),
        ({"MEMORY": "1 GB"}, (2048, 4096), ("512", "1024")),
    ],
)
def test_one_alone_keeps_the_other_or_takes_the_nearest(
    tmp_path: Path, job: dict[str, Any], usual: tuple[int, int], size: tuple[str, str]
) -> None:
    found = chosen(tmp_path, **job).overrides(*usual)
    assert (found["cpu"], found["memory"]) == size


def test_what_one_brings_is_within_the_limits(tmp_path: Path) -> None:
    found = chosen(tmp_path, '[Allow]\nMaxMemory = "16 GB"\n', MEMORY="16 GB")
    with pytest.raises(JobConfigurationError) as caught:
        found.overrides(1024, 2048)
    assert "variable FARGATE_MEMORY: Fargate has no tasks of 1 vCPU with 16 GB" in str(caught.value)
    assert "the nearest that is allowed: 1 vCPU with 8 GB" in str(caught.value)


def test_the_largest_sizes(tmp_path: Path) -> None:
    allow = "[Allow]\nMaxCPU = 16384\nMaxMemory = 122880\n"
    found = chosen(tmp_path, allow, CPU="16vCPU", MEMORY="120GB").overrides(1024, 2048)
    assert (found["cpu"], found["memory"]) == ("16384", "122880")
    found = chosen(tmp_path, allow, CPU="8 vCPU", MEMORY="20 GB").overrides(1024, 2048)
    assert (found["cpu"], found["memory"]) == ("8192", "20480")
    with pytest.raises(JobConfigurationError, match="the nearest that is allowed: 8 vCPU with 20"):
        chosen(tmp_path, allow, CPU="8 vCPU", MEMORY="17 GB").overrides(1024, 2048)


def test_in_a_task_definition_that_is_there(tmp_path: Path) -> None:
    found = chosen(tmp_path, derived=False, CPU="2048", MEMORY="8192", EPHEMERAL_STORAGE="50")
    assert found.overrides(0, 0)["memory"] == "8192"
    (line,) = refused(tmp_path, derived=False, CPU="2048")
    assert line.startswith("variable FARGATE_CPU: needs FARGATE_MEMORY beside it")
    (line,) = refused(tmp_path, derived=False, ARCHITECTURE="ARM64")
    assert line.startswith("variable FARGATE_ARCHITECTURE: needs an image: in the job")


def test_the_platform_of_an_image(tmp_path: Path) -> None:
    assert chosen(tmp_path, platform="ARM64").architecture == "ARM64"
    assert chosen(tmp_path, "", platform="X86_64").architecture == "X86_64"
    assert chosen(tmp_path, platform="ARM64", ARCHITECTURE="X86_64").architecture == "X86_64"
    arm = chosen(tmp_path, "", platform="ARM64")
    with pytest.raises(JobConfigurationError) as caught:
        arm.check_architecture("X86_64", ())
    assert str(caught.value).startswith("image: docker: platform: 'ARM64' can't be chosen on")
    # What the job gets anyway, or may have.
    arm.check_architecture("ARM64", ())
    arm.check_architecture("X86_64", ("ARM64",))


@given(st.text(max_size=20), st.sampled_from(["CPU", "MEMORY", "EPHEMERAL_STORAGE"]))
def test_any_text(tmp_path_factory: pytest.TempPathFactory, value: str, name: str) -> None:
    try:
        job: dict[str, Any] = {name: value}
        found = chosen(tmp_path_factory.getbasetemp(), **job)
    except JobConfigurationError:
        return
    assert found.overrides(1024, 2048) or not value
