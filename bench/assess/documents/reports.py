"""What the reports of other tools show: JUnit XML, coverage XML of Cobertura's form, SARIF."""

from collections import Counter
from dataclasses import dataclass

from bench.assess.documents.kinds import Document
from bench.assess.documents.reading import Attributes, Unreadable, read_json, read_xml, wall_ns
from bench.assess.status import RequirementStatus
from bench.core.clock import NS_PER_S
from bench.core.sanitize import one_line
from bench.core.units import counted, format_ratio

SHOWN_NAMES = 3
LEVELS = ("none", "note", "warning", "error")
"""Of SARIF, the mildest first."""


@dataclass(frozen=True)
class Finding:
    """What a document shows, and when it was made where it says so."""

    status: RequirementStatus
    because: str
    made_ns: int | None = None


def junit(document: Document, data: bytes) -> Finding:
    """Whether tests were run and none failed. Raises Unreadable."""
    names: list[str] = []
    dates: list[int] = []
    bad: list[str] = []
    tally = Counter[str]()
    declared = 0

    def begin(name: str, attributes: Attributes, above: tuple[str, ...]) -> None:
        nonlocal declared
        if name in ("testsuite", "testsuites"):
            declared = max(declared, _whole(attributes, "failures") + _whole(attributes, "errors"))
            made_ns = wall_ns(attributes.get("timestamp"))
            dates.extend([] if made_ns is None else [made_ns])
        elif name == "testcase":
            tally["tests"] += 1
            names[:] = [".".join(filter(None, (attributes.get("classname"), attributes.get("name"))))]
        elif above[-1:] == ("testcase",) and name in ("failure", "error"):
            if not bad or bad[-1] != names[0]:
                bad.append(names[0])
        elif above[-1:] == ("testcase",) and name == "skipped":
            tally["skipped"] += 1

    read_xml(data, begin, ("testsuites", "testsuite"))
    ran = tally["tests"] - tally["skipped"]
    made_ns = min(dates, default=None)
    if bad or declared:
        shown = (
            ", ".join(one_line(name)[:120] for name in bad[:SHOWN_NAMES]) or "the report does not name them"
        )
        because = f"{max(len(bad), declared)} of {counted(ran, 'test')} failed: {shown}"
        return Finding(RequirementStatus.FAIL, because, made_ns)
    skipped = f", {tally['skipped']} skipped" if tally["skipped"] else ""
    if ran < document.tests:
        wanted = f"where at least {counted(document.tests, 'test')} must be run"
        return Finding(RequirementStatus.NOT_SHOWN, f"{counted(ran, 'test')} ran{skipped}, {wanted}", made_ns)
    return Finding(RequirementStatus.PASS, f"{counted(ran, 'test')} passed{skipped}", made_ns)


