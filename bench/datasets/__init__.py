"""Data that a Postgres workload runs on: the built-in sets and SQL files, loaded, checked and dropped.

`load` before the run, `check` after it, `drop` at the end unless the set is kept. Built-in sets:

- `tpcb`: the tables of `pgbench -i`, so that figures compare with pgbench's and `pgbench -n` runs on them;
- `app`: accounts, orders and events with JSONB as an application has them, in the schema holdfast_app.

Tables that we made carry a comment that says so; what does not carry it is never dropped or changed.
There is one set of a name in a database: a load replaces what another left there, kept or not, but never
what a run in progress has claimed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.datasets.dataset import DataSet, Loaded, SqlFile, SqlRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.datasets.connection import Claim
    from bench.stack.target import Target

__all__ = ["DataSet", "Loaded", "SqlFile", "SqlRefused", "check", "claim_on", "drop", "load"]


def load(
    target: Target,
    wanted: DataSet,
    note: Callable[[str], None] = lambda _: None,
    claim: Claim | None = None,
) -> Loaded:
    """Put the data in place and verify it; all of it is there afterwards or nothing.

    `note` is called with one line before each step that may take seconds. `claim` is taken before anyone
    else can replace the set.
    Raises TargetError (connection, rights, disk, tables that are not ours, a set that another run uses),
    SqlRefused for a file.
    """
    from bench.datasets import loading

    return loading.load(target, wanted, note, claim)


def claim_on(target: Target, wanted: DataSet) -> Claim | None:
    """A claim on a built-in set, not yet taken; None for SQL files, whose tables are not known.

    Raises TargetError.
    """
    from bench.datasets.connection import Claim

    return None if wanted.name is None else Claim(target, wanted.name)


def check(target: Target, wanted: DataSet) -> list[str]:
    """What does not hold after a run, one sentence each; empty when all holds, and for SQL files.

    Raises TargetError where the target cannot be asked.
    """
    from bench.datasets import loading

    return loading.check(target, wanted)


def drop(target: Target, wanted: DataSet) -> None:
    """Remove the built-in set, whatever its scale; idempotent. What SQL files made stays.

    Raises TargetError where the target cannot be asked or refuses, or another run uses the set.
    """
    from bench.datasets import loading

    loading.drop(target, wanted)
