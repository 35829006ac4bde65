"""What every command shares: text for a reader who may have gone, and paths that must not be empty.

A reader that has gone ends neither a run nor its verdict.
"""

import contextlib
import io
import os
import shutil
import sys
import textwrap
from typing import Any, TextIO

import click

from bench.core.sanitize import visible_but_colour


def ready() -> None:
    """Make standard output take whatever is said: letters that it has no code for become question marks.

    Where a standard stream was closed (`bench list 2>&-`), what is said goes nowhere. Its number is taken
    first: the next file or connection that is opened would have it, and be written into.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        if not _is_open(number):
            os.dup2(opened := os.open(os.devnull, mode), number)
            if opened > number:
                os.close(opened)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, "r", encoding="utf-8")
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def say(text: str, *, to: TextIO | None = None, newline: bool = True) -> None:
    """Write to standard output, or to `to`; quietly nowhere when that was closed.

    Characters that a terminal would obey are shown as escapes, wherever they came from.
    """
    stream = to or sys.stdout
    text = visible_but_colour(text)
    try:
        stream.write(click.unstyle(text) if not stream.isatty() else text)
        if newline:
            stream.write("\n")
        stream.flush()
    except BrokenPipeError:
        silence(stream)
    except OSError:
        silence(stream)
        if stream is not sys.stderr:
            raise  # where standard error takes nothing either, it cannot be reported


def say_problem(text: str) -> None:
    """Say on standard error what is wrong: one line for a log, lines broken between words on a terminal."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        text = "\n".join(
            textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
            for line in text.split("\n")
        )
    say(text, to=sys.stderr)


def flush_output() -> None:
    """Write what is buffered. At the interpreter's end a failure of that would be exit code 120, and no word.

    A reader that has gone away is no failure. Raises OSError, as for a full disk.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (BrokenPipeError, ValueError):
            silence(stream)
        except OSError:
            silence(stream)
            raise


def silence(stream: TextIO) -> None:
    """Point a stream whose reader has gone at nothing, so that its last flush at exit succeeds."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class NamedPath(click.Path):
    """A path that is not empty."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Click's hook."""
        if value == "":
            named = "name a folder, or . for this one" if self.dir_okay else "name a file"
            self.fail(f"the name is empty; {named}", param, ctx)
        return super().convert(value, param, ctx)


class DurationNs(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic in some versions of click only
    """A duration such as 7d, in ns."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Click's hook."""
        from bench.core.units import Mismatch, duration_ns

        if isinstance(value, int):
            return value
        try:
            return duration_ns(value)
        except Mismatch as mismatch:
            self.fail(f"{mismatch}; {mismatch.advice}", param, ctx)
