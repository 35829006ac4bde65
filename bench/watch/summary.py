"""What a watch has to say at a time: objectives, incidents, gaps, and the last hour. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from bench.core.clock import utc_text
from bench.core.errors import ExitCode
from bench.core.histogram import percentiles_ns
from bench.core.units import NS
from bench.results.model import Number, Record, Whole
from bench.watch.history import UNKNOWN, GapRecord, IncidentRecord, RowRecord, StoryRecord
from bench.watch.objectives import BROKEN, HOLDS, Ledger, StandingRecord, within
from bench.watch.rollup import merged

PERCENTS = (50.0, 95.0, 99.0)
RECENT_NS = NS["h"]
DAYS_SHOWN = 30


class RecentRecord(Record):
    """The last hour of one workload; None of its times where none was measured."""

    workload: str
    planned: Whole
    ok: Whole
    p50_ns: Whole | None = None
    p95_ns: Whole | None = None
    p99_ns: Whole | None = None


class DayRecord(Record):
    """One day, in UTC; availability None where nothing was planned."""

    day: str
    planned: Whole
    ok: Whole
    availability: Number | None
    watched_ns: Whole


class SummaryRecord(Record):
    """The state of a watch, as `--json` prints it; times are UTC, in ns where their names say so."""

    scenario: str
    begun_utc: str
    until_utc: str
    until_ns: Whole
    segments: Whole
    planned: Whole
    ok: Whole
    watched_ns: Whole
    unwatched_ns: Whole
    objectives: list[StandingRecord]
    incidents: list[IncidentRecord] = Field(default_factory=list)
    earlier_incidents: Whole = 0
    """That are not listed any more, and their length in all."""
    earlier_ns: Whole = 0
    gaps: list[GapRecord] = Field(default_factory=list)
    recent: list[RecentRecord] = Field(default_factory=list)
    days: list[DayRecord] = Field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """1 where an objective is broken, 0 where all are known to hold, else 5."""
        states = {one.state for one in self.objectives}
        if BROKEN in states:
            return ExitCode.SLA_FAILED
        return ExitCode.OK if states == {HOLDS} else ExitCode.UNKNOWN


@dataclass(frozen=True)
class Known:
    """What a summary is made of."""

    scenario: str
    begun_utc: str
    rows: Sequence[RowRecord]
    story: StoryRecord


def summary_of(known: Known, ledger: Ledger, now_ns: int) -> SummaryRecord:
    """The state at a time, UTC in ns; what was counted until then is all that there is."""
    story = known.story
    counted = [one for row in known.rows if row.kind != UNKNOWN for one in row.workloads.values()]
    until_ns = story.until_ns or now_ns
    return SummaryRecord(
        scenario=known.scenario,
        begun_utc=known.begun_utc,
        until_utc=utc_text(until_ns),
        until_ns=until_ns,
        segments=story.upto,
        planned=sum(one.planned for one in counted),
        ok=sum(one.ok for one in counted),
        watched_ns=sum(row.watched_ns for row in known.rows),
        unwatched_ns=story.unwatched_ns,
        objectives=ledger.standings(known.rows, story.begun_ns, now_ns),
        incidents=story.all_incidents(),
        earlier_incidents=story.earlier,
        earlier_ns=story.earlier_ns,
        gaps=list(reversed(story.gaps)),
        recent=_recent(within(known.rows, now_ns - RECENT_NS)),
        days=_days(known.rows),
    )


def _recent(rows: Sequence[RowRecord]) -> list[RecentRecord]:
    found = []
    for name in dict.fromkeys(name for row in rows for name in row.workloads):
        own = [row.workloads[name] for row in rows if name in row.workloads]
        counts = merged(one.response for one in own)
        times: Sequence[int | None] = (
            percentiles_ns(counts, PERCENTS) if counts.any() else [None] * len(PERCENTS)
        )
        found.append(
            RecentRecord(
                workload=name,
                planned=sum(one.planned for one in own),
                ok=sum(one.ok for one in own),
                p50_ns=times[0],
                p95_ns=times[1],
                p99_ns=times[2],
            )
        )
    return found


def _days(rows: Sequence[RowRecord]) -> list[DayRecord]:
    """The latest days, the newest first; a row belongs to the day in which it began."""
    days: dict[int, list[RowRecord]] = {}
    for row in rows:
        days.setdefault(row.from_ns // NS["d"], []).append(row)
    found = []
    for day in sorted(days, reverse=True)[:DAYS_SHOWN]:
        own = [one for row in days[day] for one in row.workloads.values()]
        planned, ok = sum(one.planned for one in own), sum(one.ok for one in own)
        found.append(
            DayRecord(
                day=utc_text(day * NS["d"])[:10],
                planned=planned,
                ok=ok,
                availability=ok / planned if planned else None,
                watched_ns=sum(row.watched_ns for row in days[day]),
            )
        )
    return found
