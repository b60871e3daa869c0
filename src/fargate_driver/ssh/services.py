"""What a job's container knows of the services beside it, in the same network namespace."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from fargate_driver.ssh.ask import ask
from fargate_driver.ssh.remote import command_line

if TYPE_CHECKING:
    from collections.abc import Collection

    from fargate_driver.ssh.connection import Connection

# $1 nonce, $2 seconds to wait, $3 how many names follow, the names, then ports in hexadecimal.
# Containers of a Fargate task share one network namespace, so its table of sockets tells who
# listens, without a connection that a service would log as broken.
_LOOK = r"""
exec 2>/dev/null
nonce=$1 patience=$2 names=$3
shift 3
echo "fargate-services $nonce"
knows() {
  while read -r address line; do
    case " $line " in *" $1 "*) return 0 ;; esac
  done </etc/hosts
  return 1
}
while [ "$names" -gt 0 ]; do
  knows "$1" || echo "unknown=$1"
  shift
  names=$((names - 1))
done
listens() {
  for table in /proc/net/tcp /proc/net/tcp6; do
    while read -r number local remote state line; do
      case "$local $state" in *":$1 0A") return 0 ;; esac
    done <"$table"
  done
  return 1
}
now() {
  read -r now line </proc/uptime
  now=${now%.*}
}
now
end=$((now + patience)) waiting=$*
while [ "$waiting" ]; do
  rest=
  for port in $waiting; do listens "$port" || rest="$rest $port"; done
  waiting=$rest
  now
  [ "$now" -lt "$end" ] || break
  [ "$waiting" ] && { sleep 0.2 || sleep 1; }
done
for port in $waiting; do echo "silent=$port"; done
echo "fargate-services $nonce"
"""


class Seen(NamedTuple):
    """What is amiss.

    Attributes:
        unknown: Names that /etc/hosts doesn't have.
        silent: Ports at which nobody listens.
    """

    unknown: frozenset[str]
    silent: frozenset[int]


def look(
    connection: Connection,
    *,
    names: Collection[str],
    ports: Collection[int],
    patience: int,
    deadline: float,
) -> Seen:
    """See which services can be reached, waiting for those that aren't ready.

    Args:
        connection: To the job's container.
        names: Host names of services.
        ports: TCP ports to wait for.
        patience: Seconds to wait for them.
        deadline: When to give up, as `time.monotonic` counts.

    Raises:
        DriverError: As `ask`.
    """
    nonce = os.urandom(8).hex()
    words = (nonce, str(patience), str(len(names)), *names, *(f"{port:04X}" for port in ports))
    command = command_line(connection.wrapper_shell, _LOOK, *words)
    answer = ask(connection, command, f"fargate-services {nonce}\n", deadline)
    return Seen(
        frozenset(value for name, value in answer if name == "unknown"),
        frozenset(int(value, 16) for name, value in answer if name == "silent"),
    )
