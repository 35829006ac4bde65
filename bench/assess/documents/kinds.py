"""What a requirement asks of a document that another tool, or a person, has made."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from bench.core.units import Mismatch, duration_ns, quoted
from bench.scenario.fields import DURATION, StrictModel, Text, Whole, quantity
from bench.scenario.rules.grammar import Rule, parse_rule

RATES = ("line_rate", "branch_rate")
KINDS = ("junit", "coverage", "sarif", "statement")
OLDEST_NS = 3660 * 86_400 * 10**9


def _within_age(ns: float) -> str:
    return "" if 0 < ns <= OLDEST_NS else "an age above 0s and at most 3660d"


Age = Annotated[
    int,
    quantity(duration_ns, DURATION, "d", _within_age),
    WithJsonSchema({"type": "string", "examples": ["7d"]}),
]


def _rate_rule(text: str) -> str:
    rule = parse_rule(text)
    if str(rule.metric) not in RATES:
        raise Mismatch(f"a rule about {' or '.join(RATES)}", quoted(str(rule.metric)), "name one of those")
    if rule.unit != "ratio" or rule.limit > 1:
        raise Mismatch("a percentage of at most 100%", quoted(rule.written.limit), "write such as 80%")
    if rule.sustained_ns is not None:
        raise Mismatch("a rule about the whole", quoted(text), 'leave "for" out: a report has no time')
    return text


class Document(StrictModel):
    """One document; exactly one of `junit`, `coverage`, `sarif` and `statement` says which.

    Paths are relative to the file of requirements.
    """

    junit: Text | None = None
    """JUnit XML: no test in it failed."""
    tests: Annotated[int, Whole(1, 10_000_000)] = 1
    """Of JUnit: so many tests were run at least; those that were skipped do not count."""
    coverage: Text | None = None
    """Coverage as Cobertura writes it."""
    rule: Annotated[Text, AfterValidator(_rate_rule)] = "line_rate >= 80%"
    """Of coverage: a rule about `line_rate` or `branch_rate`."""
    sarif: Text | None = None
    """Findings of an analyser: none of a level or worse."""
    level: Literal["error", "warning", "note"] = "error"
    tool: Text | None = None
    """Of SARIF: the analyser that must have run, as the file names it."""
    statement: Text | None = None
    """A statement that its owner has signed."""
    signers: Text = "allowed_signers"
    """Of a statement: the file that says whose key is whose, as ssh-keygen reads it."""
    by: Text | None = None
    """Of a statement: who must have made it; else whoever of the signers its owner is."""
    max_age_ns: Age | None = Field(None, alias="max_age")
    """How old it may be; else as the requirement has it. A statement has its own end."""

    @property
    def kinds(self) -> list[str]:
        """The keys that say what it is."""
        return [name for name in KINDS if getattr(self, name) is not None]

    @property
    def path(self) -> str:
        """Where it is."""
        path: Any = getattr(self, self.kinds[0])
        return str(path)

    @property
    def parsed(self) -> Rule:
        """The rule about coverage."""
        return parse_rule(self.rule)
