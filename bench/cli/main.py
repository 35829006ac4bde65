"""`bench`: finds the command's module, and turns an error into its sentence and exit code.

Commands are imported when they are asked for, so that `bench --help` answers immediately.
"""

import importlib
import os
import signal
import sys
import traceback
from contextlib import suppress

import click
from click.shell_completion import CompletionItem, shell_complete

from bench.cli.output import flush_output, ready, say, say_problem, silence
from bench.core import plugins
from bench.core.errors import ExitCode
from bench.core.machine_limits import BUG, failure_of, raise_descriptor_limit

# name -> (module, one line for --help). Kept here so that help needs no import.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("bench.cli.init_command", "Write a stack file and a first scenario for your own system."),
    "list": ("bench.cli.list_command", "List the scenarios and what each one asks."),
    "validate": ("bench.cli.validate_command", "Check scenario files; report every problem with its place."),
    "plan": ("bench.cli.plan_command", "Print what a scenario would do, without doing it."),
    "run": ("bench.cli.run_command", "Run scenarios and judge them."),
    "judge": ("bench.cli.judge_command", "Judge a saved run, against its own or other rules."),
    "report": ("bench.cli.report_command", "Saved runs as text, HTML, Markdown, JUnit, JSON or CSV."),
    "explain": ("bench.cli.explain_command", "What made the tail of a run: ranked causes with their shares."),
    "compare": ("bench.cli.compare_command", "Compare runs with earlier ones; exit 1 for a regression."),
    "capacity": ("bench.cli.capacity_command", "Search the highest rate at which all rules hold."),
    "matrix": ("bench.cli.matrix_command", "Break each way to a target in each way, and table the effects."),
    "watch": ("bench.cli.watch_command", "Weeks of light load: availability, error budgets, incidents."),
    "ab": ("bench.cli.ab_command", "Measure two variants in pairs; exit 1 where b is worse."),
    "trend": ("bench.cli.trend_command", "Find since which night a figure is another one."),
    "assess": ("bench.cli.assess_command", "Is it ready for production? The latest runs as one report."),
    "calibrate": ("bench.cli.calibrate_command", "Measure this machine against a server of known delays."),
    "stack": ("bench.cli.stack_command", "Keep services up between runs; show the health of every target."),
    "ui": ("bench.cli.ui_command", "Choose, start and watch runs in a browser (Locust)."),
    "heal": ("bench.cli.heal_command", "Heal faults that a killed harness left behind."),
    "doctor": ("bench.cli.doctor_command", "Show what this machine can do and what would disturb a run."),
    "help": ("bench.cli.help_command", "Explain metrics, rules and faults: what a scenario may say."),
    "schema": ("bench.cli.schema_command", "Print the JSON Schema of scenario or stack files."),
}

COMPLETE = "_BENCH_COMPLETE"
"""Set by the completion of a shell; the name is click's convention."""

HIDDEN_COMMANDS = {"agent": "bench.cli.agent_command"}
"""What only other processes of ours call: no part of --help."""


def tell_version(context: click.Context, option: click.Parameter, asked: bool) -> None:  # noqa: ARG001 - click's form
    """Print the version, of a checkout too."""
    if not asked:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"bench {version('holdfast')}")
    except PackageNotFoundError:
        click.echo("bench, run from source")
    context.exit()


class LazyGroup(click.Group):
    """A group that knows its commands' names and help, and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import the command's module and return its `command`."""
        module = COMMANDS[cmd_name][0] if cmd_name in COMMANDS else HIDDEN_COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = importlib.import_module(module).command
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands by their names, without importing them; options as click knows them."""
        found = [
            CompletionItem(name, help=line)
            for name, (_, line) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the table of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=tell_version,
    help="Show the version and exit.",
)
def group() -> None:
    """Run load and fault scenarios against a real system, and return a verdict backed by evidence.

    \b
    Exit codes: 0 PASS or WARN, 1 an SLA failed, 2 usage, 3 bad scenario,
    4 target not reachable, 5 INCONCLUSIVE or INVALID, 6 a heal failed,
    70 our bug, 130 interrupted.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit with its code."""
    try:
        code = run(arguments)
    except KeyboardInterrupt:  # another one, while the first was being reported
        code = int(ExitCode.INTERRUPTED)
    try:
        flush_output()  # of what was said instead of a command, such as --help
    except OSError as error:
        text, failed = failure_of(error)
        say_problem(text)
        code = code or failed
    if code == ExitCode.INTERRUPTED:
        # All is cleared up. What is left is Python's own end, which a further Ctrl-C would turn into a death.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code: a traceback is shown for our bugs only."""
    # Where Logfire is installed, pydantic imports all of it with its first model, which no command needs.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "logfire-plugin")
    ready()
    if asked := os.environ.get(COMPLETE):
        # What a shell asks: for its script (bash_source, zsh_source, fish_source), or how a line may go on.
        return shell_complete(group, {}, "bench", COMPLETE, asked)
    raise_descriptor_limit()
    try:
        # Not group.main: it would end a command whose reader went away with 1, which here is an SLA's.
        with group.make_context("bench", list(sys.argv[1:] if arguments is None else arguments)) as context:
            code = group.invoke(context)
        flush_output()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        return ExitCode.INTERRUPTED
    except click.ClickException as problem:
        with suppress(BrokenPipeError):
            problem.show()
        return ExitCode.USAGE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # `bench list | head -1`: nothing is left to say to that reader.
        silence(sys.stdout)
        return ExitCode.OK
    except Exception as error:  # noqa: BLE001 - the outermost frame: this is the place where bugs are reported
        text, failed = failure_of(error)
        if text == BUG:
            say(traceback.format_exc() + text, to=sys.stderr)
        else:
            plugins.problems.pop(text, None)
            say_problem(text)
        return failed
    finally:
        for left_out in plugins.problems:
            say_problem(f"bench: {left_out}")
        plugins.problems.clear()
    return int(code or ExitCode.OK)
