"""Waiting for a moment at which a fault hurts most: a rewrite of Redis, a checkpoint of Postgres."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from bench.core.errors import TargetError
from chaos.processes import wait_until

if TYPE_CHECKING:
    from bench.stack.target import Target
    from chaos.context import FaultContext
    from chaos.schedule import FaultPlan

HOOK_S = 10.0
POLL_S = 0.001


def await_hook(plan: FaultPlan, around: FaultContext, stop: threading.Event) -> bool:
    """Bring the moment about at the plan's target and return when it is there; False when it did not come.

    Small data is written quickly, so the moment may pass unseen: it is brought about until it is seen,
    for HOOK_S or until `stop`. Raises TargetError.
    """
    bring_about = {"redis_rewrite": _redis_rewrite, "postgres_checkpoint": _postgres_checkpoint}
    return bring_about[str(plan.when)](around.targets[plan.target], stop)


def _redis_rewrite(target: Target, stop: threading.Event) -> bool:
    from bench.stack.probes.connection import ProbeError
    from bench.stack.probes.resp import ErrorReply, RespClient

    try:
        with RespClient(target.host, target.port, HOOK_S) as server:
            if target.password is not None:
                server.ask("AUTH", *([target.username] if target.username else []), target.password)

            def is_under_way() -> bool:
                facts = str(server.ask("INFO", "persistence"))
                if "aof_rewrite_in_progress:1" in facts:
                    return True
                if "aof_rewrite_scheduled:1" not in facts:
                    server.ask("BGREWRITEAOF")
                return False

            return wait_until(lambda: stop.is_set() or is_under_way(), HOOK_S, POLL_S) and not stop.is_set()
    except (ProbeError, ErrorReply) as fact:
        raise _refused(target, "a Redis that rewrites its append-only file", str(fact)) from None


def _postgres_checkpoint(target: Target, stop: threading.Event) -> bool:
    import psycopg
    from psycopg.conninfo import make_conninfo

    from bench.stack.probes.libpq import libpq_parameters

    conninfo = make_conninfo(**libpq_parameters(target))
    deadline = time.monotonic() + HOOK_S
    try:
        with psycopg.connect(conninfo, autocommit=True) as watching:
            while time.monotonic() < deadline and not stop.is_set():
                if _checkpoint_is_seen(conninfo, watching, deadline, stop):
                    return True
    except psycopg.Error as error:
        found = str(error).strip().partition("\n")[0]
        raise _refused(target, "a Postgres that makes a checkpoint", found) from None
    return False


def _checkpoint_is_seen(conninfo: str, watching: Any, deadline: float, stop: threading.Event) -> bool:
    """Ask for one checkpoint and look until it is under way; False when it was over before."""
    import psycopg

    over = threading.Event()
    asking = psycopg.connect(conninfo, autocommit=True)

    def ask() -> None:
        try:
            with asking:
                asking.execute("CHECKPOINT")
        except psycopg.Error:
            pass  # the fault came in the middle of it: that is the purpose
        finally:
            over.set()

    pid = asking.info.backend_pid
    threading.Thread(target=ask, name="checkpoint", daemon=True).start()
    # Who asked waits for its end once it has begun.
    text = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'CheckpointDone'"
    while not over.is_set() and not stop.is_set() and time.monotonic() < deadline:
        if watching.execute(text, (pid,)).fetchone():
            return True
        time.sleep(POLL_S)
    return False


def _refused(target: Target, expected: str, found: str) -> TargetError:
    advice = "remove `when`, or give the user the right to it"
    return TargetError(target.name, target.address, expected, found, advice)
