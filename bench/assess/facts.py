"""Facts of targets as proof: how each is set up, and what it refuses, asked now."""

from collections.abc import Sequence

from bench.assess.matrix import Item
from bench.assess.requirements import Requirement, TargetFact
from bench.assess.status import RequirementStatus
from bench.core.clock import NS_PER_S
from bench.scenario.problems import nearest
from bench.stack.standing import AskedTarget, fact_of

WORDS = {
    "up": "is up",
    "uptime": "up for long enough",
    "restart_policy": "restarted by the engine",
    "health_check": "has a health check",
    "memory_limit": "memory is limited",
    "cpu_limit": "CPU is limited",
    "log_rotation": "its log is rotated",
    "password": "refuses whoever has no password",
    "tls": "refuses whoever comes without TLS",
}
STATUSES = {True: RequirementStatus.PASS, False: RequirementStatus.FAIL, None: RequirementStatus.NOT_SHOWN}
HOW_TO_ASK = "bench assess --health asks the stack that is up; --stack FILE what a stack file describes"


def facts_of(requirement: Requirement, asked: Sequence[AskedTarget], now_ns: int) -> list[Item]:
    """How the facts that a requirement asks for stand; of a target of several instances in each of them."""
    return [item for fact in requirement.facts or () for item in _items(fact, asked, now_ns)]


def _items(fact: TargetFact, asked: Sequence[AskedTarget], now_ns: int) -> list[Item]:
    found = [one for one in asked if one.health.name.partition("#")[0] == fact.target]
    if not found:
        name = f"{fact.target}: {WORDS[fact.fact]}"
        return [Item(name, RequirementStatus.NOT_SHOWN, _absent(fact, asked), HOW_TO_ASK)]
    return [_item(fact, one, now_ns) for one in found]


def _item(fact: TargetFact, one: AskedTarget, now_ns: int) -> Item:
    answer = fact_of(one, fact.fact, now_ns, fact.at_least_ns / NS_PER_S, fact.path)
    name = f"{one.health.name}: {WORDS[fact.fact]}"
    todo = f"see {one.health.name} at {one.health.address}"
    return Item(name, STATUSES[answer.holds], answer.said, None if answer.holds else todo)


def _absent(fact: TargetFact, asked: Sequence[AskedTarget]) -> str:
    if not asked:
        return "no target was asked now"
    names = sorted({one.health.name.partition("#")[0] for one in asked})
    meant = nearest(fact.target, names)
    hint = f'; is "{meant}" meant?' if meant else ""
    return f"{fact.target} is not among the targets that were asked now: {', '.join(names)}{hint}"
