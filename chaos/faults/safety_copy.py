"""A copy of data made right before they are destroyed, from which any process can put them back."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import TYPE_CHECKING

from bench.stack.target_url import target_of, url_of
from chaos.faults.recipes import RecipeError, private, recipe_for

if TYPE_CHECKING:
    from pathlib import Path

    from bench.stack.supervisor.processes import ProcessIdentity
    from bench.stack.target import Target
    from chaos.faults.recipes import Recipe

PUT_BACK_S = 120.0
ENDED_S = 5.0
"""How long a server that ends with its harness takes to."""
NEW, DATA, URL = "new", "data", "url"
"""The copy while nothing is destroyed yet, and from then on; where it belongs."""


def copy_for_safety(target: Target, recipe: Recipe, folder: Path) -> None:
    """Copy what is there. Raises RecipeError."""
    private(folder / URL).write_text(f"{target.kind} {url_of(target)}")
    recipe.back_up(target, folder / NEW, PUT_BACK_S)
    with (folder / NEW).open("rb") as file:
        os.fsync(file.fileno())


def about_to_be_destroyed(folder: Path) -> None:
    """From now on the copy is put back by any process that heals; before, it would replace what is newer."""
    (folder / NEW).rename(folder / DATA)


def put_back(folder: Path, processes: tuple[ProcessIdentity, ...] = ()) -> str | None:
    """Put a safety copy back and remove it; why that failed, or None. Idempotent.

    processes: of a server that ends with the harness which made the copy; then there is nothing to put back.
    """
    if (folder / DATA).exists():
        kind, _, url = (folder / URL).read_text().partition(" ")
        target = target_of(url, name="the target", source="the safety copy", kind=kind)
        recipe = recipe_for(kind)
        assert recipe is not None
        try:
            recipe.load(target, folder / DATA, PUT_BACK_S)
        except RecipeError as reason:
            until = time.monotonic() + ENDED_S
            if not processes or not all(one.wait(max(0.0, until - time.monotonic())) for one in processes):
                return f"{reason}; the data as they were before are in {folder / DATA}"
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()
    return None
