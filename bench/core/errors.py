"""Everything that ends a command early, each with its exit code and its own sentence.

HoldfastError            70  our bug, if it ever surfaces bare
├── UsageError            2  the command line was wrong
├── ScenarioError         3  the scenario file is wrong: every problem at once
├── StatementRefused      3  the target refuses a part of the scenario, reported at its place
├── TargetError           4  a stack or target cannot be reached or is not what it should be
├── MachineLimit          2  this machine does not give us what a run needs
├── ResultError           2  a run folder is missing, damaged or of a newer format
├── HealError             6  a fault could not be healed
└── InterruptedRun      130  Ctrl-C or SIGTERM; the partial run is kept
"""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Literal

from bench.core.sanitize import one_line, visible


class ExitCode(IntEnum):
    """What `bench` returns to the shell: a contract with scripts and CI, listed in docs/running.md."""

    OK = 0
    SLA_FAILED = 1
    USAGE = 2
    SCENARIO = 3
    TARGET = 4
    UNKNOWN = 5
    """The run is INCONCLUSIVE or INVALID."""
    HEAL = 6
    BUG = 70
    INTERRUPTED = 130


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong in a scenario file. Lines and columns count from 1; 0 means unknown."""

    file: str
    line: int
    column: int
    where: str
    expected: str
    found: str
    advice: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        found = f"{place}: {self.where}: expected {self.expected}, found {self.found}"
        return f"{one_line(found)}; {visible(self.advice)}"


class HoldfastError(Exception):
    """The root: carries the exit code of the command that it ends."""

    exit_code = ExitCode.BUG

    def __init__(self, *words: object) -> None:
        super().__init__(*(visible(word) if isinstance(word, str) else word for word in words))


class UsageError(HoldfastError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = ExitCode.USAGE


class ScenarioError(HoldfastError):
    """A scenario that cannot be run, with every problem found in it."""

    exit_code = ExitCode.SCENARIO

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))


class StatementRefused(HoldfastError):  # noqa: N818 - what happened is the name
    """A target does not accept a statement or a setting of a workload."""

    exit_code = ExitCode.SCENARIO

    def __init__(
        self, path: tuple[str | int, ...], offset: int | None, expected: str, found: str, advice: str
    ) -> None:
        self.path, self.offset = path, offset
        """From the workload, and the character (from 0) of the text that stands there."""
        self.expected, self.found, self.advice = expected, found, advice
        where = ".".join(map(str, path)) or "workload"
        super().__init__(f"{where}: expected {expected}, found {one_line(found)}; {advice}")


Passing = Literal["starting", "absent"]
"""The target says that it is starting; or nothing answers there, or no longer."""


class TargetError(HoldfastError):
    """A target cannot be reached, or something else answers there."""

    exit_code = ExitCode.TARGET

    def __init__(
        self,
        target: str,
        address: str,
        expected: str,
        found: str,
        advice: str,
        passes: Passing | None = None,
    ) -> None:
        self.target, self.address = target, address
        self.expected, self.found, self.advice = expected, found, advice
        self.passes = passes
        """Why it may be over in a while; None where waiting does not help."""
        super().__init__(
            f"target {target} at {address}: expected {expected}, found {one_line(found)}; {advice}"
        )


class MachineLimit(HoldfastError):  # noqa: N818 - what happened is the name
    """This machine does not give us what a run needs: no fault of the target or the scenario."""

    exit_code = ExitCode.USAGE

    def __init__(self, expected: str, found: str, advice: str) -> None:
        super().__init__(f"this machine: expected {expected}, found that {found}; {advice}")


class ResultError(HoldfastError):
    """A run folder that cannot be read."""

    exit_code = ExitCode.USAGE


class HealError(HoldfastError):
    """A fault that could not be healed: the system may be left damaged."""

    exit_code = ExitCode.HEAL

    def __init__(self, text: str, done: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.done = done
        """What was healed all the same, one sentence each."""


class InterruptedRun(HoldfastError):  # noqa: N818 - what happened is the name, it is no error of anyone's
    """The run was stopped by a signal; what had been measured is in the folder `kept`, if anything was."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, text: str, kept: Path | None = None) -> None:
        self.kept = kept
        super().__init__(text)
