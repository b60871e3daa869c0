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
from botocore.exceptions import ClientError

from fargate_driver.doctor.background import begin
from fargate_driver.ecs import answers
from fargate_driver.ecs.endpoint import endpoint_for, is_loopback
from fargate_driver.ecs.explain import odd_answer, said
from fargate_driver.ecs.session import session_for
from fargate_driver.ecs.words import one_line

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
_LONGEST = 2000
"""Characters of what AWS says."""
_NOT_OFFERED = {"InvalidAction", "UnknownOperationException", "UnsupportedOperation"}
_ATTEMPTS = 2
_CONNECTING = 3
_ANSWERING = 6
"""Seconds for each attempt of a call."""
PATIENCE = 8
"""Seconds for a call as a whole: the names of a host may have many addresses, and no answer come
from the name server either."""


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
        EcsError: No session can be made: a broken profile, no credentials for AssumeRole.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.skew: float | None = None
        self._lock = Lock()
        self._clients: dict[tuple[str, str | None], Any] = {}
        self._session = session_for(target)
        self.credentials = self._session.get_credentials()

    @property
    def regions(self) -> list[str]:
        """The Regions of AWS that this botocore knows, of all partitions."""
        partitions = self._session.get_available_partitions()
        return [
            name
            for partition in partitions
            for name in self._session.get_available_regions("ecs", partition)
        ]

    def load_credentials(self) -> None:
        """Get them from where they come from, which may be another host.

        Raises:
            CallError: There are some in name alone.
        """
        try:
            begin(self.credentials.get_frozen_credentials).result(PATIENCE)
        except TimeoutError as error:
            raise CallError("", "", f"their source gives none within {PATIENCE} s") from error
        except Exception as error:  # whatever is wrong with what others write or answer
            raise _call_error("", error) from error

    def call(self, action: str, *, region: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Make a call.

        Args:
            action: As IAM names it, such as `ecs:StopTask`.
            region: Another Region than the settings'.
            parameters: The operation's.

        Raises:
            CallError: No answer, or a refusal.
        """
        service, _, operation = action.partition(":")
        try:
            client = self._client(service, region)
        except Exception as error:  # of files, settings and variables that others write
            raise CallError(action, "", said(error)) from error
        try:
            method = getattr(client, xform_name(operation))
            answer: dict[str, Any] = begin(lambda: method(**parameters)).result(PATIENCE)
            answers.check(client, operation, answer)
        except TimeoutError as error:
            silence = f"no answer from {client.meta.endpoint_url} within {PATIENCE} s"
            raise CallError(action, "", silence) from error
        except Exception as error:  # botocore's parsers raise anything at odd answers
            if isinstance(error, ClientError):
                self._see_clock(error.response)
            raise _call_error(action, error) from error
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

    def _client(self, service: str, region: str | None) -> Any:
        endpoint = endpoint_for(service, self.target.endpoint_url)
        with self._lock:  # making clients is not safe in several threads
            if (service, region) not in self._clients:
                config = Config(
                    connect_timeout=_CONNECTING,
                    read_timeout=_ANSWERING,
                    retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                    proxies={} if is_loopback(endpoint) else None,
                )
                self._clients[service, region] = self._session.create_client(
                    service, region_name=region, endpoint_url=endpoint, config=config
                )
            return self._clients[service, region]


def _call_error(action: str, error: Exception) -> CallError:
    """Put a failed call into words, without what may be a secret."""
    if odd := odd_answer(error, sent=bool(action)):
        return CallError(action, "", odd)
    if isinstance(error, ClientError):
        problem = error.response["Error"]
        message = one_line(str(problem.get("Message")), _LONGEST)
        return CallError(action, str(problem["Code"]), message)
    return CallError(action, "", said(error))
