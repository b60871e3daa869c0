from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.local.image_store.names import BadNameError, canonical

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.13", "docker.io/library/python:3.13"),
        ("docker.io/library/python:3.13", "docker.io/library/python:3.13"),
        ("docker.io/python:3.13", "docker.io/library/python:3.13"),
        ("index.docker.io/library/python:3.13", "docker.io/library/python:3.13"),
        ("bitnami/redis", "docker.io/bitnami/redis:latest"),
        ("localhost/job:1", "localhost/job:1"),
        ("localhost:5000/job", "localhost:5000/job:latest"),
        ("registry.example.com/a/b__c:V_1", "registry.example.com/a/b__c:V_1"),
        ("[::1]:5000/a", "[::1]:5000/a:latest"),
        (f"python@{DIGEST}", f"docker.io/library/python@{DIGEST}"),
        (f"python:3.13@{DIGEST}", f"docker.io/library/python@{DIGEST}"),
        ("fargate-helper", "docker.io/library/fargate-helper:latest"),
    ],
)
def test_one_name_for_what_docker_takes_for_the_same(name: str, full: str) -> None:
    assert canonical(name) == full


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "lower-case"),
        ("Python", "lower-case"),
        ("../etc", "no registry"),
        ("a/../b", "lower-case"),
        ("a//b", "lower-case"),
        ("a:", "a tag has"),
        ("a:b c", "a tag has"),
        (f"a:{'x' * 129}", "a tag has"),
        ("a@sha256:12", "no digest"),
        ("a@", "no digest"),
        ("-x.example.com/a", "no registry"),
        ("a" * 10_000, "255 characters"),
        ("a\n", "lower-case"),
        ("ä", "lower-case"),
    ],
)
def test_says_what_is_no_name(name: str, why: str) -> None:
    with pytest.raises(BadNameError, match=why) as caught:
        canonical(name)
    assert len(str(caught.value)) < 250
    assert "\n" not in str(caught.value)


@given(st.text(st.sampled_from("aA0.-_/:@[]\\ \n")) | st.text())
def test_a_canonical_name_stays(name: str) -> None:
    try:
        full = canonical(name)
    except BadNameError:
        return
    assert canonical(full) == full
