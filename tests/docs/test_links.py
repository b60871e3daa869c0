"""Links lead somewhere, every page can be found, and the table of parts is true."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from pages import ROOT, anchors, links, pages

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
PACKAGE = ROOT / "src" / "fargate_driver"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for number, link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists():
            wrong.append(f"line {number}: no file {file}")
        elif anchor and anchor not in anchors(target):
            wrong.append(f"line {number}: no heading #{anchor} in {target.name}")
    assert wrong == []


def test_pages_that_programs_name_exist() -> None:
    folders = ("src", "scripts", "contrib", "images", "benchmarks")
    named = {
        name
        for folder in folders
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and file.suffix not in (".pyc", ".svg")
        for name in re.findall(r"(?<![\w/.])docs/[\w/-]+\.md", file.read_text("utf-8"))
    }
    assert len(named) > 5
    assert sorted(name for name in named if not (ROOT / name).is_file()) == []


def test_the_index_has_every_page() -> None:
    index = DOCS / "README.md"
    found = {(DOCS / link.partition("#")[0]).resolve() for _, link in links(index)}
    pages_of_docs = {page for page in DOCS.rglob("*.md") if page.parent.name != "adr"}
    missing = pages_of_docs - found - {index}
    assert sorted(str(page.relative_to(DOCS)) for page in missing) == []


def test_the_table_of_parts_is_true() -> None:
    text = (DOCS / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    absent = [name for name in sorted(named) if not (PACKAGE / name).exists()]
    assert absent == [], "named there, but not in the source"
    parts = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in PACKAGE.iterdir()
        if (path.is_dir() and (path / "__init__.py").exists())
        or (path.suffix == ".py" and not path.name.startswith("__"))
    }
    assert sorted(parts - named) == [], "in the source, but not named there"
    mentioned = re.findall(r"`((?:tests|scripts|src)/[\w/.-]+)", text)
    assert [name for name in mentioned if not (ROOT / name).exists()] == []


def test_each_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    names = {re.split(r"[\[>=<~! ]", wanted)[0] for group in groups for wanted in group}
    page = (DOCS / "dependencies.md").read_text("utf-8")
    assert sorted(name for name in names if name not in page) == []
