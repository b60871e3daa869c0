from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fargate_driver.errors import DriverError
from fargate_driver.ssh.connection import Connection, log_reason

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("user", ["", "-oProxyCommand=x", "a\nb", "a b", "a\x1bb"])
def test_a_user_that_could_be_an_option_is_refused(user: str) -> None:
    with pytest.raises(DriverError, match="SSH user"):
        Connection("/job", "10.0.0.1", 22, user)


@pytest.mark.parametrize("host", ["", "-v", "example.com", "10.0.0.1 x", "10.0.0.1\n"])
def test_a_host_is_an_address(host: str) -> None:
    with pytest.raises(DriverError, match="IP address"):
        Connection("/job", host, 22, "root")


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_is_in_range(port: int) -> None:
    with pytest.raises(DriverError, match="between 1 and 65535"):
        Connection("/job", "10.0.0.1", port, "root")


def test_a_connection_is_named_by_user_address_and_port() -> None:
    assert str(Connection("/job", "fd00::1", 22, "root")) == "root@[fd00::1]:22"
    assert str(Connection("/job", "10.0.0.1", 2222, "ci")) == "ci@10.0.0.1:2222"


def test_the_reason_is_the_last_line_of_the_log(tmp_path: Path) -> None:
    assert not log_reason(str(tmp_path))
    (tmp_path / "ssh.log").write_bytes(b"one\r\nTimeout, server 10.0.0.1 not responding.\r\n\n")
    assert log_reason(str(tmp_path)) == "Timeout, server 10.0.0.1 not responding."
