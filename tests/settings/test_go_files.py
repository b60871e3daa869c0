"""Files and command lines of GitLab's Go driver: all are taken, and mean the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver import cli
from fargate_driver.settings import load
from front_calls import flags

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from fargate_driver.flags import Flags

NAME = st.from_regex("[A-Za-z][A-Za-z0-9_-]{0,30}", fullmatch=True)
TEXT = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"]), max_size=20)
HOME = "arn:aws:ecs:eu-west-1:123456789012"
# Every key of the Go driver's struct, with what its operators may have put there.
KEYS: dict[str, dict[str, SearchStrategy[Any]]] = {
    "": {
        "LogLevel": st.sampled_from(
            ["", *["debug", "info", "warn", "warning", "error", "fatal", "panic"]]
        ),
        "LogFormat": st.sampled_from(["", "text", "json"]),
        "LogFile": st.sampled_from(["", "/var/log/fargate.log", "fargate.log"]),
    },
    "Fargate": {
        "Cluster": NAME | NAME.map(lambda name: f"{HOME}:cluster/{name}"),
        "Region": st.sampled_from(["eu-west-1", "us-gov-east-1", "cn-northwest-1", "il-central-1"]),
        "Subnet": st.sampled_from(["subnet-0123456789abcdef0", "subnet-1a2b3c4d"]),
        "SecurityGroup": st.sampled_from(["sg-0123456789abcdef0", "sg-1a2b3c4d"]),
        "TaskDefinition": NAME
        | st.tuples(NAME, st.integers(1, 999999)).map(lambda found: "{}:{}".format(*found))
        | NAME.map(lambda name: f"{HOME}:task-definition/{name}:7"),
        "EnablePublicIP": st.booleans(),
        "UsePublicIP": st.booleans(),
        "PlatformVersion": st.sampled_from(["", "LATEST", "1.3.0", "1.4.0"]),
    },
    "TaskMetadata": {"Directory": st.sampled_from(["/opt/gitlab-runner/metadata/", "metadata"])},
    "SSH": {
        "Username": st.sampled_from(["root", "ec2-user", "ci_1"]),
        "Port": st.integers(-1, 65535),
        "PrivateKeyPath": st.sampled_from(["", "/root/.ssh/id_rsa"]),
    },
}
NEEDED = {"Cluster", "Region", "Subnet", "SecurityGroup", "Directory", "Username"}


@st.composite
def go_files(draw: DrawFn) -> tuple[str, dict[str, Any], list[str]]:
    """A file, its known values, and the keys that neither driver knows."""
    lines: list[str] = []
    values: dict[str, Any] = {}
    unknown: list[str] = []
    for section, keys in KEYS.items():
        if section:
            lines.append(f"[{cased(draw, section)}]  ")
        for key, strategy in keys.items():
            if key in NEEDED or draw(st.booleans()):
                values[key] = draw(strategy)
                lines.append(
                    f"{draw(st.sampled_from(['', '  ']))}{cased(draw, key)} = {toml(values[key])}"
                )
        if draw(st.booleans()):
            unknown.append(f"x{len(unknown)}{draw(NAME)}x"[:30])
            lines.append(f"{unknown[-1]} = {toml(draw(TEXT | st.integers(-9, 9) | st.booleans()))}")
    return "\n".join(lines), values, unknown


def cased(draw: DrawFn, word: str) -> str:
    return draw(st.sampled_from([word, word.lower(), word.upper(), word[0].lower() + word[1:]]))


def toml(value: object) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value).lower()


@given(go_files())
def test_every_file_is_taken(made: tuple[str, dict[str, Any], list[str]]) -> None:
    text, values, unknown = made
    path = Path("go.toml")
    path.write_text(text)
    loaded = load(flags(config=str(path)))
    fargate, ssh = loaded.settings.fargate, loaded.settings.ssh
    assert fargate.cluster == values["Cluster"]
    assert (fargate.subnets, fargate.security_groups) == (
        (values["Subnet"],),
        (values["SecurityGroup"],),
    )
    assert fargate.task_definition == values.get("TaskDefinition", "")
    assert fargate.platform_version == (values.get("PlatformVersion") or None)
    public = values.get("EnablePublicIP", False)
    assert fargate.connects_to_public_ip == (public and values.get("UsePublicIP", True))
    port = values.get("Port", 0)
    assert ssh.port == (port if port > 0 else 22)
    # One line for each thing that is not taken, and none for what is.
    ignored = [name for name in unknown if any(name in line for line in loaded.warnings)]
    assert ignored == unknown
    more = values.get("UsePublicIP", False) and not public
    assert len(loaded.warnings) == len(unknown) + more + ("PrivateKeyPath" in values)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


STAGES = {
    "config": [["config"]],
    "prepare": [["prepare"], ["p"]],
    "run": [["run", "/tmp/s", "get_sources"], ["r", "/tmp/s", "x"]],
    "cleanup": [["cleanup"], ["cl"]],
}
FLAGS = st.sampled_from(
    [("debug", None)]
    + [(f, "x") for f in ("log-level", "log-file", "log-format", "config", "task-def")]
    + [("platform-version", "1.4.0")]
)


@given(st.data())
def test_every_command_line_is_taken(data: st.DataObject) -> None:
    words: list[str] = []
    for flag, value in data.draw(st.lists(FLAGS, max_size=4)):
        dash = data.draw(st.sampled_from(["-", "--"]))
        joined = data.draw(st.booleans())
        words += [f"{dash}{flag}={value}"] if value and joined else [f"{dash}{flag}"]
        words += [value] if value and not joined else []
    stage = data.draw(st.sampled_from(list(STAGES)))
    call = data.draw(st.sampled_from(STAGES[stage]))
    reached: list[str] = []

    def note(_flags: Flags, name: str, _arguments: object = None, *_: object) -> int:
        reached.append(name)
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "_run_stage", note)
        assert cli.main([*words, data.draw(st.sampled_from(["custom", "c"])), *call]) == 0
    assert reached == [stage]
