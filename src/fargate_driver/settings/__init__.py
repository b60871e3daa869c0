"""fargate.toml as typed settings: every key, bound, default and help text in one place."""

from fargate_driver.settings.file import ConfigurationError, NoConfigurationError
from fargate_driver.settings.images import Allow, Images
from fargate_driver.settings.load import Loaded, load
from fargate_driver.settings.model import SSH, Capacity, Fargate, Settings, TaskMetadata

__all__ = [
    "SSH",
    "Allow",
    "Capacity",
    "ConfigurationError",
    "Fargate",
    "Images",
    "Loaded",
    "NoConfigurationError",
    "Settings",
    "TaskMetadata",
    "load",
]
