"""The tree of a scenario file to a Scenario and its rules, with every problem in our form: what pydantic
found wrong is reworded and placed in the file.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bench.core.errors import Problem, ScenarioError
from bench.core.intervals import window_ends
from bench.core.units import BASE_UNITS, Mismatch, format_duration_ns, quoted
from bench.registry import Topology
from bench.scenario.fields import Parts, kind_of
from bench.scenario.model import Phase, Scenario
from bench.scenario.problems import Path, Violation, nearest
from bench.scenario.rules.grammar import Rule, RuleError, parse_rule
from bench.scenario.rules.metrics import Outline, check_rule, external_metrics, metrics_of_outlines
from bench.scenario.source import ListNode, MapNode, Node, Scalar
from bench.scenario.stop_conditions import check_stop_rule
from bench.scenario.validators.scenario import check_scenario
from bench.scenario.validators.workload import check_target, check_workload
from bench.scenario.values import check_data, node_at, place_of_key, plain
from bench.scenario.workloads import Workload

_SHOWN_NAMES = 20
STOP_WHEN = "stop_when"
Model = TypeVar("Model", bound=BaseModel)


def placed(violation: Violation, root: Node) -> Problem | None:
    """A violation as a problem at its node; None if a problem of that node was reported already."""
    node, path = node_at(root, violation.path)
    if _is_broken(node):
        return None
    involved = [node, *(node_at(root, other)[0] for other in violation.involves)]
    if any(_is_broken(other) for other in involved):
        return None
    expected, found, advice = violation.expected, violation.found, violation.advice
    secrets = [other.secret_of for other in involved if isinstance(other, Scalar) and other.secret_of]
    if secrets:
        found = f"the value of the environment variable {secrets[0]} (not shown)"
        advice = f"correct {secrets[0]}"
        # A sentence about a rule repeats parts of it.
        expected = "a rule about a metric of this scenario" if violation.path[:1] == ("sla",) else expected
    return node.place.problem(path, expected, found, advice)


def reworded(error: ErrorDetails, root: Node, model: type[BaseModel] = Scenario) -> Problem | None:
    """One pydantic error (an item of `ValidationError.errors()`) of a model as a problem."""
    path: Path = tuple(error["loc"])
    if path and path[-1] == "[key]":
        return _bad_key(path[:-1], root, error.get("ctx", {}).get("error"))
    match error["type"]:
        case "extra_forbidden":
            return _unknown_key(path, root, _keys_at(path[:-1], model))
        case "missing":
            return _missing_key(path, root)
    cause = error.get("ctx", {}).get("error")
    node, _ = node_at(root, path)
    if error["type"] == "too_short" and isinstance(node, ListNode) and node.items:
        return None  # pydantic does not count the items that are wrong themselves; those are reported already
    if isinstance(cause, Mismatch):
        return placed(Violation(path, cause.expected, cause.found, cause.advice), root)
    expected, advice = _words(error)
    return placed(Violation(path, expected, _found(error, node), advice), root)


def validated(model: type[Model], root: Node, problems: list[Problem], values: object = None) -> Model:
    """A tree as a model; `values` are those of the tree where they are not `plain`.

    Raises ScenarioError with `problems` and those of the model.
    """
    try:
        return model.model_validate(plain(root) if values is None else values)
    except ValidationError as error:
        found = [reworded(each, root, model) for each in error.errors(include_url=False)]
    raise ScenarioError(sorted({*problems, *(problem for problem in found if problem is not None)}))


def _found(error: ErrorDetails, node: Node) -> str:
    match error["type"]:
        case "string_too_long" | "string_too_short" if isinstance(node, Scalar):
            return f"{len(node.text)} characters" if node.text else "empty text"
        case "too_long" | "too_short":
            items = plain(node)
            count = len(items) if isinstance(items, dict | list) else 1
            return f"{count} item{'s' * (count != 1)}" if count else "none"
    return kind_of(plain(node)) if not isinstance(node, Scalar) else kind_of(error["input"])


def _words(error: ErrorDetails) -> tuple[str, str]:
    """What was expected and what to do, by pydantic's error type."""
    context = error.get("ctx", {})
    if error["type"] == "literal_error":
        known = context["expected"].replace("'", "").replace(" or ", ", ")
        return f"one of {known}", f"write one of {known}"
    expected, advice = _SENTENCES.get(error["type"], _SENTENCES[""])
    return expected.format(**context), advice


