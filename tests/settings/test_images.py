"""`[Images]` and `[Allow]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fargate_driver.settings import ConfigurationError, load
from front_calls import flags
from job_response import IMAGES, job_environment, settings

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:registry-AbCdEf"


def test_it_is_off_and_lets_jobs_choose_no_sizes(tmp_path: Path) -> None:
    found = settings(tmp_path, "")
    assert not found.images.enabled
    assert (found.allow.images, found.allow.services) == (("**",), ("**",))
    assert found.allow.max_cpu is None
    assert found.allow.task_roles == found.allow.capacities == found.allow.architectures == ()
    assert (found.builds_dir, found.cache_dir) == (None, None)


def test_all_of_it(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        IMAGES
        + f"""
        DefaultImage = "debian:12"
        RunAs = "root"
        CPU = "2 vCPU"
        Memory = 8192
        EphemeralStorage = 100
        RegistryCredentials = {{"registry.example.com" = "{SECRET}"}}
        [Allow]
        Images = ["python:*", "registry.example.com/**"]
        Services = []
        TaskRoles = "arn:aws:iam::123456789012:role/ci-*"
        MaxCPU = 16384
        MaxMemory = "120GB"
        MaxEphemeralStorage = "200 GiB"
        Architectures = ["ARM64"]
        """,
    )
    assert (found.images.cpu, found.images.memory) == (2048, 8192)
    assert (found.images.run_as, found.images.ephemeral_storage) == ("root", 100)
    assert found.images.registry_credentials == {"registry.example.com": SECRET}
    assert found.allow.services == ()
    assert (found.allow.max_cpu, found.allow.max_memory) == (16384, 122880)
    assert found.allow.max_ephemeral_storage == 200
    assert (found.builds_dir, found.cache_dir) == ("/builds", "/cache")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[Images]\nEnabled = true", "[Images] HelperImage: is missing"),
        (IMAGES + "SSHPort = 2223", "[Images] HelperSSHPort: is SSHPort too"),
        (IMAGES + "SSHPort = 22", "[Images] SSHPort: 22 is out of range"),
        ('[Images]\nDefaultImage = "Python:3"', "'Python:3' is no name of an image"),
        ('[Images]\nFamily = "a b"', "[Images] Family: 'a b' is not allowed"),
        ('[Images]\nRunAs = "user"', "[Images] RunAs: is a string ('user'); allowed: \"image\""),
        ("[Images]\nCPU = 3", "[Images] CPU: 3 is no size of Fargate; allowed: CPU units"),
        ("[Images]\nCPU = true", "[Images] CPU: is a boolean (true)"),
        ('[Images]\nMemory = "7 parsecs"', "Memory: '7 parsecs' is no size of Fargate"),
        ("[Images]\nEphemeralStorage = 20", "EphemeralStorage: 20 is no size of Fargate"),
        ("[Allow]\nImages = 3", "[Allow] Images: is a whole number (3)"),
        ('[Allow]\nImages = ["a", 3]', "[Allow] Images: has a whole number (3) in it"),
        ('[Allow]\nImages = ["{a,b}"]', "'{a,b}' holds {, which patterns here don't know"),
        ('[Allow]\nServices = "a b"', "[Allow] Services: 'a b' is not allowed"),
        ('[Allow]\nArchitectures = "arm"', "[Allow] Architectures: 'arm' is not allowed"),
        (
            '[Images.RegistryCredentials]\n"registry.example.com" = "hunter2"',
            "RegistryCredentials: 'registry.example.com' has 'hunter2', which is no secret's ARN",
        ),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, text)
    (only,) = str(caught.value).splitlines()
    assert line in only


def test_a_job_needs_a_task_definition_or_an_image(tmp_path: Path) -> None:
    toml = (
        '[Fargate]\nCluster = "ci"\nRegion = "us-east-1"\nSubnet = "subnet-0abc"\n'
        'SecurityGroup = "sg-0abc"\n[TaskMetadata]\nDirectory = "/d"\n[SSH]\nUsername = "root"\n'
    )
    with_image, without = (job_environment(tmp_path, image=name) for name in ("debian", None))
    path = tmp_path / "only.toml"

    def load_with(more: str, image: bool) -> None:
        path.write_text(toml + more)
        load(flags(config=str(path)), with_image if image else without)

    load_with(IMAGES, image=True)
    load_with(IMAGES + 'DefaultImage = "debian:12"\n', image=False)
    with pytest.raises(ConfigurationError, match=r"or an image: in the job, or \[Images\] Default"):
        load_with(IMAGES, image=False)
    with pytest.raises(ConfigurationError, match="TaskDefinition: is missing"):
        load_with("", image=True)
