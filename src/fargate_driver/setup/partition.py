"""AWS's partitions: the worlds of their own, such as China's, that Regions belong to."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

import botocore.session


class Partition(NamedTuple):
    """One of them.

    Attributes:
        name: As ARNs have it: `aws`, `aws-cn` …
        suffix: How the names of its servers end.
    """

    name: str
    suffix: str


@functools.cache
def partition_of(region: str) -> Partition:
    """Find a Region's partition, in what botocore knows about them.

    Raises:
        ValueError: No partition has Regions with such a name.
    """
    for found in botocore.session.get_session().get_data("partitions")["partitions"]:
        if re.fullmatch(found["regionRegex"].strip("^$"), region, re.ASCII):
            return Partition(found["id"], found["outputs"]["dnsSuffix"])
    raise ValueError(f"{region!r} is in no partition of AWS")
