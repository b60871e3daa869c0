"""The variables that are GitLab's, gitlab-runner's or this driver's own.

They are for scripts and for the runner: services have no use for them, and room is short. Families
that grow with GitLab are taken whole, and nothing else by how it begins: `GITLAB_OMNIBUS_CONFIG`
and `CI_DB_NAME` are an author's.

Sources: https://docs.gitlab.com/ci/variables/predefined_variables/,
https://docs.gitlab.com/ci/runners/configure_runners/ and
https://docs.gitlab.com/runner/configuration/feature-flags/.
"""

from __future__ import annotations

import re

_FAMILIES = (
    "CI_(COMMIT|DEPENDENCY_PROXY|EXTERNAL_PULL_REQUEST|JOB|MERGE_REQUEST|PIPELINE|PROJECT)",
    "CI_(RUNNER|SERVER|UPSTREAM)",
    "FARGATE",
    "FF",
    "GIT_SUBMODULE",
)
_NAMES = (
    "CHAT_(CHANNEL|INPUT|USER_ID)",
    "CI",
    "CI_API_(GRAPHQL|V4)_URL",
    "CI_BUILDS_DIR",
    "CI_CONCURRENT_(PROJECT_)?ID",
    "CI_CONFIG_PATH",
    "CI_DEBUG_(SERVICES|TRACE)",
    "CI_DEFAULT_BRANCH(_SLUG)?",
    "CI_DEPLOY_(FREEZE|PASSWORD|USER)",
    "CI_DISPOSABLE_ENVIRONMENT",
    "CI_ENVIRONMENT_(ACTION|ID|NAME|SLUG|TIER|URL)",
    "CI_GITLAB_FIPS_MODE",
    "CI_HAS_OPEN_REQUIREMENTS",
    "CI_KUBERNETES_ACTIVE",
    "CI_NODE_(INDEX|TOTAL)",
    "CI_OPEN_MERGE_REQUESTS",
    "CI_PAGES_(DOMAIN|HOSTNAME|URL)",
    "CI_REGISTRY(_IMAGE|_PASSWORD|_USER)?",
    "CI_RELEASE_DESCRIPTION",
    "CI_REPOSITORY_URL",
    "CI_SERVER",
    "CI_SHARED_ENVIRONMENT",
    "CI_TEMPLATE_REGISTRY_HOST",
    "CI_TRIGGER_SHORT_TOKEN",
    "GITLAB_CI",
    "GITLAB_FEATURES",
    "GITLAB_USER_(EMAIL|ID|LOGIN|NAME)",
    "GIT_(CHECKOUT|CLEAN_FLAGS|CLONE_PATH|DEPTH|FETCH_EXTRA_FLAGS|LFS_SKIP_SMUDGE|STRATEGY)",
    "RUNNER_((AFTER_)?SCRIPT_TIMEOUT|TEMP_PROJECT_DIR)",
)
_PREDEFINED = re.compile("|".join([*_NAMES, *(f"{family}_.+" for family in _FAMILIES)]))


def is_predefined(name: str) -> bool:
    """Whether a variable is one of these.

    Args:
        name: Of the variable.
    """
    return _PREDEFINED.fullmatch(name) is not None
