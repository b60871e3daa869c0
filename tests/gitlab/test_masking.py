"""Whatever a job puts its masked values into, the driver's texts don't show them."""

from __future__ import annotations

import json
import logging
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from driver_calls import JobCalls
from fargate_driver import log, masking
from fargate_driver.console import say
from fargate_driver.errors import DriverError
from fargate_driver.gitlab import choices, images
from fargate_driver.gitlab.environment import RunnerEnvironment
from fargate_driver.gitlab.variables import Variables, hide_secrets
from fargate_driver.settings import load
from front_calls import MINIMAL, call_environment, flags
from job_response import IMAGES, job_environment, settings, variable
from local_fargate import FARGATE

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOW = """
[Allow]
MaxCPU = 4096
MaxMemory = "16 GB"
MaxEphemeralStorage = 100
TaskRoles = ["arn:aws:iam::123456789012:role/ci-*"]
Capacities = ["spot"]
Architectures = ["ARM64"]
[[Capacity]]
Name = "spot"
Provider = "FARGATE_SPOT"
"""
CHOICES = ("CPU", "MEMORY", "EPHEMERAL_STORAGE", "ARCHITECTURE", "CAPACITY", "TASK_ROLE")
CHOICES_OF_SETTINGS = ("TASK_DEFINITION", "PLATFORM_VERSION")
FROM_IMAGES: dict[str, Any] = {
    "image": lambda text: {"image": text},
    "platform": lambda text: {"image": _with("python", docker={"platform": text})},
    "user": lambda text: {"image": _with("python", docker={"user": text})},
    "entrypoint": lambda text: {"image": {"name": "python", "entrypoint": [text]}},
    "service": lambda text: {"services": [text, text]},
    "alias": lambda text: {"services": [{"name": "redis", "alias": text}]},
    "service's user": lambda text: {"services": [_with("redis", docker={"user": text})]},
    "service's command": lambda text: {"services": [{"name": "redis", "command": ["a", text]}]},
    "service's entrypoint": lambda text: {"services": [{"name": "redis", "entrypoint": [text]}]},
    "service's variable": lambda text: {
        "services": [{"name": "redis", "variables": [variable("V", text), variable(text, text)]}]
    },
}

OTHER = "\u00a7" * 12
line = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=8)
tricky = st.text("$A{}:0a/@'\"\\,é. ", min_size=8, max_size=80)


def _with(name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "executor_opts": options}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """No other test's texts are masked."""
    before = set(masking._known)
    masking._known.clear()
    yield
    masking._known.clear()
    masking._known.update(before)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return settings(tmp_path_factory.mktemp("settings"), IMAGES + ALLOW)


def secret_environment(secret: str, given: dict[str, Any], **chosen: str) -> _Environment:
    masked = variable("SECRET", secret, masked=True, public=False)
    expanded = Variables({}, RunnerEnvironment(call_environment())).expand(secret)
    values = {f"FARGATE_{name}": value for name, value in chosen.items()} | {"SECRET": expanded}
    with tempfile.TemporaryDirectory() as folder:
        env = job_environment(Path(folder), variables=[masked], expanded=values, **given)
        masking._known.clear()
        hide_secrets(env)
        response = json.loads((Path(folder) / "response.json").read_text())
    return _Environment(env, response)


class _Environment(RunnerEnvironment):
    """One whose job response is not read again."""

    __slots__ = ("response",)

    def __init__(self, env: RunnerEnvironment, response: Any) -> None:
        super().__init__(env._environ)
        self.response = response


def said(config: Any, env: _Environment) -> str:
    """All that is said of what a job asks for."""
    found = []
    for read in (
        lambda: images._Reader(config, env, env.response).read(),
        lambda: choices.choose(config, env, derived=True, platform=None),
    ):
        try:
            answer = read()
        except DriverError as error:
            found.append(str(error))
        else:
            found += getattr(answer, "warnings", ())
    return "\n".join(found)


def _own_words(config: Any, given: dict[str, Any], **chosen: str) -> str:
    """What is said of another secret: Hypothesis tries the words of the driver's own texts, too."""
    return masking.whole(said(config, secret_environment(OTHER, given, **chosen)))


def assert_hidden(secret: str, text: str, own: str = "") -> None:
    """No part of a secret stands in a text, but for what the driver says anyway."""
    for at in range(len(secret) - 7):
        part = secret[at : at + 8]
        for form in (part, repr(part)[1:-1], json.dumps(part)[1:-1]):
            assert form not in text or form in own, (secret, text)


