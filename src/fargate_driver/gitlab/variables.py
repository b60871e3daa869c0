"""The job's variables, where the driver itself fills them in or hands them to services.

What is masked, a file or public is told by the job response; values, expanded by gitlab-runner,
come from the environment. Source: `Variable` in
https://gitlab.com/gitlab-org/gitlab-runner/-/blob/main/common/spec/variables.go; what services get:
https://docs.gitlab.com/ci/services/#passing-cicd-variables-to-services.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fargate_driver import masking
from fargate_driver.errors import DriverError
from fargate_driver.gitlab import job
from fargate_driver.gitlab.job import field, table, text
from fargate_driver.gitlab.predefined import is_predefined

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fargate_driver.gitlab.environment import RunnerEnvironment

_REFERENCE = re.compile(r"\$(?:\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*)|(\$))")
_WORD = re.compile("[a-z]+")
_SHORTEST = 4
"""Characters from which a masked value is looked for in other texts. GitLab masks none below 8;
values of `secrets:` have no such limit, but a shorter one would be found everywhere."""


def hide_secrets(env: RunnerEnvironment) -> None:
    """Keep the job's masked values, and its token, out of all that the driver says from now on.

    Args:
        env: The call's environment. A job response that can't be read is for others to report.
    """
    try:
        response = job.response(env)
    except DriverError:
        response = None
    given = field(response, "credentials")
    passwords = [text(field(one, "password")) for one in (given if isinstance(given, list) else [])]
    masking.learn(*Variables(response, env).secrets(), *passwords, env.variable("CI_JOB_TOKEN"))


class Variables:
    """The variables of a job.

    Args:
        response: The job response.
        env: The call's environment.
    """

    def __init__(self, response: Any, env: RunnerEnvironment) -> None:
        self._env = env
        given = list(_variables(response))
        self._raw = {name: text(variable.get("value")) for name, variable in given}
        self._files = {name for name, variable in given if variable.get("file") is True}
        # One that is masked anywhere stays so, whatever overrides it.
        masked = {name for name, variable in given if variable.get("masked") is True}
        masked |= table(response, "secrets").keys()
        # The last one counts: a project's variable, which is not public, beats .gitlab-ci.yml.
        last = dict(given)
        self._public = {name for name in last if last[name].get("public") is True}
        self._public -= masked | self._files
        self._masked: dict[str, set[str]] = {name: set() for name in sorted(masked)}
        for name, variable in given:
            if name in masked:
                self._masked[name].add(text(variable.get("value")))
        for name, values in self._masked.items():
            # Filled in as well: the runner's value may not be at hand.
            values.update({self.expand(value) for value in values})
            values.add(self._env.variable(name) or "")
        token = text(field(response, "token"))
        self._masked.setdefault("CI_JOB_TOKEN", set()).add(token)

    def expand(self, value: str, over: Mapping[str, str] | None = None) -> str:
        """Fill in variables as gitlab-runner does: unknown ones are empty, `$$` is `$`.

        A variable of the type file is the path that scripts find it at, not its content.

        Args:
            value: The text.
            over: Values that beat those of the job.
        """

        def known(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            return over[name] if over and name in over else self._value(match)

        return _REFERENCE.sub(known, value)

    def secret_in(self, *values: str) -> str | None:
        """The name of a masked variable whose value stands in one of the texts; else None."""
        for name, secrets in self._masked.items():
            for secret in secrets:
                if len(secret) >= _SHORTEST and any(secret in value for value in values):
                    return name
        return None

    def secret_in_name(self, name: str) -> str | None:
        """The same for the name of an image, a user or a host, which is chosen in the open.

        There a short value, or one that is an ordinary word, is no secret that was put into it.

        Args:
            name: As gitlab-runner gives it, with variables filled in.
        """
        for variable, secrets in self._masked.items():
            for secret in secrets:
                telling = len(secret) >= masking.SHORTEST and not _WORD.fullmatch(secret)
                if telling and secret in name:
                    return variable
        return None

    def secret_behind(self, value: str) -> str | None:
        """The name of a masked variable, of any length, that a text refers to; else None.

        Args:
            value: The text before expansion.
        """
        return next(
            (
                name
                for name in references(value)
                if name in self._masked and name not in self._files
            ),
            None,
        )

    def secrets(self) -> set[str]:
        """All that no text of the driver may show, as written and as filled in."""
        return {secret for secrets in self._masked.values() for secret in secrets}

    def for_services(self) -> dict[str, str]:
        """The job's variables that services get: public ones, without predefined ones."""
        return {
            name: self._expanded(name) for name in sorted(self._public) if not is_predefined(name)
        }

    def _expanded(self, name: str) -> str:
        value = self._env.variable(name)
        return self.expand(self._raw[name]) if value is None else value

    def _value(self, match: re.Match[str]) -> str:
        if match[3]:
            return "$"
        name = match[1] or match[2] or ""
        if name in self._files:
            return f"{self._env.variable('RUNNER_TEMP_PROJECT_DIR') or ''}/{name}"
        return self._env.variable(name) or ""


def references(value: str) -> Iterator[str]:
    """The names of the variables that a text refers to."""
    return (match[1] or match[2] for match in _REFERENCE.finditer(value) if not match[3])


def _variables(response: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    given = field(response, "variables")
    for variable in given if isinstance(given, list) else []:
        name = text(field(variable, "key"))
        if name:
            yield name, variable
