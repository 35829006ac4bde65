"""How a check comes out: the statuses and their order, a value compared with its rule, a verdict and
`verdict.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeAlias

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from bench.core.errors import ExitCode, ResultError
from bench.core.sanitize import all_visible
from bench.results import layout
from bench.results.model import Number, Record, UnplacedError, Whole

if TYPE_CHECKING:
    from bench.judge.observation import Observation
    from bench.results.reader import Run
    from bench.scenario.rules.grammar import Rule


class Status(IntEnum):
    """A lattice: the higher of two wins.

    INCONCLUSIVE stands below FAIL because a rule that is known to be broken stays broken,
    INVALID above all because such a run says nothing at all.
    """

    PASS = 0
    """The rule holds."""
    WARN = 1
    """The rule holds, its warning level does not."""
    INCONCLUSIVE = 2
    """The run cannot tell."""
    FAIL = 3
    """The rule is broken."""
    INVALID = 4
    """What was measured is not the system: the run says nothing."""


EXIT_CODES = {
    Status.PASS: ExitCode.OK,
    Status.WARN: ExitCode.OK,
    Status.INCONCLUSIVE: ExitCode.UNKNOWN,
    Status.FAIL: ExitCode.SLA_FAILED,
    Status.INVALID: ExitCode.UNKNOWN,
}


def worst(statuses: Iterable[Status]) -> Status:
    """The highest status; INCONCLUSIVE for none, because nothing was judged."""
    return max(statuses, default=Status.INCONCLUSIVE)


def exit_code(statuses: Iterable[Status]) -> ExitCode:
    """The exit code for several verdicts: that of the worst."""
    return EXIT_CODES[worst(statuses)]


@dataclass(frozen=True)
class Doubt:
    """A status in place of the plain comparison's, with its reason."""

    status: Status
    because: str
    advice: str | None


Guard: TypeAlias = "Callable[[Run, Rule, Observation, Status], Doubt | None]"
"""Looks at one rule, what a run shows of it and its plain status; None where it has no doubt."""


def compared(rule: Rule, value: float) -> Status:
    """PASS, WARN (past the warning level, within the limit) or FAIL."""
    if not rule.holds(value):
        return Status.FAIL
    return Status.PASS if rule.holds(value, warn=True) else Status.WARN


def headroom(op: str, limit: float, unit: str, value: float) -> float | None:
    """The share of the limit that is left, negative past it; None where a share means nothing.

    Of a ratio that must be high it is the share of the allowed failures: of 99.9 % the 0.1 %.
    """
    if limit == 0 or op == "==":
        return None
    if unit == "ratio" and op in (">", ">=") and limit < 1:
        return (value - limit) / (1 - limit)
    return (limit - value) / limit if op in ("<", "<=") else (value - limit) / limit


FORMAT = 1


def _status(value: object) -> object:
    if isinstance(value, str) and value not in Status.__members__:
        raise UnplacedError(f"expected one of {', '.join(Status.__members__)}, found {value!r}")
    return Status[value] if isinstance(value, str) else value


def _interval(value: object, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
    if not value:
        return None
    try:
        return check(value)
    except ValidationError as error:
        whose = f"the interval of {info.data.get('metric')!r}"
        raise UnplacedError(f"expected two numbers as {whose}, found {value!r}") from error


class Check(Record):
    """One judged rule, or one reason why the run cannot be judged (metric `validity.*`).

    `observed`, `limit` and `warn` are in the base unit `unit`: ns, per_s, ratio, count, bytes, bytes_per_s.
    `interval` has bounds of the value, where a method for that is known: what they mean is the method's.
    `because` is a sentence with the numbers; `advice` says what to do, or is None.
    """

    rule: str
    metric: str
    observed: Number | None = None
    unit: str | None = None
    limit: Number | None = None
    warn: Number | None = None
    interval: Annotated[tuple[Number, Number] | None, Field(strict=False), WrapValidator(_interval)] = None
    method: str | None = None
    """How the interval was found, in the words of docs/verdicts.md."""
    samples: Whole | None = None
    status: Annotated[Status, BeforeValidator(_status), PlainSerializer(lambda status: status.name)]
    because: str
    advice: str | None = None

    @property
    def is_rule(self) -> bool:
        """False for a finding about the run as a whole."""
        return not self.metric.startswith("validity.")


class Verdict(Record):
    """What a run says about its rules: findings about the run first, then the rules in their order."""

    format: Whole = FORMAT
    scenario: str
    run: str
    checks: Annotated[tuple[Check, ...], Field(strict=False)]

    @property
    def status(self) -> Status:
        """The worst of the checks."""
        return worst(check.status for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """The verdict as it stands in verdict.json."""
        return {
            "format": FORMAT,
            "scenario": self.scenario,
            "run": self.run,
            "status": self.status.name,
            "checks": [check.model_dump() for check in self.checks],
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """The verdict written as `value`. Raises ValueError that says what is wrong for anything else."""
        if not isinstance(value, dict):
            return cls.read(value)
        if value.get("format") is None:
            raise ValueError("format: expected a whole number, found nothing")
        if value["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT}, found {value['format']!r}")
        return cls.read({name: item for name, item in value.items() if name != "status"})


def save(verdict: Verdict, folder: Path) -> Path:
    """Write `verdict.json` into a run folder, whole or not at all. Raises ResultError."""
    path = folder / layout.VERDICT
    try:
        layout.write_whole(path, layout.as_json(verdict.to_json()))
    except OSError as error:
        raise ResultError(f"{path}: the verdict cannot be written: {error.strerror}") from error
    return path


def saved(folder: Path) -> Verdict | None:
    """The verdict in a run folder, or None where there is none. Raises ResultError for a damaged one."""
    path = folder / layout.VERDICT
    if not path.exists():
        return None
    try:
        return Verdict.from_json(all_visible(layout.read_json(path)))
    except (OSError, ValueError) as error:
        raise ResultError(
            f"{path}: this verdict cannot be read: {error}; make it anew with bench judge"
        ) from error
