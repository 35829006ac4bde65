"""The grammar of SLA rules, and its parser.

    rule      = metric op quantity [ "warn" quantity ] [ "for" duration ]
    metric    = name *( "." name ) [ "." stat ]
                [ "(" argument *( "," argument ) ")" ]
    stat      = "p" percent | "mean" | "max"
    percent   = 1*2DIGIT [ "." 1*4DIGIT ]           ; above 0, below 100: p50, p99.9
    op        = "<" | "<=" | ">" | ">=" | "=="
    quantity  = number [ unit ]           ; 10ms, 1000/s, 99.9%, 100MB, 1MB/min, 0
    duration  = number ( "ms" | "s" | "min" | "h" ) ; above 0: 10s
    argument  = name "=" quantity                   ; window=30s, incidents=1
    name      = lower-case letter *( lower-case letter | digit | "_" ) | class
    class     = ( "2" | "3" | "4" | "5" ) "xx"      ; of HTTP statuses: status.5xx

The last name of a metric is what is measured; up to three names before it say where: the workload,
one of its operations, and a step of that; of a resource the source, such as redis, generator or
machine. Without them the metric is that of the run as a whole. The metrics of a family have two names:
recovery.stable, detection.probe, status.5xx. With "for" a rule is sustained: it is broken only by so long a
time in a row of which every window breaks it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.core.answers import STATUS_CLASSES
from bench.core.units import Mismatch, Quantity, duration_ns, quantity, quoted
from bench.registry import OF
from bench.scenario.rules.metric_facts import ALERT, DETECTORS, PROMQL, RECOVERY_STAMPS

OPERATORS = ("<=", ">=", "==", "<", ">")
MAX_RULE_CHARACTERS = 500
FAMILIES = {
    "recovery": tuple(RECOVERY_STAMPS),
    "detection": tuple(DETECTORS),
    "status": STATUS_CLASSES,
}
"""First names of metrics with two names, and the second ones."""

_ARGUMENT_UNITS = {"window": ("ns", "a duration such as 30d"), "incidents": ("count", "a count such as 1")}

_NAME = r"[a-z][a-z0-9_]*"
_STAT = r"p[0-9]{1,2}(?:\.[0-9]{1,4})?|mean|max"
_FURTHER = rf"\.(?:{_NAME}|[2-5]xx)"
_METRIC = re.compile(rf"({_NAME}(?:{_FURTHER})*?)(?:\.({_STAT}))?\s*(?:\(([^()]*)\))?")
_PERCENT_AT_END = re.compile(rf"{_NAME}(?:\.{_NAME})*?\.p([0-9]+(?:\.[0-9]+)?)")
_ARGUMENT = re.compile(rf"\s*({_NAME})\s*=\s*(\S+)\s*")
_EXAMPLE = "cache.response.p95 < 10ms warn 8ms"


class RuleError(Mismatch):
    """A text that is no rule: expected, found, advice."""


@dataclass(frozen=True)
class Metric:
    """What a rule looks at. `str()` gives the text that the grammar reads."""

    scope: tuple[str, ...]
    """() the run, (workload,), (workload, operation) or, of a resource, (source,). A step of an operation is
    written as part of its name: (workload, "checkout.step_1").
    """
    name: str
    stat: str | None = None
    """"p95", "p99.9", "mean", "max", or None for a metric that is one number."""
    arguments: dict[str, float] = field(default_factory=dict)
    """In base units: {"window": 30_000_000_000} for availability(window=30s)."""

    @property
    def workload(self) -> str | None:
        """The workload that it is about; None for the run as a whole."""
        return self.scope[0] if self.scope else None

    @property
    def operation(self) -> str | None:
        """The operation that it is about; None for all of them."""
        return self.scope[1] if len(self.scope) > 1 else None

    @property
    def percent(self) -> float | None:
        """95.0 for p95; None for other statistics."""
        return float(self.stat[1:]) if self.stat is not None and self.stat[0] == "p" else None

    @property
    def key(self) -> str:
        """The metric's name in the catalogue: the percentile as pNN, without arguments."""
        stat = "pNN" if self.percent is not None else self.stat
        return ".".join([*self.scope, self.name, *([stat] if stat else [])])

    def __str__(self) -> str:
        return ".".join([*self.scope, self.name, *([self.stat] if self.stat else [])])


