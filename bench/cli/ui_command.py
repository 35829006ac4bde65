"""`bench ui`: Locust's web UI in front of the scenarios. The process becomes Locust's."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from bench.cli.output import NamedPath
from bench.core.errors import UsageError

FILE = Path(__file__).parent.parent / "swarm" / "locustfile.py"
WITHOUT_PAGE = frozenset({"--worker", "--headless"})
"""Options of Locust with which nothing listens on the port."""


@click.command()
@click.argument("locust_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- LOCUST OPTIONS]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8089, show_default=True)
@click.option("--allow-remote", is_flag=True, help="Accept other machines; they must give a password.")
@click.option(
    "--processes", type=click.IntRange(1, 64), help="Generate the load in this many worker processes."
)
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the secret of master and workers (default: HOLDFAST_WORKER_SECRET, or one per user).",
)
@click.option(
    "--scenarios", type=click.Path(path_type=Path), help="Folder with the scenarios to choose from."
)
@click.option(
    "--out", type=NamedPath(path_type=Path, file_okay=False), default=Path("results"), show_default=True
)
@click.option(
    "--stack",
    "stack_kind",
    metavar="STACK",
    help="Stack that the form shows first: embedded, docker, compose, external, or a stack file.",
)
def command(
    locust_options: tuple[str, ...],
    host: str,
    port: int,
    allow_remote: bool,
    processes: int | None,
    secret_file: Path | None,
    scenarios: Path | None,
    out: Path,
    stack_kind: str | None,
) -> NoReturn:
    """Choose, start and watch runs in a browser, at http://127.0.0.1:8089.

    \b
    bench ui
    bench ui --processes 2
    bench ui -- --master                             and for each worker
    bench ui -- --worker
    bench ui -- --master --master-bind-host ADDRESS  and on other machines
    bench ui -- --worker --master-host ADDRESS

    A worker must know the master's secret. For --processes, and for the same user on the same machine, one
    is created; on other machines set HOLDFAST_WORKER_SECRET or use --secret-file.

    It accepts other machines only with --allow-remote, and then requires the user name and password in
    HOLDFAST_UI_USER and HOLDFAST_UI_PASSWORD.
    """
    from bench.swarm.web.auth import is_loopback

    if not allow_remote and not is_loopback(host):
        raise UsageError(
            f"--host: expected an address of this machine alone such as 127.0.0.1, found '{host}'; "
            "add --allow-remote to let other machines in, who must then give a name and a password"
        )
    if scenarios is not None and not scenarios.is_dir():
        raise UsageError(f"--scenarios: expected a folder with scenario files, found no folder '{scenarios}'")
    if not WITHOUT_PAGE.intersection(locust_options):
        _refuse_taken_port(host, port)
    arguments = ["-f", str(FILE), "--web-host", host, "--web-port", str(port), "--out", str(out)]
    arguments += ["--allow-remote"] if allow_remote else []
    if processes:
        port_text = str(_free_port())  # for the workers alone; another UI may have Locust's own
        arguments += [
            "--processes",
            str(processes),
            "--master-bind-port",
            port_text,
            "--master-port",
            port_text,
        ]
    arguments += ["--scenarios", str(scenarios)] if scenarios else []
    arguments += ["--secret-file", str(secret_file)] if secret_file else []
    if stack_kind:
        from bench.stack.stack_file import find_stack_file, load_stack_file

        if (file := find_stack_file(stack_kind)) is not None:
            stack_kind = str(load_stack_file(file).path)
        arguments += ["--stack", stack_kind]
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(FILE.parent.parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "locust", *arguments, *locust_options])  # noqa: S606 - Locust itself, no shell is wanted


def _refuse_taken_port(host: str, port: int) -> None:
    # Locust itself would end with a traceback and exit code 0.
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("" if host == "*" else host, port))
        except OSError as error:
            raise UsageError(
                f"--port {port}: expected a port that is free on {host}, found '{error.strerror}'; "
                "is another bench ui open? Name another port"
            ) from None


def _free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
