"""activity.jsonl: what services did meanwhile that may have made requests wait, one JSON object a line.

It is what servers report about themselves: no key, no value, and no literal of a statement.
"""

from bench.core.sanitize import all_visible
from bench.results.model import Number, Record, Whole

SLOW_COMMAND, SLOW_STATEMENT = "slow_command", "slow_statement"
BUSY_COMMAND, BUSY_STATEMENT = "busy_command", "busy_statement"
FORK, SNAPSHOT, LATENCY_EVENT = "fork", "snapshot", "latency_event"
LOCK_WAIT, WAIT, CHECKPOINT = "lock_wait", "wait", "checkpoint"
GC_PAUSE = "gc_pause"
UNKNOWN_HOLDER = "holder unknown"
"""Of a lock that was free again when it was asked who held it."""
LEFT_OUT = "left_out"
"""What could not be asked, and why: reported once."""

MOST_LINES = 20_000
"""Of one run; later ones are left out."""


class ActivityRecord(Record):
    """One thing that a service did or suffered; times in ns from run zero."""

    at_ns: Whole
    """When it was reported: it had happened, or was under way."""
    since_ns: Whole
    """The earliest that it can have begun."""
    target: str
    kind: str
    text: str = ""
    """What or who: a command's name, a statement without its literals."""
    count: Whole = 1
    """How many of them: commands, waiting sessions, pauses."""
    took_ns: Whole | None = None
    """The longest of them, or how long it has lasted."""
    share: Number | None = None
    """Of the time between two looks that it took."""

    @classmethod
    def read(cls, value: object) -> "ActivityRecord":
        """As `Record.read`, with every text that others wrote made visible."""
        return super().read(all_visible(value))
