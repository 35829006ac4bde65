"""The start form and Locust's command line, read as the request for a run. The scenario loader checks it
before any load.

    rate, lanes = value | name "=" value *( "," name "=" value )    a value alone: of the only workload
    duration    = value                                             every measured phase
    target      = url *( "," url )                                  redis://  postgresql://  http://

Problems carry the name of their field as the place; an empty field leaves the scenario as it is.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from bench.core.errors import Problem, ScenarioError, UsageError
from bench.core.units import quoted
from bench.registry import SERVICES, url_variables
from bench.scenario.load import discover, load_scenario, stack_named_in
from bench.scenario.model import Scenario
from bench.scenario.substitution import variables_in
from bench.stack.stack_file import find_stack_file, load_stack_file
from bench.swarm import ArgumentParser
from bench.swarm.distributed.trust import LOCUSTFILES_VARIABLE, OPTION, VARIABLE, YES, word_after
from bench.swarm.messages import RunRequest
from bench.swarm.web.auth import LOOPBACK, PASSWORD_VARIABLE, USER_VARIABLE

AUTOMATIC = "automatic"
STACKS = (AUTOMATIC, "embedded", "docker", "compose", "external")
LABEL_CHARACTERS = 110

FIELD_OF = {"rate": "rate", "lanes": "lanes", "for": "duration"}
"""Last key of a path in a scenario -> the field that sets it."""

_NAMED = re.compile(r"\s*([A-Za-z0-9_.:-]+)\s*=\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class Choice:
    """One scenario that the form offers."""

    path: Path
    name: str
    label: str
    """Name and purpose, as the list shows them."""
    has_faults: bool = False

    def is_meant_by(self, text: str) -> bool:
        """Whether a field or an option with this text means it."""
        return text in (self.label, self.name, str(self.path))


@dataclass(frozen=True)
class FilledForm:
    """A run that can be requested from an agent."""

    request: RunRequest
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of the environment: those that the scenario refers to, and targets. They may hold passwords."""


def offered_stacks() -> tuple[str, ...]:
    """What the field offers: no stack file but the one that the command line names."""
    named = word_after("--stack")
    return STACKS if named in (None, "", *STACKS) else (STACKS[0], str(named), *STACKS[1:])


