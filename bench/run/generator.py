"""Who makes the load of a run: the engines of this process, or those of workers elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.engine.api import Engine
    from bench.plan.plan import Plan, WorkloadPlan
    from bench.stack.target import Target

LEAD_NS = 50_000_000
"""Between the last preparation and run zero: the engines' threads see the start well before it."""


class GeneratorUsage(Protocol):
    """What the generators use, from window to window."""

    def window(self) -> dict[str, Any]:
        """generator_cpu_ratio (cores) and generator_rss_bytes, since the last call."""


class LoadGenerator(Protocol):
    """What the session needs of those who make the load; called in the order of the methods."""

    @property
    def lead_ns(self) -> int:
        """How long before run zero they must be told of it."""

    @property
    def closes_windows(self) -> bool:
        """Whether they close the windows themselves, at the ends that the plan gives."""

    def engine_for(self, plan: Plan, workload: WorkloadPlan, target: Target | None, folder: Path) -> Engine:
        """The engine of one workload; operation logs go into `folder`."""

    def calibrate(self, rate_per_s: float | None, lanes: int, note: Callable[[str], None]) -> dict[str, Any]:
        """What a server of known delays shows: the section `calibration` of run.json."""

    def use(self) -> GeneratorUsage:
        """What they use from now on."""

    def add_to(self, record: dict[str, Any]) -> None:
        """After the end: what is to be said of them, into run.json, its anomalies too."""


class LocalGenerator:
    """The load is made in this process."""

    lead_ns = LEAD_NS
    closes_windows = False

    def engine_for(self, plan: Plan, workload: WorkloadPlan, target: Target | None, folder: Path) -> Engine:
        """One of our own."""
        from bench.engine import engine_for

        return engine_for(plan, workload, target, folder)

    def calibrate(self, rate_per_s: float | None, lanes: int, note: Callable[[str], None]) -> dict[str, Any]:
        """This process and this machine."""
        from bench.core.jit import is_cold
        from bench.run.calibration.measure import self_measurement

        if is_cold():
            note("compiling the engine: once for this version, about 20 s")
        note("measuring this machine against a server of known delays")
        return self_measurement(rate_per_s, lanes, note)

    def use(self) -> GeneratorUsage:
        """This process, and what belongs to it."""
        from bench.resources.generator import GeneratorUse

        return GeneratorUse()

    def add_to(self, record: dict[str, Any]) -> None:
        """Nothing: all of it is known."""
