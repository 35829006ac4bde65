"""`bench watch SCENARIO`: weeks of light load, against objectives that have a window of days."""

from __future__ import annotations

import gc
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.output import DurationNs, NamedPath, say
from bench.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from bench.core.errors import TargetError
    from bench.run.progress import Progress
    from bench.run.session import Session
    from bench.run.stop_request import StopRequest
    from bench.scenario.load import LoadedScenario
    from bench.stack.stack_file import StackFile
    from bench.watch.history import RowRecord
    from bench.watch.journal import Journal
    from bench.watch.objectives import Ledger
    from bench.watch.summary import SummaryRecord

NS_PER_S = 10**9
SHORTEST_NS, LONGEST_NS = NS_PER_S, 300 * NS_PER_S
RETRY_S = 1.0
"""Between two attempts to connect to a target that cannot be reached."""
RUNS_KEPT = 20
"""Run folders of the latest incidents."""
ROLLED_UP_EVERY = 60
"""Segments."""


@click.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option(
    "--stack",
    "stack_named",
    metavar="STACK",
    help="embedded, docker, compose, external (the default if a URL is set), or a stack file.",
)
@click.option(
    "--out",
    type=NamedPath(path_type=Path),
    default=Path("results/watch"),
    show_default=True,
    help="Where the watch is kept, in a folder of the scenario's name.",
)
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    metavar="RULE",
    help='Such as "availability(window=30d) >= 99.9%"; without any, the scenario\'s own rules.',
)
@click.option("--for", "for_ns", type=DurationNs(), help="End after so long; without it, at Ctrl-C.")
@click.option(
    "--segment",
    "segment_ns",
    type=DurationNs(),
    default="60s",
    show_default=True,
    help="How long each run of the load is: what is counted at once.",
)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value of the scenario."
)
@click.option("--show", is_flag=True, help="Print how it stands, and watch nothing.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the state at the end as a JSON object; everything else goes to stderr.",
)
def command(
    scenario: Path,
    stack_named: str | None,
    out: Path,
    objectives: tuple[str, ...],
    for_ns: int | None,
    segment_ns: int,
    overrides: tuple[str, ...],
    show: bool,
    as_json: bool,
) -> int:
    """Put the load of SCENARIO on its stack for weeks, and account for its objectives.

    \b
    bench watch redis_latency --set workloads.cache.rate=5/s
    bench watch shop.yaml --objective "availability(window=30d) >= 99.9%"
    bench watch shop.yaml --show

    One segment of the load follows the other, without faults. After each, what was counted is on disk and
    watch.html in the --out folder is current: availability and budget of each objective, burn rates,
    incidents, and times that were not watched. The same command goes on after a crash or a restart.

    \b
    Exit codes: 0 all objectives hold, 1 one is broken, 5 cannot tell.
    """
    from bench.cli.session_opening import load_for, named_stack
    from bench.run.progress import progress_for
    from bench.scenario.load import discover
    from bench.watch.journal import alone
    from bench.watch.objectives import Ledger, objectives_of
    from bench.watch.segments import overrides_of

    if not SHORTEST_NS <= segment_ns <= LONGEST_NS:
        raise UsageError(
            "--segment: expected 1 s to 5 min, the shortest window of a burn rate; choose a length between"
        )
    paths = discover([scenario])
    if len(paths) != 1:
        raise UsageError(f"watch: expected one scenario, found {len(paths)} in {scenario}; name one file")
    stack = named_stack(stack_named, paths)
    loaded = load_for(stack, paths[0], overrides)
    names = [one.name for one in loaded.scenario.workloads]
    overrides_of(loaded.scenario, segment_ns)  # refuses what cannot be watched
    ledger = Ledger(objectives_of(objectives, loaded.rules, names))
    folder = out / loaded.scenario.scenario
    if show:
        return _reported(_kept(folder), ledger, folder, as_json)
    watch = _Watch(loaded, stack, folder, ledger, segment_ns, progress_for())
    with alone(folder):
        watch.run(for_ns)
    return _reported(watch.journal, ledger, folder, as_json)


def _kept(folder: Path) -> Journal:
    from bench.watch.journal import Journal

    found = Journal.read(folder)
    if found is None:
        raise UsageError(f"--show: expected a watch in {folder}, found none; begin one without --show")
    return found


