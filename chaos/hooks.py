"""Waiting for a moment at which a fault hurts most: a rewrite of Redis, a checkpoint of Postgres."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from chaos.processes import wait_until

if TYPE_CHECKING:
    from chaos.surroundings import Surroundings

HOOK_S = 10.0
POLL_S = 0.001


def await_hook(name: str, around: Surroundings, stop: threading.Event) -> bool:
    """Bring the moment about and wait until it is there; False when it did not come in HOOK_S."""
    return {"redis_rewrite": _redis_rewrite, "postgres_checkpoint": _postgres_checkpoint}[name](around, stop)


def _redis_rewrite(around: Surroundings, stop: threading.Event) -> bool:
    from bench.stack.dialogue import Dialogue

    target = around.targets["redis"]
    with Dialogue(target.host, target.port, HOOK_S) as server:
        if target.password is not None:
            server.ask("AUTH", *([target.username] if target.username else []), target.password)
        server.ask("BGREWRITEAOF")

        def is_under_way() -> bool:
            return stop.is_set() or "aof_rewrite_in_progress:1" in str(server.ask("INFO", "persistence"))

        return wait_until(is_under_way, HOOK_S, POLL_S)


def _postgres_checkpoint(around: Surroundings, stop: threading.Event) -> bool:
    import psycopg
    from psycopg.conninfo import make_conninfo

    from bench.stack.libpq import libpq_parameters

    conninfo = make_conninfo(**libpq_parameters(around.targets["postgres"]))
    begun = threading.Event()

    def checkpoint() -> None:
        try:
            with psycopg.connect(conninfo, autocommit=True) as connection:
                begun.set()
                connection.execute("CHECKPOINT")
        except psycopg.Error:
            begun.set()  # the fault may come in the middle of it: that is the purpose

    threading.Thread(target=checkpoint, name="checkpoint", daemon=True).start()
    return wait_until(lambda: begun.is_set() or stop.is_set(), HOOK_S, POLL_S)
