"""Many processes that need the task definition of an image at once, as prepares do.

Arguments: the configuration file, and an image for each process. They begin together; the program
writes what each found, a line each, and exits with how many failed.
"""

from __future__ import annotations

import os
import sys
import time
import traceback

from fargate_driver.ecs import launch
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.definitions import Definitions
from fargate_driver.ecs.derive import derive
from fargate_driver.gitlab.images import Image, JobImages
from fargate_driver.settings import load
from front_calls import flags

PATIENCE = 120


def main(path: str, *images: str) -> int:
    config = load(flags(config=path)).settings
    deadline = time.monotonic() + PATIENCE
    # Before the processes part, since reading ECS's model takes longest; nothing is connected yet.
    ecs = Ecs(launch.target(config), deadline=deadline)
    waiting, gate = os.pipe()
    children = []
    for image in images:
        child = os.fork()
        if child == 0:
            os.close(gate)
            os.read(waiting, 1)
            definitions = Definitions(ecs, config.task_metadata.directory, deadline)
            wanted = derive(config, JobImages(Image(image), (), None, ()), None, None)
            try:
                os.write(1, f"{definitions.find(wanted)}\n".encode())
            except BaseException:  # noqa: BLE001 - a child must not return into the parent's code
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(child)
    os.close(gate)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
