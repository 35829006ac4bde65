"""The map in docs/architecture.md leads to every place, once, and to none that is gone."""

import fnmatch
import re
from collections import Counter

from tests.architecture.sources import ROOT

BENCH = ROOT / "bench"
STARTED_OR_BUILT = {"__init__.py", "__main__.py"}
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
MAP = PAGE.partition("## Map")[2].partition("\n## ")[0]
PLACES = re.findall(r"`([a-z_*]+(?:/|\.py))`", MAP)


def test_every_module_and_folder_is_on_the_map() -> None:
    folders = {f"{path.parent.name}/" for path in BENCH.glob("*/__init__.py")}
    modules = {path.name for path in BENCH.glob("*.py")} - STARTED_OR_BUILT
    assert {
        name for name in folders | modules if not any(fnmatch.fnmatch(name, place) for place in PLACES)
    } == set()


def test_no_place_is_on_the_map_twice() -> None:
    assert [place for place, count in Counter(PLACES).items() if count > 1] == []


def test_every_file_that_the_page_names_is_there() -> None:
    there = {path.name for package in ("bench", "chaos", "tests") for path in (ROOT / package).rglob("*.py")}
    named = {name.rpartition("/")[2] for name in re.findall(r"`([a-z_/*]+\.py)`", PAGE)}
    assert {name for name in named if not fnmatch.filter(there, name)} == set()