def _whole(attributes: Attributes, name: str) -> int:
    text = attributes.get(name, "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def coverage(document: Document, data: bytes) -> Finding:
    """Whether enough lines or branches are covered. Raises Unreadable."""
    found: Attributes = {}

    def begin(_: str, attributes: Attributes, above: tuple[str, ...]) -> None:
        if not above:
            found.update(attributes)

    read_xml(data, begin, ("coverage",))
    rule = document.parsed
    what = str(rule.metric).removesuffix("_rate")
    noun = {"line": "line", "branch": "branche"}[what]
    total = _whole(found, f"{noun}s-valid")
    made_ns = _epoch_ns(found.get("timestamp"))
    if f"{noun}s-valid" in found and not total:
        return Finding(RequirementStatus.NOT_SHOWN, f"it counts no {noun}s", made_ns)
    try:
        share = _whole(found, f"{noun}s-covered") / total if total else float(found[f"{what}-rate"])
    except (KeyError, ValueError):
        raise Unreadable(f"it has no {what}-rate") from None
    if not 0 <= share <= 1:
        raise Unreadable(f"its {what}-rate is not between 0 and 1")
    holds, is_good = rule.holds(share), rule.holds(share, warn=True)
    status = RequirementStatus.FAIL if not holds else RequirementStatus.PASS
    status = RequirementStatus.WARN if holds and not is_good else status
    limit = f"{rule.op} {rule.written.limit}" + (f" warn {rule.written.warn}" if rule.written.warn else "")
    return Finding(status, f"{what} rate is {format_ratio(share)}, the limit is {limit}", made_ns)


def _epoch_ns(text: str | None) -> int | None:
    """Coverage.py writes ms, Cobertura and others s since 1970."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 15):
        return None
    return int(text) * (NS_PER_S // 1000 if len(text) > 11 else NS_PER_S)


def sarif(document: Document, data: bytes) -> Finding:
    """Whether an analyser ran to its end and found nothing of a level or worse. Raises Unreadable."""
    value = read_json(data)
    runs = _items(value, "runs")
    if not isinstance(value, dict) or not str(value.get("version")).startswith("2.") or not runs:
        raise Unreadable("it is not SARIF 2 with at least one run")
    tools: list[str] = []
    dates: list[int] = []
    bad: list[str] = []
    milder = suppressed = 0
    for run in runs:
        driver = _part(_part(run, "tool"), "driver")
        tools.append(one_line(str(driver.get("name") or "unnamed"))[:80])
        for invocation in _items(run, "invocations"):
            if _part(invocation).get("executionSuccessful") is False:
                return Finding(RequirementStatus.INCONCLUSIVE, f"{tools[-1]} did not run to its end")
            made_ns = wall_ns(str(_part(invocation).get("endTimeUtc")))
            dates.extend([] if made_ns is None else [made_ns])
        if not isinstance(_part(run).get("results"), list):
            return Finding(RequirementStatus.INCONCLUSIVE, f"{tools[-1]} says nothing about results")
        for result in map(_part, _items(run, "results")):
            if result.get("suppressions") or result.get("baselineState") == "absent":
                suppressed += 1
            elif LEVELS.index(_level(result, driver)) >= LEVELS.index(document.level):
                bad.append(_named(result))
            else:
                milder += 1
    made_ns = min(dates, default=None)
    if document.tool and document.tool.lower() not in map(str.lower, tools):
        because = f"it is of {', '.join(tools)}, not of {document.tool}"
        return Finding(RequirementStatus.NOT_SHOWN, because, made_ns)
    more = f"; {milder} of a milder level, {suppressed} suppressed" if milder or suppressed else ""
    if bad:
        shown = ", ".join(bad[:SHOWN_NAMES])
        because = f"{counted(len(bad), 'finding')} of level {document.level} or worse: {shown}{more}"
        return Finding(RequirementStatus.FAIL, because, made_ns)
    because = f"{', '.join(tools)} found nothing of level {document.level} or worse{more}"
    return Finding(RequirementStatus.PASS, because, made_ns)


def _part(value: object, key: str | None = None) -> dict[str, object]:
    found = value.get(key) if key is not None and isinstance(value, dict) else value
    return found if isinstance(found, dict) else {}


def _items(value: object, key: str) -> list[object]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _level(result: dict[str, object], driver: dict[str, object]) -> str:
    """A result's own level, else that of its rule; an unknown one counts as an error."""
    if result.get("kind", "fail") != "fail":
        return "none"
    level = result.get("level")
    if level is None:
        rules = _items(driver, "rules")
        index, named = result.get("ruleIndex"), result.get("ruleId")
        at_index = isinstance(index, int) and 0 <= index < len(rules)
        rule = _part(rules[index]) if at_index and isinstance(index, int) else {}
        rule = rule or next((_part(one) for one in rules if named and _part(one).get("id") == named), {})
        level = _part(rule, "defaultConfiguration").get("level", "warning")
    return str(level) if level in LEVELS else "error"


def _named(result: dict[str, object]) -> str:
    """ "B105 in app/settings.py:12"."""
    place = next(iter(_items(result, "locations")), None)
    physical = _part(_part(place), "physicalLocation")
    uri = _part(physical, "artifactLocation").get("uri")
    line = _part(physical, "region").get("startLine")
    where = f" in {uri}" if uri else ""
    return one_line(f"{result.get('ruleId') or 'a finding'}{where}{f':{line}' if uri and line else ''}")[:160]
