"""Services on the command line of `fargate try`."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.runner.services import BadServiceError, parse

WHOLE = {
    "name": "registry.example.com:5000/db:17",
    "alias": "db database",
    "entrypoint": ["/run", "it now"],
    "command": ["-c", "fsync=off"],
    "variables": [
        {"key": "USER", "value": "a=b", "public": True},
        {"key": "PORT", "value": "5432", "public": True},
    ],
}


@pytest.mark.parametrize(
    "text",
    [
        "registry.example.com:5000/db:17,alias=db,variable=USER=a=b,entrypoint=/run 'it now',"
        "command=-c fsync=off,alias=database,variable=PORT=5432",
        json.dumps(
            {
                "name": WHOLE["name"],
                "alias": "db database",
                "entrypoint": WHOLE["entrypoint"],
                "command": "-c fsync=off",
                "variables": {"USER": "a=b", "PORT": 5432},
            }
        ),
    ],
)
def test_all_that_gitlab_knows(text: str) -> None:
    assert parse(text) == WHOLE


def test_a_name_alone() -> None:
    assert parse("redis:7") == {"name": "redis:7", "alias": "", "variables": []}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the name of its image is missing"),
        (",alias=a", "the name of its image is missing"),
        ("a,b", "after a comma alias=, entrypoint=, command= or variable= is expected, not 'b'"),
        ("a,name=b", "is expected, not 'name=b'"),
        ("a,variable=K", "variable=K: expected NAME=VALUE"),
        ("a,variable=1=2", "'1' is no variable name"),
        ("a,command=x,command=y", "command= is given twice"),
        ("a,command='x", "command: No closing quotation"),
        ("{", "is no JSON: "),
        ("{" * 100_000, "is no JSON: "),
        ('{"name": "a", "alais": "b"}', "'alais' is not one of name, alias, entrypoint"),
        ('{"name": ["a"]}', "the name of its image is missing"),
        ('{"name": "a", "alias": ["b"]}', "alias has to be a text"),
        ('{"name": "a", "command": {"b": 1}}', "command has to be a text or a list of texts"),
        ('{"name": "a", "variables": ["b"]}', "variables have to be an object"),
        ('{"name": "a", "variables": {"B": true}}', "the value of B has to be a text or a number"),
        (r'{"name": "a\u0000"}', "a service can't hold a NUL byte"),
        (r'{"name": "a", "alias": "\udc80"}', "not UTF-8: "),
        (r'{"name": "a", "command": ["x", "\u0000"]}', "a service can't hold a NUL byte"),
        (r'{"name": "a", "entrypoint": "\udc80"}', "not UTF-8: "),
        (r'{"name": "a", "variables": {"B": "\udc80"}}', "not UTF-8: "),
    ],
)
def test_what_is_no_service(text: str, complaint: str) -> None:
    with pytest.raises(BadServiceError) as caught:
        parse(text)
    assert complaint in str(caught.value)
    assert str(caught.value).isprintable()


@given(st.text(max_size=30) | st.text(max_size=20).map(lambda text: "{" + text))
def test_any_text(text: str) -> None:
    with contextlib.suppress(BadServiceError):
        assert parse(text)["name"]
