"""What gives access to AWS is in no error, whoever quotes it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver import masking
from fargate_driver.ecs import words
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.errors import EcsError
from fargate_driver.ecs.target import Target

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "IQoJb3JpZ2luX2VjEJr//not+a+real+token=="
WEB_TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJub2JvZHkifQ.c2lnbmF0dXJl"
# Forms: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
NO_MATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS"
    " Secret Access Key and signing method. Consult the service documentation for details.\n\nThe"
    " Canonical String for this request should have been\n'POST\n/\n\nhost:ecs.us-east-1."
    f"amazonaws.com\nx-amz-security-token:{TOKEN}\n\nhost;x-amz-security-token\n0a1b'\n\nThe"
    " String-to-Sign should have been\n'AWS4-HMAC-SHA256\n20261130T000000Z\n0a1b'\n"
)
INCOMPLETE = (
    f"'{TOKEN}' not a valid key=value pair (missing equal-sign) in Authorization header:"
    " 'AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261130/us-east-1/ecs/aws4_request,"
    " SignedHeaders=host;x-amz-date, Signature=0123abcd4567'."
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (NO_MATCH, "Consult the service documentation for details. …"),
        (INCOMPLETE, "Credential=…, SignedHeaders=host;x-amz-date, Signature=…'."),
        (f"x-amz-security-token: {TOKEN}", "x-amz-security-token: …"),
        (f"https://example.com/?X-Amz-Security-Token={TOKEN}&a=b", "Security-Token=…&a=b"),
        (f"Value '{WEB_TOKEN}' at 'webIdentityToken' failed", "Value '…' at 'webIdentityToken'"),
        (f'{{"SecretAccessKey": "{TOKEN}", "SessionToken": "{TOKEN}"}}', '"SecretAccessKey": "…'),
        # Words about secrets are none.
        *(
            (text, text)
            for text in (
                "The security token included in the request is invalid.",
                "check your AWS Secret Access Key and signing method",
                "set AWS_SECRET_ACCESS_KEY, or AWS_SESSION_TOKEN",
            )
        ),
    ],
)
def test_what_gives_access_is_left_out(text: str, kept: str) -> None:
    line = words.one_line(text, 2000)
    assert kept in line
    for secret in (TOKEN, TOKEN[:12], WEB_TOKEN, "AKIAEXAMPLE", "0123abcd4567"):
        assert secret not in line


around = st.text("ab \n", max_size=40)


@given(around, st.text("0123 /'\"\\", min_size=8, max_size=40), around, st.integers(10, 60))
def test_no_part_of_a_secret_is_left_by_a_limit(
    before: str, secret: str, after: str, longest: int
) -> None:
    text = f"{before}{{}}{after}"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(masking, "_known", set())
        masked = words.one_line(text.format(masking.MASK), longest)
        masking.learn(secret)
        assert words.one_line(text.format(secret), longest) == masked
        assert words.one_line(text.format(json.dumps(secret)[1:-1]), longest) == masked


@pytest.mark.parametrize("role", [None, "arn:aws:iam::123456789012:role/ci"])
@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("echo {} >&2; exit 1", "Error when retrieving credentials from custom-process"),
        ("echo {}", "JSONDecodeError"),
        ('echo \'{{"Version": 1, "AccessKeyId": "{}"}}\'', "credentials"),
        ('echo \'{{"Version": "{}"}}\'', "credentials"),
    ],
)
def test_what_a_credential_process_prints_is_not_shown(
    program: str, says: str, role: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "config"
    script = tmp_path / "program"
    script.write_text(f"#!/bin/sh\n{program.format(TOKEN)}\n")
    script.chmod(0o700)
    config.write_text(f"[profile ci]\ncredential_process = {json.dumps(str(script))}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "ci")
    target = Target("us-east-1", "ci", "http://192.0.2.1:9", role)
    with pytest.raises(EcsError, match=says) as e:
        Ecs(target, deadline=time.monotonic()).run_task({"taskDefinition": "ci"})
    assert "\n" not in str(e.value)
    assert TOKEN not in str(e.value)
    assert e.value.refused, "nothing was sent"


def test_a_profile_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(EcsError, match="missing") as e:
        Ecs(Target("us-east-1", "ci", "http://127.0.0.1:9", None), deadline=time.monotonic())
    assert "\n" not in str(e.value)
