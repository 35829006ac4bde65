"""Paths on the command line that must not be empty: `--out "$UNSET"` would mean the working directory."""

from __future__ import annotations

from typing import Any

import click


class NamedPath(click.Path):
    """A path that is not empty."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Click's hook."""
        if value == "":
            named = "name a folder, or . for this one" if self.dir_okay else "name a file"
            self.fail(f"the name is empty; {named}", param, ctx)
        return super().convert(value, param, ctx)
