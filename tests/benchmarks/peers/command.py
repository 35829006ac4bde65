"""The command line of the comparison."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.core.errors import ExitCode, UsageError
from tests.benchmarks.peers.subjects import CONTESTANTS, SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@click.command()
@click.argument("subjects", nargs=-1, metavar="[SUBJECT]...")
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=3.0, show_default=True, help="Of a turn.")
@click.option("--only", multiple=True, metavar="NAME", help=f"Of {', '.join(CONTESTANTS)}; may be repeated.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="Keys, order.")
@click.option("--install", is_flag=True, help="Install Debian's packages that are missing (as root).")
@click.option("--json", "as_json", is_flag=True, help="The records to stdout, the rest to stderr.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the results [results/peers-<utc>].")
def command(
    subjects: tuple[str, ...],
    rounds: int,
    seconds: float,
    only: tuple[str, ...],
    seed: int,
    install: bool,
    as_json: bool,
    out: Path | None,
) -> int:
    """Compare ours with other tools on this machine, side by side in rounds.

    Without SUBJECT all of them: redis_get, postgres_select, postgres_tpcb, http_static, http_api.

    \b
    Exit codes: 0 every criterion is met, 1 one is not, 2 usage, 4 a server cannot
    be started, 5 a contestant or a server's program is missing, or a criterion
    could not be judged, 130 interrupted. Of several the worst: 130, 1, 4, 5.
    """
    from tests.benchmarks.peers.session import PeersSession

    _expect("SUBJECT", subjects, tuple(SUBJECTS))
    _expect("--only", only, CONTESTANTS)
    kinds = [kind for name, kind in SUBJECTS.items() if name in (subjects or SUBJECTS)]
    chosen = [kind for kind in kinds if not only or set(only) & set(kind.contestants)]
    if not chosen:
        raise UsageError(f"--only: expected a contestant of {', '.join(subjects)}, found {', '.join(only)}")
    folder = out or Path("results") / f"peers-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    session = PeersSession(folder, rounds, seconds, seed, only, may_install=install, as_json=as_json)
    interrupted = False
    with _sigterm_as_interrupt():
        try:
            for kind in chosen:
                session.run(kind)
        except KeyboardInterrupt:
            interrupted = True
    session.finish()
    return ExitCode.INTERRUPTED if interrupted else session.exit_code()


def _expect(where: str, given: Sequence[str], known: Sequence[str]) -> None:
    if unknown := sorted(set(given) - set(known)):
        raise UsageError(f"{where}: expected one of {', '.join(known)}, found {', '.join(unknown)}")


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM ends the comparison as Ctrl-C does: the server goes, finished rounds stay."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