_A_NAME = "a name of lower-case letters, digits and _, starting with a letter"
_A_LIST = ("a list", 'write a list: one item a line, each after "- "')
_A_MAPPING = ("a mapping", "write key: value lines, indented below")
_SENTENCES = {
    "string_type": ("text", "write text; a number or a truth value needs quotes"),
    "string_pattern_mismatch": (_A_NAME, "rename it, for example redis_cache"),
    "string_too_long": ("at most {max_length} characters", "shorten it"),
    "string_too_short": ("text that is not empty", "write some text, or remove the key"),
    "too_short": ("at least {min_length} item(s)", "add one"),
    "too_long": ("at most {max_length} item(s)", "remove some, or split the scenario"),
    "bool_type": ("true or false", "write true or false"),
    **dict.fromkeys(("tuple_type", "list_type"), _A_LIST),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), _A_MAPPING),
    "": ("a valid value", "see scenarios/README.md, or `bench schema`"),
}


def _unknown_key(path: Path, root: Node, known: list[str]) -> Problem:
    place = place_of_key(root, path)
    key = str(path[-1])
    listed = ", ".join(known[:_SHOWN_NAMES])
    meant = nearest(key, known)
    advice = f"write {quoted(meant)} if that was meant" if meant else "remove it"
    found = f"the unknown key {quoted(key)}"
    return place.problem(path, f"one of the keys {listed}", found, advice)


def _missing_key(path: Path, root: Node) -> Problem | None:
    node, above = node_at(root, path[:-1])
    if _is_broken(node):
        return None
    key = path[-1]
    return node.place.problem(above, f"the key {key}", "none", f"add the key {key}")


def _bad_key(path: Path, root: Node, cause: object) -> Problem:
    expected, found, advice = _A_NAME, quoted(str(path[-1])), "rename it, for example get"
    if isinstance(cause, Mismatch):
        expected, found, advice = cause.expected, cause.found, cause.advice
    return place_of_key(root, path).problem(path, expected, found, advice)


def _is_broken(node: Node) -> bool:
    match node:
        case Scalar():
            return node.is_broken
        case MapNode():
            return False
    return any(_is_broken(item) for item in node.items)


# A hostile file can have tens of thousands of each; no one reads the rest.
MAX_REWORDED = 600
MAX_LOOKED_AT = 1000  # no list may be longer: see the model


def _keys_at(path: Path, model: type[BaseModel]) -> list[str]:
    """The keys that the mapping at a path of a model may have."""
    is_name = False  # one that the file gives: of an operation or a parameter
    for step in path:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if is_name or step not in fields:
            is_name = False
            continue
        is_name = get_origin(fields[str(step)].annotation) is dict
        model = _model_in(fields[str(step)].annotation) or BaseModel
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part)) is not None), None)


def decoded(root: Node, topology: Topology) -> tuple[Scenario | None, tuple[Rule, ...], list[Problem]]:
    """The scenario (None if its fields are wrong), its rules, and all problems.

    `topology`: the targets that there are.
    """
    raw, parts = plain(root), Parts()
    scenario = None
    errors: list[ErrorDetails] = []
    try:
        scenario = Scenario.model_validate(raw, context=parts)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    written = raw.get("workloads")
    for item in written[len(parts.of(Workload)) : MAX_LOOKED_AT] if isinstance(written, list) else ():
        with suppress(ValidationError):  # a list that is too long is not validated to its end
            Workload.model_validate(item, context=parts)
    (whole,), workloads, phases = parts.of(Scenario), parts.of(Workload), parts.of(Phase)
    violations = list(islice(check_data(root), MAX_REWORDED))
    for index, workload in enumerate(workloads):
        unsuited = (*check_target(workload, topology), *check_workload(workload))
        violations += [violation.under("workloads", index) for violation in unsuited]
    violations += check_scenario(whole, workloads, phases, topology)
    rules, unfit = _rules(raw, whole, workloads, phases, topology)
    problems = [reworded(error, root) for error in errors[:MAX_REWORDED]]
    problems += [placed(violation, root) for violation in [*violations, *unfit]]
    return scenario, rules, [problem for problem in problems if problem is not None]


