"""The history of a watch, pure: rows of counts, and the incidents and gaps that follow from them.

A row holds a whole number of segments, so any rows that hold the same segments have the same sums. Incidents
are found row by row, in a state that is small and can be written down; how a history is cut into
segments makes no difference to them. Times are UTC in ns: a watch outlives the machine's own clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pydantic import Field

from bench.core.clock import NS_PER_S
from bench.results.model import Record, Whole

STABLE_NS = 10 * NS_PER_S
"""So long without a failure, and an incident is over."""
LEAST_FAILED = 3
"""So many arrivals in a row must fail, with no success among them, to be an incident."""
MOST_INCIDENTS, MOST_GAPS = 200, 50
"""Listed one by one; of earlier ones their number and length remain."""
LEAST_GAP_NS = 10 * NS_PER_S
"""Shorter ones lie between any two segments and are only summed up."""

WATCHED, UNREACHABLE, UNKNOWN = "watched", "unreachable", "unknown"
"""Kinds of rows: a segment; a target to which no segment could connect; a segment that says nothing of it."""


class TallyRecord(Record):
    """The arrivals of one workload."""

    planned: Whole = 0
    ok: Whole = 0
    response: str | None = None
    """Their response times without the generator's own lateness, lost ones as their deadline at least: an
    HdrHistogram of version 2.
    """


class HarmRecord(Record):
    """A stretch of windows in which some arrivals failed; or all of them, or none was answered yet."""

    workload: str
    from_ns: Whole
    until_ns: Whole
    planned: Whole
    ok: Whole
    failed: Whole

    @property
    def is_down(self) -> bool:
        """Whether nothing succeeded."""
        return self.ok == 0


class RowRecord(Record):
    """The segments from one number to another, as a rule a single one."""

    first: Whole
    last: Whole
    from_ns: Whole
    until_ns: Whole
    kind: str = WATCHED
    because: str | None = None
    """Why it could not connect, or says nothing."""
    run: str | None = None
    workloads: dict[str, TallyRecord] = Field(default_factory=dict)
    watched_ns: Whole = 0
    """Of its time; what is missing was not watched."""
    harm: list[HarmRecord] = Field(default_factory=list)


class IncidentRecord(Record):
    """A time in which nothing of a workload succeeded, up to where it was stable again."""

    workload: str
    begin_ns: Whole
    first_success_ns: Whole | None = None
    stable_ns: Whole | None = None
    """The last harm; known when nothing has failed for so long as `STABLE_NS` after it."""
    failed: Whole = 0
    unwatched_ns: Whole = 0
    """Of its length: nobody looked then."""
    runs: list[str] = Field(default_factory=list)
    """Of the segments in which it was seen; the first few."""

    @property
    def is_over(self) -> bool:
        """Whether it was stable again."""
        return self.stable_ns is not None

    def length_ns(self, now_ns: int) -> int:
        """From its begin until it was stable, or until now."""
        return (self.stable_ns if self.stable_ns is not None else now_ns) - self.begin_ns


class CourseRecord(Record):
    """Harm that is not over: of one workload, perhaps an incident."""

    last_harm_ns: Whole
    down_from_ns: Whole | None = None
    """Since when nothing succeeds; None: something did."""
    down_failed: Whole = 0
    failed: Whole = 0
    """All of it since the incident began, or the harm."""
    unwatched_ns: Whole = 0
    incident: IncidentRecord | None = None


class GapRecord(Record):
    """A time that was not watched."""

    from_ns: Whole
    until_ns: Whole
    because: str


class StoryRecord(Record):
    """What happened up to a segment, as far as it is not in the counts."""

    upto: Whole = 0
    """The last segment that is in here; they are numbered from 1."""
    begun_ns: Whole | None = None
    until_ns: Whole | None = None
    incidents: list[IncidentRecord] = Field(default_factory=list)
    earlier: Whole = 0
    """Incidents that are not listed any more, and how long they lasted."""
    earlier_ns: Whole = 0
    courses: dict[str, CourseRecord] = Field(default_factory=dict)
    gaps: list[GapRecord] = Field(default_factory=list)
    unwatched_ns: Whole = 0
    """In all, gaps between segments included."""

    def all_incidents(self) -> list[IncidentRecord]:
        """The listed ones and those under way, the latest first."""
        open_now = [one.incident for one in self.courses.values() if one.incident is not None]
        return sorted([*self.incidents, *open_now], key=lambda one: -one.begin_ns)


@dataclass(frozen=True)
class Slot:
    """One window of one workload; counts of what was planned and of what ended in it."""

    from_ns: int
    until_ns: int
    planned: int
    ok: int
    failed: int


def harm_in(workload: str, slots: Sequence[Slot]) -> list[HarmRecord]:
    """The stretches of windows in a row that some arrivals failed in, or none succeeded though some were due.

    A window in which nothing was due and nothing ended belongs to what was before it; at the begin, where
    that is not known, it has a stretch without any count.
    """
    found: list[HarmRecord] = []
    after_success = False
    for slot in slots:
        is_idle = not (slot.planned or slot.ok or slot.failed)
        if is_idle and after_success:
            continue
        if slot.ok and not slot.failed:
            after_success = True
            continue
        # With some of each it is not known which came last: the windows after it are taken for well.
        after_success = slot.ok > 0
        last = found[-1] if found else None
        joins = last is not None and last.until_ns == slot.from_ns and last.is_down == (slot.ok == 0)
        if last is not None and joins and not (_is_blank(last) and not is_idle):
            found[-1] = last.model_copy(
                update={
                    "until_ns": slot.until_ns,
                    "planned": last.planned + slot.planned,
                    "ok": last.ok + slot.ok,
                    "failed": last.failed + slot.failed,
                }
            )
            continue
        found.append(
            HarmRecord(
                workload=workload,
                from_ns=slot.from_ns,
                until_ns=slot.until_ns,
                planned=slot.planned,
                ok=slot.ok,
                failed=slot.failed,
            )
        )
    return found


def _is_blank(harm: HarmRecord) -> bool:
    return not (harm.planned or harm.ok or harm.failed)


def after(story: StoryRecord, row: RowRecord) -> StoryRecord:
    """The story with one more row, which follows all that is in it."""
    update: dict[str, object] = {"upto": row.last, "until_ns": row.until_ns}
    gap_ns = 0
    gaps = list(story.gaps)
    if story.until_ns is None:
        update["begun_ns"] = row.from_ns
    elif (gap_ns := max(row.from_ns - story.until_ns, 0)) >= LEAST_GAP_NS:
        gaps.append(GapRecord(from_ns=story.until_ns, until_ns=row.from_ns, because="nobody watched"))
    unwatched_ns = story.unwatched_ns + gap_ns
    if row.kind == UNKNOWN:
        unwatched_ns += row.until_ns - row.from_ns
        gaps.append(
            GapRecord(from_ns=row.from_ns, until_ns=row.until_ns, because=row.because or "nothing is known")
        )
    courses, ended = {}, []
    for workload in {**story.courses, **row.workloads}:
        own = [one for one in row.harm if one.workload == workload]
        was_asked = row.kind != UNKNOWN and workload in row.workloads
        course, closed = (_course if was_asked else _unasked)(story.courses.get(workload), own, row, gap_ns)
        ended += closed
        if course is not None:
            courses[workload] = course
    listed = sorted([*story.incidents, *ended], key=lambda one: (one.begin_ns, one.workload))
    forgotten = listed[: max(len(listed) - MOST_INCIDENTS, 0)]
    update |= {
        "incidents": listed[len(forgotten) :],
        "earlier": story.earlier + len(forgotten),
        "earlier_ns": story.earlier_ns + sum(one.length_ns(0) for one in forgotten),
        "courses": courses,
        "gaps": gaps[-MOST_GAPS:],
        "unwatched_ns": unwatched_ns,
    }
    return story.model_copy(update=update)


def told(rows: Iterable[RowRecord], story: StoryRecord | None = None) -> StoryRecord:
    """The story of all rows, after one that has some of them already."""
    story = StoryRecord() if story is None else story
    for row in rows:
        if row.last > story.upto:
            story = after(story, row)
    return story


RUNS_OF_AN_INCIDENT = 3


def _course(
    course: CourseRecord | None, harm: Sequence[HarmRecord], row: RowRecord, gap_ns: int
) -> tuple[CourseRecord | None, list[IncidentRecord]]:
    """What is under way at the end of a row, and the incidents that ended in it."""
    closed: list[IncidentRecord] = []
    if course is not None and course.down_from_ns is not None:
        if harm and harm[0].is_down and harm[0].from_ns <= row.from_ns:
            course = course.model_copy(update={"unwatched_ns": course.unwatched_ns + gap_ns})
        else:
            course = _up(course, row.from_ns)
    for place, one in enumerate(harm):
        is_joined = course is not None and course.down_from_ns is not None
        if course is not None and not is_joined and one.from_ns - course.last_harm_ns >= STABLE_NS:
            closed += _incident(course)
            course = None
        if _is_blank(one) and not is_joined:
            continue
        course = _with(course, one, row)
        goes_on = any(
            other.is_down and other.from_ns <= one.until_ns for other in harm[place + 1 : place + 2]
        )
        if one.is_down and one.until_ns < row.until_ns and not goes_on:
            course = _up(course, one.until_ns)
    if (
        course is not None
        and course.down_from_ns is None
        and (row.until_ns - course.last_harm_ns >= STABLE_NS or not course.failed)
    ):
        closed += _incident(course)
        course = None
    return course, closed


def _unasked(
    course: CourseRecord | None,
    harm: Sequence[HarmRecord],  # noqa: ARG001 - the form of `_course`
    row: RowRecord,
    gap_ns: int,
) -> tuple[CourseRecord | None, list[IncidentRecord]]:
    """A row that shows neither harm nor success: what is under way waits for the next one."""
    if course is not None and course.down_from_ns is not None:
        length_ns = row.until_ns - row.from_ns
        course = course.model_copy(update={"unwatched_ns": course.unwatched_ns + gap_ns + length_ns})
    return course, []


def _with(course: CourseRecord | None, harm: HarmRecord, row: RowRecord) -> CourseRecord:
    """More harm; when enough failed in a row it is an incident."""
    course = course or CourseRecord(last_harm_ns=harm.from_ns)
    if not harm.is_down:
        course = _up(course, harm.from_ns)
    down_from_ns, down_failed = course.down_from_ns, course.down_failed
    if harm.is_down:
        down_from_ns = harm.from_ns if down_from_ns is None else down_from_ns
        down_failed += harm.failed
    incident = course.incident
    if incident is None and down_from_ns is not None and down_failed >= LEAST_FAILED:
        incident = IncidentRecord(workload=harm.workload, begin_ns=down_from_ns)
    if incident is not None and row.run is not None and row.run not in incident.runs:
        incident = incident.model_copy(update={"runs": [*incident.runs, row.run][:RUNS_OF_AN_INCIDENT]})
    if incident is not None:
        failed = down_failed if course.incident is None else incident.failed + harm.failed
        incident = incident.model_copy(update={"failed": failed, "unwatched_ns": course.unwatched_ns})
    # An arrival that was merely answered in the next window is no harm.
    harms = harm.failed or down_failed
    return course.model_copy(
        update={
            "last_harm_ns": harm.until_ns if harms else course.last_harm_ns,
            "down_from_ns": down_from_ns,
            "down_failed": down_failed,
            "failed": course.failed + harm.failed,
            "incident": incident,
        }
    )


def _up(course: CourseRecord, at_ns: int) -> CourseRecord:
    """Something succeeded."""
    if course.down_from_ns is None:
        return course
    incident = course.incident
    if incident is not None and incident.first_success_ns is None:
        incident = incident.model_copy(update={"first_success_ns": at_ns})
    return course.model_copy(update={"down_from_ns": None, "down_failed": 0, "incident": incident})


def _incident(course: CourseRecord) -> list[IncidentRecord]:
    """The incident of a course that is over, if it is one."""
    if course.incident is None:
        return []
    stable_ns = max(course.last_harm_ns, course.incident.first_success_ns or 0)
    return [course.incident.model_copy(update={"stable_ns": stable_ns})]


def is_in_order(rows: Sequence[RowRecord]) -> bool:
    """Whether each row follows the one before it, without a number that is missing or there twice."""
    return all(row.first <= row.last for row in rows) and all(
        one.last + 1 == other.first for one, other in pairwise(rows)
    )
