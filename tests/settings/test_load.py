from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fargate_driver.errors import JobConfigurationError
from fargate_driver.settings import ConfigurationError, Loaded, load
from front_calls import MINIMAL, environment, flags

if TYPE_CHECKING:
    from fargate_driver.gitlab.environment import RunnerEnvironment


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(text: str, env: RunnerEnvironment | None = None, **values: Any) -> Loaded:
    Path("f.toml").write_text(text, "utf-8")
    return load(flags(config="f.toml", **values), env)


def mistakes(text: str, env: RunnerEnvironment | None = None, **values: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        loaded(text, env, **values)
    return str(caught.value).splitlines()


def with_key(section: str, line: str) -> str:
    """The smallest configuration, with one key of a section replaced or added."""
    if not section:
        return f"{line}\n{MINIMAL}"
    name = line.partition("=")[0].strip().lower()
    kept = [row for row in MINIMAL.splitlines() if row.partition("=")[0].strip().lower() != name]
    kept.insert(kept.index(f"[{section}]") + 1, line)
    return "\n".join(kept)


def test_the_smallest_file_has_the_documented_defaults() -> None:
    settings, path, warnings, job_warnings = loaded(MINIMAL)
    assert (path, warnings, job_warnings) == ("f.toml", [], [])
    assert settings.fargate.model_dump() == {
        "cluster": "ci",
        "region": "us-east-1",
        "subnets": ("subnet-0abc",),
        "security_groups": ("sg-0abc",),
        "task_definition": "ci-coordinator",
        "enable_public_ip": False,
        "use_public_ip": None,
        "platform_version": None,
        "container_name": "ci-coordinator",
        "endpoint_url": None,
        "start_timeout": 600.0,
        "max_lifetime": None,
        "print_shell_command": False,
        "wait_for_healthy": False,
        "builds_dir": None,
        "cache_dir": None,
        "assume_role": None,
        "tags": {},
        "propagate_tags": False,
    }
    assert (settings.ssh.username, settings.ssh.port) == ("root", 22)
    assert settings.task_metadata.directory == Path("/var/lib/fargate")
    assert (settings.log_level, settings.log_format, settings.log_file) == ("warning", "text", None)
    assert settings.chosen_by_job == set()


def test_a_file_as_people_publish_them() -> None:
    text = (
        '\ufeffLogLevel = "info"   \r\nlogfile = ""\r\n'
        '[fargate]\r\n cluster = "acme"\n region="eu-west-1"\n subnet = "subnet-1" \n'
        ' securityGroup = "sg-1"\n taskDefinition = "acme:3"\n PlatformVersion = ""\n'
        '[taskmetadata]\ndirectory = "/opt/gitlab-runner/metadata/"\n'
        '[ssh]\nusername = "root"\nport = 0\nPrivateKeyPath = "/root/.ssh/id_rsa"\n'
    )
    settings, _, warnings, _ = loaded(text)
    assert settings.fargate.cluster == "acme"
    assert settings.ssh.port == 22
    assert settings.log_level == "info"
    assert settings.fargate.platform_version is None
    assert warnings == [
        "f.toml: [SSH] PrivateKeyPath: ignored: the driver makes a key for each job; remove it"
    ]


@pytest.mark.parametrize(
    ("section", "line", "attribute", "value"),
    [
        ("Fargate", 'Subnet = ["subnet-1", "subnet-2"]', "subnets", ("subnet-1", "subnet-2")),
        ("Fargate", 'SUBNET = "subnet-1"', "subnets", ("subnet-1",)),
        ("Fargate", 'SecurityGroup = ["sg-1", "sg-2"]', "security_groups", ("sg-1", "sg-2")),
        ("Fargate", 'TaskDefinition = "a_b-C:17"', "task_definition", "a_b-C:17"),
        (
            "Fargate",
            'TaskDefinition = "arn:aws-us-gov:ecs:us-gov-west-1:123456789012:task-definition/x:1"',
            "task_definition",
            "arn:aws-us-gov:ecs:us-gov-west-1:123456789012:task-definition/x:1",
        ),
        (
            "Fargate",
            'Cluster = "arn:aws-cn:ecs:cn-north-1:123456789012:cluster/ci"',
            "cluster",
            "arn:aws-cn:ecs:cn-north-1:123456789012:cluster/ci",
        ),
        ("Fargate", "EnablePublicIP = true", "connects_to_public_ip", True),
        ("Fargate", "EnablePublicIP = true\nUsePublicIP = false", "connects_to_public_ip", False),
        ("Fargate", "UsePublicIP = true\nEnablePublicIP = true", "connects_to_public_ip", True),
        ("Fargate", "UsePublicIP = false", "connects_to_public_ip", False),
        ("Fargate", 'PlatformVersion = "1.4.0"', "platform_version", "1.4.0"),
        ("Fargate", 'PlatformVersion = "LATEST"', "platform_version", "LATEST"),
        ("Fargate", 'ContainerName = "job"', "container_name", "job"),
        (
            "Fargate",
            'EndpointURL = "http://127.0.0.1:4500"',
            "endpoint_url",
            "http://127.0.0.1:4500",
        ),
        ("Fargate", "StartTimeout = 90", "start_timeout", 90),
        ("Fargate", "MaxLifetime = 7200", "max_lifetime", 7200),
        ("Fargate", "WaitForHealthy = true", "wait_for_healthy", True),
        ("Fargate", "StartTimeout = 1.5", "start_timeout", 1.5),
        ("Fargate", 'BuildsDir = "/builds"', "builds_dir", "/builds"),
        ("Fargate", 'CacheDir = "//a/./b/"', "cache_dir", "/a/b"),
        (
            "Fargate",
            'AssumeRole = "arn:aws-cn:iam::123456789012:role/ci/x"',
            "assume_role",
            "arn:aws-cn:iam::123456789012:role/ci/x",
        ),
        ("Fargate", 'Tags = {Team = "a b", "x:y" = ""}', "tags", {"Team": "a b", "x:y": ""}),
        ("Fargate", "PropagateTags = true", "propagate_tags", True),
        ("Fargate", 'PropagateTags = "task_definition"', "propagate_tags", True),
        ("Fargate", 'PropagateTags = "NONE"', "propagate_tags", False),
        ("SSH", "Port = -1", "port", 22),
        ("SSH", "Port = 2222", "port", 2222),
        ("SSH", 'Username = "ci.user-1"', "username", "ci.user-1"),
        ("TaskMetadata", 'Directory = "/x y/"', "directory", Path("/x y")),
        ("", 'LogLevel = "WARN"', "log_level", "warning"),
        ("", 'LogLevel = "panic"', "log_level", "panic"),
        ("", 'LogFormat = "JSON"', "log_format", "json"),
        ("", 'LogFile = "/var/log/f.log"', "log_file", Path("/var/log/f.log")),
    ],
)
def test_every_documented_form(section: str, line: str, attribute: str, value: object) -> None:
    settings, _, warnings, _ = loaded(with_key(section, line))
    parts = {
        "": settings,
        "Fargate": settings.fargate,
        "SSH": settings.ssh,
        "TaskMetadata": settings.task_metadata,
    }
    assert getattr(parts[section], attribute) == value
    assert warnings == []


def test_the_second_names_of_the_lists() -> None:
    text = MINIMAL.replace("Subnet =", "subnets =").replace("SecurityGroup =", "SecurityGroups =")
    assert loaded(text).settings.fargate.subnets == ("subnet-0abc",)
    assert mistakes(text.replace('"sg-0abc"', "[]")) == [
        (
            "f.toml: [Fargate] SecurityGroups: is an empty list; "
            "allowed: a security group id (sg-…) or a list of up to 5"
        )
    ]


def test_relative_paths_count_from_the_current_folder(folder: Path) -> None:
    text = 'LogFile = "f.log"\n' + MINIMAL.replace("/var/lib/fargate", "records")
    settings = loaded(text).settings
    assert settings.task_metadata.directory == folder / "records"
    assert settings.log_file == folder / "f.log"


@pytest.mark.parametrize(
    ("section", "line", "message"),
    [
        (
            "Fargate",
            'Cluster = ""',
            "[Fargate] Cluster: is missing; allowed: a cluster's name or ARN",
        ),
        (
            "Fargate",
            'Cluster = "--x"',
            "[Fargate] Cluster: '--x' is not allowed; allowed: a cluster's name or ARN",
        ),
        (
            "Fargate",
            'Region = "US East"',
            "[Fargate] Region: 'US East' is not allowed; allowed: a region like us-east-1",
        ),
        (
            "Fargate",
            'Subnet = "sg-1"',
            (
                "[Fargate] Subnet: 'sg-1' is not allowed; "
                "allowed: a subnet id (subnet-…) or a list of up to 16"
            ),
        ),
        (
            "Fargate",
            'Subnet = ["subnet-1", 2]',
            (
                "[Fargate] Subnet: has a whole number (2) in it; "
                "allowed: a subnet id (subnet-…) or a list of up to 16"
            ),
        ),
        (
            "Fargate",
            'Subnet = ["subnet-1", "subnet-1"]',
            (
                "[Fargate] Subnet: 'subnet-1' is in it twice; "
                "allowed: a subnet id (subnet-…) or a list of up to 16"
            ),
        ),
        (
            "Fargate",
            f"Subnet = {[f'subnet-{n}' for n in range(17)]}",
            (
                "[Fargate] Subnet: has 17 of them; "
                "allowed: a subnet id (subnet-…) or a list of up to 16"
            ),
        ),
        (
            "Fargate",
            f"SecurityGroup = {[f'sg-{n}' for n in range(6)]}",
            (
                "[Fargate] SecurityGroup: has 6 of them; "
                "allowed: a security group id (sg-…) or a list of up to 5"
            ),
        ),
        (
            "Fargate",
            'TaskDefinition = "a:0"',
            (
                "[Fargate] TaskDefinition: 'a:0' is not allowed; "
                "allowed: family, family:revision, or an ARN of one"
            ),
        ),
        (
            "Fargate",
            'EnablePublicIP = "true"',
            "[Fargate] EnablePublicIP: is a string ('true'); allowed: true or false",
        ),
        (
            "Fargate",
            'PlatformVersion = "1.4"',
            (
                "[Fargate] PlatformVersion: '1.4' is not allowed; "
                "allowed: LATEST or a version like 1.4.0"
            ),
        ),
        (
            "Fargate",
            'EndpointURL = "http://u:secret@example.com"',
            (
                "[Fargate] EndpointURL: holds a user name or password; "
                "allowed: an http:// or https:// address without user name, query and fragment"
            ),
        ),
        (
            "Fargate",
            'EndpointURL = "localhost:80"',
            (
                "[Fargate] EndpointURL: 'localhost:80' is not allowed; "
                "allowed: an http:// or https:// address without user name, query and fragment"
            ),
        ),
        (
            "Fargate",
            "StartTimeout = 0",
            "[Fargate] StartTimeout: 0 is out of range; allowed: seconds, from 1 to 86400",
        ),
        (
            "Fargate",
            "MaxLifetime = 0",
            "[Fargate] MaxLifetime: 0 is out of range; allowed: a whole number of seconds, from 1"
            " to 2592000",
        ),
        (
            "Fargate",
            "StartTimeout = true",
            "[Fargate] StartTimeout: is a boolean (true); allowed: seconds, from 1 to 86400",
        ),
        (
            "Fargate",
            'BuildsDir = "builds"',
            "[Fargate] BuildsDir: 'builds' is not absolute; allowed: an absolute path, not /",
        ),
        (
            "Fargate",
            'BuildsDir = "//"',
            "[Fargate] BuildsDir: '//' is not allowed; allowed: an absolute path, not /",
        ),
        (
            "Fargate",
            'CacheDir = "/a/.."',
            "[Fargate] CacheDir: '/a/..' is not allowed; allowed: an absolute path, not / or"
            " BuildsDir",
        ),
        (
            "Fargate",
            'CacheDir = "/a"\nBuildsDir = "/a/"',
            "[Fargate] CacheDir: is BuildsDir too ('/a'); allowed: an absolute path, not / or"
            " BuildsDir",
        ),
        (
            "Fargate",
            r'CacheDir = "/a\nb"',
            r"[Fargate] CacheDir: '/a\nb' holds control characters; allowed: an absolute path, not"
            " / or BuildsDir",
        ),
        (
            "Fargate",
            'AssumeRole = "ci"',
            (
                "[Fargate] AssumeRole: 'ci' is not allowed; "
                "allowed: a role's ARN like arn:aws:iam::123456789012:role/ci"
            ),
        ),
        (
            "Fargate",
            'PropagateTags = "SERVICE"',
            (
                "[Fargate] PropagateTags: is a string ('SERVICE'); "
                'allowed: true, false, "TASK_DEFINITION" or "NONE"'
            ),
        ),
        (
            "TaskMetadata",
            "Directory = 1979-05-27",
            "[TaskMetadata] Directory: is a date or time; allowed: a path",
        ),
        (
            "SSH",
            'Username = "-oProxyCommand=x"',
            (
                "[SSH] Username: '-oProxyCommand=x' is not allowed; "
                "allowed: a user name of letters, digits and _.- that starts with no dash or dot"
            ),
        ),
        (
            "SSH",
            'Port = "22"',
            "[SSH] Port: is a string ('22'); allowed: a whole number from 1 to 65535",
        ),
        (
            "SSH",
            "Port = 22.0",
            "[SSH] Port: is a number (22.0); allowed: a whole number from 1 to 65535",
        ),
        (
            "SSH",
            "Port = 65536",
            "[SSH] Port: 65536 is too large; allowed: a whole number from 1 to 65535",
        ),
        (
            "",
            'LogLevel = "loud"',
            "LogLevel: 'loud' is no level; allowed: debug, info, warn, error, fatal or panic",
        ),
        ("", 'LogFormat = "xml"', "LogFormat: 'xml' is no format; allowed: text or json"),
    ],
)
def test_every_wrong_value_gives_its_line(section: str, line: str, message: str) -> None:
    assert mistakes(with_key(section, line)) == [f"f.toml: {message}"]


@pytest.mark.parametrize(
    ("tags", "wrong"),
    [
        ('"x"', "is a string ('x')"),
        ("{a = 1}", "'a' is a whole number (1)"),
        ('{"aws:a" = "1"}', "'aws:a' starts with aws:, which AWS keeps for itself"),
        ('{"" = "1"}', "'' is not a tag's name"),
        ('{a = "!"}', "the value of 'a' is not allowed"),
        ("{" + ", ".join(f'a{n} = ""' for n in range(51)) + "}", "has 51 tags"),
    ],
)
def test_wrong_tags(tags: str, wrong: str) -> None:
    (line,) = mistakes(with_key("Fargate", f"Tags = {tags}"))
    assert line.startswith(f"f.toml: [Fargate] Tags: {wrong}; allowed: a table of up to 50 strings")


def test_an_empty_file_names_all_that_is_missing() -> None:
    assert mistakes("") == [
        "f.toml: [Fargate] Cluster: is missing; allowed: a cluster's name or ARN",
        "f.toml: [Fargate] Region: is missing; allowed: a region like us-east-1",
        (
            "f.toml: [Fargate] Subnet: is missing; "
            "allowed: a subnet id (subnet-…) or a list of up to 16"
        ),
        (
            "f.toml: [Fargate] SecurityGroup: is missing; "
            "allowed: a security group id (sg-…) or a list of up to 5"
        ),
        "f.toml: [TaskMetadata] Directory: is missing; allowed: a path",
        (
            "f.toml: [SSH] Username: is missing; "
            "allowed: a user name of letters, digits and _.- that starts with no dash or dot"
        ),
    ]


def test_keys_given_twice_and_sections_that_are_none() -> None:
    text = with_key("Fargate", 'subnets = ["subnet-1"]\ncluster = "b"') + "\n[fargate]\nx = 1\n"
    assert mistakes(text) == [
        "f.toml: [Fargate] Cluster: is given twice, as cluster and Cluster; allowed: one of them",
        "f.toml: [Fargate] Subnets: is given twice, as subnets and Subnet; allowed: one of them",
        "f.toml: [Fargate]: is given twice, as Fargate and fargate; allowed: one of them",
    ]
    (first, *_) = mistakes("Fargate = 3")
    assert first == "f.toml: [Fargate]: is a whole number (3); allowed: a table"


def test_unknown_keys_are_warned_about() -> None:
    text = (
        MINIMAL.replace("[SSH]", "LogLevel = 'info'\n[SSH]\nCluster = 'x'\nUsrname = 'y'")
        + "\n[Docker]\nImage = 'x'\n"
    )
    assert loaded(text).warnings == [
        (
            "f.toml: [TaskMetadata] LogLevel: unknown, ignored: "
            "it belongs to the top of the file, above all sections"
        ),
        "f.toml: [SSH] Cluster: unknown, ignored: it belongs to [Fargate]",
        "f.toml: [SSH] Usrname: unknown, ignored: did you mean Username?",
        "f.toml: Docker: unknown, ignored",
    ]


JOB = {
    "CUSTOM_ENV_FARGATE_TASK_DEFINITION": "job:1",
    "CUSTOM_ENV_FARGATE_PLATFORM_VERSION": "1.4.0",
}


def test_flag_beats_job_beats_file() -> None:
    env = environment(**JOB)
    by_job = loaded(MINIMAL, env).settings
    assert by_job.fargate.task_definition == "job:1"
    assert by_job.chosen_by_job == {"FARGATE_TASK_DEFINITION", "FARGATE_PLATFORM_VERSION"}
    assert by_job.fargate.platform_version == "1.4.0"
    by_flag = loaded(MINIMAL, env, task_def="flag", platform_version="1.3.0").settings
    assert by_flag.fargate.task_definition == "flag"
    assert by_flag.chosen_by_job == set()
    assert by_flag.fargate.platform_version == "1.3.0"
    assert loaded(MINIMAL).settings.fargate.task_definition == "ci-coordinator"
    empty = environment(CUSTOM_ENV_FARGATE_TASK_DEFINITION="")
    assert loaded(MINIMAL, empty).settings.chosen_by_job == set()


def test_a_wrong_choice_is_the_authors_to_mend() -> None:
    env = environment(CUSTOM_ENV_FARGATE_TASK_DEFINITION="-x\n" * 5000)
    with pytest.raises(JobConfigurationError) as caught:
        loaded(MINIMAL, env)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(r"variable FARGATE_TASK_DEFINITION: '-x\n-x")
    assert line.endswith("is not allowed; allowed: family, family:revision, or an ARN of one")
    assert len(line) < 250
    assert mistakes(with_key("SSH", "Port = 70000"), env) == [
        "f.toml: [SSH] Port: 70000 is too large; allowed: a whole number from 1 to 65535"
    ]


def test_a_wrong_flag_is_named() -> None:
    assert mistakes(MINIMAL, log_level="loud", task_def="a b") == [
        "--log-level: 'loud' is no level; allowed: debug, info, warn, error, fatal or panic",
        "--task-def: 'a b' is not allowed; allowed: family, family:revision, or an ARN of one",
    ]


def test_prepare_needs_a_task_definition_from_somewhere() -> None:
    text = MINIMAL.replace('TaskDefinition = "ci-coordinator"', "")
    assert loaded(text).settings.fargate.task_definition == ""
    assert loaded(text, environment(**JOB)).settings.fargate.task_definition == "job:1"
    assert mistakes(text, environment()) == [
        (
            "f.toml: [Fargate] TaskDefinition: is missing; allowed: family, family:revision, or an "
            "ARN of one; or the variable FARGATE_TASK_DEFINITION in the job"
        )
    ]


def test_a_doubled_prefix_is_explained() -> None:
    env = environment(
        CUSTOM_ENV_CUSTOM_ENV_FARGATE_TASK_DEFINITION="x",
        CUSTOM_ENV_CUSTOM_ENV_FARGATE_PLATFORM_VERSION="1.4.0",
    )
    settings, _, warnings, job_warnings = loaded(MINIMAL, env)
    assert settings.fargate.task_definition == "ci-coordinator"
    assert warnings == []
    assert job_warnings == [
        f"variable CUSTOM_ENV_{name} has no effect: gitlab-runner adds CUSTOM_ENV_ by itself; "
        f"call it {name}"
        for name in ("FARGATE_TASK_DEFINITION", "FARGATE_PLATFORM_VERSION")
    ]


def test_debug_beats_the_level_of_flag_and_file() -> None:
    text = 'LogLevel = "error"\n' + MINIMAL
    assert loaded(text, log_level="info").settings.log_level == "info"
    assert loaded(text, log_level="info", debug=True).settings.log_level == "debug"


def test_the_settings_can_not_be_changed() -> None:
    settings = loaded(MINIMAL).settings
    with pytest.raises(ValueError, match="frozen"):
        settings.ssh.port = 23
