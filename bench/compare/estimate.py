"""A figure of one run with its own uncertainty, and the kinds of figures that are compared.

Every figure is compared on a logarithmic scale, because what matters is how many times slower something
became and because times are spread that way. `place` is where the run stands on that scale; for a share
of errors or a growth, which may be 0, it is the logarithm of something that is not (see the kind's figures).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What is measured, in which unit, and how far two runs of the same thing lie apart."""

    name: str
    unit: str
    """"ns", "per_s", "ratio" or "bytes"."""
    run_spread: float
    """Standard deviation between runs on the logarithmic scale that is assumed until enough runs show it."""
    is_lower_better: bool = True
    by_cpu: bool = True
    """Whether it becomes worse when something else takes the machine's CPU."""


@dataclass(frozen=True)
class Estimate:
    """What one run says about a figure."""

    value: float
    """In the unit of its kind: what a report would show."""
    place: float
    """On the logarithmic scale; not finite when `never`."""
    spread: float
    """Standard error of `place` that the run itself shows."""
    resolution: float
    """The smallest difference that the run can tell, in the unit: floor, lateness, distance of arrivals."""
    samples: int
    never: bool = False
    """What was waited for did not come: worse than any value."""
    basis: str = ""
    """What it was read from; figures of another basis are not compared."""


@dataclass(frozen=True)
class Unknown:
    """Why a run says nothing about a figure."""

    because: str


Reading = Estimate | Unknown

PERCENTILES = {
    "p50": Kind("p50", "ns", 0.10),
    "p95": Kind("p95", "ns", 0.10),
    "p99": Kind("p99", "ns", 0.15),
}
"""Hosted machines differ by more than a tenth from night to night; assumed too small, the first nights would
be red for nothing. Tails differ more: one stall of a neighbour is a part of them."""
THROUGHPUT = Kind("throughput", "per_s", 0.06, is_lower_better=False)
ERRORS = Kind("errors", "ratio", 0.5, by_cpu=False)
"""Errors come in clumps."""
MEMORY_GROWTH = Kind("memory_growth", "bytes", 0.02, by_cpu=False)
RECOVERY = Kind("recovery", "ns", 0.1)
DETECTION = Kind("detection", "ns", 0.2)
"""A detector looks at its own times: where in between a fault falls is chance."""
