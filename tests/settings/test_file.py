from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.errors import JobConfigurationError
from fargate_driver.settings import ConfigurationError, Settings, load
from fargate_driver.settings.model import SECTIONS, keys_of
from front_calls import MINIMAL, environment, flags

RUNNERS = 'concurrent = 1\n[[runners]]\nname = "x"\n'


# Each example overwrites the same file.
@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mistake(config: str | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(flags(config=config))
    return str(caught.value)


def test_config_toml_comes_before_fargate_toml() -> None:
    Path("fargate.toml").write_text(MINIMAL)
    assert load(flags()).path == "fargate.toml"
    Path("config.toml").write_text(MINIMAL)
    assert load(flags()).path == "config.toml"


def test_the_runners_own_file_is_skipped_with_a_word() -> None:
    Path("config.toml").write_text(RUNNERS)
    Path("fargate.toml").write_text(MINIMAL)
    loaded = load(flags())
    assert loaded.path == "fargate.toml"
    assert loaded.warnings == [
        "config.toml: is gitlab-runner's own configuration ([[runners]]); skipped"
    ]


def test_the_runners_own_file_is_refused_where_it_is_named() -> None:
    Path("config.toml").write_text(RUNNERS)
    assert mistake("config.toml") == (
        "config.toml: is gitlab-runner's own configuration ([[runners]]); "
        "--config needs the driver's file, with a section [Fargate]"
    )


def test_nothing_found_lists_where_it_looked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # This machine may have the last one.
    monkeypatch.setattr(
        "fargate_driver.settings.file.CANDIDATES", ("config.toml", "fargate.toml", "etc/f.toml")
    )
    assert mistake() == (
        f"no configuration file; looked for config.toml, fargate.toml, both in {folder}, "
        "etc/f.toml; name one with --config"
    )
    assert mistake("no.toml") == "no.toml: no such file; --config names it"
    Path("config.toml").write_text(RUNNERS)
    assert mistake().splitlines()[1] == (
        "config.toml: is gitlab-runner's own configuration ([[runners]]); skipped"
    )


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a = 1\nb = \n", "f.toml: is not valid TOML: Invalid value (at line 2, column 5)"),
        (b"a = 1\nb = '\xff'\n", "f.toml: line 2: is not UTF-8; save it as UTF-8"),
        (b"a = " + b"[" * 100_000, "f.toml: is nested too deeply"),
    ],
)
def test_what_is_no_toml_gives_its_position(content: bytes, line: str) -> None:
    Path("f.toml").write_bytes(content)
    assert mistake("f.toml") == line


def test_what_can_not_be_read() -> None:
    assert mistake("/") == "/: can't be read: Is a directory"
    assert mistake("a\0b").startswith("a\0b: can't be read: ")


@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    Path("f.toml").write_bytes(content)
    with pytest.raises(ConfigurationError):
        load(flags(config="f.toml"))


WORDS = st.sampled_from(
    [
        word
        for section in SECTIONS
        for key in keys_of(section).values()
        for word in (key.name, key.name.lower(), key.also or "Other")
    ]
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.integers()
    | st.floats()
    | st.booleans()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from(["ci", "us-east-1", "subnet-1", "sg-1", "root", "/x", "1.4.0", "json"])
    | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=8),
    max_leaves=20,
)


@given(st.dictionaries(WORDS, VALUES, max_size=8))
def test_any_document(document: dict[str, object]) -> None:
    Path("f.toml").write_text(_toml(document), "utf-8")
    try:
        loaded = load(flags(config="f.toml"))
    except ConfigurationError as error:
        for line in str(error).splitlines():
            assert line.isprintable()
            assert line.startswith("f.toml: ")
            assert len(line) < 400
    else:
        assert isinstance(loaded.settings, Settings)
        assert all(warning.isprintable() for warning in loaded.warnings)


@given(st.text(st.characters(exclude_characters="\0")))
def test_any_choice_of_a_job(value: str) -> None:
    Path("f.toml").write_text(MINIMAL)
    env = environment(
        CUSTOM_ENV_FARGATE_TASK_DEFINITION=value, CUSTOM_ENV_FARGATE_PLATFORM_VERSION=value
    )
    try:
        settings = load(flags(config="f.toml"), env).settings
    except JobConfigurationError as error:
        lines = str(error).splitlines()
    else:
        assert settings.fargate.task_definition == (value or "ci-coordinator")
        return
    assert all(line.startswith("variable FARGATE_") and line.isprintable() for line in lines)


def _toml(value: object) -> str:
    """A document's text; inline from the second level on."""
    assert isinstance(value, dict)
    return "".join(f"{_quoted(name)} = {_inline(item)}\n" for name, item in value.items())


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(k)} = {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        # TOML wants a digit on both sides of the point.
        return repr(value) if "e" not in repr(value) else f"{value:.1f}"
    return str(value)


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(c):08x}" for c in text) + '"'
