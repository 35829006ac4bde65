"""The words for a cause: what it was, what to do about it, and all of an explanation in one paragraph."""

from bench.core import units
from bench.core.units import counted, spaced
from bench.explain.events import CauseKind
from bench.explain.explanation import Cause, Explanation

NAMES = {
    CauseKind.FAULT: "fault",
    CauseKind.LOCK_WAIT: "lock waits",
    CauseKind.GARBAGE_COLLECTION: "garbage collection",
    CauseKind.SNAPSHOT: "fork for a snapshot",
    CauseKind.CHECKPOINT: "checkpoint",
    CauseKind.OPERATION: "one operation",
    CauseKind.OTHER_PROCESSES: "other processes",
    CauseKind.SLOW_COMMAND: "slow command",
    CauseKind.SLOW_STATEMENT: "slow statement",
    CauseKind.LATENCY_EVENT: "latency event",
    CauseKind.GENERATOR: "generator lateness",
    CauseKind.TARGET_CPU: "CPU full",
    CauseKind.WAIT: "wait",
    CauseKind.LANES: "too few lanes",
}
"""In a table."""
SENTENCES = {
    CauseKind.FAULT: "the fault {text} on {subject} was in force",
    CauseKind.LOCK_WAIT: "sessions of {subject} waited for a lock that another held ({text})",
    CauseKind.GARBAGE_COLLECTION: "the collector of garbage stopped {subject}",
    CauseKind.SNAPSHOT: "{subject} forked, for a snapshot or to rewrite its append-only file",
    CauseKind.CHECKPOINT: "{subject} wrote a checkpoint ({text})",
    CauseKind.OTHER_PROCESSES: "other processes had the processor: {text}",
    CauseKind.OPERATION: "the operation {subject} took that long, or held up what stood behind it",
    CauseKind.SLOW_COMMAND: "{subject} was busy with a slow command, {text}",
    CauseKind.SLOW_STATEMENT: "{subject} was busy with a long statement: {text}",
    CauseKind.LATENCY_EVENT: "{subject} reported the latency event {text}",
    CauseKind.GENERATOR: "the generator itself was late; the target was not",
    CauseKind.TARGET_CPU: "{subject} had no processor time to spare",
    CauseKind.WAIT: "sessions of {subject} waited ({text})",
    CauseKind.LANES: "no lane of {subject} was free, while answers came quickly",
}
ADVICE = {
    CauseKind.FAULT: "this is what the fault does; judge it by rules about recovery",
    CauseKind.LOCK_WAIT: "shorten that transaction or let it lock less; log_lock_waits = on logs each one",
    CauseKind.GARBAGE_COLLECTION: "keep fewer objects, freeze those that stay, or tune the collector",
    CauseKind.SNAPSHOT: "let a replica make snapshots, or make them at quiet times; less memory forks faster",
    CauseKind.CHECKPOINT: "spread checkpoints: raise max_wal_size and checkpoint_completion_target",
    CauseKind.OTHER_PROCESSES: "free the machine of other work, or measure on another one",
    CauseKind.OPERATION: "make it cheaper, or send it to another server or through lanes of its own",
    CauseKind.SLOW_COMMAND: "SLOWLOG GET names the client that sends it: use a cheaper one there",
    CauseKind.SLOW_STATEMENT: "look at its plan (EXPLAIN ANALYZE)",
    CauseKind.LATENCY_EVENT: "LATENCY DOCTOR of the server explains it",
    CauseKind.GENERATOR: "lower the rate, add threads, or measure from another machine",
    CauseKind.TARGET_CPU: "give it more processors, or less to do",
    CauseKind.WAIT: "look up the wait event in the server's documentation",
    CauseKind.LANES: "add lanes, or find out why an answer takes as long as it does",
}
NEVER = "nothing that the run kept explains it"


def sentence(cause: Cause) -> str:
    """What it was, without its share."""
    text = cause.text or "unknown"
    said = SENTENCES[cause.kind].format(subject=cause.subject, text=text)
    figures = []
    if cause.times > 1:
        figures.append(f"seen {spaced(cause.times)} times")
    if cause.longest_ns:
        figures.append(f"the longest {units.format_duration_ns(cause.longest_ns)}")
    return f"{said}; {', '.join(figures)}" if figures else said


def advice(cause: Cause) -> str:
    """What to do about it."""
    return ADVICE[cause.kind]


def chance(cause: Cause) -> str:
    """How likely it is a coincidence; a dash where it was measured arrival by arrival."""
    if cause.p is None:
        return "-"
    return "< 1 %" if cause.p < 0.01 else f"{cause.p * 100:.0f} %"


def share(cause: Cause) -> str:
    """Of the tail."""
    return f"{cause.share * 100:.0f} %"


def paragraph(found: Explanation) -> str:
    """All of it in a few sentences."""
    limits = ", ".join(
        f"{units.format_duration_ns(limit.ns)} of {limit.workload} ({limit.source})" for limit in found.limits
    )
    if not found.arrivals:
        return "No arrival was measured: there is nothing to explain."
    slow = units.format_ratio(found.beyond / found.arrivals)
    tail = f"{spaced(found.beyond)} of {spaced(found.arrivals)} arrivals ({slow}) took longer than {limits}"
    if not found.has_tail:
        return f"{tail}: no tail that needs an explanation."
    if not found.causes:
        return f"{tail}; {NEVER}."
    parts = [f"{share(cause)} because {sentence(cause)}" for cause in found.causes]
    listed = ". ".join(part[0].upper() + part[1:] for part in parts)
    rest = f" {found.unexplained * 100:.0f} %: {NEVER}." if found.unexplained >= 0.01 else ""
    return f"{tail}. {listed}.{rest}"


def basis(found: Explanation) -> str:
    """What it was found from, and how finely."""
    length = units.format_duration_ns(found.window_ns)
    return (
        f"In {counted(found.windows, 'window')} of {length}. Share: of the tail, each arrival once. "
        "Chance: how often events as frequent fit as well when they are shifted against the tail; "
        "a dash for what was measured arrival by arrival."
    )
