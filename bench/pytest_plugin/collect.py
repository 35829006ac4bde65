"""A scenario as pytest's file, its rules as pytest's items, and the section at the end of the report.
Imported with --bench only.

The run is made when the first item of its file is set up, once, whatever becomes of the items; the
stack is opened with the first run and ends with the session.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from bench.cli.session_opening import (
    is_of_kind,
    load_for,
    named_stack,
    open_session,
    run_and_judge,
    stop_signals,
)
from bench.core import plugins
from bench.core.errors import HoldfastError, InterruptedRun, ScenarioError, UsageError
from bench.judge.verdict import Status, worst
from bench.scenario.load import stack_named_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.judge.verdict import Check, Verdict
    from bench.run.session import Session
    from bench.scenario.load import LoadedScenario


MEANINGS = {
    Status.FAIL: "",
    Status.INCONCLUSIVE: " (the run cannot tell: neither passed nor failed)",
    Status.INVALID: " (the run says nothing about the system)",
}


class NotPassed(Exception):  # noqa: N818 - what happened is the name
    """Checks that are neither PASS nor WARN, in sentences."""

    def __init__(self, checks: list[Check], folder: Path) -> None:
        ordered = sorted(checks, key=lambda check: -check.status)
        super().__init__("\n".join([*map(sentence_of, ordered), f"run folder: {folder}"]))


def sentence_of(check: Check) -> str:
    """Status, rule, why, and what to do."""
    subject = check.rule if check.is_rule else check.metric.removeprefix("validity.").replace("_", " ")
    advice = f"\n  -> {check.advice}" if check.advice else ""
    return f"{check.status.name}{MEANINGS.get(check.status, '')}: {subject}: {check.because}{advice}"


class Terminal(Protocol):
    """What of pytest's terminal is needed."""

    def line(self, text: str = "", **markup: bool) -> None:
        """Write a line."""


@dataclass(frozen=True)
class _Place:
    """What pytest's summary and JUnit read: the message of a failure and where it is."""

    path: str
    lineno: int
    message: str


class ShownFailure:
    """A text in the form of pytest's own representations."""

    def __init__(self, text: str, path: str, line: int) -> None:
        self._text = text
        self.reprcrash = _Place(path, line, text.partition("\n")[0])

    def toterminal(self, writer: Terminal) -> None:
        """Write the text, its first line set off."""
        first, _, rest = self._text.partition("\n")
        writer.line(first, red=True, bold=True)
        if rest:
            writer.line(rest)

    def __str__(self) -> str:
        return self._text


def properties_of(
    own: Check | None, checks: list[Check], verdict: Verdict, folder: Path
) -> list[tuple[str, object]]:
    """The numbers for JUnit and for other plugins: what is not known is left out."""
    status = worst(check.status for check in checks) if checks else Status.PASS
    known: dict[str, object] = {
        "holdfast_scenario": verdict.scenario,
        "holdfast_verdict": verdict.status.name,
        "status": status.name,
        "run_folder": str(folder),
    }
    if own is not None:
        known |= {
            "rule": own.rule,
            "metric": own.metric,
            "observed": own.observed,
            "limit": own.limit,
            "warn": own.warn,
            "unit": own.unit,
            "samples": own.samples,
            "interval": own.interval and f"{own.interval[0]:g}..{own.interval[1]:g}",
            "because": own.because,
            "advice": own.advice,
        }
    return [(name, value) for name, value in known.items() if value is not None]


def write_summary(terminal: pytest.TerminalReporter) -> None:
    """Write the section, if any scenario was run, and which plug-ins could not be used."""
    runs: dict[str, dict[str, str]] = {}
    warnings: dict[str, list[dict[str, str]]] = {}
    for reports in terminal.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "call":
                continue
            known = {str(name): str(value) for name, value in report.user_properties}
            if "holdfast_verdict" not in known:
                continue
            runs[known["run_folder"]] = known
            if known["status"] == "WARN":
                warnings.setdefault(known["run_folder"], []).append(known)
    for problem in plugins.problems:
        terminal.write_line(f"holdfast: {problem}", yellow=True)
    if not runs:
        return
    terminal.section("holdfast")
    for folder, known in sorted(runs.items()):
        terminal.write_line(f"{known['holdfast_verdict']:<12} {known['holdfast_scenario']}  {folder}")
        for warning in warnings.get(folder, []):
            terminal.write_line(f"  WARN  {warning['rule']}: {warning['because']}", yellow=True)
            if "advice" in warning:
                terminal.write_line(f"        -> {warning['advice']}")


SOUND = "the run is sound"
PASSED = (Status.PASS, Status.WARN)
_BENCH = pytest.StashKey["Bench"]()


