"""A verdict and its checks, and their form as `verdict.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from bench.errors import ResultError
from bench.judge.status import Status, worst
from bench.run_folder import files, layout

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1


@dataclass(frozen=True)
class Check:
    """One judged rule, or one reason why the run cannot be judged (metric `validity.*`).

    `observed`, `limit` and `warn` are in the base unit `unit`: ns, per_s, ratio, count, bytes, bytes_per_s.
    `because` is a sentence with the numbers; `advice` says what to do, or is None.
    """

    rule: str
    metric: str
    observed: float | None
    unit: str | None
    limit: float | None
    warn: float | None
    interval: tuple[float, float] | None
    samples: int | None
    status: Status
    because: str
    advice: str | None

    @property
    def is_rule(self) -> bool:
        """False for a finding about the run as a whole."""
        return not self.metric.startswith("validity.")


@dataclass(frozen=True)
class Verdict:
    """What a run says about its rules: findings about the run first, then the rules in their order."""

    scenario: str
    run: str
    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        """The worst of the checks."""
        return worst(check.status for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """The verdict as it stands in verdict.json."""
        checks = [{**asdict(check), "status": check.status.name} for check in self.checks]
        return {
            "format": FORMAT,
            "scenario": self.scenario,
            "run": self.run,
            "status": self.status.name,
            "checks": checks,
        }

    @classmethod
    def from_json(cls, found: Any) -> Self:
        """The verdict written as `found`. Raises ValueError, KeyError or TypeError for anything else."""
        if found["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT}, found {found['format']!r}")
        for entry in found["checks"]:
            _expect_numbers(entry)
        checks = tuple(
            Check(
                **{
                    **entry,
                    "status": Status[entry["status"]],
                    "interval": tuple(entry["interval"]) if entry["interval"] else None,
                }
            )
            for entry in found["checks"]
        )
        return cls(found["scenario"], found["run"], checks)


def _expect_numbers(entry: dict[str, Any]) -> None:
    """Raises TypeError for numbers or texts of another kind: reports calculate with them."""
    numbers = [entry[name] for name in ("observed", "limit", "warn", "samples")] + list(
        entry["interval"] or ()
    )
    if not all(value is None or isinstance(value, int | float) for value in numbers):
        raise TypeError(f"expected numbers in {entry['metric']!r}, found {numbers!r}")
    texts = [entry[name] for name in ("rule", "metric", "because")]
    if not all(isinstance(value, str) for value in texts):
        raise TypeError(f"expected texts in a check, found {texts!r}")


def save(verdict: Verdict, folder: Path) -> Path:
    """Write `verdict.json` into a run folder, whole or not at all. Raises ResultError."""
    path = folder / layout.VERDICT
    try:
        files.write_whole(path, files.as_json(verdict.to_json()))
    except OSError as error:
        raise ResultError(f"{path}: the verdict cannot be written: {error.strerror}") from error
    return path


def saved(folder: Path) -> Verdict | None:
    """The verdict in a run folder, or None where there is none. Raises ResultError for a damaged one."""
    path = folder / layout.VERDICT
    if not path.exists():
        return None
    try:
        return Verdict.from_json(files.read_json(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultError(
            f"{path}: this verdict cannot be read: {error}; make it anew with bench judge"
        ) from error
