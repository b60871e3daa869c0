"""The secrets among AWS credentials, which no text of the driver shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.credentials import DeferredRefreshableCredentials

from fargate_driver import masking

if TYPE_CHECKING:
    from botocore.credentials import AssumeRoleCredentialFetcher, Credentials


def hide(credentials: Credentials | None) -> Credentials | None:
    """Keep the secret key and the session token out of what is said; the key's id may be shown.

    Args:
        credentials: those that a session has found; None for none.

    Returns:
        The same.
    """
    if credentials is not None:
        frozen = credentials.get_frozen_credentials()
        masking.learn(frozen.secret_key, frozen.token)
    return credentials


class AssumedRole:
    """What a botocore session takes its credentials from: the one role that was asked for.

    Args:
        fetcher: assumes it when the first call is made.
    """

    def __init__(self, fetcher: AssumeRoleCredentialFetcher) -> None:
        self._fetcher = fetcher

    def load_credentials(self) -> DeferredRefreshableCredentials:
        """As botocore's credential provider has it."""
        return DeferredRefreshableCredentials(self._fetch, "assume-role")

    def _fetch(self) -> dict[str, Any]:
        found: dict[str, Any] = self._fetcher.fetch_credentials()
        masking.learn(found.get("secret_key"), found.get("token"))
        return found