@dataclass
class _Unreached:
    """A time in which no segment could connect, as far as it is not in the journal."""

    from_ns: int
    until_ns: int
    because: str
    target: str


@dataclass
class _Watch:
    """A watch under way."""

    loaded: LoadedScenario
    stack: str | StackFile | None
    folder: Path
    ledger: Ledger
    segment_ns: int
    progress: Progress
    journal: Journal = field(init=False)
    unreached: _Unreached | None = None
    said: set[str] = field(default_factory=set)
    """What is known to whoever reads the output."""

    @property
    def runs(self) -> Path:
        """Where the runs of segments are until they are counted."""
        from bench.watch.journal import RUNS

        return self.folder / RUNS

    def run(self, for_ns: int | None) -> None:
        """Segment after segment until it is over. Raises what a first run can."""
        from bench.cli.session_opening import stop_signals
        from bench.core.clock import monotonic_ns
        from bench.run.stop_request import StopRequest
        from bench.watch.journal import Journal

        now_utc = _wall_label()
        self.journal = Journal.opened(self.folder, self.loaded.scenario.scenario, now_utc)
        self.said = self._news()
        self._count_leftovers()
        stop = StopRequest()
        end_ns = None if for_ns is None else monotonic_ns() + for_ns
        with stop_signals(stop):
            while not stop.is_asked and (end_ns is None or monotonic_ns() < end_ns):
                self._connected(stop, end_ns)
        self._count_unreached()
        self._save_page()

    def _connected(self, stop: StopRequest, end_ns: int | None) -> None:
        """As many segments as one session has: until the end, or until its stack cannot be opened."""
        from bench.cli.session_opening import open_session
        from bench.core.clock import monotonic_ns
        from bench.core.errors import InterruptedRun, TargetError
        from bench.run.progress import LiveLine, Silent
        from bench.watch.segments import CalibratedOnce

        begun_ns = _wall_ns()
        segment = self._segment(self.segment_ns)
        try:
            with open_session([segment], self.runs, self.stack, self.progress, stop) as session:
                session.generators = CalibratedOnce()
                while not stop.is_asked:
                    if end_ns is not None:
                        left_ns = end_ns - monotonic_ns()
                        if left_ns <= 0:
                            return
                        if left_ns < self.segment_ns:
                            segment = self._segment(max(left_ns, SHORTEST_NS))
                    self._watch_one(session, segment, stop)
                    # The log of weeks has no line for every few seconds.
                    session.progress = LiveLine(self.progress) if sys.stderr.isatty() else Silent()
        except TargetError as error:
            if self.journal.is_empty:
                raise
            self._not_reached(error, begun_ns)
            stop.wait(RETRY_S)
        except InterruptedRun:
            return

    def _segment(self, length_ns: int) -> LoadedScenario:
        from bench.cli.session_opening import load_for
        from bench.watch.segments import overrides_of

        overrides = (*self.loaded.overrides, *overrides_of(self.loaded.scenario, length_ns))
        return load_for(self.stack, self.loaded.path, overrides)

    def _watch_one(self, session: Session, segment: LoadedScenario, stop: StopRequest) -> None:
        from bench.core.errors import InterruptedRun, MachineLimit, ResultError, TargetError

        begun_ns = _wall_ns()
        # Each has arrivals of its own.
        session.seed = (self.loaded.scenario.seed + self.journal.next_number) % 2**62
        try:
            path = session.run(segment)
        except InterruptedRun as interrupted:
            self._count_unreached()
            if interrupted.kept is not None:
                self._count(interrupted.kept)
            return
        except TargetError as error:
            if self.journal.is_empty:
                raise
            self._not_reached(error, begun_ns)
            stop.wait(RETRY_S)
            return
        except (MachineLimit, ResultError) as error:
            # Of this machine and no fault of the target: a time that was not watched.
            if self.journal.is_empty:
                raise
            self.progress.step(f"not watched: {error}")
            self._count_leftovers()
            stop.wait(RETRY_S)
            return
        self._count_unreached()
        self._count(path)

    def _not_reached(self, error: TargetError, begun_ns: int) -> None:
        now_ns = _wall_ns()
        if self.unreached is not None and self.unreached.target != error.target:
            self._count_unreached()
        if self.unreached is None:
            last_ns = self.journal.rows[-1].until_ns if self.journal.rows else begun_ns
            was_unreached = bool(self.journal.rows) and self.journal.rows[-1].run is None
            # A long one has several rows, and nothing was reached between them.
            since_ns = last_ns if was_unreached and begun_ns - last_ns < self.segment_ns else begun_ns
            self.unreached = _Unreached(since_ns, now_ns, str(error), error.target)
        self.unreached.until_ns = now_ns
        if now_ns - self.unreached.from_ns >= self.segment_ns:
            self._count_unreached()

    def _count_unreached(self) -> None:
        from bench.watch.segments import unreachable

        found, self.unreached = self.unreached, None
        if found is not None:
            number, scenario = self.journal.next_number, self.loaded.scenario
            self._append(
                unreachable(scenario, number, found.from_ns, found.until_ns, found.because, (found.target,))
            )

    def _count_leftovers(self) -> None:
        """What a watch that was killed had measured and not counted."""
        from bench.core.errors import ResultError
        from bench.results.layout import run_folders
        from bench.results.ownership import sweep

        try:
            sweep(self.runs)
        except OSError as error:
            raise ResultError(f"{self.runs}: {error.strerror}; name another folder with --out") from error
        counted = self.journal.counted_runs()
        for folder in run_folders(self.runs):
            if folder.name in counted:
                continue
            try:
                self._count(folder)
            except ResultError as error:
                self.progress.step(f"not counted: {error}")
        self._clear_away()

    def _count(self, path: Path) -> None:
        """A segment's run, once."""
        from bench.watch.segments import row_of

        row = row_of(path, self.journal.next_number)
        if row is None:
            shutil.rmtree(path, ignore_errors=True)
        else:
            self._append(row)

    def _append(self, row: RowRecord) -> None:
        self.journal.append(row)
        if row.last % ROLLED_UP_EVERY == 0:
            self.journal.roll_up(row.until_ns)
        self._clear_away()
        self._save_page()
        gc.collect()  # histograms of the package refer to themselves: 3 MB of each segment would stay
        news = self._news()
        for line in sorted(news - self.said):
            self.progress.step(line)
        self.said = news

    def _clear_away(self) -> None:
        """Runs that are counted, but for those of the latest incidents."""
        from bench.results.layout import run_folders

        incidents = self.journal.story.all_incidents()
        kept = sorted({run for one in incidents for run in one.runs})[-RUNS_KEPT:]
        gone = self.journal.counted_runs() - set(kept)
        for folder in run_folders(self.runs):
            if folder.name in gone:
                shutil.rmtree(folder, ignore_errors=True)

    def _news(self) -> set[str]:
        """A line for each incident that is listed, and one more when it is over."""
        from bench.core.clock import utc_text
        from bench.core.units import format_duration_ns

        lines = set()
        for one in self.journal.story.all_incidents():
            lines.add(f"incident: nothing of {one.workload} succeeded from {utc_text(one.begin_ns)} on")
            if one.stable_ns is not None:
                length = format_duration_ns(one.stable_ns - one.begin_ns)
                lines.add(
                    f"incident: {one.workload} was stable again at {utc_text(one.stable_ns)}, after {length}"
                )
        return lines

    def _save_page(self) -> None:
        from bench.report.watch import save

        save(
            _summary(self.journal, self.ledger),
            self.folder,
            refresh_s=max(self.segment_ns // NS_PER_S, 5),
        )


def _wall_ns() -> int:
    from bench.core.clock import WallLabel

    return WallLabel.read().wall_ns


def _wall_label() -> str:
    from bench.core.clock import utc_text

    return utc_text(_wall_ns())


def _summary(journal: Journal, ledger: Ledger) -> SummaryRecord:
    from bench.watch.summary import Known, summary_of

    known = Known(journal.head.scenario, journal.head.begun_utc, journal.rows, journal.story)
    return summary_of(known, ledger, _wall_ns())


def _reported(journal: Journal, ledger: Ledger, folder: Path, as_json: bool) -> ExitCode:
    from bench.report.render.text import is_colourful
    from bench.report.watch import render_text
    from bench.results.layout import as_json as json_text
    from bench.watch.journal import PAGE

    summary = _summary(journal, ledger)
    stream = sys.stderr if as_json else sys.stdout
    text = render_text(summary, folder, stream.isatty() and is_colourful())
    say(f"{text}\n{folder / PAGE}", to=stream)
    if as_json:
        say(json_text(summary.model_dump()), newline=False)
    return summary.exit_code