def _rules(
    raw: Any, whole: Scenario, workloads: list[Workload], phases: list[Phase], topology: Topology
) -> tuple[tuple[Rule, ...], list[Violation]]:
    """The rules under sla that are right, and what is wrong with others, those under stop_when too."""
    understood = [w for w in workloads if w.has("name", "engine", "driver", "operations")]
    disturbs = bool(raw.get("faults") or raw.get("actions"))
    metrics = metrics_of_outlines(map(Outline.of, understood), disturbs, topology)
    if whole.has("prometheus") and whole.prometheus is not None:
        asked = whole.prometheus
        queries = {name: BASE_UNITS[one.unit][0] for name, one in asked.metrics.items()}
        metrics |= external_metrics(queries, asked.alerts if disturbs else ())
    # Where a workload is not understood, a metric that is missing may well be one of its.
    known = {workload.name for workload in understood}
    names_known = bool(workloads) and len(understood) == len(workloads)
    # Rules name workloads and targets, so a sentence about a rule shows both.
    names = tuple(("workloads", index, key) for index in range(len(workloads)) for key in ("name", "target"))
    violations: list[Violation] = []

    def under(key: str) -> Iterator[Rule]:
        seen: dict[str, int] = {}
        for index, text in _texts(raw.get(key)):
            path = (key, index)
            try:
                rule = parse_rule(text)
                if key == STOP_WHEN:
                    check_stop_rule(rule)
                check_duration(rule, phases, measured_only=key != STOP_WHEN)
                if names_known or rule.metric.key in metrics or rule.metric.workload in known:
                    check_rule(rule, metrics)
            except RuleError as error:
                violations.append(Violation(path, error.expected, error.found, error.advice, names))
                continue
            words = " ".join(text.split())
            if words in seen:
                first = (key, seen[words])
                found = Violation(path, "every rule once", "the same rule again", "remove it", (first,))
                violations.append(found)
            seen.setdefault(words, index)
            yield rule

    rules = tuple(under("sla"))
    deque(under(STOP_WHEN), maxlen=0)
    return rules, violations


def _texts(listed: Any) -> Iterator[tuple[int, str]]:
    """The rules of a list with their places."""
    for index, text in enumerate(listed[:MAX_LOOKED_AT] if isinstance(listed, list) else ()):
        if isinstance(text, str) and text:
            yield index, text


def check_duration(rule: Rule, phases: Sequence[Phase], *, measured_only: bool = True) -> None:
    """Raise RuleError for a sustained rule that no time of these phases could break."""
    if rule.sustained_ns is None or not all(phase.has("duration_ns", "measured") for phase in phases):
        return
    in_a_row_ns = longest_ns = window_ns = 0
    for phase in phases:
        counts = phase.measured or not measured_only
        in_a_row_ns = in_a_row_ns + phase.duration_ns if counts else 0
        longest_ns = max(longest_ns, in_a_row_ns)
        if counts:
            ends = window_ends(0, phase.duration_ns, measured=phase.measured)
            window_ns = max(window_ns, phase.duration_ns // len(ends))
    shown = f"for {rule.written.sustained}"
    if rule.sustained_ns > longest_ns > 0:
        what = "the longest measured time in a row" if measured_only else "which the run lasts"
        expected = f"a duration of at most {format_duration_ns(longest_ns)}, {what}"
        raise RuleError(expected, shown, "shorten it, or measure longer")
    if rule.sustained_ns < window_ns:
        expected = f"a duration of at least one window, here {format_duration_ns(window_ns)}"
        raise RuleError(expected, shown, "lengthen it: within a window nobody looks")
