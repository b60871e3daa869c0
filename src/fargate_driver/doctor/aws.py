"""The calls of AWS that only the doctor makes: all of them read, or are refused.

The driver's own calls are in ecs/client.py; these need rights that it must do without.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fargate_driver.ecs.endpoint import endpoint_for, is_loopback
from fargate_driver.ecs.session import session_for
from fargate_driver.errors import DriverError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fargate_driver.ecs.target import Target

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_CREDENTIALS = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
"""Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html and
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
_NOT_OFFERED = {"InvalidAction", "UnknownOperationException", "UnsupportedOperation"}
_ATTEMPTS = 3
_CONNECTING = 5
_PATIENCE = 15
"""Seconds for each attempt of a call, to connect and to answer."""


class CallError(Exception):
    """A call of AWS that did not go well.

    Args:
        action: As IAM names it, such as `ecs:StopTask`.
        code: AWS's error code; "" where no answer came.
        message: AWS's words, or botocore's.
    """

    def __init__(self, action: str, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.action = action
        self.code = code
        self.message = message
        self.denied = code in _DENIED
        self.credentials = code in _CREDENTIALS

    @property
    def why(self) -> str:
        """Why something can't be checked."""
        if self.denied:
            return f"{self.action} is not allowed, and jobs don't need it"
        if self.code in _NOT_OFFERED:
            return f"this endpoint doesn't offer {self.action}"
        return f"{self.action}: {self}"


class Aws:
    """AWS's services as the settings reach them.

    Args:
        target: Where ECS is called, and by whom.

    Attributes:
        target: The same.
        skew: Seconds that this host's clock is ahead of AWS's, by the latest answer; None before.

    Raises:
        DriverError: No session can be made: a broken profile, no credentials for AssumeRole.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.skew: float | None = None
        self._lock = Lock()
        self._clients: dict[str, Any] = {}
        try:
            self._session = session_for(target)
            self.credentials = self._session.get_credentials()
        except BotoCoreError as error:
            raise DriverError(str(error)) from error

    @property
    def regions(self) -> list[str]:
        """The Regions of AWS that this botocore knows, of all partitions."""
        partitions = self._session.get_available_partitions()
        return [
            name
            for partition in partitions
            for name in self._session.get_available_regions("ecs", partition)
        ]

    def call(self, action: str, **parameters: Any) -> dict[str, Any]:
        """Make a call.

        Args:
            action: As IAM names it, such as `ecs:StopTask`.
            parameters: The operation's.

        Raises:
            CallError: No answer, or a refusal.
        """
        service, _, operation = action.partition(":")
        try:
            method = getattr(self._client(service), xform_name(operation))
            answer: dict[str, Any] = method(**parameters)
        except ClientError as error:
            self._see_clock(error.response)
            problem = error.response.get("Error", {})
            raise CallError(
                action,
                str(problem.get("Code") or "?"),
                " ".join(str(problem.get("Message")).split()),
            ) from error
        except (BotoCoreError, ValueError) as error:
            raise CallError(action, "", " ".join(str(error).split())) from error
        self._see_clock(answer)
        return answer

    def _see_clock(self, answer: Mapping[str, Any]) -> None:
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        try:
            told = parsedate_to_datetime(headers["date"])
        except (KeyError, ValueError):
            return
        if told.tzinfo is None:
            told = told.replace(tzinfo=UTC)
        self.skew = (datetime.fromtimestamp(time.time(), UTC) - told).total_seconds()

    def _client(self, service: str) -> Any:
        endpoint = endpoint_for(service, self.target.endpoint_url)
        with self._lock:  # making clients is not safe in several threads
            if service not in self._clients:
                self._clients[service] = self._session.create_client(
                    service,
                    endpoint_url=endpoint,
                    config=Config(
                        connect_timeout=_CONNECTING,
                        read_timeout=_PATIENCE,
                        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                        proxies={} if is_loopback(endpoint) else None,
                    ),
                )
            return self._clients[service]
