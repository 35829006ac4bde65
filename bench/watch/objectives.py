"""Objectives over days, the budget of errors that each allows, and how fast it burns. Pure.

An objective is a rule with a window: availability(window=30d) >= 99.9%, cache.response.p99(window=7d) < 50ms.
Each is a share of arrivals that may be bad: lost ones, or those that took longer. The budget is that share
of the arrivals that were planned in the window; the burn rate is the share that was bad, of the share
allowed: at 1 the budget lasts exactly for the window.

Alerts use two windows each: the long one shows that it matters, the short one that it still goes on. The
pairs and their thresholds are those that Google's Site Reliability Workbook recommends for 30 days (chapter
5, "Alerting on SLOs", multiwindow, multi-burn-rate): 14.4 is 2 % of the budget in an hour, 6 is 5 % in 6 h.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from bench.core import histogram
from bench.core.errors import UsageError
from bench.core.units import NS, format_duration_ns, format_ratio, quoted
from bench.results.logs import decode
from bench.results.model import Number, Record, Whole
from bench.scenario.rules.grammar import Rule, RuleError, parse_rule
from bench.scenario.rules.metric_facts import RULE_OF_THREE
from bench.watch.history import UNKNOWN, RowRecord, TallyRecord

USUAL_WINDOW_NS = 30 * NS["d"]
LEAST_WINDOW_NS = NS["h"]
"""A shorter window of a scenario's rule is about one run."""
LEAST_WATCHED = 0.9
"""Of the time: with less of it nothing is said to hold."""
BURNS = ((NS["h"], 5 * NS["min"], 14.4), (6 * NS["h"], 30 * NS["min"], 6.0))
"""Long window, short window, and the rate that both must exceed for an alert."""

HOLDS, BROKEN, OPEN = "holds", "broken", "cannot tell"
_FORM = "availability(window=30d) >= 99.9% or cache.response.p99(window=7d) < 50ms"
_BELOW, _ABOVE = ("<", "<="), (">", ">=")


@dataclass(frozen=True)
class Objective:
    """One rule over a window, as the share of arrivals that may be bad."""

    rule: Rule
    window_ns: int

    @property
    def text(self) -> str:
        """With its window, whoever left it out."""
        if "window" in self.rule.metric.arguments:
            return str(self.rule)
        window = format_duration_ns(self.window_ns).replace(" ", "")
        if self.window_ns % NS["d"] == 0:
            window = f"{self.window_ns // NS['d']}d"
        return f"{self.rule.metric}(window={window}) {self.rule.written.bound}"

    @property
    def workload(self) -> str | None:
        """The one that it is about; None for all."""
        return self.rule.metric.workload

    @property
    def allowed(self) -> float:
        """The share of arrivals that may be bad."""
        percent = self.rule.metric.percent
        if percent is not None:
            return 1 - percent / 100
        return self.rule.limit if self.rule.metric.name == "errors" else 1 - self.rule.limit

    def bad_in(self, tally: TallyRecord) -> int:
        """How many arrivals of these were bad."""
        if self.rule.metric.percent is None:
            return tally.planned - tally.ok
        if tally.response is None:
            return tally.planned  # none was answered, and none has a time
        limit = histogram.bucket_of(min(int(self.rule.limit), histogram.HIGHEST_NS))
        # Those that could not even be sent have no time, and are bad.
        return max(tally.planned - int(decode(tally.response)[: limit + 1].sum()), 0)


class BurnRecord(Record):
    """How fast a budget is spent, over a long and a short window; None: nothing was planned in it."""

    long_ns: Whole
    short_ns: Whole
    threshold: Number
    long_rate: Number | None
    short_rate: Number | None

    @property
    def is_alert(self) -> bool:
        """Whether both are above the threshold."""
        rates = (self.long_rate, self.short_rate)
        return all(rate is not None and rate > self.threshold for rate in rates)


class StandingRecord(Record):
    """How an objective stands."""

    objective: str
    window_ns: Whole
    allowed: Number
    planned: Whole
    bad: Whole
    share: Number | None
    """Of the arrivals planned in the window that were good; None without any."""
    budget_left: Number | None
    """Of the bad arrivals that those planned allow; below 0 when it is spent."""
    watched: Number
    """Of the window as far as the watch reaches back."""
    burns: list[BurnRecord]
    state: str
    because: str

    @property
    def is_alert(self) -> bool:
        """Whether its budget burns too fast."""
        return any(burn.is_alert for burn in self.burns)


def objectives_of(texts: Sequence[str], rules: Sequence[Rule], workloads: Sequence[str]) -> list[Objective]:
    """Those of the command line, or else those that the scenario's rules make. Raises UsageError."""
    if texts:
        return [_asked(text, workloads) for text in texts]
    found = [_of_a_rule(rule) for rule in rules if _problem(rule) is None]
    # availability(incidents=1) and its like may become the same objective as another rule.
    unique = list({one.text: one for one in found}.values())
    if not unique:
        raise UsageError(
            "watch: expected a rule of the scenario about availability, errors or a percentile of response "
            f'times, found none; name an objective, such as --objective "{_FORM.partition(" or ")[0]}"'
        )
    return unique


