"""The command line of the comparison."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.errors import ExitCode, UsageError
from bench.peers.redis_get import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command()
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=3.0, show_default=True, help="Of a turn.")
@click.option("--only", multiple=True, metavar="NAME", help=f"Of {', '.join(NAMES)}; may be repeated.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="Keys, order.")
@click.option("--install", is_flag=True, help="Install redis-tools with apt-get if it is missing (as root).")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the results [results/peers-<utc>].")
def command(
    rounds: int, seconds: float, only: tuple[str, ...], seed: int, install: bool, out: Path | None
) -> int:
    """Compare ours with other tools on this machine, side by side in rounds.

    \b
    Exit codes: 0 every criterion is met, 1 one is not, 2 usage, 4 no server,
    5 a contestant is missing or was left out, 130 interrupted.
    """
    from bench.environment import fingerprint
    from bench.judge.status import EXIT_CODES
    from bench.peers import record, table
    from bench.peers.comparison import Comparison, compare
    from bench.peers.redis_get import open_redis_get
    from bench.peers.verdict import findings_of, status_of

    if unknown := sorted(set(only) - set(NAMES)):
        raise UsageError(f"--only: expected one of {', '.join(NAMES)}, found {', '.join(unknown)}")
    names = [name for name in NAMES if name in only] or list(NAMES)
    started, environment = datetime.now(UTC), fingerprint()
    folder = out or Path("results") / f"peers-{started:%Y%m%dT%H%M%SZ}"
    interrupted = False
    opening = open_redis_get(names, seed, folder / "logs", may_install=install)
    with _sigterm_as_interrupt(), opening as subject:
        comparison = Comparison(subject.title, subject.connections, rounds, seconds, seed)
        comparison.left_out = tuple(name for name in NAMES if name not in names)
        described = subject.to_json()
        try:
            compare(subject, comparison, lambda line: click.echo(line, err=True))
        except KeyboardInterrupt:
            interrupted = True
    findings = findings_of(subject.criteria, comparison.summaries(), comparison.absent)
    machine = record.machine_of(environment)
    kept = record.record_of(comparison, findings, described, environment, started)
    record.write(folder, kept, comparison, findings, machine)
    click.echo(table.text_of(comparison, findings, machine) + f"\nkept in {folder}")
    return ExitCode.INTERRUPTED if interrupted else EXIT_CODES[status_of(findings)]


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM ends the comparison as Ctrl-C does: the server goes, finished rounds stay."""

    def interrupt(number: int, frame: object) -> None:  # noqa: ARG001 - the signal module's form
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
