"""The job record: what a crash, a hostile value or another version may leave."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver import jobs, moment, records
from fargate_driver.ecs.target import Target
from fargate_driver.moment import Moment
from fargate_driver.owner import owner_of_this_call

if TYPE_CHECKING:
    from pathlib import Path

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


MOMENT = Moment(12.5, "boot", 7.25)
SIZE = {"cpu": "256", "memory": "512", "containers": [{"name": "a", "memory": None}]}


def record(directory: Path) -> records.JobRecord:
    target = Target("us-east-1", "ci", "http://127.0.0.1:1", None)
    return records.JobRecord(str(directory), "job 7", target, owner_of_this_call("/tmp/x", 60))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    saved = record(tmp_path)
    saved.launches.append(
        records.Launch({"clientToken": "t", "tags": []}, MOMENT, "arn:task", True, size=SIZE)
    )
    saved.launches[0].essential = ["a", "b"]
    saved.save()
    loaded = records.load(str(tmp_path))
    assert loaded is not None
    assert (loaded.directory, loaded.description) == (str(tmp_path), "job 7")
    assert loaded.target.endpoint_url == "http://127.0.0.1:1"
    assert loaded.target.assume_role is None
    assert loaded.owner == saved.owner
    (launch,) = loaded.launches
    assert launch.request == {"clientToken": "t", "tags": []}
    assert (launch.created, launch.size) == (MOMENT, SIZE)
    assert (loaded.size, loaded.container, launch.essential) == (SIZE, "a", ["a", "b"])
    assert (launch.task_arn, launch.refused) == ("arn:task", True)
    assert loaded.task_arn == "arn:task"


@pytest.mark.parametrize(
    ("task_arn", "refused", "kept"),
    [(None, False, True), ("arn:task", False, False), (None, True, False)],
)
def test_overrides_are_kept_while_their_request_may_be_replayed(
    tmp_path: Path, task_arn: str | None, *, refused: bool, kept: bool
) -> None:
    saved = record(tmp_path)
    environment = [{"name": "POSTGRES_PASSWORD", "value": "hunter2"}]
    overrides = {"containerOverrides": [{"name": "db", "environment": environment}]}
    request = {"clientToken": "t", "overrides": overrides}
    saved.launches.append(records.Launch(request, MOMENT, task_arn, refused))
    saved.save()
    assert ("hunter2" in (tmp_path / "record.json").read_text()) is kept
    loaded = records.load(str(tmp_path))
    assert loaded
    assert loaded.launches[0].request == (request if kept else {"clientToken": "t"})
    assert saved.launches[0].request == request


def test_records_of_older_versions_are_loaded(tmp_path: Path) -> None:
    saved = record(tmp_path)
    saved.about = {"job": "7", "image": "alpine"}
    saved.launches.append(records.Launch({}, MOMENT, definition="a:1", capacity="FARGATE"))
    saved.save()
    loaded = records.load(str(tmp_path))
    assert loaded
    assert loaded.about == saved.about
    assert (loaded.launches[0].definition, loaded.launches[0].capacity) == ("a:1", "FARGATE")
    file = tmp_path / "record.json"
    data = json.loads(file.read_text())
    del data["about"]
    del data["launches"][0]["definition"]
    del data["launches"][0]["capacity"]
    del data["launches"][0]["essential"]
    file.write_text(json.dumps(data))
    old = records.load(str(tmp_path))
    assert old
    assert (old.about, old.launches[0].definition, old.launches[0].capacity) == ({}, "", "")
    assert (old.size, old.container, old.launches[0].essential) == ({}, "", [])


@given(text=st.text())
def test_any_text_survives(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("job")
    saved = record(directory)
    saved.description = text
    try:
        saved.save()
    except UnicodeEncodeError:
        pytest.fail("a lone surrogate must not cost a record")
    loaded = records.load(str(directory))
    assert loaded is not None
    assert loaded.description == text


ACCESS: dict[str, Any] = {
    "user": "root",
    "host": "127.0.0.9",
    "port": 2222,
    "wrapper_shell": "/bin/sh",
    "shell": "bash",
    "init_pid": 1,
    "state_directory": "/home/a=b/.fargate-1",
}


def test_access_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    assert jobs.load_access(str(tmp_path)) is None
    jobs.Access(**ACCESS).save(str(tmp_path))
    loaded = jobs.load_access(str(tmp_path))
    assert {name: getattr(loaded, name) for name in ACCESS} == ACCESS


def test_access_takes_no_newline(tmp_path: Path) -> None:
    with pytest.raises(jobs.RecordError, match="newline"):
        jobs.Access(**ACCESS | {"state_directory": "/tmp/a\nuser=x"}).save(str(tmp_path))


@given(data=st.binary(max_size=200))
def test_a_damaged_access_is_named(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("job")
    (directory / "access").write_bytes(data)
    with pytest.raises(jobs.RecordError, match="access: "):
        jobs.load_access(str(directory))


def test_directory_and_record_are_private_whatever_the_umask_is(tmp_path: Path) -> None:
    directory = tmp_path / "records" / "7-abc"
    before = os.umask(0)
    try:
        jobs.create(str(directory))
        record(directory).save()
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in directory.iterdir()}
    assert modes == {"record.json": 0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(directory.parent.stat().st_mode) == 0o700


def test_an_existing_parent_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    jobs.create(str(tmp_path / "7-abc"))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_parent_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(jobs.RecordError, match=r"\[TaskMetadata\] Directory .*/file: "):
        jobs.create(str(tmp_path / "file" / "7-abc"))


def test_no_record_yet_is_none(tmp_path: Path) -> None:
    assert records.load(str(tmp_path)) is None
    (tmp_path / "record.json.new").write_text("{half")
    assert records.load(str(tmp_path)) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"version": 1}', '{"version": null}', "\xff"]
)
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "record.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(jobs.RecordError, match="record"):
        records.load(str(tmp_path))


@given(data=JSON)
def test_no_json_is_a_traceback(data: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("job")
    (directory / "record.json").write_text(json.dumps(data))
    with pytest.raises(jobs.RecordError):
        records.load(str(directory))


def test_a_newer_record_is_left_alone(tmp_path: Path) -> None:
    record(tmp_path).save()
    data = json.loads((tmp_path / "record.json").read_text())
    (tmp_path / "record.json").write_text(json.dumps(data | {"version": 99}))
    with pytest.raises(
        jobs.RecordError, match=r"another version of the driver \(record version 99"
    ):
        records.load(str(tmp_path))


HOUR = 3600.0


@pytest.mark.parametrize(
    ("age", "jump", "replayable"),
    [
        (5, 0, True),
        (22 * HOUR, 0, True),
        (24 * HOUR, 0, False),
        # Within one boot, setting the clock changes nothing.
        (22 * HOUR, 30 * HOUR, True),
        (22 * HOUR, -30 * HOUR, True),
        (24 * HOUR, -20 * HOUR, False),
    ],
)
def test_old_intents_are_never_replayed(age: float, jump: float, replayable: bool) -> None:
    # The machine's clock was set by `jump` since.
    here = moment.now()
    created = here._replace(epoch=here.epoch - age - jump, uptime=here.uptime - age)
    assert records.Launch({}, created).replayable is replayable


@pytest.mark.parametrize(
    ("age", "replayable"),
    [(5, True), (22 * HOUR, True), (24 * HOUR, False), (-HOUR, False)],
)
def test_after_a_restart_the_time_of_day_counts(age: float, replayable: bool) -> None:
    here = moment.now()
    created = Moment(here.epoch - age, "another", here.uptime - 5)
    assert records.Launch({}, created).replayable is replayable


def test_links_lead_to_the_job_they_were_made_for(tmp_path: Path) -> None:
    temporary, directory = tmp_path / "tmp", tmp_path / "7-abc"
    temporary.mkdir()
    directory.mkdir()
    jobs.link("/nowhere", str(temporary), "7")
    jobs.link(str(directory), str(temporary), "7")
    assert jobs.linked(str(temporary), "7") == str(directory)
    assert jobs.linked(str(temporary), "8") is None
    directory.rmdir()
    assert jobs.linked(str(temporary), "7") is None


@pytest.mark.parametrize("job_id", ["", "../7", "7/..", "x" * 9000, "٣", "-1", "7\n"])
def test_no_link_is_made_for_what_is_no_job_id(tmp_path: Path, job_id: str) -> None:
    jobs.link("/somewhere", str(tmp_path), job_id)
    assert list(tmp_path.iterdir()) == []
    assert jobs.linked(str(tmp_path), job_id) is None


def test_no_tmpdir_is_no_link() -> None:
    jobs.link("/somewhere", None, "7")
    assert jobs.linked(None, "7") is None


def test_remove_takes_all_and_may_be_called_again(tmp_path: Path) -> None:
    directory = tmp_path / "7-abc"
    directory.mkdir()
    record(directory).save()
    (directory / "key").write_text("secret")
    jobs.remove(str(directory))
    jobs.remove(str(directory))
    assert list(tmp_path.iterdir()) == []


def test_remove_may_keep_the_record(tmp_path: Path) -> None:
    directory = tmp_path / "7-abc"
    directory.mkdir()
    record(directory).save()
    (directory / "key").write_text("secret")
    jobs.empty(str(directory), but=jobs.RECORD)
    assert [p.name for p in directory.iterdir()] == ["record.json"]


def test_only_directories_of_jobs_are_found(tmp_path: Path) -> None:
    key = "7-0123456789abcdef0123"
    for name in (key, "7-abc", "other", "x-0123456789abcdef0123"):
        (tmp_path / name).mkdir()
    (tmp_path / "8-0123456789abcdef0123").symlink_to(tmp_path / "other")
    assert jobs.all_directories(str(tmp_path)) == [str(tmp_path / key)]
    assert jobs.all_directories(str(tmp_path / "none")) == []
