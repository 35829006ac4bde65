"""docs/environment.md names every variable that the product reads, and none that it does not."""

import re

from tests.architecture.sources import ROOT, modules

NAME = re.compile(r"HOLDFAST_[A-Z][A-Z0-9_]*[A-Z0-9]")
OF_THE_NIGHT = {"HOLDFAST_FORM", "HOLDFAST_THRESHOLD"}
"""Settings of .ci/nightly.py, which documents its own."""
MADE_UP = re.compile(r"HOLDFAST_(IMAGE|POSTGRES)_")
"""Families whose names are put together from those of services."""


def test_every_variable_of_ours_is_documented() -> None:
    page = set(NAME.findall((ROOT / "docs" / "environment.md").read_text()))
    read = {
        name
        for path in modules().values()
        for name in re.findall(r'"(HOLDFAST_\w+[A-Z0-9])"', path.read_text())
    }
    assert read
    assert read <= page, read - page
    for path in (ROOT / "tests" / "benchmarks").rglob("*.py"):
        read |= set(re.findall(r'"(HOLDFAST_\w+[A-Z0-9])"', path.read_text()))
    noxfile = (ROOT / "noxfile.py").read_text()
    known = read | OF_THE_NIGHT | set(NAME.findall(noxfile))
    assert {name for name in page - known if not MADE_UP.match(name)} == set()
