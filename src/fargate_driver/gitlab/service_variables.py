"""The variables that a service gets: public ones of its job, and its own.

As gitlab-runner's Docker executor makes them, which fills in a service's own ones from those of the
job and from each other (`getServiceVariables` in
https://gitlab.com/gitlab-org/gitlab-runner/-/blob/main/executors/docker/services.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fargate_driver.gitlab.job import field, text
from fargate_driver.gitlab.variables import references

if TYPE_CHECKING:
    from fargate_driver.gitlab.variables import Variables


class ServiceVariables(NamedTuple):
    """What a service gets.

    Attributes:
        values: All of it.
        own: What of it the service's own `variables:` say.
        left_out: The names of what it doesn't get, since it is secret.
    """

    values: dict[str, str]
    own: dict[str, str]
    left_out: set[str]


class _Own(NamedTuple):
    """One of a service's own variables.

    Attributes:
        raw: As it is written.
        literal: Whether nothing is filled in.
        value: With the job's variables filled in.
        secret: Whether that is, or may be, a masked value.
    """

    raw: str
    literal: bool
    value: str
    secret: bool


def read(variables: Variables, given: Any, *, secrets: bool) -> ServiceVariables:
    """Find the variables of a service.

    Args:
        variables: Those of the job.
        given: `variables` of the service in the job response.
        secrets: Whether it gets masked values, too.
    """
    found: dict[str, str] = {}
    left_out = set()
    for name, value in variables.for_services().items():
        # The job's author may have put a masked variable into one that is not.
        if secrets or not variables.secret_in(value):
            found[name] = value
        else:
            left_out.add(name)
    written = _written(variables, given)
    own = {}
    for name, one in written.items():
        others = {key: other.value for key, other in written.items() if key != name}
        value = one.raw if one.literal else variables.expand(one.raw, others)
        secret = (
            one.secret
            or variables.secret_in(value) is not None
            or (not one.literal and any(_is_secret(written, key) for key in references(one.raw)))
        )
        found.pop(name, None)
        if secret and not secrets:
            left_out.add(name)
        else:
            own[name] = value
            left_out.discard(name)
    return ServiceVariables(found | own, own, left_out)


def _written(variables: Variables, given: Any) -> dict[str, _Own]:
    found = {}
    for variable in given if isinstance(given, list) else []:
        name, raw = text(field(variable, "key")), text(field(variable, "value"))
        if name:
            literal = field(variable, "raw") is True
            value = raw if literal else variables.expand(raw)
            secret = (
                field(variable, "masked") is True
                or variables.secret_in(value) is not None
                or (not literal and variables.secret_behind(raw) is not None)
            )
            found[name] = _Own(raw, literal, value, secret)
    return found


def _is_secret(written: dict[str, _Own], name: str) -> bool:
    return name in written and written[name].secret
