"""The botocore session: the Region, and the credentials to call AWS with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher
from botocore.exceptions import CredentialRetrievalError, MetadataRetrievalError

from fargate_driver.ecs.credentials import AssumedRole, hide
from fargate_driver.ecs.endpoint import is_loopback
from fargate_driver.ecs.errors import EcsError

if TYPE_CHECKING:
    from fargate_driver.ecs.target import Target


_LONGEST_CONNECT = 10.0
"""Seconds for a connection to AWS."""
_PASSING = (CredentialRetrievalError, MetadataRetrievalError)
"""Of the sources that are asked at once: a container's, an instance's, a program's."""
_PAUSE = 1.0
_PATIENCE = 60.0
"""Seconds between attempts, and for all of them, as for a connection that fails."""


def session_for(target: Target, *, deadline: float = 0.0, longest_attempt: float = 60.0) -> Any:
    """Make a botocore session with a target's Region and credentials.

    Args:
        target: where ECS is called.
        deadline: until when (time.monotonic) a source of credentials that fails is asked again.
        longest_attempt: seconds that an answer may take, STS's too.

    Raises:
        EcsError: there are no credentials to assume its role with, or they can't be read.
    """
    last = min(deadline, time.monotonic() + _PATIENCE)
    while True:
        try:
            return _session_for(target, longest_attempt)
        except EcsError:
            raise
        except Exception as e:
            # Whatever can be wrong with files and programs that others write.
            if not isinstance(e, _PASSING) or time.monotonic() + _PAUSE > last:
                from fargate_driver.ecs.explain import said

                raise EcsError(f"no AWS credentials: {said(e)}", "credentials", refused=True) from e
        time.sleep(_PAUSE)


def _session_for(target: Target, longest_attempt: float) -> Any:
    session = _new_session(target, longest_attempt)
    if is_loopback(target.endpoint_url):
        # An endpoint on this machine is worth no wait for an instance's metadata service.
        session.get_component("credential_provider").remove("iam-role")
        if session.get_credentials() is None:
            session.set_credentials("local", "local")
    if target.assume_role:
        source = session.get_credentials()
        if source is None:
            raise EcsError(
                "no AWS credentials found to assume [Fargate] AssumeRole with: give the manager a"
                " role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                "AssumeRole",
            )
        fetcher = AssumeRoleCredentialFetcher(
            client_creator=session.create_client,
            source_credentials=source,
            role_arn=target.assume_role,
            extra_args={"RoleSessionName": "gitlab-fargate-driver"},
        )
        session = _new_session(target, longest_attempt)
        session.register_component("credential_provider", AssumedRole(fetcher))
    session.get_credentials()  # what is wrong with the files that name their source is told as such
    return session


def _new_session(target: Target, longest_attempt: float) -> Any:
    session = hide(botocore.session.Session())
    session.set_config_variable("region", target.region)
    # Also of the clients of STS that botocore makes by itself, in the middle of another call. The
    # driver tries again where it can be told whether an attempt may have had its effect.
    session.set_default_client_config(
        Config(
            connect_timeout=min(longest_attempt, _LONGEST_CONNECT),
            read_timeout=longest_attempt,
            retries={"mode": "standard", "total_max_attempts": 1},
        )
    )
    return session
