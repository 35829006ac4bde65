"""Does the check of lost writes see a loss, and none where none is? `python -m` this module.

Four runs on servers of our own, killed again and again under load. Without an append-only file Redis
must lose what it acknowledged, and so must Postgres with synchronous_commit off and a lazy WAL writer;
with appendfsync always and synchronous_commit on neither may lose anything. Exit code 1 where a control
does otherwise: then no count of ours is to be believed, or the server breaks its word.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from bench.core.errors import ExitCode, HoldfastError

EVERY_MS = 1_200
"""From one kill to the next: a restart takes a fraction of it, the rest is acknowledged writes."""
FIRST_MS, LAST_MS = 1_000, 3_000

REDIS = """
    target: redis
    driver: redis
    lanes: 8
    operations:
      add: {command: [SET, "ledger:{run}:{seq}", "{seq}"]}
    rate: 2000/s
"""
POSTGRES = """
    target: postgres
    driver: postgres
    lanes: 8
    session: {synchronous_commit: "SYNCHRONOUS_COMMIT"}
    dataset: {sql: [{path: ledger, text: "CREATE TABLE IF NOT EXISTS ledger (run bigint, id bigint)"}]}
    operations:
      add: {sql: "INSERT INTO ledger VALUES ({run}, {seq})"}
    rate: 1000/s
"""
FOUND = 'found: "SELECT id FROM ledger WHERE run = {run}"'


@dataclass(frozen=True)
class Control:
    """One server with its settings, and what must become of its acknowledged writes."""

    name: str
    service: str
    must_lose: bool
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the server."""
    synchronous_commit: str = "on"
    """Of the load's sessions; what makes their table is always waited for."""

    def scenario(self, kills: int) -> str:
        """The text of its scenario."""
        workload, found = (REDIS, "") if self.service == "redis" else (POSTGRES, f", {FOUND}")
        workload = workload.replace("SYNCHRONOUS_COMMIT", self.synchronous_commit)
        length_ms = FIRST_MS + EVERY_MS * (kills - 1) + LAST_MS
        repeat = f", repeat: {kills}, every: {EVERY_MS}ms" if kills > 1 else ""
        return f"""\
scenario: control
purpose: {self.name} {"loses" if self.must_lose else "keeps"} acknowledged writes when it is killed
workloads:
  - name: ledger{workload}\
    arrivals: constant
    deadline: 500ms
phases:
  - {{name: steady, for: {length_ms}ms}}
faults:
  - {{kill: {self.service}, at: {FIRST_MS}ms{repeat}}}
integrity:
  - {{acknowledged_writes: ledger, operation: add{found}}}
"""


CONTROLS = (
    Control("Redis, no append-only file", "redis", True, {"appendonly": "no"}),
    Control("Redis, appendfsync always", "redis", False, {"appendonly": "yes", "appendfsync": "always"}),
    Control(
        "Postgres, synchronous_commit off",
        "postgres",
        True,
        # Lazy, so that much is lost at once; by itself it would be up to three times 200 ms.
        {"wal_writer_delay": "10s", "wal_writer_flush_after": "64MB"},
        synchronous_commit="off",
    ),
    Control("Postgres, synchronous_commit on", "postgres", False),
)


@dataclass(frozen=True)
class Result:
    """What became of one control."""

    control: Control
    kills: int
    """That took effect and were mended."""
    entry: dict[str, Any]
    """As in run.json, under integrity."""

    @property
    def is_right(self) -> bool:
        """Whether it lost what it must, or nothing where it must not, and the check was made."""
        lost, unexpected = self.entry["lost"], self.entry["unexpected"]
        if (
            not self.kills
            or lost is None
            or unexpected
            or self.entry["holes"]
            or not self.entry["acknowledged"]
        ):
            return False
        return bool(lost) == self.control.must_lose


def run_control(control: Control, kills: int, folder: Path) -> Result:
    """Run one control on a stack of its own; the run's folder is kept in `folder`. Raises HoldfastError."""
    import json

    from bench.run.progress import Silent
    from bench.run.session import Session
    from bench.scenario.load import load_scenario
    from bench.stack.embedded import EmbeddedStack
    from chaos.plugin import Chaos

    file = folder / "control.yaml"
    file.write_text(control.scenario(kills), encoding="utf-8")
    settings = {control.service: control.settings}
    with EmbeddedStack({control.service}, folder / "logs", settings) as stack:
        session = Session(stack, folder, Silent(), plugins=lambda _: [Chaos()])
        run = session.run(load_scenario(file))
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    made = sum(bool(fault["took_effect"] and fault["healed"]) for fault in record["faults"])
    return Result(control, made, record["integrity"][0])


def line(result: Result) -> str:
    """One row of the table."""
    entry = result.entry
    age_ns = entry["oldest_lost_age_ns"]
    age = "-" if age_ns is None else f"{age_ns / 1e6:.0f} ms"
    lost = "?" if entry["lost"] is None else str(entry["lost"])
    acknowledged = entry["acknowledged"] or 0
    verdict = "as it must" if result.is_right else "WRONG"
    return f"{result.control.name:<34}{result.kills:>6}{acknowledged:>14}{lost:>9}{age:>12}  {verdict}"


HEAD = f"{'':<34}{'kills':>6}{'acknowledged':>14}{'lost':>9}{'oldest':>12}"


@click.command()
@click.option("--kills", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Keep the runs in this folder.")
def command(kills: int, out: Path | None) -> int:
    """Kill four servers again and again and count what they lose of what they had acknowledged."""
    with ExitStack() as cleanup:
        folder = out or Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-controls-")))
        click.echo(HEAD)
        results = []
        for number, control in enumerate(CONTROLS):
            place = folder / str(number)
            place.mkdir(parents=True, exist_ok=True)
            results.append(run_control(control, kills, place))
            click.echo(line(results[-1]))
            reason = results[-1].entry["inconclusive"] or results[-1].entry.get("text")
            if reason or not results[-1].is_right:
                click.echo(f"  {reason or results[-1].entry['bound']}")
    click.echo("A kill leaves what the system's page cache holds: it cannot tell fsync policies apart.")
    return ExitCode.OK if all(result.is_right for result in results) else ExitCode.SLA_FAILED


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        code = command.main(
            arguments, prog_name="python -m tests.benchmarks.durability.controls", standalone_mode=False
        )
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
