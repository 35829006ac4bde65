"""What all toxics have in common: a number, checked settings, directions, and what they have done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bench.core.errors import ExitCode, HoldfastError

UP, DOWN = "up", "down"
"""From the client to upstream, and back."""
DIRECTIONS = {"both": (UP, DOWN), "up": (UP,), "down": (DOWN,)}
DAY_NS = 86_400_000_000_000
_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15


class ToxicError(HoldfastError):
    """A toxic whose settings make no sense, or that cannot act together with those in force."""

    exit_code = ExitCode.SCENARIO

    def __init__(self, where: str, expected: str, found: str, advice: str) -> None:
        self.parts = (where, expected, found, advice)
        super().__init__(f"{where}: expected {expected}, found {found}; {advice}")


class Setting:
    """A whole number within limits. Without a default it must be given."""

    def __init__(self, unit: str, least: int, most: int, default: int | None = None) -> None:
        self.default: Any = default
        self._unit, self._least, self._most = unit, least, most

    def read(self, where: str, value: Any) -> Any:
        """The value, or ToxicError."""
        if isinstance(value, bool) or not isinstance(value, int) or not self._least <= value <= self._most:
            expected = f"a whole number of {self._unit}, {self._least} to {self._most}"
            raise ToxicError(where, expected, repr(value), "write a number in these limits")
        return value


class Choice:
    """One of a few values, the first by default."""

    def __init__(self, *values: Any) -> None:
        self.default: Any = values[0]
        self._values = values

    def read(self, where: str, value: Any) -> Any:
        """The value, or ToxicError."""
        # 1 == True, so the type is looked at too.
        if not any(value == known and type(value) is type(known) for known in self._values):
            raise ToxicError(where, " or ".join(map(repr, self._values)), repr(value), "write one of these")
        return value


def mixed(value: int) -> int:
    """One of 2**64 values from one of 2**64: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Draws:
    """A separate sequence for every name, a tuple of numbers such as (seed, toxic, connection)."""

    __slots__ = ("_state",)

    def __init__(self, *name: int) -> None:
        state = 0
        for part in name:
            state = mixed((state + part * _STEP + _STEP) & _MASK)
        self._state = state

    def up_to(self, limit: int) -> int:
        """A whole number in 0..limit, uniform up to a bias of limit / 2**64."""
        self._state = (self._state + _STEP) & _MASK
        return (mixed(self._state) * (limit + 1)) >> 64


class Share:
    """A share above 0, at most 1: the default."""

    default: Any = 1.0

    def read(self, where: str, value: Any) -> Any:
        """The value, or ToxicError."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise ToxicError(where, "a share above 0, at most 1", repr(value), "write such a number")
        return value


_WHOLE = 1 << 32
_OF_A_SHARE = 2
"""The last part of the name of such a draw; those of a direction end in 0 or 1."""


class Toxic:
    """One toxic in force, which counts what it did as the proof that it did something."""

    kind: ClassVar[str]
    takes: ClassVar[Mapping[str, Setting | Choice | Share]]
    unit: ClassVar[str]
    """What its first count counts, in the words of the proof."""

    def __init__(self, number: int, settings: Mapping[str, Any], seed: int = 0) -> None:
        self.number = number
        self.settings = self._checked(settings)
        self._share: float = self.settings.get("toxicity", 1.0)
        self.seed = seed
        self.count = 0
        """How often it acted, in its `unit`."""
        self.bytes = 0
        """On how many bytes."""

    @property
    def directions(self) -> tuple[str, ...]:
        """The directions it acts on."""
        return DIRECTIONS[self.settings.get("direction", "both")]

    @property
    def is_partial(self) -> bool:
        """Whether it acts on some of the connections only."""
        return self._share < 1

    def hits(self, connection: int) -> bool:
        """Whether it acts on a connection: drawn once for each, by the seed."""
        if not self.is_partial:
            return True
        drawn = Draws(self.seed, self.number, connection, _OF_A_SHARE).up_to(_WHOLE - 1)
        return drawn < self._share * _WHOLE

    @classmethod
    def _checked(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        for name in given:
            if name not in cls.takes:
                known = ", ".join(cls.takes) or "no settings"
                raise ToxicError(cls.kind, known, name, "remove it")
        checked = {}
        for name, setting in cls.takes.items():
            value = given.get(name, setting.default)
            if value is None:
                raise ToxicError(cls.kind, f"the setting {name}", "none", f"add {name}")
            checked[name] = setting.read(f"{cls.kind}.{name}", value)
        return checked


DIRECTION = Choice("both", "up", "down")


def settings(**takes: Setting | Choice) -> Mapping[str, Setting | Choice | Share]:
    """What a kind takes, beside the share of the connections that it acts on."""
    return {**takes, "toxicity": Share()}
