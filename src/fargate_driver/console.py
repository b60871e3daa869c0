"""What the driver says to a human being: one line at a time, on stderr.

In the stages config, prepare and run, stderr is the job's log; in cleanup it is gitlab-runner's.
"""

import os


def say(text: str) -> None:
    """Write a line to stderr at once; a stderr that is gone is no reason to fail.

    Args:
        text: The line, without its end. Several lines are each marked as the driver's.
    """
    lines = "".join(f"fargate: {line}\n" for line in text.splitlines())
    try:
        os.write(2, lines.encode("utf-8", "backslashreplace"))
    except OSError:
        return