def _loaded(
    path: Path,
    stack: str | None,
    overrides: Sequence[str] = (),
    quick: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Scenario:
    """A scenario, checked with the targets of the stack file that the form or itself names."""
    try:
        named = stack or stack_named_in(path)
        file = find_stack_file(named) if named else None
    except UsageError as error:
        raise ScenarioError([_problem("stack", "a stack that there is", str(error), "correct it")]) from None
    known = load_stack_file(file) if file is not None else None
    if known is not None:
        environment = {**known.environment, **(environment or {})}
    topology = known.topology if known is not None else None
    return load_scenario(path, overrides, quick, environment, topology).scenario


def choices_in(folder: Path, stack: str | None = None) -> tuple[Choice, ...]:
    """The scenarios in a folder, or in a file. One that cannot be read is offered too: choosing it says why.

    Those with faults come last: the first is what a form begins with. Raises ScenarioError for a folder
    without any.
    """
    found = []
    for path in discover([folder]):
        try:
            scenario = _loaded(path, stack)
        except ScenarioError as error:
            found.append(Choice(path, path.stem, f"{path.stem}: {len(error.problems)} problems in the file"))
            continue
        purpose = quoted(scenario.purpose, limit=LABEL_CHARACTERS)[1:-1]
        label = f"{scenario.scenario}: {purpose}"
        found.append(Choice(path, scenario.scenario, label, bool(scenario.faults)))
    return tuple(sorted(found, key=lambda choice: choice.has_faults))


def read_form(values: Mapping[str, str], offered: Sequence[Choice], out: Path) -> FilledForm:
    """The request that a form's texts make. Raises ScenarioError with every problem of all fields."""
    path = _scenario(values.get("scenario", ""), offered)
    form = _Form({name: text.strip() for name, text in values.items()})
    targets = form.targets()
    environment = {**os.environ, **targets}
    quick = values.get("quick", "") in ("true", "True", "on", "1")
    stack, seed = form.stack(targets), form.seed()
    overrides = form.overrides(_loaded(path, stack, (), quick, environment))
    if overrides:
        try:
            _loaded(path, stack, overrides, quick, environment)
        except ScenarioError as error:
            form.problems += map(_of_field, error.problems)
    if form.problems:
        raise ScenarioError(form.problems)
    named = variables_in(path.read_text("utf-8"), *overrides)
    named |= set(url_variables().values())
    variables = {name: value for name, value in environment.items() if name in named} | targets
    return FilledForm(RunRequest(path, tuple(overrides), quick, stack, out, seed), variables)


def _scenario(text: str, offered: Sequence[Choice]) -> Path:
    for choice in offered:
        if choice.is_meant_by(text):
            return choice.path
    expected, advice = f"one of {', '.join(choice.name for choice in offered)}", "choose one of the list"
    if not offered:
        expected, advice = (
            "a folder with scenario files",
            "name one with --scenarios, or a file with --scenario",
        )
    found = quoted(text) if text and offered else "none"
    raise ScenarioError([_problem("scenario", expected, found, advice)])


class _Form:
    """The texts of a form's fields. What is wrong with one is a problem, and the field counts as empty."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.problems: list[Problem] = []

    def _text(self, name: str) -> str:
        return self._values.get(name, "")

    def _note(self, name: str, expected: str, found: str, advice: str) -> None:
        self.problems.append(_problem(name, expected, found, advice))

    def overrides(self, scenario: Scenario) -> list[str]:
        """The texts of --set that the fields stand for."""
        workloads = [workload.name for workload in scenario.workloads]
        with_rate = [workload.name for workload in scenario.workloads if workload.rate_per_s] or workloads
        overrides: list[str] = []
        for name, single in (("rate", with_rate), ("lanes", workloads)):
            pairs = self._per_workload(name, single, workloads)
            overrides += [f"workloads.{workload}.{name}={value}" for workload, value in pairs]
        if length := self._text("duration"):
            measured = [number for number, phase in enumerate(scenario.phases) if phase.measured]
            overrides += [f"phases.{number}.for={length}" for number in measured]
        return overrides

    def _per_workload(
        self, name: str, single: Sequence[str], known: Sequence[str]
    ) -> Iterator[tuple[str, str]]:
        """The values by workload; `single` are those that a value without a name may mean."""
        text = self._text(name)
        if text and "=" not in text and len(single) == 1:
            yield single[0], text
            return
        example = ", ".join(f"{workload}=..." for workload in known)
        for part in text.split(",") if text else ():
            match = _NAMED.fullmatch(part)
            if match is None or match[1] not in known or not match[2].strip():
                expected = f"the workload that it is for (of {', '.join(known)})"
                self._note(name, expected, quoted(part.strip()), f"write {example}")
            else:
                yield match[1], match[2].strip()

    def targets(self) -> dict[str, str]:
        """The variables that the target's URLs set. A URL may hold a password: no problem repeats it."""
        found: dict[str, str] = {}
        variables = _variables_of_schemes()
        for url in filter(None, re.split(r"[,\s]+", self._text("target"))):
            scheme, host = _parts(url)
            variable = variables.get(scheme)
            advice = "write for example redis://127.0.0.1:6379"
            if variable is None:
                expected = f"a URL that begins with one of {', '.join(f'{name}://' for name in variables)}"
                self._note("target", expected, f"'{scheme}:'" if scheme else "another text", advice)
            elif not host:
                self._note("target", "a URL with a host", "one without", advice)
            elif variable in found:
                self._note("target", "one URL of a kind", f"two of {scheme}", "leave one of them")
            else:
                found[variable] = url
        return found

    def stack(self, targets: Mapping[str, str]) -> str | None:
        """The stack; None for the scenario's own."""
        text = self._text("stack") or AUTOMATIC
        if text not in (known := offered_stacks()):
            self._note("stack", f"one of {', '.join(known)}", quoted(text), "choose one of the list")
        elif targets and text not in (AUTOMATIC, "external"):
            expected, advice = "external where a target is named", "clear the target, or choose external"
            self._note("stack", expected, quoted(text), advice)
        elif targets:
            return "external"
        return None if text == AUTOMATIC else text

    def seed(self) -> int | None:
        """The seed; None for the scenario's own."""
        text = self._text("seed")
        if text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 2**63:
            return int(text)
        if text:
            advice = "leave it empty for the scenario's own"
            self._note("seed", "a whole number below 2^63", quoted(text), advice)
        return None


def _variables_of_schemes() -> dict[str, str]:
    """Scheme of a target's URL -> the variable that names such a target; of several, the first one's."""
    found: dict[str, str] = {}
    for name, variable in url_variables().items():
        for scheme in SERVICES[name].kind.schemes:
            found.setdefault(scheme, variable)
    return found


def _parts(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        return parts.scheme[:20], parts.hostname or ""
    except ValueError:
        return "", ""


def _of_field(problem: Problem) -> Problem:
    """A problem of an override under the name of the field that made it."""
    if problem.file != "--set":
        return problem
    name = FIELD_OF.get(problem.where.rpartition(".")[2])
    return replace(problem, file=name) if name else problem


def _problem(name: str, expected: str, found: str, advice: str) -> Problem:
    return Problem(name, 0, 0, "field", expected, found, advice)


FIELDS = ("scenario", "rate", "duration", "lanes", "target", "stack", "seed", "quick")
"""Options that are fields of the form."""


class AnyOf(list[str]):
    """Choices for Locust's form; what else is asked for on the command line is judged by our own words."""

    def __contains__(self, item: object) -> bool:
        return True


def add_options(parser: ArgumentParser, choices: Sequence[Choice]) -> None:
    """Our options: those in the form, and those that are not."""
    labels = AnyOf(choice.label for choice in choices)
    # Nothing runs unless it was chosen: where there are several, the form shows the first, and that is all.
    only = labels[0] if len(labels) == 1 else ""
    add = parser.add_argument  # what a parser itself gets is in the form, what a group gets is not
    add("--scenario", choices=labels, default=only, metavar="<name>", help="what to run")
    add("--rate", default="", metavar="<rate>", help="per second: 2000/s, or cache=2000/s, api=50/s")
    add("--duration", default="", metavar="<time>", help="of each measured phase: 30s")
    add("--lanes", default="", metavar="<n>", help="connections: 50, or cache=50, api=10")
    add(
        "--target",
        default="",
        metavar="<url>",
        help="your own: redis://127.0.0.1:6379, more after commas",
    )
    stacks = offered_stacks()
    shown = stacks[1] if len(stacks) > len(STACKS) else stacks[0]
    add("--stack", choices=AnyOf(stacks), default=shown, metavar="<stack>", help="of the services")
    add("--seed", default="", metavar="<n>", help="another plan than the scenario's own")
    add("--quick", action="store_true", help="shorter phases, to see that it works")
    own = parser.add_argument_group("Holdfast")
    own.add_argument("--out", default="results", metavar="<folder>", help="for the run folders")
    own.add_argument(
        "--scenarios", default=scenario_folder(), metavar="<folder>", help="what the form offers"
    )
    own.add_argument(
        "--allow-remote",
        action="store_true",
        help=f"let other machines use the web UI, with {USER_VARIABLE} and {PASSWORD_VARIABLE}",
    )
    own.add_argument(
        OPTION,
        metavar="<file>",
        help=f"with the secret that master and workers share (else {VARIABLE}, or this user's own)",
    )
    own.add_argument(
        "--allow-locustfiles",
        action="store_true",
        default=os.environ.get(LOCUSTFILES_VARIABLE, "").lower() in YES,
        help="of a worker: run the locustfiles that the master sends",
    )
    parser.set_defaults(web_host=LOOPBACK, master_bind_host=LOOPBACK)


def scenario_folder() -> str:
    """Where the scenarios are looked for: here, else beside the package in a checkout."""
    beside = Path(__file__).parent.parent.parent.parent / "scenarios"
    return "scenarios" if Path("scenarios").is_dir() or not beside.is_dir() else str(beside)


def offered() -> tuple[Choice, ...]:
    """The scenarios of the folder that the command line names, and the file that --scenario names, if any.

    The form is made before Locust reads its command line, so it is looked at here.
    """
    folder = Path(word_after("--scenarios") or scenario_folder())
    file = Path(word_after("--scenario") or "")
    stack = next((one for one in offered_stacks() if one not in STACKS), None)
    try:
        found = choices_in(folder, stack) if folder.is_dir() else ()
    except ScenarioError:
        found = ()
    named = (
        choices_in(file, stack) if file.is_file() and file not in {choice.path for choice in found} else ()
    )
    return (*found, *named)
