"""Reading IAM's refusals: who may not do what, on what, and which policy says so.

Source of the forms: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_DENIED = re.compile(
    r"(?:not authorized to perform|not allowed to perform):? (?:action )?"
    r"(?P<action>[a-z][a-z0-9-]*:[A-Za-z*]+)"
    r"(?:(?: on)?(?: the)? resource:? ?(?P<resource>[^\s,;()\"']+))?",
    re.IGNORECASE,
)
_PRINCIPAL = re.compile(r"\b(?:User: ?)?(arn:aws[a-z-]*:(?:iam|sts)::[^\s,;()\"']+)")
_ROLE = re.compile(r":(?:assumed-role/([^/]+)|role/(?:.*/)?([^/]+)|user/(?:.*/)?([^/]+))")
_EXPLICIT = re.compile(r"explicit deny in an? ([a-z -]*policy|permissions boundary)", re.IGNORECASE)
_MISSING = re.compile(
    r"because no ([a-z -]*policy|permissions boundary|VPC endpoint policy) allows", re.IGNORECASE
)
_KMS = re.compile(
    r"Access to KMS is not allowed|ciphertext refers to a customer master key", re.IGNORECASE
)
"""KMS behind Secrets Manager or Parameter Store names no action."""


@dataclass(frozen=True, slots=True)
class Denial:
    """What IAM refused.

    Args:
        action: such as `ecr:BatchGetImage`; "" where the text doesn't tell.
        resource: usually an ARN; "" where the text doesn't tell.
        principal: such as `role ecsTaskExecutionRole`; "" where the text doesn't tell.
        explicit: the kind of policy that forbids it, where an Allow elsewhere would not help.
        lacking: the kind of policy that would have to allow it.
    """

    action: str
    resource: str
    principal: str
    explicit: str
    lacking: str


def read(text: str) -> Denial:
    """Find the parts of a refusal, whatever of them is there: Fargate cuts long reasons off."""
    denied = _DENIED.search(text)
    before = text[: denied.start()] if denied else text
    who = _PRINCIPAL.search(before)
    action = denied["action"] if denied else "kms:Decrypt" if _KMS.search(text) else ""
    resource = (denied["resource"] or "").rstrip(".:") if denied else ""
    explicit = _EXPLICIT.search(text)
    lacking = _MISSING.search(text)
    return Denial(
        action=action,
        resource=resource,
        principal=_name(who[1]) if who else "",
        explicit=explicit[1] if explicit else "",
        lacking=lacking[1] if lacking else "",
    )


def _name(arn: str) -> str:
    match = _ROLE.search(arn)
    if not match:
        return arn
    role = match[1] or match[2]
    return f"role {role}" if role else f"user {match[3]}"
