"""A check's own query, looked at by the server before any load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.errors import Problem, ScenarioError, TargetError
from bench.scenario.placeholders import RUN
from chaos.integrity.read_back import NotYet, Unreadable, patiently

if TYPE_CHECKING:
    from bench.stack.target import Target
    from chaos.integrity.check import Check

MAY_COME = ("42P01", "42703", "3F000")
"""No such table, column or schema: a data set may still bring it."""


def rehearse(check: Check, query: str, key: str) -> None:
    """Have the server plan a query, the check's `key`.

    Raises ScenarioError where it is none, TargetError where nobody answers.
    """
    target = check.target
    try:
        refusal = patiently(lambda: _refusal(target, query.replace("{" + RUN + "}", "0")))
    except Unreadable as reason:
        raise TargetError(
            target.name, target.address, f"an answer about `{key}`", str(reason), "check the target"
        ) from None
    if refusal is None:
        return
    sqlstate, text = refusal
    loaded = [one.workload for one in check.site.plan.workloads if one.workload.dataset is not None]
    if sqlstate in MAY_COME and any(workload.target == check.store for workload in loaded):
        return
    raise ScenarioError(
        [
            Problem(
                f"workload {check.workload.name}",
                0,
                0,
                f"integrity: {key}",
                "a query that the server accepts",
                f"'{text}'",
                "correct the query",
            )
        ]
    )


def _refusal(target: Target, query: str) -> tuple[str, str] | None:
    """SQLSTATE and text, None where the server accepts it."""
    import psycopg

    from chaos.integrity.postgres_read_back import connected

    with connected(target) as connection:
        try:
            connection.execute(f"EXPLAIN {query}".encode())
        except psycopg.OperationalError as error:
            raise NotYet(str(error)) from None
        except psycopg.Error as error:
            return error.sqlstate or "", str(error.diag.message_primary or error)
        finally:
            connection.rollback()
    return None
