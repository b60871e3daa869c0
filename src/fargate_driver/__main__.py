"""`python -m fargate_driver` is the `fargate` command."""

import sys

from fargate_driver.cli import main

if __name__ == "__main__":
    sys.exit(main())
