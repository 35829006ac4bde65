"""The report for CI systems: JUnit XML, a suite for each run, a test for each rule and finding.

A broken rule is a failure; one that could not be judged, and whatever makes the run INVALID, is an error:
the test said nothing. The rules of an INVALID run are skipped, whatever they came to: nothing of it is green.
WARN passes, with its sentence as output. The numbers of a rule are properties of its
test, in the place where pytest writes them and CI systems look; the rest is by the schema of Jenkins'
xUnit plugin, which others follow.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from bench.core.clock import NS_PER_S
from bench.judge.verdict import Check, Status
from bench.report.formats import JudgedRun, Reader, RunFolder
from bench.report.index.entries import RunEntry, entry_with

# What XML 1.0 cannot hold in any form.
FORBIDDEN = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
SPACES = re.compile(r"\s+")
ELEMENTS = {Status.FAIL: "failure", Status.INCONCLUSIVE: "error", Status.INVALID: "error"}


def render_runs(runs: Sequence[JudgedRun], _: Reader) -> str:
    """Judged runs as one document."""
    return render([entry_with(*judged) for judged in runs])


def render_folder(folder: RunFolder, _: Reader) -> str:
    """All runs of a folder as one document."""
    return render(folder.entries)


def render(entries: Sequence[RunEntry]) -> str:
    """The runs as one document, in the order given; one that could not be read is a suite with an error."""
    classes = _classes(entries)
    suites = [
        _suite(entry, number, name) for number, (entry, name) in enumerate(zip(entries, classes, strict=True))
    ]
    totals = Counter[str]()
    for entry in entries:
        totals.update(_counts(entry))
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines.append(f"<testsuites{_attributes(name='holdfast', **{k: str(totals[k]) for k in COUNTED})}>")
    return "\n".join([*lines, *(line for suite in suites for line in suite), "</testsuites>"]) + "\n"


COUNTED = ("tests", "failures", "errors")


def _suite(entry: RunEntry, number: int, class_name: str) -> list[str]:
    counts = _counts(entry)
    head = _attributes(
        name=entry.scenario,
        **{name: str(counts[name]) for name in COUNTED},
        skipped=str(counts["skipped"]),
        time=f"{(entry.duration_ns or 0) / NS_PER_S:.3f}",
        timestamp=entry.utc[:19],
        hostname="localhost",
        id=str(number),
        package="holdfast",
    )
    lines = [f"  <testsuite{head}>", *_listed(_properties(entry), "    ")]
    if entry.verdict is None:
        lines += _unread(entry, class_name)
    else:
        named = Counter[str]()
        for check in entry.verdict.checks:
            named[name := _name(check)] += 1
            lines += _case(entry, check, class_name, name if named[name] == 1 else f"{name} ({named[name]})")
    return [*lines, "  </testsuite>"]


def _counts(entry: RunEntry) -> Counter[str]:
    if entry.verdict is None:
        return Counter(tests=1, errors=1)
    found = Counter(tests=len(entry.verdict.checks))
    for check in entry.verdict.checks:
        if _is_void(entry, check):
            found["skipped"] += 1
        elif check.status in ELEMENTS:
            found[f"{ELEMENTS[check.status]}s"] += 1
    return found


def _name(check: Check) -> str:
    """A rule in its writer's words; a finding as "run: generator saturated"."""
    if check.is_rule:
        return SPACES.sub(" ", check.rule)
    return f"run: {check.metric.removeprefix('validity.').replace('_', ' ')}"


def _case(entry: RunEntry, check: Check, class_name: str, name: str) -> list[str]:
    head = _attributes(name=name, classname=class_name, time="0")
    sentence = check.because + (f"\n{check.advice}" if check.advice else "")
    lines = [f"    <testcase{head}>", *_listed(_numbers(check), "      ")]
    if _is_void(entry, check):
        said = f"{check.status.name}, but the run is INVALID: it says nothing about the system"
        lines.append(f"      <skipped{_attributes(message=said)}/>")
    elif check.status is Status.WARN:
        lines.append(f"      <system-out>{_text(f'WARN: {sentence}')}</system-out>")
    elif check.status is not Status.PASS:
        lines.append(f"      {_problem(ELEMENTS[check.status], check.status.name, check.because, sentence)}")
    return [*lines, "    </testcase>"]


def _is_void(entry: RunEntry, check: Check) -> bool:
    """Whether it is a rule of a run that says nothing."""
    return entry.status is Status.INVALID and check.is_rule and check.status is not Status.INVALID


def _unread(entry: RunEntry, class_name: str) -> list[str]:
    head = _attributes(name="run: can be read and is judged", classname=class_name, time="0")
    problem = entry.problem or "the run has no verdict"
    body = _problem("error", entry.state, problem, problem)
    return [f"    <testcase{head}>", f"      {body}", "    </testcase>"]


def _problem(element: str, kind: str, message: str, body: str) -> str:
    return f"<{element}{_attributes(type=kind, message=message)}>{_text(body)}</{element}>"


def _classes(entries: Sequence[RunEntry]) -> list[str]:
    """The scenario with its form: quick runs and standard ones have different histories.

    Systems that read the document take class and name for one test: where a scenario has several runs, the
    newest keeps the plain class and its history, and the others have their run's name in it.
    """
    plain = [f"holdfast.{entry.scenario}{'.quick' if entry.quick else ''}" for entry in entries]
    newest: dict[str, RunEntry] = {}
    for name, entry in zip(plain, entries, strict=True):
        if name not in newest or (entry.utc, entry.run) > (newest[name].utc, newest[name].run):
            newest[name] = entry
    return [
        name if newest[name] is entry else f"{name}.{entry.run}"
        for name, entry in zip(plain, entries, strict=True)
    ]


def _listed(properties: Iterable[tuple[str, str]], indent: str) -> list[str]:
    lines = [f"{indent}  <property{_attributes(name=name, value=value)}/>" for name, value in properties]
    return [f"{indent}<properties>", *lines, f"{indent}</properties>"]


def _properties(entry: RunEntry) -> Iterator[tuple[str, str]]:
    """The run as a whole."""
    yield from (("run", entry.run), ("state", entry.state))
    yield "status", entry.status.name if entry.status is not None else "none"
    yield from (("quick", str(entry.quick).lower()), *entry.form)
    if entry.measured_ns is not None:
        yield "measured_ns", str(entry.measured_ns)


def _numbers(check: Check) -> Iterator[tuple[str, str]]:
    """The numbers of a rule in its base unit; one that is not known is left out."""
    yield from (("status", check.status.name), ("metric", check.metric))
    if check.unit is not None:
        yield "unit", check.unit
    lowest, highest = check.interval or (None, None)
    numbers = {
        "observed": check.observed,
        "limit": check.limit,
        "warn": check.warn,
        "lowest": lowest,
        "highest": highest,
        "samples": check.samples,
    }
    yield from ((name, _number(value)) for name, value in numbers.items() if value is not None)


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _attributes(**values: str) -> str:
    return "".join(f" {name}={quoteattr(_holdable(value))}" for name, value in values.items())


def _text(value: str) -> str:
    return escape(_holdable(value))


def _holdable(value: str) -> str:
    return FORBIDDEN.sub("\ufffd", value)
