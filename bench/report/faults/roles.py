"""Who was the primary of a target when, by the servers' own words, and who took over after which fault."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.core import units
from bench.judge.faults.times import effective_ns, first_failure_ns, took_effect
from bench.registry import PRIMARY
from bench.report.document import Section, Table, columns
from bench.results.reader import Run

PRIMARIES = columns("Primary:24 | process:22 | #from:12 | #until:12")


@dataclass(frozen=True)
class PrimarySpan:
    """A time in which a server said that it is the primary; ns from run zero. None: to the end."""

    target: str
    process: str
    from_ns: int
    until_ns: int | None


def primaries(run: Run) -> list[PrimarySpan]:
    """In the order of time. Two that overlap both thought that they are the one."""
    spans: list[PrimarySpan] = []
    since: dict[tuple[str, str], int] = {}
    for change in run.record.roles:
        server = (change.target, change.process)
        if change.role == PRIMARY:
            since.setdefault(server, change.at_ns)
        elif server in since:
            spans.append(PrimarySpan(*server, since.pop(server), change.at_ns))
    spans += [PrimarySpan(*server, from_ns, None) for server, from_ns in since.items()]
    return sorted(spans, key=lambda span: span.from_ns)


def roles_section(run: Run) -> Section:
    """Empty for a run without targets of several servers."""
    spans = primaries(run)
    if not spans:
        return Section("", ())
    rows = [
        (
            span.target,
            span.process,
            units.format_duration_ns(span.from_ns),
            "the end" if span.until_ns is None else units.format_duration_ns(span.until_ns),
        )
        for span in spans
    ]
    return Section(
        "",
        (
            Table("", PRIMARIES, tuple(rows)),
            *promoted(run),
            *_both(spans, run.record.duration_ns),
            *behind(run),
        ),
    )


def _both(spans: list[PrimarySpan], end_ns: int) -> Iterator[str]:
    """A sentence for each time in which two servers of a target said to be its primary."""
    for number, one in enumerate(spans):
        for other in spans[number + 1 :]:
            until_ns = min(end_ns if each.until_ns is None else each.until_ns for each in (one, other))
            if other.target == one.target and other.process != one.process and other.from_ns < until_ns:
                length = units.format_duration_ns(until_ns - other.from_ns)
                yield f"{one.process} and {other.process} both said to be the primary for {length}."


def behind(run: Run) -> Iterator[str]:
    """A sentence for each standby that a primary was asked about."""
    for one in run.record.replication:
        words = (
            f"{one.process} was behind by {units.format_duration_ns(one.lag_max_ns)}"
            f" and {units.format_bytes(one.backlog_max_bytes)} at most"
        )
        if one.silent:
            share = f"{one.silent / one.samples:.0%}"
            words += f"; its primary did not stream to it in {share} of the looks, and it may have had more"
        yield f"{words}."


def promoted(run: Run) -> Iterator[str]:
    """A sentence for each fault that hit a primary."""
    faults = {fault.number: fault for fault in took_effect(run)}
    for entry in run.record.promotions:
        if entry.fault not in faults:
            continue
        if entry.process is None or entry.at_ns is None:
            yield f"Fault {entry.fault}: nobody took over from {entry.before} while it was watched."
            continue
        failure_ns = first_failure_ns(run, entry.fault)
        since_ns = effective_ns(faults[entry.fault]) if failure_ns is None else failure_ns
        after = units.format_duration_ns(max(0, entry.at_ns - since_ns))
        from_what = "the fault" if failure_ns is None else "the first failure"
        yield f"Fault {entry.fault}: {entry.process} took over from {entry.before} {after} after {from_what}."
