"""The tools that serve a job in any image: their sources, and the place they are built in.

Both the driver's commands and the embedded Fargate use it; it knows neither.
"""

from fargate_driver.helper.sources import ToolsError, digest, image_tag, source_directory
from fargate_driver.helper.tools import tools_directory

__all__ = ["ToolsError", "digest", "image_tag", "source_directory", "tools_directory"]
