"""What an agent is asked to run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.core.errors import UsageError


@dataclass(frozen=True)
class RunRequest:
    """One run: as the arguments of `bench run`, and who makes the load."""

    scenario: Path
    overrides: tuple[str, ...] = ()
    quick: bool = False
    stack: str | None = None
    out: Path = Path("results")
    seed: int | None = None
    workers: tuple[str, ...] = ()
    """Names of the workers whose engine hosts can be relayed to; none: the load is made here."""

    @classmethod
    def read(cls, order: dict[str, Any]) -> Self:
        """The order in `{"do": "run", ...}`. Raises UsageError that names the key."""
        overrides, workers = order.get("overrides", []), order.get("workers", [])
        stack, seed = order.get("stack"), order.get("seed")
        is_seed = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63
        for key, holds, expected in (
            ("scenario", _is_named(order.get("scenario")), "a path"),
            ("out", _is_named(order.get("out", "results")), "a path"),
            ("overrides", _are_texts(overrides), "a list of KEY=VALUE"),
            ("workers", _are_texts(workers) and len(set(workers)) == len(workers), "a list of names"),
            ("stack", stack is None or isinstance(stack, str), "a name or null"),
            ("seed", seed is None or is_seed, "a whole number of 0 to 2^63 - 1, or null"),
        ):
            if not holds:
                found = repr(order.get(key))[:80]
                raise UsageError(f"order run: {key}: expected {expected}, found {found}; correct the order")
        return cls(
            Path(order["scenario"]),
            tuple(overrides),
            bool(order.get("quick")),
            stack,
            Path(order.get("out", "results")),
            seed,
            tuple(workers),
        )


def _is_named(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
