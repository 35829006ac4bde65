"""Targets and how they are, as a table of at most 80 columns."""

import textwrap
from collections.abc import Sequence
from typing import Any

import click

WIDTH = 80
COLUMNS = ("name", "kind", "address", "state", "uptime", "version", "latency")
NARROWEST = {"name": 10, "address": 16, "version": 7}
"""Where the table would be too wide, these columns are cut, the widest first and so far at most."""
COLOURS = {"up": "green", "degraded": "yellow", "down": "red"}
DETAILED = ("elasticsearch",)
"""Kinds whose detail says more than that they are up."""


def health_table(rows: Sequence[dict[str, Any]], *, colour: bool) -> str:
    """One line per row of bench.stack.probes.health.health_rows, below it what is wrong, if anything is."""
    cells = [_cells(row) for row in rows]
    widths = _widths([COLUMNS, *cells])
    lines = [_line(COLUMNS, widths)]
    for row, words in zip(rows, cells, strict=True):
        line = _line(words, widths)
        if colour:
            begin = sum(widths[:3]) + 6
            state = click.style(words[3], fg=COLOURS[row["state"]])
            line = line[:begin] + state + line[begin + len(words[3]) :]
        lines.append(line)
        if len(row["address"]) > widths[COLUMNS.index("address")]:
            lines.append(f"    at {row['address']}")
        if row["detail"] and (row["state"] != "up" or row["kind"] in DETAILED):
            lines += textwrap.wrap(
                row["detail"],
                WIDTH,
                initial_indent="    ",
                subsequent_indent="    ",
                break_on_hyphens=False,
            )
    return "\n".join(lines)


def address_table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of words in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(_line(row, widths) for row in rows)


def format_uptime(uptime_s: float | None) -> str:
    """One number for people: "42 s", "13 min", "31 h", "12 d"."""
    if uptime_s is None:
        return "unknown"
    for unit, seconds, up_to in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if uptime_s < up_to:
            return f"{int(uptime_s / seconds)} {unit}"
    return f"{int(uptime_s / 86_400)} d"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    from bench.core.units import format_duration_ns

    is_down = row["state"] == "down"
    return (
        row["name"],
        row["kind"],
        row["address"],
        row["state"],
        "-" if is_down else format_uptime(row["uptime_s"]),
        "-" if is_down else row["version"] or "unknown",
        "-" if is_down else format_duration_ns(row["latency_ns"]),
    )


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    while sum(widths) + 2 * (len(widths) - 1) > WIDTH:
        wide = {at: widths[at] for at, name in enumerate(COLUMNS) if widths[at] > NARROWEST.get(name, WIDTH)}
        if not wide:
            break
        widths[max(wide, key=lambda at: wide[at])] -= 1
    return widths


def _line(words: Sequence[str], widths: Sequence[int]) -> str:
    fitted = [
        f"{word if len(word) <= width else word[: width - 2] + '..':<{width}}"
        for word, width in zip(words, widths, strict=True)
    ]
    return "  ".join(fitted).rstrip()
