"""Every configuration that the documentation shows is one."""

from __future__ import annotations

import ast
import configparser
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import botocore.session
import hcl2
import pytest
import yaml
from botocore.validate import ParamValidator

from fargate_driver.costs import prices
from fargate_driver.doctor import runner_config
from fargate_driver.flags import Flags
from fargate_driver.gitlab import choices
from fargate_driver.local.faults import Faults
from fargate_driver.settings import Loaded, load
from fargate_driver.settings.load import JOB_VARIABLES
from fargate_driver.settings.model import keys_of
from pages import ROOT, Block, blocks, pages, prose

# Languages of blocks that other files test, or that hold neither commands nor settings.
ELSEWHERE = {"sh", "console", "bash", "text"}
BLOCKS = [block for page in pages() for block in blocks(page)]
VARIABLES = {
    *JOB_VARIABLES,
    *(
        node.value
        for node in ast.walk(ast.parse(Path(choices.__file__).read_text("utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"FARGATE_[A-Z_]+", node.value)
    ),
}
MINIMAL: dict[str, Any] = {
    "Fargate": {
        "Cluster": "ci",
        "Region": "eu-central-1",
        "Subnet": "subnet-0abc",
        "SecurityGroup": "sg-0abc",
        "TaskDefinition": "ci-job",
        "BuildsDir": "/builds",
        "CacheDir": "/cache",
    },
    "TaskMetadata": {"Directory": "records"},
    "SSH": {"Username": "root"},
}
IMAGES = {"Enabled": True, "HelperImage": "example.com/fargate-helper:1"}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_tested(page: Path) -> None:
    unknown = [str(block) for block in blocks(page) if block.language not in ELSEWHERE | {*CHECKS}]
    assert unknown == [], "each block needs a language that is tested"
    for block in blocks(page):
        if block.language == "text":
            assert not re.search(r"^(\$ |fargate [a-z-])", block.text, re.MULTILINE), str(block)


def _merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in more.items():
        inner = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if inner else value
    return merged


def _written(content: dict[str, Any], to: Path) -> Path:
    """As TOML: JSON's strings, numbers and lists are TOML's."""

    def value(item: Any) -> str:
        if isinstance(item, dict):
            pairs = ", ".join(f"{json.dumps(key)} = {value(inner)}" for key, inner in item.items())
            return f"{{{pairs}}}"
        if isinstance(item, list):
            return f"[{', '.join(value(inner) for inner in item)}]"
        return json.dumps(item)

    to.write_text("".join(f"{json.dumps(k)} = {value(v)}\n" for k, v in content.items()), "utf-8")
    return to


def _loaded(file: Path) -> Loaded:
    flags = Flags()
    flags.config = str(file)
    return load(flags)


def _toml(block: Block, tmp_path: Path) -> None:
    given = tomllib.loads(block.text)
    config = tmp_path / "fargate.toml"
    if "runners" in given:
        _written(MINIMAL, config)
        _runner(block, given, config, tmp_path / "config.toml")
        return
    whole = "TaskMetadata" in given and "SSH" in given
    if whole:
        config.write_text(block.text, "utf-8")
    else:
        base = _merged(MINIMAL, {"Images": IMAGES} if "Images" in given else {})
        _written(_merged(base, given), config)
    assert _loaded(config).warnings == []


def _runner(block: Block, given: dict[str, Any], config: Path, to: Path) -> None:
    """What the doctor says about it: nothing is wrong."""
    readme = next(b for b in blocks(ROOT / "README.md") if "[[runners]]" in b.text)
    program = config.with_name("fargate")
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fargate_driver "$@"\n', "utf-8")
    program.chmod(0o755)
    runners = given["runners"]
    if isinstance(runners, dict):
        pytest.fail(f"{block}: write [[runners]] above [runners.…], so that it can be pasted")
    base = tomllib.loads(readme.text)["runners"][0]
    merged = {**given, "runners": [_merged(base, runner) for runner in runners]}
    text = _written(merged, to).read_text("utf-8")
    text = re.sub(r'"/[^"]*/bin/fargate"', json.dumps(str(program)), text)
    text = re.sub(r'"/etc/gitlab-runner/[\w-]+\.toml"', json.dumps(str(config)), text)
    to.write_text(text, "utf-8")
    found = list(runner_config.look(to, _loaded(config).settings, str(config)))
    assert len(found) > 4
    assert [one for one in found if one.status == "wrong" and one.check.startswith("runner-")] == []


# Keywords of GitLab: https://docs.gitlab.com/ci/yaml/
_TOP = {"default", "include", "stages", "variables", "workflow", "image", "services", "cache"}
_JOB = {
    *("script", "before_script", "after_script", "image", "services", "variables", "tags", "retry"),
    *("cache", "artifacts", "rules", "needs", "stage", "parallel", "timeout", "allow_failure"),
    *("extends", "interruptible", "id_tokens"),
}


def _yaml(block: Block, _folder: Path) -> None:
    given = yaml.safe_load(block.text)
    assert isinstance(given, dict)
    assert set(re.findall(r"\bFARGATE_[A-Z_]+", block.text)) <= VARIABLES
    for name, job in given.items():
        if name in _TOP:
            continue
        assert isinstance(job, dict), f"{name} is neither a job nor a keyword"
        assert set(job) <= _JOB, name
        assert name.startswith(".") or "script" in job or "extends" in job, name


def test_the_page_of_variables_has_all() -> None:
    table = (ROOT / "docs" / "ci-variables.md").read_text("utf-8")
    assert set(re.findall(r"\bFARGATE_[A-Z_]+\b", table)) >= VARIABLES


def test_keys_in_the_text_exist() -> None:
    wrong = []
    for page in pages():
        for number, line in prose(page):
            for section, key in re.findall(r"`\[{1,2}(\w+)\]{1,2} (\w+)\b", line):
                if section != "runners" and key not in keys_of(section):
                    wrong.append(f"{page.relative_to(ROOT)}:{number}: [{section}] {key}")
    assert wrong == []


# Rights that are no operations, and operations whose right has another name.
_RIGHTS = {"iam:PassRole", "s3:ListBucket", "s3:GetObjectVersion"}


def _json(block: Block, tmp_path: Path) -> None:
    given = json.loads(block.text)
    if isinstance(given, list):
        Faults().replace(given)
    elif "prices" in given:
        file = tmp_path / "prices.json"
        file.write_text(block.text, "utf-8")
        assert len(prices.read(file)) == len(given["prices"])
    elif "Statement" in given or "Effect" in given:
        _rights(given.get("Statement", [given]))
    else:
        _task_definition(given)


def _rights(statements: list[dict[str, Any]]) -> None:
    session = botocore.session.Session()
    for statement in statements:
        assert statement["Effect"] in ("Allow", "Deny")
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            assert _is_right(session, action), action


def _is_right(session: botocore.session.Session, action: str) -> bool:
    service, _, operation = action.partition(":")
    return action in _RIGHTS or operation in session.get_service_model(service).operation_names


def test_rights_in_the_text_exist() -> None:
    session = botocore.session.Session()
    services = "ecs|ec2|iam|logs|s3|sts|ecr|pricing|secretsmanager|codebuild"
    named = {
        action
        for page in pages()
        for _, line in prose(page)
        for action in re.findall(rf"\b((?:{services}):[A-Z]\w+)", line)
    }
    assert len(named) > 10
    assert sorted(action for action in named if not _is_right(session, action)) == []


def _task_definition(given: dict[str, Any]) -> None:
    model = botocore.session.Session().get_service_model("ecs")
    whole = model.operation_model("RegisterTaskDefinition").input_shape
    container = model.shape_for("ContainerDefinition")
    if set(given) <= set(container.members):
        report = ParamValidator().validate(given, container)
    else:
        report = ParamValidator().validate(given, whole)
    assert not report.has_errors(), report.generate_report()


# Keys of systemd.exec(5), systemd.kill(5) and systemd.service(5) that pages use.
_UNIT_KEYS = {"killsignal", "killmode", "timeoutstopsec", "environment"}


def _units(block: Block, _folder: Path) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block.text)
    assert parser.sections() == ["Service"]
    assert set(parser["Service"]) <= _UNIT_KEYS


def test_the_drop_in_is_the_one_that_is_shipped() -> None:
    page = ROOT / "docs" / "stopping-gitlab-runner.md"
    shown = next(block.text for block in blocks(page) if block.language == "ini")
    shipped = (ROOT / "contrib" / "systemd" / "gitlab-runner.conf").read_text("utf-8")
    assert shown.split() == [line for line in shipped.splitlines() if line[:1] not in ("", "#")]


def _terraform(block: Block, _folder: Path) -> None:
    assert hcl2.loads(block.text)


# https://docs.docker.com/reference/dockerfile/#overview
_INSTRUCTIONS = r"(?:ARG|FROM|RUN|COPY|ENV|USER|WORKDIR|ENTRYPOINT|CMD|EXPOSE|LABEL) \S"


def _dockerfile(block: Block, _folder: Path) -> None:
    lines = [line for line in block.text.replace("\\\n", " ").splitlines() if line]
    instructions = [line for line in lines if not line.startswith("#")]
    assert instructions[0].startswith(("FROM ", "ARG "))
    assert all(re.match(_INSTRUCTIONS, line) for line in instructions)


CHECKS = {
    "toml": _toml,
    "yaml": _yaml,
    "json": _json,
    "ini": _units,
    "hcl": _terraform,
    "dockerfile": _dockerfile,
}


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in CHECKS], ids=str)
def test_blocks_are_right(block: Block, tmp_path: Path) -> None:
    CHECKS[block.language](block, tmp_path)
