"""Links between the documents lead somewhere, and nothing is cited that is not in the repository."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, modules

FOLDERS = ("", "docs", "docs/decisions", "scenarios", "results", ".github")
PAGES = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
PLACE = re.compile(r"`((?:bench|chaos|tests|docs|scenarios)/[\w/.\-]+)`")
NAME = re.compile(r"`(_[a-zA-Z_]+|[A-Z][a-z]+[A-Za-z]*(?:\.[a-z_]+)?)(?:\([^`]*\))?`")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """The headings of a page as a browser names them."""
    prose = CODE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ +(.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def words_of_the_code() -> set[str]:
    files = [*modules().values(), *(ROOT / "tests").rglob("*.py")]
    return {word for file in files for word in re.findall(r"\w+", file.read_text(encoding="utf-8"))}


@cache
def names_of_the_code() -> set[str]:
    """Names that the code defines: classes, functions, variables and attributes."""
    found = set()
    for file in [*modules().values(), *(ROOT / "tests").rglob("*.py")]:
        text = file.read_text(encoding="utf-8")
        found |= set(re.findall(r"(?:class|def) (\w+)", text))
        found |= set(re.findall(r"^ *(\w+)(?:: [^=\n]+)? = ", text, re.MULTILINE))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    prose = CODE.sub("", page.read_text(encoding="utf-8"))
    dead = []
    for link in LINK.findall(prose):
        if link.startswith(("https://", "http://")):
            continue
        place, _, anchor = link.partition("#")
        file = page.parent / place if place else page
        if not file.exists() or (anchor and anchor not in anchors_of(file)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_place_in_the_repository_that_a_page_names_is_there(page: Path) -> None:
    named = PLACE.findall(page.read_text(encoding="utf-8"))
    assert [place for place in named if not (ROOT / place).exists()] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("a*.md")), ids=lambda page: page.name)
def test_every_name_in_the_code_that_a_page_gives_is_there(page: Path) -> None:
    """Constants, classes and private names, such as `_SCHEMES`, `ClientModule` or `Run.histogram`."""
    named = set(NAME.findall(CODE.sub("", page.read_text(encoding="utf-8"))))
    named = {part for name in named for part in name.split(".")} - {"None"}
    assert named - names_of_the_code() == set()
    constants = set(re.findall(r"`([A-Z][A-Z_]+)`", page.read_text(encoding="utf-8")))
    assert constants - words_of_the_code() == set()


def test_every_finding_that_the_page_on_verdicts_lists_is_one_of_the_code() -> None:
    page = (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", page, re.MULTILINE)
    codes = {code for row in rows for code in re.findall(r"[a-z_]+", row)}
    assert len(codes) > 20
    assert codes <= words_of_the_code()


def test_no_page_of_docs_is_missing_in_its_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    decisions = {f"decisions/{path.name}" for path in (ROOT / "docs" / "decisions").glob("*.md")}
    assert {page for page in pages | decisions if f"({page})" not in index} == set()


def test_no_document_lies_in_the_packages_that_are_installed() -> None:
    found = {path.relative_to(ROOT) for name in ("bench", "chaos") for path in (ROOT / name).rglob("*.md")}
    assert {str(path) for path in found if "vendor" not in path.parts} == set()


def test_nothing_cites_the_sections_of_a_document_that_is_not_here() -> None:
    texts = [*PAGES, *modules().values(), ROOT / "pyproject.toml", ROOT / "noxfile.py"]
    assert [str(path) for path in texts if re.search(r"DESIGN|§", path.read_text(encoding="utf-8"))] == []
