"""Feeds: the rows of a file, of which every arrival takes one. A column is a placeholder: {user.email}."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, field_validator

from bench.core.errors import ScenarioError
from bench.core.units import Mismatch, quoted, spaced
from bench.scenario.fields import StrictModel, kind_of
from bench.scenario.problems import Violation
from bench.scenario.source import read_text
from bench.scenario.templates import MOST_PICKED, Choice

MOST_BYTES = 16 * 2**20
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
Columns = dict[str, tuple[Choice, ...]]


class Feed(StrictModel):
    """Rows for arrivals: from a file, or written out column by column."""

    file: Annotated[str, Field(strict=True, min_length=1, max_length=1000)] | None = Field(
        None, description="CSV with a line of names, or JSON lines (.jsonl, .ndjson), beside the scenario."
    )
    order: Literal["sequential", "shuffled", "random", "unique"] = Field(
        "sequential",
        description="Arrival n takes row n, again from the first after the last; in an order of its own in "
        "each pass; any row; or each row at most once.",
    )
    columns: Annotated[dict[str, tuple[Any, ...]], Field(max_length=100)] = Field(
        default_factory=dict, description="The rows themselves instead of a file: {email: [a@b.c, d@e.f]}."
    )

    @field_validator("columns")
    @classmethod
    def _are_rows(cls, value: Columns) -> Columns:
        check_columns(value)
        return value

    @property
    def rows(self) -> int:
        """How many there are; 0 as long as the file was not read."""
        return len(next(iter(self.columns.values()), ()))


def check_columns(columns: Columns) -> None:
    """Raise Mismatch for what cannot be the rows of a feed."""
    for name, cells in columns.items():
        if not _COLUMN.fullmatch(name):
            raise Mismatch(
                "names of letters, digits and _ for the columns", quoted(name), "rename the column"
            )
        for row, cell in enumerate(cells, 1):
            if isinstance(cell, bool) or not isinstance(cell, Choice):
                found = f"{kind_of(cell)} in row {row} of {name}"
                raise Mismatch("texts and numbers", found, "put it in quotes to send it as text")
    sizes = {len(cells) for cells in columns.values()}
    if len(sizes) > 1:
        raise Mismatch("columns of one length", " and ".join(map(str, sorted(sizes))), "complete the rows")
    if sizes == {0} or max(sizes, default=1) > MOST_PICKED:
        found = f"{spaced(max(sizes))}"
        raise Mismatch(f"1 to {spaced(MOST_PICKED)} rows", found, "split the feed")


def with_rows(feed: Feed, folder: Path) -> tuple[Feed, Violation | None]:
    """The feed with the rows of its file, which is relative to `folder`, and what is wrong with that."""
    if (feed.file is None) == (not feed.columns):
        both = "both" if feed.columns else "neither"
        return feed, Violation((), "either a file or columns", both, "write file: users.csv")
    if feed.file is None:
        return feed, None
    expected = "a file of rows beside the scenario"
    try:
        text = read_text(folder / feed.file, MOST_BYTES)
    except ScenarioError as error:
        problem = error.problems[0]
        found = f"{problem.file}: {problem.found}"
        return feed, Violation(("file",), expected, found, "check the path; it is relative to the scenario")
    is_json = Path(feed.file).suffix in (".jsonl", ".ndjson")
    try:
        columns = _json_lines(text) if is_json else _csv(text)
        check_columns(columns)
    except Mismatch as mismatch:
        place = f"{quoted(feed.file)[1:-1]}: {mismatch.found}"
        return feed, Violation(("file",), str(mismatch.expected), place, mismatch.advice)
    return feed.model_copy(update={"columns": columns}), None


def _csv(text: str) -> Columns:
    """Every cell is text: a file of values without types could only guess. Raises Mismatch."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = next(reader, [])
        if not names or len(set(names)) < len(names):
            raise Mismatch("a first line with a name for each column", "none, or one twice", "add the line")
        rows = []
        for row in reader:
            if not row:
                continue  # an empty line, as at the end
            if len(row) != len(names):
                found = f"{len(row)} values in line {reader.line_num}"
                raise Mismatch(
                    f"{len(names)} values in each line, as in the first", found, "complete the line"
                )
            rows.append(row)
    except csv.Error as error:
        found = f"line {reader.line_num}: {error}"
        raise Mismatch("CSV as of RFC 4180", found, "correct the quotes") from None
    return {name: tuple(row[number] for row in rows) for number, name in enumerate(names)}


def _json_lines(text: str) -> Columns:
    """One object a line, all with the same names. Raises Mismatch."""
    rows: list[dict[str, JsonValue]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or (rows and row.keys() != rows[0].keys()):
            found = f"something else in line {number}"
            raise Mismatch("a JSON object in each line, all with the same names", found, "correct the line")
        rows.append(row)
    return {name: tuple(row[name] for row in rows) for name in (rows[0] if rows else {})}  # type: ignore[misc]  # check_columns is next
