"""`bench assess [RESULTS]`: is the system ready for production, by the runs that there are?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.output import DurationNs, NamedPath

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.assess.assessment import Assessment
    from bench.assess.sources import ScenarioFiles
    from bench.core.errors import ExitCode
    from bench.stack.standing import AskedTarget
    from bench.stack.target import Target

FORMS = ("html", "markdown", "json", "text")
BY_SUFFIX = {".html": "html", ".htm": "html", ".md": "markdown", ".json": "json"}
SCENARIOS = Path("scenarios")
ASKABLE = ("external", "compose")


@click.command()
@click.argument("results", type=NamedPath(path_type=Path), default=Path("results"))
@click.option(
    "--scenarios",
    type=click.Path(path_type=Path),
    help="Scenario files, to find what is missing or has changed (default: scenarios/, if it exists).",
)
@click.option(
    "--requirements",
    type=NamedPath(path_type=Path, dir_okay=False),
    help="What must be shown (default: scenarios/requirements.yaml, if it exists, else the one shipped).",
    metavar="FILE",
)
@click.option("--max-age", type=DurationNs(), default="7d", show_default=True, help="Ignore older runs.")
@click.option(
    "--format", "form", type=click.Choice(FORMS), help="Output format (default: text, or by FILE's name)."
)
@click.option(
    "--out", type=NamedPath(path_type=Path, dir_okay=False), help="Write the report to FILE.", metavar="FILE"
)
@click.option(
    "--bundle",
    type=NamedPath(path_type=Path, dir_okay=False),
    help="Also write all evidence, with its digests, to this ZIP file.",
    metavar="FILE",
)
@click.option(
    "--comment",
    type=NamedPath(path_type=Path, dir_okay=False),
    help="Also write a short form as one comment for a pull request.",
    metavar="FILE",
)
@click.option("--health", is_flag=True, help="Check the targets now; a stack that is up is always checked.")
@click.option(
    "--stack",
    "stack_kind",
    help="Check external, compose or a stack file now.",
    metavar="STACK",
)
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="NAME=URL",
    help="Check this service too, as bench stack status does.",
)
@click.option(
    "--alerts",
    type=NamedPath(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write Prometheus alert and recording rules and a Grafana dashboard with the measured thresholds.",
)
def command(
    results: Path,
    scenarios: Path | None,
    requirements: Path | None,
    max_age: int,
    form: str | None,
    out: Path | None,
    bundle: Path | None,
    comment: Path | None,
    health: bool,
    stack_kind: str | None,
    services: tuple[str, ...],
    alerts: Path | None,
) -> ExitCode:
    """Assess production readiness by the latest run of every scenario in RESULTS.

    \b
    bench assess
    bench assess --out readiness.html
    bench assess --alerts monitoring
    bench assess --service search=elasticsearch://127.0.0.1:9200

    Exit codes: 0 READY, with or without warnings; 1 NOT READY; 5 CANNOT TELL, because
    evidence is missing.
    """
    from bench.assess.assessment import assess
    from bench.assess.recommendation import EXIT_CODES
    from bench.assess.requirements_file import default_file, load_requirements
    from bench.cli.output import say, say_problem
    from bench.core.clock import WallLabel
    from bench.report.render.text import is_colourful

    file = requirements or default_file()
    wanted = load_requirements(file)
    asked = _asked_now(stack_kind, health, services)
    rows = [one.health for one in asked]
    now_ns = WallLabel.read().wall_ns
    found = assess(results, _files(scenarios), now_ns, max_age, wanted, rows, file.parent, asked)
    if bundle is not None:
        from bench.report.assess.bundle import write_bundle

        files = write_bundle(bundle, found, file)
        say_problem(f"{files} files of evidence in {bundle}: unzip it, then sha256sum -c SHA256SUMS")
    if alerts is not None:
        _write_alerts(alerts, found)
    if comment is not None:
        from bench.report.assess.forms import render_comment

        _write(comment, render_comment(found))
    form = form or (BY_SUFFIX.get(out.suffix.lower(), "text") if out else "text")
    text = _rendered(found, form, out, colour=out is None and is_colourful())
    if out is None:
        say(text, newline=False)
    else:
        _write(out, text)
        say(
            f"{found.recommendation.value}: {found.score.shown} of {found.score.total} requirements shown; "
            f"see {out}"
        )
    return EXIT_CODES[found.recommendation]


def _asked_now(stack: str | None, wanted: bool, services: Iterable[str]) -> list[AskedTarget]:
    """Each target and how it is; none where it was not asked for and no stack is up.

    `stack` is None, "external" (what the environment names), "compose" (the project that runs) or a stack
    file. Nothing is started. Raises UsageError for another stack, TargetError for a service without a name.
    """
    from bench.core.errors import UsageError
    from bench.registry import STARTED, url_variables
    from bench.stack.background.state import read_state
    from bench.stack.external import further_services, named_by_the_user, services_in, url_in
    from bench.stack.standing import asked, container_ids

    if stack in STARTED:
        raise UsageError(
            f"--stack: expected {' or '.join(ASKABLE)}, which run already, or a stack file, found '{stack}'; "
            "bench stack up keeps an embedded stack up, and that one is asked without --stack"
        )
    given = services_in(services, "the command line")
    if stack is not None and stack not in ASKABLE:
        return [*_standing(stack), *asked(given)]
    background = read_state()
    is_up = background is not None and background.is_up()
    if not (wanted or stack or given or is_up):
        return []
    targets: list[Target] = list(background.targets) if background is not None and is_up else []
    named = [named_by_the_user(name) for name in url_variables() if url_in(name)]
    for target in [*named, *further_services(), *given]:
        if all((target.name, target.address) != (other.name, other.address) for other in targets):
            targets.append(target)
    containers = container_ids(background.described) if background is not None and is_up else {}
    return asked(targets, containers) + (_in_compose() if stack == "compose" else [])


def _standing(named: str) -> list[AskedTarget]:
    """What a stack file describes and runs already. Raises UsageError, ScenarioError."""
    from bench.core.errors import UsageError
    from bench.stack.assembled import asked_of_standing
    from bench.stack.stack_file import find_stack_file, load_stack_file

    path = find_stack_file(named)
    if path is None:
        raise UsageError(f"--stack: expected a stack file, found '{named}'; a stack of ours needs no --stack")
    return asked_of_standing(load_stack_file(path))


def _in_compose() -> list[AskedTarget]:
    """Each target that a compose project can have, by itself: one that is missing hides no other."""
    from bench.core.errors import TargetError
    from bench.registry import SERVICES
    from bench.stack.docker.compose import ComposeStack
    from bench.stack.probes.health import ServiceHealth
    from bench.stack.standing import AskedTarget, asked_of

    rows: list[AskedTarget] = []
    with tempfile.TemporaryDirectory(prefix="holdfast-") as logs:
        for name, service in SERVICES.items():
            try:
                with ComposeStack({name}, Path(logs)) as stack:
                    rows += asked_of(stack)
            except TargetError as error:
                health = ServiceHealth(name, service.kind.name, "unknown", "down", str(error))
                rows.append(AskedTarget(health))
    return rows


def _files(scenarios: Path | None) -> ScenarioFiles:
    from bench.assess.sources import ScenarioFiles, read_scenarios

    if scenarios is None and not SCENARIOS.is_dir():
        return ScenarioFiles({}, ("there is no folder scenarios: whether files have changed is not known",))
    return read_scenarios([scenarios or SCENARIOS])


def _rendered(found: Assessment, form: str, out: Path | None, colour: bool) -> str:
    from bench.report.assess import forms

    beside = out.parent if out else Path()
    match form:
        case "html":
            return forms.render_html(found, beside)
        case "markdown":
            return forms.render_markdown(found, beside)
        case "json":
            return forms.render_json(found)
        case _:
            return forms.render_text(found, colour)


def _write_alerts(folder: Path, found: Assessment) -> None:
    from bench.assess.alerting.dashboard import dashboard
    from bench.assess.alerting.rules import alert_rules, alerts_file, recordings_file
    from bench.cli.output import say_problem
    from bench.core.errors import ResultError

    rows = [row for one in found.mets for row in one.rows]
    written = alert_rules(rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultError(
            f"{folder}: expected to be able to make the folder, found '{error.strerror}'; name another"
        ) from error
    _write(folder / "alerts.yaml", alerts_file(written))
    _write(folder / "recording.yaml", recordings_file(written))
    _write(folder / "dashboard.json", dashboard(rows))
    say_problem(
        f"{folder}: {len(written.alerts)} alerts; {len(written.left_out)} rules without one are listed there"
    )


def _write(out: Path, text: str) -> None:
    from bench.core.errors import ResultError
    from bench.results.layout import write_whole

    try:
        write_whole(out, text)
    except OSError as error:
        raise ResultError(
            f"{out}: expected to be able to write the report, found '{error.strerror}'; "
            "name another file with --out"
        ) from error
