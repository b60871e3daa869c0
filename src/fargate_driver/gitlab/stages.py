"""Which container of a task runs which of gitlab-runner's sub-stages of run.

It is the split of GitLab's Docker executor: what has to do with sources, caches and artifacts runs
in the helper's container, the author's own commands in that of the job's image. Source:
https://docs.gitlab.com/runner/executors/custom/#run
"""

from __future__ import annotations

LAST = "cleanup_file_variables"
"""The last sub-stage of a job, unless it times out or is aborted."""

_HELPERS = (
    "prepare_script",
    "get_sources",
    "clear_worktree",
    "restore_cache",
    "download_artifacts",
    "archive_cache",
    "archive_cache_on_failure",
    "upload_artifacts_on_success",
    "upload_artifacts_on_failure",
    LAST,
)


_AUTHORS = ("build_script", "step_script", "after_script", "step_release")
"""Those that gitlab-runner names itself; authors can name further steps."""


def is_known(stage: str) -> bool:
    """Whether gitlab-runner itself names a sub-stage so."""
    return stage in _HELPERS or stage in _AUTHORS


def is_helpers(stage: str) -> bool:
    """Whether the helper's container runs a sub-stage; one that is not known is the author's.

    Args:
        stage: as gitlab-runner names it to `run`.
    """
    return stage in _HELPERS
