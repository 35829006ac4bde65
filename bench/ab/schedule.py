"""Which run is made next: pairs in random order, and what becomes of a pair that says nothing. Pure.

next_pair ─▶ two runs ─▶ keep or set aside ─▶ next_pair ... until there are enough, or too many were set
aside
"""

import random
from dataclasses import dataclass, field

from bench.compare.baseline_runs import Candidate
from bench.compare.comparison import held_up
from bench.core.units import counted

OTHERS_APART = 0.15
"""Of the machine's cores: so much more work of others beside one run of a pair than beside the other."""
STARVED_APART = 0.05
"""Of the measured time: so much longer one of them waited for a processor that others had."""


@dataclass(frozen=True)
class Conditions:
    """What others did to a run on its machine, as the run has recorded it."""

    others: float
    """The share of all cores that others used."""
    starved: float
    """The share of the measured time in which the run waited for them, or for the hypervisor."""

    @classmethod
    def of(cls, run: Candidate) -> "Conditions":
        """Of one run; of what was not sampled nothing is known, and nothing held against it."""
        others = run.run.record.resources.others
        waited = held_up(run.run)
        return cls(
            others.others_cores / max(others.cores, 1) if others is not None else 0.0,
            max(waited.share if waited else 0.0, others.starved_ratio if others is not None else 0.0),
        )

    def difference(self, other: "Conditions") -> str:
        """In what two runs were not treated alike, in words; empty where they were."""
        if abs(self.others - other.others) > OTHERS_APART:
            return f"others used {_apart(self.others, other.others)} of the machine"
        if abs(self.starved - other.starved) > STARVED_APART:
            return f"others held it up for {_apart(self.starved, other.starved)} of the time"
        return ""


def _apart(first: float, second: float) -> str:
    return f"{first * 100:.0f} % and {second * 100:.0f} %"


@dataclass(frozen=True)
class Pair:
    """Two runs under the same conditions."""

    number: int
    a: Candidate
    b: Candidate

    @property
    def obstacle(self) -> str:
        """Why it is not compared, in words; empty when it is."""
        for name, one in (("a", self.a), ("b", self.b)):
            if (because := one.unusable) is not None:
                return f"{name}: {because}"
        return Conditions.of(self.a).difference(Conditions.of(self.b))


@dataclass(frozen=True)
class Order:
    """The next pair: its number, from 1, and which variant is run first."""

    number: int
    first: str

    @property
    def variants(self) -> tuple[str, str]:
        """Both, in their order."""
        return ("a", "b") if self.first == "a" else ("b", "a")


@dataclass
class Schedule:
    """`wanted` pairs, their order drawn from `seed`; half as many again may be set aside."""

    wanted: int
    seed: int
    kept: list[Pair] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    """Why, of each pair."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - an order to be replayed, no secret
        self._number, self._first = 0, "a"

    @property
    def most_set_aside(self) -> int:
        """So many pairs may be run again."""
        return -(-self.wanted // 2)

    def next_pair(self) -> Order | None:
        """What to run next; None when it is over."""
        if len(self.kept) >= self.wanted or len(self.set_aside) > self.most_set_aside:
            return None
        self._number += 1
        # Of two pairs in a row one begins with a, one with b: what only second runs suffer cancels out.
        if self._number % 2:
            self._first = self._random.choice("ab")
        else:
            self._first = "b" if self._first == "a" else "a"
        return Order(self._number, self._first)

    def add(self, pair: Pair) -> str:
        """Take a pair, or set it aside; why, in words, or empty."""
        because = pair.obstacle
        if because:
            self.set_aside.append(f"pair {pair.number}: {because}")
        else:
            self.kept.append(pair)
        return because

    def shortage(self) -> str:
        """Why there are fewer pairs than were wanted, in words; empty when there are not."""
        if len(self.kept) >= self.wanted:
            return ""
        return (
            f"{counted(len(self.kept), 'pair')} of {self.wanted}: "
            f"{len(self.set_aside)} were set aside, the last one because {self.set_aside[-1]}"
        )
