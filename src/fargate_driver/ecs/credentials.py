"""The secrets among AWS credentials, which no text of the driver shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import botocore
from botocore.credentials import DeferredRefreshableCredentials

from fargate_driver import masking

if TYPE_CHECKING:
    from botocore.credentials import AssumeRoleCredentialFetcher
    from botocore.session import Session
    from botocore.signers import RequestSigner


def hide(session: Session) -> Session:
    """Keep the secret key and the session token out of what is said; the key's id may be shown.

    They are learned when a request is about to be signed with them, those of STS included: what
    fetches them is a call of AWS's itself, which then fails, and is made again, as part of the call
    that needs them. Whatever quotes them comes later.

    Args:
        session: whose clients are made after this.

    Returns:
        The same.
    """
    # https://botocore.amazonaws.com/v1/documentation/api/latest/topics/events.html
    session.register("before-sign", _learn)
    return session


def _learn(
    request_signer: RequestSigner,
    signing_name: str,
    region_name: str,
    signature_version: object,
    **_: Any,
) -> None:
    if signature_version is not botocore.UNSIGNED:
        signs = request_signer.get_auth_instance(signing_name, region_name, signature_version)
        if found := getattr(signs, "credentials", None):
            masking.learn(found.secret_key, found.token)


class AssumedRole:
    """What a botocore session takes its credentials from: the one role that was asked for.

    Args:
        fetcher: assumes it when the first call is made.
    """

    def __init__(self, fetcher: AssumeRoleCredentialFetcher) -> None:
        self._fetcher = fetcher

    def load_credentials(self) -> DeferredRefreshableCredentials:
        """As botocore's credential provider has it."""
        return DeferredRefreshableCredentials(self._fetcher.fetch_credentials, "assume-role")
