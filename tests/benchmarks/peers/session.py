"""The chosen subjects one after the other: each opened, compared, kept and shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from bench.core.errors import ExitCode, TargetError
from bench.judge.verdict import Status, exit_code
from bench.run.record import fingerprint
from tests.benchmarks.peers import record, table
from tests.benchmarks.peers.comparison import Comparison, compare
from tests.benchmarks.peers.contestant import NotInstalled, TurnFailed
from tests.benchmarks.peers.subject import Opening
from tests.benchmarks.peers.verdict import findings_of, status_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.benchmarks.peers.subject import Subject, SubjectKind


class PeersSession:
    """One folder of results for each subject, and the exit code of all."""

    def __init__(
        self,
        folder: Path,
        rounds: int,
        seconds: float,
        seed: int,
        only: Sequence[str],
        *,
        may_install: bool,
        as_json: bool,
    ) -> None:
        self._folder = folder
        self._rounds, self._seconds, self._seed = rounds, seconds, seed
        self._only = only
        self._may_install = may_install
        self._as_json = as_json
        self._records: list[dict[str, Any]] = []
        self._statuses: list[Status] = []
        self._unreachable = False

    def run(self, kind: SubjectKind) -> None:
        """Open one subject and compare. One that cannot be opened is told, and the others go on.

        Raises KeyboardInterrupt after the finished rounds are kept.
        """
        names = [name for name in kind.contestants if not self._only or name in self._only]
        opening = Opening(names, self._seed, self._folder / kind.name / "logs", self._may_install)
        try:
            with kind.open(opening) as subject:
                self._compare(kind, names, subject)
        except TargetError as reason:
            self._unreachable = True
            self._not_opened(kind, str(reason))
        except (NotInstalled, TurnFailed) as reason:
            self._not_opened(kind, str(reason))

    def _compare(self, kind: SubjectKind, names: Sequence[str], subject: Subject) -> None:
        started, environment = datetime.now(UTC), fingerprint().to_json()
        connections = subject.connections
        comparison = Comparison(
            kind.name, subject.title, connections, self._rounds, self._seconds, self._seed
        )
        comparison.left_out = tuple(name for name in kind.contestants if name not in names)
        described = subject.to_json()
        self._tell(f"{kind.name}: {subject.title}")
        try:
            compare(subject, comparison, self._tell)
        finally:
            findings = findings_of(subject.criteria, comparison.summaries(), comparison.absent)
            machine = record.machine_of(environment)
            kept = record.record_of(comparison, findings, described, environment, started)
            folder = self._folder / kind.name
            record.write(folder, kept, comparison, findings, machine)
            self._records.append(kept)
            self._statuses.append(status_of(findings))
            text = table.text_of(comparison, findings, machine)
            click.echo(f"{text}\nkept in {folder}\n", err=self._as_json)

    def _not_opened(self, kind: SubjectKind, reason: str) -> None:
        self._statuses.append(Status.INCONCLUSIVE)
        self._records.append(record.not_opened(kind.name, reason))
        click.echo(f"{kind.name}: {Status.INCONCLUSIVE.name}: {reason}\n", err=self._as_json)

    def finish(self) -> None:
        """Print what --json asks for."""
        if self._as_json:
            click.echo(json.dumps(self._records, indent=2))

    def exit_code(self) -> ExitCode:
        """That of the worst subject; a server that did not start is worse than a missing contestant."""
        code = exit_code(self._statuses)
        return ExitCode.TARGET if self._unreachable and code is not ExitCode.SLA_FAILED else code

    @staticmethod
    def _tell(line: str) -> None:
        click.echo(line, err=True)
