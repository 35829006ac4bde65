"""What a worker lets a master do with it: where load may go, and whether Python that was sent may run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from bench.core.errors import UsageError

if TYPE_CHECKING:
    from bench.stack.target import Target

LOCUSTFILES_VARIABLE = "HOLDFAST_ALLOW_LOCUSTFILES"
FORK_VARIABLE = "BENCH_WORKER_IS_FORK"
"""Set by us alone: the worker is a fork of its master, and may what that may."""
YES = ("1", "true", "yes", "on")


def trust_variables(*, is_fork: bool, may_run_files: bool) -> dict[str, str]:
    """What an engine host is told of it."""
    found = {FORK_VARIABLE: "1"} if is_fork else {}
    return found | ({LOCUSTFILES_VARIABLE: "1"} if may_run_files else {})


def check_target(target: Target | None) -> None:
    """Raises TargetError for one on a host that this worker's owner has not allowed."""
    from bench.stack.external import check_host

    if target is not None and not _is_fork():
        check_host(target)


def check_locustfiles(plan: dict[str, Any]) -> None:
    """Raises UsageError for a plan that has some, where this worker's owner has not allowed them."""
    paths = [one["locustfile"]["path"] for one in plan["workloads"] if one.get("locustfile")]
    if not paths or _is_fork() or os.environ.get(LOCUSTFILES_VARIABLE, "").lower() in YES:
        return
    raise UsageError(
        f"locustfile {paths[0]}: expected a worker that may run its master's locustfiles, found one that may"
        f" not; start it with --allow-locustfiles or {LOCUSTFILES_VARIABLE}=1 if you trust who starts runs"
    )


def _is_fork() -> bool:
    return os.environ.get(FORK_VARIABLE) == "1"
