"""The baseline of this machine: what `nox -s micro -- --save` left in .benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NAME = "micro"
SAME_MACHINE = ("node", "machine", "python_version", "python_implementation")


def saved_ratios(storage: Path, machine: dict[str, Any]) -> dict[str, float]:
    """Name of a benchmark -> its ratio, from the newest file of this machine; empty without one."""
    for path in sorted(storage.glob(f"*/*_{NAME}.json"), reverse=True):
        saved = json.loads(path.read_text(encoding="utf-8"))
        if all(saved["machine_info"].get(key) == machine.get(key) for key in SAME_MACHINE):
            found = {one["name"]: one.get("extra_info", {}) for one in saved["benchmarks"]}
            return {name: extra["ratio"] for name, extra in found.items() if "ratio" in extra}
    return {}


def trouble_with(name: str, ratio: float, saved: float | None, limit: float) -> str | None:
    """The sentence for a ratio that is more than `limit` times the saved one."""
    if saved is None or ratio <= limit * saved:
        return None
    return (
        f"{name}: {ratio:.3g} steps of the reference kernel, {ratio / saved:.2f} times the saved "
        f"{saved:.3g}; at most {limit:g} times is allowed. Find out what made it slower; if it is meant, "
        "save it: nox -s micro -- --save"
    )
