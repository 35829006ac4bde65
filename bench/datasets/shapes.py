"""How many rows the built-in sets have: what a scenario's parameters may count on. Pure."""

from __future__ import annotations

TPCB_ROWS = {"pgbench_branches": 1, "pgbench_tellers": 10, "pgbench_accounts": 100_000, "pgbench_history": 0}
APP_ROWS = {"accounts": 10_000, "orders": 50_000, "events": 50_000}
_ROWS = {"tpcb": TPCB_ROWS, "app": APP_ROWS}


def rows_of(name: str, scale: int) -> dict[str, int]:
    """Table -> rows right after the load. Keys count from 1 to the number of rows without gaps."""
    return {table: rows * scale for table, rows in _ROWS[name].items()}


def accounts_of(scale: int, name: str = "tpcb") -> int:
    """Accounts: `aid` of tpcb, `account_id` of app."""
    return rows_of(name, scale)["pgbench_accounts" if name == "tpcb" else "accounts"]


def tellers_of(scale: int) -> int:
    """Tellers of tpcb: `tid`."""
    return rows_of("tpcb", scale)["pgbench_tellers"]


def branches_of(scale: int) -> int:
    """Branches of tpcb: `bid`."""
    return rows_of("tpcb", scale)["pgbench_branches"]


def orders_of(scale: int) -> int:
    """Orders of app: `order_id`."""
    return rows_of("app", scale)["orders"]


def events_of(scale: int) -> int:
    """Events of app: `event_id`."""
    return rows_of("app", scale)["events"]
