"""`fargate local` over the sleeping runtime, for tests that need a process of its own."""

from __future__ import annotations

import sys
from types import ModuleType

from fargate_driver.commands.local import local
from local_api.sleeping_runtime import SleepingRuntime

if __name__ == "__main__":
    choice = ModuleType("fargate_driver.local.runtimes.choice")
    choice.__dict__["choose"] = SleepingRuntime(
        shares_builds="process" in sys.argv, runs_images="user" in sys.argv
    ).choose
    sys.modules[choice.__name__] = choice
    local()
