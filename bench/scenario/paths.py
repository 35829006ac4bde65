"""Paths of keys and indexes through a scenario, and how they are written for people."""

from bench.core.units import quoted

Path = tuple[str | int, ...]


def where(path: Path) -> str:
    """A path as people write it: workloads[0].operations.get; the file itself for the empty path."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + quoted(step)[1:-1]
    return text or "file"