class RuleText(NamedTuple):
    """A rule in its writer's own words."""

    metric: str
    op: str = ""
    limit: str = ""
    warn: str | None = None
    sustained: str | None = None

    @property
    def bound(self) -> str:
        """What a table shows as the limit: "< 5% for 10s"; empty for a text that is no rule."""
        return f"{self.op} {self.limit}".strip() + (f" for {self.sustained}" if self.sustained else "")

    def __str__(self) -> str:
        """The rule with one space between its parts."""
        parts = [self.metric, self.op, self.limit]
        parts += ["warn", self.warn] if self.warn is not None else []
        parts += ["for", self.sustained] if self.sustained is not None else []
        return " ".join(parts).strip()

    @classmethod
    def of(cls, text: str) -> RuleText:
        """Those of a text; where it is no rule, as one of another version may be, all of it is the metric."""
        try:
            return _split(text)
        except RuleError:
            return cls(text)


@dataclass(frozen=True)
class Rule:
    """One SLA line. The limit is in the base unit: ns, per second, bytes, bytes per second, ratio, count."""

    text: str
    metric: Metric
    op: str
    limit: float
    warn: float | None
    unit: str
    """"ns", "per_s", "bytes", "bytes_per_s", "ratio" or "count"."""
    written: RuleText
    """Its parts as they were written: a limit of "10ms"."""
    sustained_ns: int | None = None
    """For how long in a row it must be broken to count as broken; None for a rule about all of the run."""

    @property
    def subject(self) -> str:
        """What a check of it is about: two rules with one subject observe the same value."""
        return str(self.metric) + (f" for {self.written.sustained}" if self.written.sustained else "")

    def __str__(self) -> str:
        """The rule as the grammar writes it; `text` has its writer's own spaces."""
        return str(self.written)

    def holds(self, observed: float, *, warn: bool = False) -> bool:
        """Whether an observed value satisfies the limit, or the warn level where there is one."""
        bound = self.warn if warn and self.warn is not None else self.limit
        return {
            "<": observed < bound,
            "<=": observed <= bound,
            ">": observed > bound,
            ">=": observed >= bound,
            "==": observed == bound,
        }[self.op]


def parse_rule(text: str) -> Rule:
    """The rule that `text` states, keeping the text. Raises RuleError (a ValueError)."""
    if len(text) > MAX_RULE_CHARACTERS:
        raise RuleError(f"a rule of at most {MAX_RULE_CHARACTERS} characters", f"{len(text)}", "shorten it")
    written = _split(text)
    metric = _metric(written.metric)
    limit = _quantity(written.limit, "limit")
    warn = None
    if written.warn is not None:
        level = _quantity(written.warn, "warn level")
        _check_warn(written.op, limit, level, written.warn)
        warn = level.value
    sustained_ns = None if written.sustained is None else _sustained(written)
    return Rule(text, metric, written.op, limit.value, warn, limit.unit, written, sustained_ns)


def _split(text: str) -> RuleText:
    # The "=" of an argument is no operator: look for one after the closing bracket only.
    close = text.rfind(")") + 1
    match = re.search(r"<=|>=|==|<|>|=", text[close:])
    if match is None:
        advice = f"write metric op limit, such as {_EXAMPLE}"
        raise RuleError(f"a rule such as {quoted(_EXAMPLE)}", quoted(text), advice)
    if match[0] == "=":
        raise RuleError(f"one of the operators {' '.join(OPERATORS)}", '"="', "write == for equality")
    levels, *last = re.split(r"\bfor\b", text[close + match.end() :], maxsplit=1)
    limit, *more = (part.strip() for part in re.split(r"\bwarn\b", levels, maxsplit=1))
    warn, sustained = (more[0] if more else None), (last[0].strip() if last else None)
    return RuleText(text[: close + match.start()].strip(), match[0], limit, warn, sustained)


