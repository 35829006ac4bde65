"""Saying something when the listener may have gone: that ends neither a run nor its verdict."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO

import click

from bench.visible import visible_but_colour


def ready() -> None:
    """Make standard output take whatever is said: letters that it has no code for become question marks.

    Where it was closed (`bench list >&-`), what is said goes nowhere.
    """
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


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


def silence(stream: TextIO) -> None:
    """Point a stream whose reader has gone at nothing, so that its last flush at exit succeeds."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