@pytest.mark.parametrize("place", FROM_IMAGES)
@given(secret=line | tricky, filled_in=st.booleans(), around=st.sampled_from(["", "x" * 45, "a/"]))
@example(secret="$A:0000000", filled_in=False, around="")
@example(secret="$A:0000000", filled_in=True, around="")
@example(secret="p$$a:00000000", filled_in=True, around="a/")
@example(secret="0000000,0000000a", filled_in=False, around="")
@example(secret="a'b\"c\\d0000000", filled_in=False, around="x" * 45)
def test_no_text_about_images_shows_a_secret(
    config: Any, place: str, secret: str, filled_in: bool, around: str
) -> None:
    own = _own_words(config, FROM_IMAGES[place](around + OTHER))
    env = secret_environment(secret, {})
    text = env.variable("SECRET") or "" if filled_in else secret
    env = secret_environment(secret, FROM_IMAGES[place](around + text))
    assert_hidden(text, masking.whole(said(config, env)), own)


@pytest.mark.parametrize("name", CHOICES)
@given(secret=line | tricky, around=st.sampled_from(["", "x" * 45]))
@example(secret="x86_64x86_64", around="")
def test_no_text_about_choices_shows_a_secret(
    config: Any, name: str, secret: str, around: str
) -> None:
    own = _own_words(config, {}, **{name: around + OTHER})
    env = secret_environment(secret, {}, **{name: around + secret.replace("\0", "")})
    text = masking.whole(said(config, env))
    assert text
    assert_hidden(secret, text, own)


@pytest.mark.parametrize("name", CHOICES_OF_SETTINGS)
def test_no_text_of_the_settings_shows_a_secret(tmp_path: Path, name: str) -> None:
    secret = "s3cr$t 'va\"lue"
    env = secret_environment(secret, {}, **{name: "x" * 30 + secret})
    path = tmp_path / "settings.toml"
    path.write_text(MINIMAL)
    with pytest.raises(DriverError) as caught:
        load(flags(config=str(path)), env)
    assert_hidden(secret, str(caught.value))
    assert masking.MASK in str(caught.value)


@given(secret=line | tricky)
@example(secret="'\"\\00000")
def test_the_boundary_hides_what_is_quoted(secret: str) -> None:
    # With the mask's own brackets what is left would look like the secret.
    assume(not secret.startswith("]") and not secret.endswith("["))
    masking._known.clear()
    masking.learn(secret)
    for text in (
        secret,
        f"{secret}{secret[:-1]}{secret}",
        repr(secret),
        repr({"a": [secret, "'\""]}),
        json.dumps([secret]),
        json.dumps({"a": secret}, ensure_ascii=False),
    ):
        assert secret not in masking.whole(text)
        assert masking.MASK in masking.whole(text)


def test_short_values_and_words_garble_nothing() -> None:
    masking.learn("true", "1234567", "", None, "first line\nsecond")
    assert masking.whole("true 1234567 second") == "true 1234567 second"
    assert masking.whole("a first line") == "a [MASKED]"
    assert masking.parts("a first lining") == "a [MASKED]ing"


@pytest.mark.parametrize("form", ["text", "json"])
def test_job_log_and_log_file(tmp_path: Path, capfd: pytest.CaptureFixture[str], form: str) -> None:
    masking.learn("s3cr3t'value\"")
    path = tmp_path / "log"
    config = tmp_path / "settings.toml"
    config.write_text(f'LogFile = "{path}"\nLogFormat = "{form}"\n{MINIMAL}')
    log.setup(load(flags(config=str(config))).settings)
    logger = logging.getLogger("fargate_driver.test")
    try:
        raise ValueError("s3cr3t'value\"")  # noqa: TRY301 - the traceback is what matters
    except ValueError:
        logger.exception("it is %r", "s3cr3t'value\"")
    say("it is s3cr3t'value\"")
    for written in (path.read_text(), capfd.readouterr().err):
        assert "s3cr3t" not in written
        assert masking.MASK in written


@pytest.mark.parametrize("flag", ["--log-level=debug", "--debug"])
def test_prepare_shows_no_secret(tmp_path: Path, flag: str) -> None:
    secret = "s3cr3t$x value"
    config = tmp_path / "settings.toml"
    config.write_text(MINIMAL.replace("/var/lib/fargate", str(tmp_path)) + IMAGES)
    masked = variable("SECRET", secret, masked=True)
    job = JobCalls(tmp_path, config, 1, image={"name": secret}, variables=[masked])
    done = job.call("prepare", SECRET="s3cr3t value")
    assert done.returncode == 1
    assert_hidden(secret, done.stdout + done.stderr)
    env = job.environment | {"CUSTOM_ENV_FARGATE_TASK_DEFINITION": secret}
    words = [*FARGATE, flag, "--config", str(config), "custom", "prepare"]
    ran = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert masking.MASK in ran.stderr
    assert_hidden(secret, ran.stdout + ran.stderr)