def _metric(text: str) -> Metric:
    match = _METRIC.fullmatch(text)
    # p0, p100 and p99.99999 are no percentiles, and the message should say just that.
    percent = _PERCENT_AT_END.fullmatch(text.partition("(")[0].strip())
    if percent and (match is None or match[2] is None or float(percent[1]) == 0):
        expected = "a percentile above p0 and below p100, with at most 4 decimals, such as p99.9"
        raise RuleError(expected, quoted(text), "correct it")
    if match is None:
        advice = "write names of lower-case letters, digits and _, joined by dots"
        raise RuleError("a metric such as cache.response.p95", quoted(text), advice)
    names, stat, arguments = match.groups()
    scope, name = scope_and_name(names.split("."))
    if len(scope) > 1 and scope[1].count(OF) > 1:
        raise RuleError("at most workload.operation.step before the metric", quoted(text), "remove a name")
    return Metric(scope, name, stat, _arguments(arguments))


def scope_and_name(names: list[str]) -> tuple[tuple[str, ...], str]:
    """The names of a metric as its scope and its own: (), "recovery.stable"."""
    family, name = ["", *names][-2:]
    is_own = family == PROMQL or (family == "detection" and name.startswith(ALERT))
    own = 2 if is_own or name in FAMILIES.get(family, ()) else 1
    workload, operation = names[:-own][:1], names[:-own][1:]
    return (*workload, *([OF.join(operation)] if operation else [])), ".".join(names[-own:])


def _arguments(text: str | None) -> dict[str, float]:
    if text is None:
        return {}
    found: dict[str, float] = {}
    for part in text.split(","):
        match = _ARGUMENT.fullmatch(part)
        if match is None or match[1] in found:
            raise RuleError(
                "arguments such as (window=30s)", quoted(f"({text})"), "write each one once as name=value"
            )
        value = _quantity(match[2], match[1])
        unit, wanted = _ARGUMENT_UNITS.get(match[1], (value.unit, ""))
        if value.unit != unit:
            raise RuleError(f"{wanted} for {match[1]}", quoted(match[2]), f"write {wanted}")
        found[match[1]] = value.value
    return found


def _quantity(text: str, what: str) -> Quantity:
    if not text:
        raise RuleError(f"a {what} such as 10ms, 1000/s, 1% or a plain count", "none", f"add the {what}")
    try:
        return quantity(text)
    except Mismatch as mismatch:
        raise RuleError(f"a {what}: {mismatch.expected}", mismatch.found, mismatch.advice) from None


def _sustained(written: RuleText) -> int:
    """The duration after "for", in ns."""
    text = written.sustained or ""
    if written.op == "==":
        raise RuleError("no duration with ==", f"for {quoted(text)}", "use < or >, or remove the duration")
    if re.search(r"\bwarn\b", text):
        raise RuleError("the warn level before the duration", quoted(f"for {text}"), "write warn 3% for 10s")
    expected = 'a duration above 0 after for, such as "10s"'
    if not text:
        raise RuleError(expected, "none", "add the duration, or remove for")
    try:
        length_ns = duration_ns(text)
    except Mismatch as mismatch:
        raise RuleError(expected, mismatch.found, mismatch.advice) from None
    if length_ns <= 0:
        raise RuleError(expected, quoted(text), "write how long the limit may be broken in a row")
    return length_ns


def _check_warn(op: str, limit: Quantity, warn: Quantity, warn_text: str) -> None:
    if op == "==":
        raise RuleError("no warn level with ==", f"warn {quoted(warn_text)}", "remove the warn level")
    if warn.unit != limit.unit:
        found = f"the warn level {quoted(warn_text)} of another kind"
        raise RuleError("limit and warn level of one kind of unit", found, "use the unit of the limit")
    below = op in ("<", "<=")
    if (warn.value > limit.value) if below else (warn.value < limit.value):
        side = "below" if below else "above"
        expected = f"a warn level {side} the limit, so that it warns before the limit fails"
        raise RuleError(expected, quoted(warn_text), "swap them, or correct one")
