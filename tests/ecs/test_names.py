"""Names of images, and patterns of names."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.ecs.patterns import matches
from fargate_driver.ecs.reference import parse


@pytest.mark.parametrize(
    ("name", "without_port", "repository", "registry"),
    [
        ("python", "python", "docker.io/library/python", "docker.io"),
        ("a/b:1", "a/b", "docker.io/a/b", "docker.io"),
        ("docker.io/a/b", "docker.io/a/b", "docker.io/a/b", "docker.io"),
        ("localhost:5000/a:1", "localhost/a", "localhost:5000/a", "localhost:5000"),
        ("r.example.com:5/a@sha256:" + "a" * 64, *("r.example.com/a", "r.example.com:5/a"), ""),
    ],
)
def test_the_parts_of_a_name(name: str, without_port: str, repository: str, registry: str) -> None:
    found = parse(name)
    assert (found.without_port, found.repository) == (without_port, repository)
    assert found.registry == (registry or "r.example.com:5")


@given(st.text(alphabet="ab/:.@-_A0", max_size=40) | st.text())
def test_any_text_is_a_name_or_not(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert text.startswith(parse(text).written)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "a", True),
        ("*", "a/b", False),
        ("**", "a/b/c", True),
        ("a/*/c", "a/b/c", True),
        ("a/*/c", "a/b/b/c", False),
        ("a?", "ab", True),
        ("a?", "a/", False),
        ("a.c", "abc", False),
        ("a", "a\n", False),
    ],
)
def test_patterns(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


@given(st.text())
def test_a_name_without_wildcards_means_itself(name: str) -> None:
    if not set("*?") & set(name):
        assert matches(name, name)
        assert not matches(name, name + "x")
