"""`python -m tests.benchmarks.peers`: an error ends as its sentence and its exit code, as for `bench`."""

import sys

import click

from bench.core.errors import ExitCode, HoldfastError
from tests.benchmarks.peers.command import command


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        code = command.main(arguments, prog_name="python -m tests.benchmarks.peers", standalone_mode=False)
    except click.ClickException as problem:
        problem.show()
        return ExitCode.USAGE
    except HoldfastError as error:
        click.echo(f"bench: {error}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
    return int(code or ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main())
