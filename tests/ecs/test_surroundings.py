"""Credentials, partitions, proxies and CA bundles of the manager, each against a real peer."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

import http_peer
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.errors import EcsError
from fargate_driver.ecs.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROLE = "arn:aws:iam::123456789012:role/ci"
ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleResult><Credentials><AccessKeyId>ASIAASSUMED</AccessKeyId>
<SecretAccessKey>example</SecretAccessKey><SessionToken>example</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>
</AssumeRoleResponse>"""
NO_TASK = {"tasks": [], "failures": [{"arn": "arn", "reason": "MISSING"}]}


class Peer:
    """Answers AssumeRole and DescribeTasks, and remembers what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.url = ""

    def __call__(self, asked: http_peer.Request) -> http_peer.Answer:
        if asked.method == "CONNECT":
            self.requests.append(("CONNECT", asked.path))
            return http_peer.Answer(403)
        body = asked.body.decode()
        self.requests.append((asked.headers.get("Authorization", ""), body))
        text = ASSUMED if "Action=AssumeRole" in body else json.dumps(NO_TASK)
        return http_peer.Answer(body=text.encode())


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASOURCE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    running = Peer()
    with http_peer.serving(running) as running.url:
        yield running


def ecs(endpoint: str | None, role: str | None = None, region: str = "us-east-1") -> Ecs:
    return Ecs(Target(region, "ci", endpoint, role), deadline=time.monotonic())


def test_a_role_is_assumed_for_every_call(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", peer.url)
    assert ecs(peer.url, ROLE).describe_task("arn") is None
    (source, assume), (assumed, describe) = peer.requests
    assert "Credential=AKIASOURCE/" in source
    assert "role%2Fci" in assume
    assert "Credential=ASIAASSUMED/" in assumed
    assert json.loads(describe)["cluster"] == "ci"


def test_a_role_that_may_not_be_assumed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASOURCE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    with pytest.raises(EcsError, match=r"http://127\.0\.0\.1:9") as e:
        ecs("http://127.0.0.1:9", ROLE).describe_task("arn")
    assert "\n" not in str(e.value)


def test_no_credentials_at_all_are_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(EcsError, match="Unable to locate credentials"):
        ecs("http://192.0.2.1:9").describe_task("arn")
    with pytest.raises(EcsError, match=r"no AWS credentials .* \[Fargate\] AssumeRole"):
        ecs("http://192.0.2.1:9", ROLE)


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-central-1", "ecs.eu-central-1.amazonaws.com"),
        ("cn-north-1", "ecs.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "ecs.us-gov-west-1.amazonaws.com"),
    ],
)
def test_every_partition_is_called_through_the_managers_proxy(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, region: str, host: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", peer.url)
    with pytest.raises(EcsError, match="DescribeTasks failed"):
        ecs(None, region=region).describe_task("arn")
    assert peer.requests[0] == ("CONNECT", f"{host}:443")


def test_the_managers_ca_bundle_is_used(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*request, *name, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http_peer.serving(Peer(), context=context) as url:
        with pytest.raises(EcsError, match="SSL validation failed"):
            ecs(url).describe_task("arn")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        assert ecs(url).describe_task("arn") is None
    assert not peer.requests