def _asked(text: str, workloads: Sequence[str]) -> Objective:
    try:
        rule = parse_rule(text)
    except RuleError as error:
        raise UsageError(f"--objective: {error}; {error.advice}") from None
    problem = _problem(rule)
    if problem is not None:
        raise UsageError(f"--objective: expected {problem}, found {quoted(text)}; write it as {_FORM}")
    if rule.metric.workload not in (None, *workloads):
        named = ", ".join(workloads)
        raise UsageError(
            f"--objective: expected one of the workloads {named}, found {quoted(text)}; correct it"
        )
    window_ns = int(rule.metric.arguments.get("window", USUAL_WINDOW_NS))
    return Objective(rule, window_ns)


def _of_a_rule(rule: Rule) -> Objective:
    """A rule of a scenario is about a run: a window that is short is not the one to watch."""
    window_ns = int(rule.metric.arguments.get("window", 0))
    if window_ns >= LEAST_WINDOW_NS and "incidents" not in rule.metric.arguments:
        return Objective(rule, window_ns)
    metric = replace(rule.metric, arguments={})
    return Objective(replace(rule, metric=metric), max(window_ns, USUAL_WINDOW_NS))


def _problem(rule: Rule) -> str | None:
    """What is expected of an objective that a rule does not have."""
    metric = rule.metric
    if metric.operation is not None:
        return "an objective of a workload or of all of them"
    if rule.sustained_ns is not None:
        return "a window instead of a duration"
    if metric.name == "availability" and metric.stat is None:
        return None if rule.op in _ABOVE and 0 < rule.limit < 1 else "a least availability below 100 %"
    if metric.name == "errors" and metric.stat is None:
        return None if rule.op in _BELOW and 0 < rule.limit < 1 else "a limit of errors above 0 %"
    if metric.name == "response" and metric.percent is not None:
        return None if rule.op in _BELOW and rule.unit == "ns" else "a longest response time"
    return "availability, errors, or a percentile of response"


@dataclass
class Ledger:
    """What was bad in each row, by objective: a row is read once."""

    objectives: Sequence[Objective]
    _known: dict[tuple[int, int, int], tuple[int, int]] = field(default_factory=dict)

    def standings(self, rows: Sequence[RowRecord], begun_ns: int | None, now_ns: int) -> list[StandingRecord]:
        """How each objective stands at a time. begun_ns: when the watch began."""
        used = {(row.first, row.last) for row in rows}
        self._known = {key: value for key, value in self._known.items() if key[:2] in used}
        return [self._standing(number, rows, begun_ns, now_ns) for number in range(len(self.objectives))]

    def _standing(
        self, number: int, rows: Sequence[RowRecord], begun_ns: int | None, now_ns: int
    ) -> StandingRecord:
        objective = self.objectives[number]
        inside = within(rows, now_ns - objective.window_ns)
        planned, bad = self._sums(number, inside)
        since_ns = max(now_ns - objective.window_ns, now_ns if begun_ns is None else begun_ns)
        watched = min(sum(row.watched_ns for row in inside) / max(now_ns - since_ns, 1), 1.0)
        burns = []
        for long_ns, short_ns, threshold in BURNS:
            rates = [
                self._rate(number, within(rows, now_ns - window_ns)) for window_ns in (long_ns, short_ns)
            ]
            burns.append(
                BurnRecord(
                    long_ns=long_ns,
                    short_ns=short_ns,
                    threshold=threshold,
                    long_rate=rates[0],
                    short_rate=rates[1],
                )
            )
        state, because = _state(objective, planned, bad, watched)
        return StandingRecord(
            objective=objective.text,
            window_ns=objective.window_ns,
            allowed=objective.allowed,
            planned=planned,
            bad=bad,
            share=1 - bad / planned if planned else None,
            budget_left=1 - bad / (planned * objective.allowed) if planned else None,
            watched=watched,
            burns=burns,
            state=state,
            because=because,
        )

    def _rate(self, number: int, rows: Iterable[RowRecord]) -> float | None:
        planned, bad = self._sums(number, rows)
        return bad / planned / self.objectives[number].allowed if planned else None

    def _sums(self, number: int, rows: Iterable[RowRecord]) -> tuple[int, int]:
        planned = bad = 0
        for row in rows:
            key = (row.first, row.last, number)
            if key not in self._known:
                self._known[key] = self._counted(self.objectives[number], row)
            planned += self._known[key][0]
            bad += self._known[key][1]
        return planned, bad

    @staticmethod
    def _counted(objective: Objective, row: RowRecord) -> tuple[int, int]:
        """Planned and bad arrivals of a row."""
        if row.kind == UNKNOWN:
            return 0, 0
        own = [one for name, one in row.workloads.items() if objective.workload in (None, name)]
        return sum(one.planned for one in own), sum(objective.bad_in(one) for one in own)


def within(rows: Sequence[RowRecord], since_ns: int) -> list[RowRecord]:
    """The rows whose middle is not before a time: one that was rolled up counts whole or not at all."""
    return [row for row in rows if (row.from_ns + row.until_ns) // 2 >= since_ns]


def _state(objective: Objective, planned: int, bad: int, watched: float) -> tuple[str, str]:
    """holds, broken or cannot tell, and why."""
    if not planned:
        return OPEN, "nothing was planned in its window"
    spent = f"{bad} of {planned} arrivals were bad, {format_ratio(objective.allowed)} may be"
    if bad > planned * objective.allowed:
        return BROKEN, spent
    if planned < RULE_OF_THREE / objective.allowed:
        least = round(RULE_OF_THREE / objective.allowed)
        return OPEN, f"{planned} arrivals are too few to show it: {least} are needed"
    if watched < LEAST_WATCHED:
        return OPEN, f"only {format_ratio(watched)} of the time was watched"
    return HOLDS, spent
