from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.credentials import Credentials

from fargate_driver import masking
from fargate_driver.ecs.credentials import AssumedRole, hide
from fargate_driver.ecs.session import session_for
from fargate_driver.ecs.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY, TOKEN = "not/a/secret+key/0123456789", "not-a-token=="


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    before = set(masking._known)
    masking._known.clear()
    yield
    masking._known.clear()
    masking._known.update(before)


def assert_hidden() -> None:
    text = masking.whole(f"AKIA0123456789ABCDEF {KEY} {TOKEN!r}")
    assert text == "AKIA0123456789ABCDEF [MASKED] '[MASKED]'"


def test_the_key_and_the_token_are_hidden() -> None:
    hide(Credentials("AKIA0123456789ABCDEF", KEY, f"{TOKEN}\n"))
    assert_hidden()
    assert hide(None) is None


def test_those_of_an_assumed_role_are_when_they_are_fetched() -> None:
    class Fetcher:
        def fetch_credentials(self) -> dict[str, Any]:
            return {
                "access_key": "AKIA0123456789ABCDEF",
                "secret_key": KEY,
                "token": TOKEN,
                "expiry_time": "2126-01-01T00:00:00Z",
            }

    AssumedRole(Fetcher()).load_credentials().get_frozen_credentials()
    assert_hidden()


def test_those_that_a_session_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA0123456789ABCDEF")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    session_for(Target("us-east-1", "ci"))
    assert_hidden()
