"""What keeps the driver from AWS in every test: no credentials of whoever runs it are found."""

from __future__ import annotations

import os

VARIABLES = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "BOTO_CONFIG": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""For processes whose environment a test makes; others inherit them."""


def keep_away() -> None:
    """Have this process, and those that it starts, find no credentials and no endpoints."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(VARIABLES)
