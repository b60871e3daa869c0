"""Credentials that STS gives, over HTTP: faults are got over, and no text shows the secrets."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

import http_peer
from fargate_driver import masking
from fargate_driver.ecs import client, session
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.errors import EcsError
from fargate_driver.ecs.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY, TOKEN = "not/a/secret+key/0123456789", "not-a-token=="
ROLE = "arn:aws:iam::123456789012:role/ci"
ARN = "arn:aws:ecs:us-east-1:123456789012:task/ci/" + "0" * 32
DENIED = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User:"
    " arn:aws:iam::123456789012:user/ci is not authorized to perform: sts:AssumeRole on resource:"
    f" {ROLE}</Message></Error></ErrorResponse>"
)
FAULTS = {"busy": (503, ""), "blocked": (403, "<html/>"), "portal": (200, "<html>"), "cut": None}
"""Answers to what asks STS; None closes the connection."""


class Peer:
    """STS and ECS: the former gives a new secret each time, which the latter quotes in an error.

    Attributes:
        faults: What STS answers first.
        given: How often it gave credentials.
        asked: How often it was asked for some.
    """

    def __init__(self) -> None:
        self.faults: list[tuple[int, str] | None] = []
        self.given = self.asked = 0
        self.url = ""
        self.stall = threading.Event()
        self.stall.set()

    def __call__(self, asked: http_peer.Request) -> http_peer.Answer | None:
        answer = self._answer(asked.body.decode())
        return http_peer.Answer(answer[0], answer[1].encode()) if answer else None

    def _answer(self, body: str) -> tuple[int, str] | None:
        if "Action=Assume" not in body:
            if "stopCode" in body:
                return 200, json.dumps({"task": {"taskArn": ARN}})
            said = {"__type": "InvalidSignatureException", "message": f"{KEY}-{self.given} {TOKEN}"}
            return 400, json.dumps(said)
        self.asked += 1
        self.stall.wait()
        if self.faults:
            return self.faults.pop(0)
        self.given += 1
        kind = "AssumeRoleWithWebIdentity" if "WebIdentity" in body else "AssumeRole"
        return 200, (
            f"<{kind}Response><{kind}Result><Credentials><AccessKeyId>ASIA0123</AccessKeyId>"
            f"<SecretAccessKey>{KEY}-{self.given}</SecretAccessKey>"
            f"<SessionToken>{TOKEN}</SessionToken><Expiration>2126-01-01T00:00:00Z</Expiration>"
            f"</Credentials></{kind}Result></{kind}Response>"
        )


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_known", set())
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.01)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    running = Peer()
    with http_peer.serving(running) as running.url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", running.url)
        yield running
        running.stall.set()


@pytest.fixture(params=["profile", "web identity", "AssumeRole"])
def ecs(
    request: pytest.FixtureRequest, peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Ecs:
    """A client whose credentials STS gives when they are needed."""
    keys = {"aws_access_key_id": "AKIA0123456789ABCDEF", "aws_secret_access_key": f"source-{KEY}"}
    config = tmp_path / "config"
    own = "\n".join(f"{name} = {value}" for name, value in keys.items())
    config.write_text(
        f"[profile own]\n{own}\n[profile ci]\nrole_arn = {ROLE}\nsource_profile = own\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for name in keys:
        monkeypatch.delenv(name.upper(), raising=False)
    if request.param == "web identity":
        (tmp_path / "token").write_text("eyJhbGciOiJub25lIn0")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    else:
        monkeypatch.setenv("AWS_PROFILE", "ci" if request.param == "profile" else "own")
    role = ROLE if request.param == "AssumeRole" else None
    url = peer.url
    return Ecs(Target("us-east-1", "ci", url, role), deadline=time.monotonic() + 60)


def test_a_task_is_stopped_although_sts_fails_for_a_moment(peer: Peer, ecs: Ecs) -> None:
    peer.faults = [*FAULTS.values(), FAULTS["busy"]]
    ecs.stop_task(ARN, "stopCode")
    assert peer.given == 1


def test_sts_is_asked_once_a_try_and_for_as_long_as_ecs(peer: Peer, ecs: Ecs) -> None:
    ecs.deadline = 1  # long ago
    peer.faults = [FAULTS["busy"]]
    with pytest.raises(EcsError):
        ecs.stop_task(ARN, "stopCode")
    assert peer.asked == 1
    short = Ecs(ecs.target, deadline=1, longest_attempt=0.2)
    peer.stall.clear()
    with pytest.raises(EcsError, match="Read timeout"):
        short.stop_task(ARN, "stopCode")
    assert peer.asked == 2


@pytest.mark.parametrize("ecs", ["profile"], indirect=True)
def test_what_sts_says_at_last_is_told(peer: Peer, ecs: Ecs) -> None:
    ecs.deadline = 1  # long ago
    peer.faults = [FAULTS["blocked"], (403, DENIED)]
    with pytest.raises(EcsError, match="none of AWS's: HTTP 403 without an error code") as e:
        ecs.run_task({"taskDefinition": "ci"})
    assert e.value.refused
    assert e.value.passing
    with pytest.raises(EcsError, match=r"not authorized to perform.* \[manager-denied\]") as e:
        ecs.run_task({"taskDefinition": "ci"})
    assert e.value.refused


def test_secrets_are_hidden_as_soon_as_they_are_used(peer: Peer, ecs: Ecs) -> None:
    for time_of_call in range(1, 3):
        with pytest.raises(EcsError) as e:
            ecs.run_task({"taskDefinition": "ci"})
        assert peer.given == time_of_call
        assert KEY not in str(e.value)
        assert TOKEN not in str(e.value)
        # Time passes, and the next call needs new ones.
        credentials = ecs._session.get_credentials()
        credentials._expiry_time = datetime.now(UTC)
        credentials._refresh_using.__self__._cache.clear()


def test_those_of_the_environment(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA0123456789ABCDEF")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{KEY}-0")
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    url = peer.url
    with pytest.raises(EcsError, match=r"\[MASKED\] \[MASKED\]"):
        Ecs(Target("us-east-1", "ci", url), deadline=0).run_task({"taskDefinition": "ci"})
    assert masking.whole("AKIA0123456789ABCDEF") == "AKIA0123456789ABCDEF"


def test_a_source_that_fails_for_a_moment_is_asked_again(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_PAUSE", 0.01)
    keys = {"Version": 1, "AccessKeyId": "AKIA0123", "SecretAccessKey": KEY}
    program, asked = tmp_path / "program", tmp_path / "asked"
    program.write_text(f"#!/bin/sh\n[ -e {asked} ] && echo '{json.dumps(keys)}' || ! >{asked}\n")
    program.chmod(0o700)
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    target = Target("us-east-1", "ci", peer.url)
    Ecs(target, deadline=time.monotonic() + 60).stop_task(ARN, "stopCode")
    asked.unlink()
    with pytest.raises(EcsError, match="no AWS credentials: Error when retrieving"):
        Ecs(target, deadline=0)
