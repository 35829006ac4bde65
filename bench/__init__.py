"""Holdfast runs load and fault scenarios against a real system and returns a verdict."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.report.dataframes import RunFrames, load_runs

__all__ = ["RunFrames", "load_runs"]


def __getattr__(name: str) -> object:
    """Import the frames when they are asked for: `import bench` stays light."""
    if name in __all__:
        from bench.report import dataframes as frames

        return getattr(frames, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