class Bench:
    """The session of all scenarios that this pytest runs; opened when it is first needed."""

    def __init__(self, session: pytest.Session) -> None:
        from bench.run.stop_request import StopRequest

        self._pytest = session
        self._stop = StopRequest()
        self._opened = contextlib.ExitStack()
        self._session: Session | None = None
        self._failure: HoldfastError | None = None
        self._named: str | None = None
        """The stack of the session, as --bench-stack or its scenarios name it."""

    def run(self, loaded: LoadedScenario) -> Ran:
        """Run and judge. Raises HoldfastError; a stack that did not come up is not tried again."""
        from bench.run.progress import Plain

        named = self._pytest.config.getoption("bench_stack") or stack_named_in(loaded.path)
        if named != self._named:  # scenarios that name another stack than those before
            self.close()
            self._named, self._failure = named, None
        with self._signals():
            session = self._session or self._open()
            session.progress = Plain()  # pytest's own capture is another one for every test
            run, verdict = run_and_judge(session, loaded)
        return Ran(run.path, verdict)

    def close(self) -> None:
        """End the stack. Harmless when repeated."""
        self._session = None
        self._opened.close()

    def _open(self) -> Session:
        from bench.run.progress import Plain

        if self._failure is not None:
            raise self._failure
        option = self._pytest.config.getoption
        files = dict.fromkeys(
            item.parent
            for item in self._pytest.items
            if isinstance(item.parent, ScenarioFile)
            and (option("bench_stack") or stack_named_in(item.parent.path)) == self._named
        )
        everything = [file.loaded for file in files]
        try:
            self._session = self._opened.enter_context(
                open_session(
                    everything,
                    Path(option("bench_out")),
                    named_stack(option("bench_stack"), [file.path for file in files]),
                    Plain(),
                    self._stop,
                )
            )
        except HoldfastError as failure:
            self._failure = failure
            raise
        return self._session

    def _signals(self) -> contextlib.AbstractContextManager[None]:
        """Ctrl-C ends a run in order; only a main thread receives one."""
        is_main = threading.current_thread() is threading.main_thread()
        return stop_signals(self._stop) if is_main else contextlib.nullcontext()


def close_bench(config: pytest.Config) -> None:
    """End the stack of this pytest, if it has one."""
    if (bench := config.stash.get(_BENCH, None)) is not None:
        bench.close()


@dataclass(frozen=True)
class Ran:
    """A run that was judged."""

    path: Path
    verdict: Verdict

    @property
    def findings(self) -> list[Check]:
        """What is said about the run as a whole."""
        return [check for check in self.verdict.checks if not check.is_rule]

    @property
    def rules(self) -> list[Check]:
        """The judged rules, in the order of the scenario."""
        return [check for check in self.verdict.checks if check.is_rule]


class ScenarioFile(pytest.File):
    """One scenario: the run's soundness and its rules."""

    loaded: LoadedScenario
    ran: Ran | None = None
    failure: str | None = None

    def collect(self) -> Iterator[ScenarioItem]:
        """Load the scenario; nothing is started. Raises CollectError for one that cannot be run."""
        option = self.config.getoption
        try:
            stack = named_stack(option("bench_stack"), [self.path])
            self.loaded = load_for(stack, self.path, quick=option("bench_quick"))
        except (ScenarioError, UsageError) as error:
            raise self.CollectError(str(error)) from None
        if not is_of_kind(self.loaded, option("bench_only")):
            return
        yield ScenarioItem.from_parent(self, name=SOUND, number=None)
        for number, rule in enumerate(self.loaded.rules):
            yield ScenarioItem.from_parent(self, name=" ".join(rule.text.split()), number=number)

    def setup(self) -> None:
        """Run the scenario, unless it was run before; every item reports what keeps it from running."""
        if self.failure is None and self.ran is None:
            self._run()
        if self.failure is not None:
            pytest.fail(self.failure, pytrace=False)  # in a setup that is an error

    def _run(self) -> None:
        bench = self.config.stash.setdefault(_BENCH, Bench(self.session))
        try:
            self.ran = bench.run(self.loaded)
        except InterruptedRun as stopped:
            pytest.exit(str(stopped), returncode=pytest.ExitCode.INTERRUPTED)
        except HoldfastError as failure:
            self.failure = str(failure)


class ScenarioItem(pytest.Item):
    """One rule of a scenario, or (without a number) whether the run can be judged at all."""

    parent: ScenarioFile

    def __init__(self, *, number: int | None, **named: Any) -> None:
        super().__init__(**named)
        self._number = number
        if self.config.pluginmanager.hasplugin("timeout"):
            # How long a run takes stands in the scenario: pytest-timeout would kill the process with it.
            self.add_marker(pytest.mark.timeout(0))

    def runtest(self) -> None:
        """Look at what the judge said. Raises NotPassed."""
        ran = self.parent.ran
        assert ran is not None
        checks = self._checks(ran)
        own = ran.rules[self._number] if self._number is not None else None
        self.user_properties += properties_of(own, checks, ran.verdict, ran.path)
        broken = [check for check in checks if check.status not in PASSED]
        if broken:
            raise NotPassed(broken, ran.path)

    def repr_failure(
        self,
        excinfo: pytest.ExceptionInfo[BaseException],
        style: str | None = None,  # noqa: ARG002 - the form of every node
    ) -> Any:
        """What is wrong, as a sentence; a traceback for our bugs only."""
        if isinstance(excinfo.value, NotPassed):
            return ShownFailure(str(excinfo.value), str(self.path), self._line)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the rule stands; lines count from 0 here."""
        return self.path, self._line, f"{self.parent.loaded.scenario.scenario}: {self.name}"

    @property
    def _line(self) -> int:
        place = self.parent.loaded.marks.get(("sla",) if self._number is None else ("sla", self._number))
        return place.line - 1 if place is not None else 0

    def _checks(self, ran: Ran) -> list[Check]:
        """What decides about this item: nothing of a run that says nothing is green."""
        if self._number is None:
            return ran.findings
        invalid = [check for check in ran.findings if check.status is Status.INVALID]
        if not self._is_soundness_asked():
            invalid = ran.findings
        return [*invalid, ran.rules[self._number]]

    def _is_soundness_asked(self) -> bool:
        """False where -k or a node's name left that item out: each rule then answers for the run."""
        return any(
            isinstance(item, ScenarioItem) and item.parent is self.parent and item._number is None
            for item in self.session.items
        )
