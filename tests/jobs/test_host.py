"""Which host this is: clones are told apart, a restarted one is known again."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from fargate_driver import host, owner
from fargate_driver.ecs.launch import started_by
from fargate_driver.settings import TaskMetadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Become = Callable[..., None]

ETH0 = {"eth0": "02:fc:00:00:00:01 0"}
"""An interface of a device, with its address and addr_assign_type."""
RECORDS = {"Directory": "/var/lib/fargate"}


@pytest.fixture
def become(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Become:
    """Let this process see a host of that name, machine-id and interfaces, and another boot."""
    made = 0

    def act(name: str, machine: str, devices: dict[str, str], virtual: str = "") -> None:
        nonlocal made
        made += 1
        root = tmp_path / str(made)
        for interface, text in {**devices, "lo": "00:00:00:00:00:00 0"}.items():
            place = root / "net" / interface
            place.mkdir(parents=True)
            address, kind = text.split()
            (place / "address").write_text(f"{address}\n")
            (place / "addr_assign_type").write_text(f"{kind}\n")
            if interface in devices and interface != virtual:
                (place / "device").mkdir()
        (root / "machine-id").write_text(machine)
        monkeypatch.setattr(host, "_INTERFACES", str(root / "net"))
        monkeypatch.setattr(host, "_MACHINE_ID", str(root / "machine-id"))
        monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(nodename=name))
        monkeypatch.setattr("fargate_driver.moment.boot_id", lambda: f"boot {made}")

    return act


@pytest.mark.parametrize(
    ("name", "machine", "devices", "same"),
    [
        ("runner", "m", ETH0, True),
        # What comes and goes on a host that is the same: addresses made up at its start, bridges.
        ("runner", "m", {**ETH0, "vf0": "16:93:91:f9:a8:a3 1"}, True),
        ("runner", "m", {**ETH0, "docker0": "02:42:00:00:00:01 0"}, True),
        # Clones of its image.
        ("runner", "m", {"eth0": "02:fc:00:00:00:02 0"}, False),
        ("runner-2", "m", ETH0, False),
        ("runner", "n", ETH0, False),
        ("runner", "m", {**ETH0, "eth1": "02:fc:00:00:00:02 0"}, False),
    ],
)
def test_a_clone_is_another_host(
    name: str, machine: str, devices: dict[str, str], same: bool, become: Become
) -> None:
    become("runner", "m\n", ETH0)
    job = owner.owner_of_this_call("/nowhere", 60)
    manager = started_by(TaskMetadata.model_validate(RECORDS))
    become(name, machine, devices, virtual="docker0")
    assert owner.why_over(job) == ("its host was restarted" if same else "")
    assert (started_by(TaskMetadata.model_validate(RECORDS)) == manager) is same


@pytest.mark.parametrize(("machine", "devices"), [("m", {}), ("", ETH0)])
def test_where_clones_look_the_same_no_restart_is_seen(
    machine: str, devices: dict[str, str], become: Become
) -> None:
    # Containers of one image: another boot may be another host, whose jobs run.
    become("runner", machine, devices)
    job = owner.owner_of_this_call("/nowhere", 60)
    become("runner", machine, devices)
    assert owner.why_over(job) == ""


def test_a_manager_with_a_name_keeps_it_on_any_host(become: Become) -> None:
    named = TaskMetadata.model_validate({**RECORDS, "Manager": "ci-a"})
    become("3f2a", "", {})
    before = started_by(named)
    job = owner.owner_of_this_call("/nowhere", 60)
    become("77bc", "", {})
    assert started_by(named) == before
    assert before.startswith("gitlab-fargate-driver/ci-a/")
    other = [{**RECORDS, "Manager": "ci-b"}, {"Directory": "/srv/b", "Manager": "ci-a"}, RECORDS]
    assert before not in [started_by(TaskMetadata.model_validate(one)) for one in other]
    # Its name says whose tasks they are, not that a job is over: another may share it.
    assert owner.why_over(job) == ""
