"""What a job asks to run in."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.ecs import launch
from fargate_driver.ecs.derive import derive
from fargate_driver.ecs.overrides import overrides
from fargate_driver.errors import DriverError, JobConfigurationError
from fargate_driver.gitlab.images import Image, JobImages, wanted
from front_calls import environment
from job_response import IMAGES, job_environment, settings, variable

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = variable("PASSWORD", "s3cr3t-value", masked=True, public=False)


def read(folder: Path, text: str = "", **job: Any) -> JobImages:
    found = wanted(settings(folder, IMAGES + text), job_environment(folder, **job))
    assert found is not None
    return found


def refused(folder: Path, text: str = "", **job: Any) -> list[str]:
    with pytest.raises(JobConfigurationError) as caught:
        read(folder, text, **job)
    lines = str(caught.value).splitlines()
    assert all(line.isprintable() and len(line) < 400 for line in lines)
    return lines


def test_an_image_and_two_services(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        image={"name": "registry.example.com/img:1", "entrypoint": ["/bin/sh", "-c"]},
        services=[
            "redis:7",
            {
                "name": "postgres:16",
                "alias": "db, main-db",
                "entrypoint": ["docker-entrypoint.sh"],
                "command": ["postgres"],
                "variables": [variable("POSTGRES_DB", "$NAME", public=False)],
            },
        ],
        variables=[variable("NAME", "test")],
    )
    assert found.image == Image("registry.example.com/img:1")
    assert found.warnings == ()
    redis, postgres = found.services
    assert (redis.aliases, redis.container) == (("redis",), "service-1-redis")
    assert (redis.entrypoint, redis.command) == (None, None)
    assert redis.variables == (("NAME", "test"),)
    assert postgres.aliases == ("postgres", "db", "main-db")
    assert postgres.container == "service-2-main-db"
    assert (postgres.entrypoint, postgres.command) == (("docker-entrypoint.sh",), ("postgres",))
    assert dict(postgres.variables) == {"NAME": "test", "POSTGRES_DB": "test"}


@pytest.mark.parametrize(
    ("name", "aliases"),
    [
        ("mysql:8", ("mysql",)),
        ("tutum/wordpress", ("tutum__wordpress", "tutum-wordpress")),
        (
            "registry.example.com:5000/a/b:tag",
            ("registry.example.com__a__b", "registry.example.com-a-b"),
        ),
        ("a/b@sha256:" + "0" * 64, ("a__b", "a-b")),
    ],
)
def test_names_of_services_are_gitlabs(tmp_path: Path, name: str, aliases: tuple[str, ...]) -> None:
    assert read(tmp_path, services=[name]).services[0].aliases == aliases


def test_an_empty_entrypoint_of_a_service(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        services=[
            {"name": "a", "entrypoint": [""], "command": ["serve", "--all"]},
            {"name": "b", "entrypoint": [""]},
        ],
    )
    first, second = found.services
    assert (first.entrypoint, first.command) == (("serve", "--all"), None)
    assert (second.entrypoint, second.command) == (None, None)
    (warning,) = found.warnings
    assert warning.startswith("service 'b': its image's entrypoint is run")


def test_a_service_without_a_name_of_its_own_is_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, services=["redis:7", "redis:6", {"name": "redis:5", "alias": "old"}])
    assert [service.aliases for service in found.services] == [("redis",), ("old",)]
    assert found.warnings == ("service 'redis:6' is there already; give it an alias",)


def test_when_a_job_runs_in_a_task_definition_that_is_there(tmp_path: Path) -> None:
    job = job_environment(tmp_path)
    assert wanted(settings(tmp_path, ""), job) is None
    without = job_environment(tmp_path, image=None)
    assert wanted(settings(tmp_path), without) is None
    default = settings(tmp_path, IMAGES + 'DefaultImage = "debian:12"\n[Allow]\nImages = []\n')
    assert wanted(default, without) == JobImages(Image("debian:12"), (), None, ())
    chose = job_environment(tmp_path, expanded={"FARGATE_TASK_DEFINITION": "fat"})
    assert wanted(settings(tmp_path, env=chose), chose) is None


def test_without_a_job_response_nothing_is_known_to_be_secret(tmp_path: Path) -> None:
    env = environment(CUSTOM_ENV_CI_JOB_IMAGE="debian")
    with pytest.raises(DriverError, match="no job response"):
        wanted(settings(tmp_path), env)


@pytest.mark.parametrize(
    "name",
    [
        "$(id)",
        "a;b",
        "a b",
        "../etc/passwd",
        "a/../b",
        "Python:3",
        "python:3\n",
        "pyth\u00f6n",
        "\u202epython",
        "x" * 10_000,
        "-v",
        "a:b:c:",
        "a@sha256:0",
    ],
)
def test_hostile_names_are_one_line_each(tmp_path: Path, name: str) -> None:
    (line,) = refused(tmp_path, image=name)
    assert line.startswith("image: ")
    (line,) = refused(tmp_path, services=[name])
    assert line.startswith("services: ")


def test_globs_decide_as_gitlabs_do(tmp_path: Path) -> None:
    allow = '[Allow]\nImages = ["python:*", "registry.example.com/**"]\nServices = ["redis:?"]\n'
    for name in ("python:3.13", "registry.example.com/a/b/c:1"):
        assert read(tmp_path, allow, image=name, services=["redis:7"]).image.name == name
    for name in ("ruby:3", "evil.example.com/python:3", "python", "registry.example.com.evil.io/a"):
        (line,) = refused(tmp_path, allow, image=name)
        assert f"'{name}' may not be used on this runner" in line
        assert "([Allow] Images): python:*, registry.example.com/**" in line
    (line,) = refused(tmp_path, allow, services=["redis:10"], image="python:3")
    assert "allowed ([Allow] Services): redis:?" in line
    (line,) = refused(tmp_path, "[Allow]\nServices = []\n", services=["redis:10"])
    assert line.endswith("none")


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    assert len(refused(tmp_path, image="A", services=["B", "c", "D"])) == 3


def test_masked_values_never_stand_in_a_definition(tmp_path: Path) -> None:
    assert refused(
        tmp_path,
        image="registry.example.com/s3cr3t-value:1",
        variables=[SECRET],
        services=[
            {"name": "a", "entrypoint": ["x", "s3cr3t-value"]},
            {"name": "b", "command": ["--password=s3cr3t-value"]},
        ],
    ) == [
        f"{where} holds the value of the masked variable PASSWORD, and ECS would show it to whoever"
        " may read task definitions; unmask the variable, or don't use it there"
        for where in (
            "image: the name of an image",
            "entrypoint of service 'a'",
            "command of service 'b'",
        )
    ]


def test_masked_values_reach_services_only_where_allowed(tmp_path: Path) -> None:
    job: dict[str, Any] = {
        "variables": [SECRET, variable("URL", "ci:s3cr3t-value@db"), variable("NAME", "test")],
        "services": [
            {
                "name": "postgres",
                "command": ["a"],
                "variables": [
                    variable("POSTGRES_PASSWORD", "$PASSWORD", public=False),
                    variable("RAW", "$PASSWORD", raw=True),
                    variable("NAME", "s3cr3t-value"),
                ],
            }
        ],
    }
    found = read(tmp_path, **job)
    assert dict(found.services[0].variables) == {"RAW": "$PASSWORD"}
    (warning,) = found.warnings
    assert "service 'postgres' doesn't get 'NAME', 'POSTGRES_PASSWORD', 'URL': masked" in warning
    job["services"][0]["command"] = ["s3cr3t-value"]
    found = read(tmp_path, "ServiceSecrets = true\n", **job)
    assert found.warnings == ()
    assert found.services[0].secret_command
    assert dict(found.services[0].variables) == {
        "NAME": "s3cr3t-value",
        "POSTGRES_PASSWORD": "s3cr3t-value",
        "RAW": "$PASSWORD",
        "URL": "ci:s3cr3t-value@db",
    }


def test_variables_of_a_service_refer_to_each_other(tmp_path: Path) -> None:
    own = [
        variable("URL", "postgres://$POSTGRES_USER@db/${POSTGRES_DB}"),
        variable("POSTGRES_USER", "ci"),
        variable("POSTGRES_DB", "$NAME"),
        variable("NAME", "own-$NAME"),
        variable("TOKEN", "$PIN"),
        variable("HEADER", "Token $TOKEN"),
    ]
    job: dict[str, Any] = {
        "services": [{"name": "postgres", "variables": own}],
        "variables": [variable("NAME", "job"), variable("PIN", "12", masked=True)],
    }
    found = read(tmp_path, **job)
    assert dict(found.services[0].variables) == {
        "URL": "postgres://ci@db/job",
        "POSTGRES_USER": "ci",
        "POSTGRES_DB": "own-job",
        "NAME": "own-job",
    }
    (warning,) = found.warnings
    assert "doesn't get 'HEADER', 'TOKEN': masked" in warning


@pytest.mark.parametrize("value", ["postgres", "node", "latest", "123456789012"])
def test_an_ordinary_word_that_is_masked_refuses_no_name(tmp_path: Path, value: str) -> None:
    found = read(
        tmp_path,
        image="123456789012.dkr.ecr.us-east-1.amazonaws.com/node:latest",
        services=[{"name": "postgres:17-latest", "alias": "postgres-node"}],
        variables=[variable("PASSWORD", value, masked=True)],
    )
    assert found.services[0].aliases == ("postgres", "postgres-node")
    assert found.warnings == ()


def test_a_user_may_be_no_secret_however_short(tmp_path: Path) -> None:
    image = {"name": "a", "executor_opts": {"docker": {"user": "$WHO"}}}
    (line,) = refused(tmp_path, image=image, variables=[variable("WHO", "ci", masked=True)])
    assert line.startswith("image: docker: user holds the value of the masked variable WHO")


FORMS = ("{}", "$PASSWORD", "${PASSWORD}", "x-{}", "x.{}:1")
PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "image": lambda text: {"image": text},
    "image's entrypoint": lambda text: {"image": {"name": "a", "entrypoint": [text]}},
    "user": lambda text: {"image": {"name": "a", "executor_opts": {"docker": {"user": text}}}},
    "platform": lambda text: {
        "image": {"name": "a", "executor_opts": {"docker": {"platform": text}}}
    },
    "service": lambda text: {"services": [{"name": text}]},
    "alias": lambda text: {"services": [{"name": "a", "alias": text}]},
    "service's user": lambda text: {
        "services": [{"name": "a", "executor_opts": {"docker": {"user": text}}}]
    },
    "entrypoint": lambda text: {"services": [{"name": "a", "entrypoint": [text]}]},
    "empty entrypoint": lambda text: {
        "services": [{"name": "a", "entrypoint": [""], "command": [text]}]
    },
    "command": lambda text: {"services": [{"name": "a", "command": ["-c", text]}]},
    "variable": lambda text: {"services": [{"name": "a", "variables": [variable("X", text)]}]},
    "raw variable": lambda text: {
        "services": [{"name": "a", "variables": [variable("X", text, raw=True)]}]
    },
    "job's variable": lambda text: {"services": ["a"], "variables": [SECRET, variable("X", text)]},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", FORMS)
def test_a_masked_value_is_nowhere(tmp_path: Path, place: str, form: str) -> None:
    """Neither in what AWS is told, nor in what the job's log and the operator's are."""
    job = {
        "image": "a:1",
        "variables": [SECRET],
        **PLACES[place](form.replace("{}", "s3cr3t-value")),
    }
    config = settings(tmp_path)
    try:
        found = read(tmp_path, **job)
    except JobConfigurationError as error:
        told = [str(error)]
    else:
        definition = derive(config, found, None, None)
        added = overrides(config, found, "key", 60, task={}, limits={})
        request = launch.request(config, "key", None, definition="a:1", overrides=added)
        told = [json.dumps([definition, request]), *found.warnings]
    assert "s3cr3t-value" not in " ".join(told)


def test_ports_that_clash(tmp_path: Path) -> None:
    def service(name: str, port: str) -> dict[str, Any]:
        return {"name": name, "variables": [variable("HEALTHCHECK_TCP_PORT", port)]}

    (line,) = refused(tmp_path, services=[service("a", "5432"), service("b", "5432")])
    assert line.startswith("services: 'b' and 'a' both listen at port 5432")
    (line,) = refused(tmp_path, services=[service("a", "2222")])
    assert "'a' and the driver's SSH both listen at port 2222" in line
    (line,) = refused(tmp_path, services=[{"name": "a", "ports": [{"number": 2223}]}])
    assert "port 2223" in line
    # The job's own variable goes to all services, and is no claim of each.
    both = read(tmp_path, services=["a", "b"], variables=[variable("HEALTHCHECK_TCP_PORT", "8080")])
    assert [service.health_check_port for service in both.services] == [8080, 8080]
    for port in ("70000", "5432;", "pg"):
        odd = read(tmp_path, services=[service("a", port)])
        assert odd.services[0].health_check_port is None
        assert odd.warnings == (
            f"service 'a' is not waited for: HEALTHCHECK_TCP_PORT {port!r} is no port",
        )


def test_more_names_than_a_line_of_hosts_takes(tmp_path: Path) -> None:
    aliases = " ".join(f"alias-{number}" for number in range(400))
    (line,) = refused(tmp_path, services=[{"name": "a", "alias": aliases}])
    assert line.startswith("services: their names are 3")


def test_options_of_the_docker_executor(tmp_path: Path) -> None:
    options = {"docker": {"user": "$WHO", "platform": "linux/arm64/v8"}}
    found = read(
        tmp_path,
        image={"name": "a", "executor_opts": options},
        variables=[variable("WHO", "ci:1000")],
    )
    assert (found.image.user, found.architecture) == ("ci:1000", "ARM64")
    number = {"name": "a", "executor_opts": {"docker": {"user": 1000}}}
    assert read(tmp_path, image=number).image.user == "1000"
    for options in (
        {"docker": {"user": "a b"}},
        {"docker": {"user": "x" * 10_000}},
        {"docker": {"platform": "windows/amd64"}},
    ):
        assert len(refused(tmp_path, image={"name": "a", "executor_opts": options})) == 1
    arm = {"name": "b", "executor_opts": {"docker": {"platform": "linux/arm64"}}}
    amd = {"name": "a", "executor_opts": {"docker": {"platform": "linux/amd64"}}}
    (line,) = refused(tmp_path, image=amd, services=[arm])
    assert line == "image: docker: platform: differs between image and services"


def test_what_has_no_effect_is_told(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        image={"name": "a", "entrypoint": ["/usr/bin/run-as", "x"]},
        services=[{"name": "b", "alias": "$ALIAS ok"}],
    )
    assert len(found.warnings) == 2
    assert found.services[0].aliases == ("b", "ok")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
OPTIONS = ("alias", "entrypoint", "command", "variables", "ports", "executor_opts")
IMAGE = st.fixed_dictionaries(
    {"name": st.just("a/b") | JSON}, optional=dict.fromkeys(OPTIONS, JSON)
)


@given(IMAGE | JSON, st.lists(IMAGE | JSON, max_size=3) | JSON)
def test_whatever_the_response_holds(
    tmp_path_factory: pytest.TempPathFactory, image: Any, services: Any
) -> None:
    folder = tmp_path_factory.getbasetemp()
    env = job_environment(folder)
    Path(str(env.job_response_file)).write_text(json.dumps({"image": image, "services": services}))
    with contextlib.suppress(JobConfigurationError):
        wanted(settings(folder), env)
