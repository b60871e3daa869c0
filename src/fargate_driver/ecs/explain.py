"""Putting a failed call of AWS into words, and telling whether to make it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own, which is not Python's
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    ProxyConnectionError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from fargate_driver.ecs import answers, diagnosis, words
from fargate_driver.ecs.errors import EcsError
from fargate_driver.ecs.verdict import Retry

if TYPE_CHECKING:
    from collections.abc import Collection

_PASSING = (
    HTTPClientError,
    ConnectionError,
    CredentialRetrievalError,
    IncompleteReadError,
    MetadataRetrievalError,
)
"""botocore's errors that may be gone at the next attempt."""
_NOT_CONNECTED = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
_NO_TLS = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER")
"""How a connection is refused before anything is sent over it, and will be again."""
_CONNECTION_PATIENCE = 60.0
"""Seconds in which a connection that fails is tried again: a wrong endpoint never works."""
_LONGEST = 2000
"""Characters of what AWS, or botocore, says."""


class Call(NamedTuple):
    """A call that failed.

    Attributes:
        operation: Its name.
        begun: When it was first made (time.monotonic).
        deadline: Until when the caller would make it again.
        sent: Whether the latest attempt came as far as to be sent.
        chosen: What of it the job's author chose, for the verdict (verdict.Chosen).
    """

    operation: str
    begun: float
    deadline: float
    sent: bool
    chosen: Collection[str]


def explain(error: Exception, call: Call) -> tuple[EcsError, float]:
    """Put a failed call into words.

    No word of what was sent is among them, nor of an answer that is none of AWS's: it may quote
    the request, credentials included.

    Args:
        error: what botocore, or the look at the answer, raised.
        call: the call.

    Returns:
        The error, and until when trying again makes sense (0: never).
    """
    odd = odd_answer(error, sent=call.sent)
    if isinstance(error, ClientError):
        status = int((error.response.get("ResponseMetadata") or {}).get("HTTPStatusCode") or 0)
        if not odd or status >= 500:
            return _refused(error, status, call, answers.of_error(error.response))
    if odd:
        return _failed(call, odd, refused=not call.sent), _soon(call)
    if isinstance(error, BotoCoreError):
        return _unanswered(error, call)
    # What comes before is mostly about credentials, in files that others write.
    text = f"{call.operation} could not be sent: {said(error)}; see the manager's credentials"
    return EcsError(text, call.operation, refused=True), 0.0


def odd_answer(error: Exception, *, sent: bool) -> str:
    """How it is seen that what answered is not AWS.

    Args:
        error: what botocore, or the look at the answer, raised.
        sent: whether the call came as far as to be sent.

    Returns:
        The words, which quote nothing; "" where AWS itself answered, or nothing did.
    """
    if isinstance(error, ClientError):
        odd = answers.of_error(error.response)
    elif isinstance(error, BotoCoreError) or not (sent or isinstance(error, ResponseParserError)):
        odd = ""
    elif isinstance(error, answers.OddAnswerError):
        odd = str(error)
    else:
        odd = f"it can't be read ({type(error).__name__})"
    # Before the call itself was sent, STS may have been asked for its credentials.
    return odd and words.one_line(f"the answer is none of AWS's: {odd}", _LONGEST)


def said(error: Exception) -> str:
    """What botocore says where AWS itself said nothing, without what may be a secret.

    Args:
        error: what it raised.
    """
    if isinstance(error, CredentialRetrievalError):
        # A program that prints credentials may print them on the wrong stream.
        provider = error.kwargs.get("provider")
        return f"Error when retrieving credentials from {provider}; its words are not shown"
    if isinstance(error, BotoCoreError):
        return words.one_line(str(error), _LONGEST)
    return f"{type(error).__name__} in botocore"


def _refused(error: ClientError, status: int, call: Call, odd: str) -> tuple[EcsError, float]:
    """AWS, or what stands before it, says that it doesn't do it."""
    problem = error.response.get("Error") or {}
    code = str(problem.get("Code") or status)
    message = words.one_line(odd or str(problem.get("Message") or ""), _LONGEST)
    served = 400 <= status < 500
    verdict = diagnosis.of_api_error(
        call.operation, code, message, status=status, chosen=call.chosen
    )
    explained = EcsError(
        verdict.beside(f"{call.operation} failed: {code}: {message or 'no message'}"),
        call.operation,
        code,
        message,
        refused=not call.sent or (served and code not in _UNCERTAIN),
        verdict=verdict,
    )
    return explained, call.deadline if verdict.retry is Retry.WAIT or not served else 0.0


_UNCERTAIN = {"ConflictException", "RequestTimeout", "RequestTimeoutException"}
"""Refusals with a status of 4xx after which the call may have had its effect: by an earlier one, or
where AWS itself waited for too long."""


def _unanswered(error: BotoCoreError, call: Call) -> tuple[EcsError, float]:
    """No answer came, or not the whole of it."""
    message = said(error)
    no_tls = isinstance(error, SSLError) and any(word in message for word in _NO_TLS)
    passing = isinstance(error, _PASSING) and not no_tls
    refused = not call.sent or no_tls or isinstance(error, _NOT_CONNECTED)
    return _failed(call, message, refused=refused), _soon(call) if passing else 0.0


def _failed(call: Call, message: str, *, refused: bool) -> EcsError:
    verdict = diagnosis.of_api_error(call.operation, "", message)
    text = verdict.beside(f"{call.operation} failed: {message}")
    return EcsError(text, call.operation, message=message, refused=refused, verdict=verdict)


def _soon(call: Call) -> float:
    return min(call.deadline, call.begun + _CONNECTION_PATIENCE)
