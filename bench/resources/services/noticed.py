"""What a reader of a service notices beside its figures: stalls, waits and what was behind them."""

import re
from dataclasses import dataclass

from bench.core.clock import monotonic_ns
from bench.core.sanitize import one_line
from bench.results.logs import LEFT_OUT, ActivityRecord

MOST_KEPT = 200
"""Between two samples: a service has no more to say that would change the picture."""
LONGEST_TEXT = 120

_COMMENTS = re.compile(r"--[^\n]*|/\*.*?(?:\*/|$)", re.DOTALL)
_LITERALS = re.compile(
    r"""\$(?P<tag>[A-Za-z_]\w*|)\$.*?(?:\$(?P=tag)\$|$)  # $tag$ ... $tag$
    | (?<!\w)[eE]'(?:[^'\\]|''|\\.)*(?:'|$)              # E'\''
    | (?:(?<!\w)[bBxXnN])?'(?:[^']|'')*(?:'|$)          # 'it''s', and one that was cut short
    | (?<![\w$"])[+-]?\d[\w.]*                           # 42, 1.5e3, 0x1F, but neither t1 nor $1
    """,
    re.DOTALL | re.VERBOSE,
)


def outline(statement: str) -> str:
    """A statement without its literals and comments, on one line of at most LONGEST_TEXT characters."""
    if "\\'" in statement:  # where such a literal ends is a setting of the server
        statement = f"{statement.partition(chr(39))[0]}'"
    without = _LITERALS.sub("?", _COMMENTS.sub(" ", statement))
    words = " ".join(one_line(without).split())
    return words if len(words) <= LONGEST_TEXT else f"{words[: LONGEST_TEXT - 1]}…"


@dataclass(frozen=True)
class Noticed:
    """Something that a service reported; times on CLOCK_MONOTONIC."""

    since_ns: int
    at_ns: int
    kind: str
    text: str = ""
    count: int = 1
    took_ns: int | None = None
    share: float | None = None

    def record(self, target: str, start_ns: int) -> ActivityRecord | None:
        """On the clock of a run that began at `start_ns`; None for what was over before."""
        if self.at_ns < start_ns:
            return None
        return ActivityRecord(
            at_ns=self.at_ns - start_ns,
            since_ns=max(self.since_ns - start_ns, 0),
            target=target,
            kind=self.kind,
            text=self.text,
            count=self.count,
            took_ns=self.took_ns,
            share=None if self.share is None else round(self.share, 4),
        )


class Notices:
    """Kept by the thread that asks, taken by the thread that writes."""

    def __init__(self) -> None:
        self._kept: list[Noticed] = []
        self._left_out: set[str] = set()

    def add(self, noticed: Noticed) -> None:
        """Keep it, unless there is too much already."""
        if len(self._kept) < MOST_KEPT:
            self._kept.append(noticed)

    def leave_out(self, what: str, because: object) -> None:
        """Report once that something cannot be asked."""
        if what not in self._left_out:
            self._left_out.add(what)
            now = monotonic_ns()
            self.add(Noticed(now, now, LEFT_OUT, one_line(f"{what}: {because}")[:LONGEST_TEXT]))

    def is_left_out(self, what: str) -> bool:
        """Whether it is of no use to ask again."""
        return what in self._left_out

    def take(self) -> list[Noticed]:
        """All that was kept since the last time."""
        taken, self._kept = self._kept, []
        return taken
