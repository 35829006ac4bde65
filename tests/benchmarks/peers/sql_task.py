"""pgbench's two scripts on pgbench's tables, as each contestant writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.datasets.dataset import accounts_of, branches_of, tellers_of
from bench.scenario.model import Scenario

if TYPE_CHECKING:
    from bench.stack.target import Target

DELTA = 5000
READ = "SELECT abalance FROM pgbench_accounts WHERE aid = {aid}"


@dataclass(frozen=True)
class Script:
    """One of pgbench's built-in scripts, statement by statement, each a round trip."""

    name: str
    """pgbench -b NAME."""
    statements: tuple[str, ...]
    """Without BEGIN and END."""
    is_transaction: bool


SELECT_ONLY = Script("select-only", (READ,), is_transaction=False)
TPCB_LIKE = Script(
    "tpcb-like",
    (
        "UPDATE pgbench_accounts SET abalance = abalance + {delta} WHERE aid = {aid}",
        READ,
        "UPDATE pgbench_tellers SET tbalance = tbalance + {delta} WHERE tid = {tid}",
        "UPDATE pgbench_branches SET bbalance = bbalance + {delta} WHERE bid = {bid}",
        "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime)"
        " VALUES ({tid}, {bid}, {aid}, {delta}, CURRENT_TIMESTAMP)",
    ),
    is_transaction=True,
)


@dataclass(frozen=True)
class SqlTask:
    """A script over `connections` at a database that holds the tables at `scale`; uniform draws."""

    target: Target
    script: Script
    scale: int
    connections: int = 8
    seed: int = 1

    @property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """What the script draws: name -> lowest and highest number, both included."""
        drawn = {"aid": (1, accounts_of(self.scale))}
        if self.script.is_transaction:
            drawn["bid"] = (1, branches_of(self.scale))
            drawn["tid"] = (1, tellers_of(self.scale))
            drawn["delta"] = (-DELTA, DELTA)
        return drawn

    def scenario(self, seconds: float) -> Scenario:
        """The script as a scenario of ours."""
        statements = list(self.script.statements)
        operation = {"transaction": statements} if self.script.is_transaction else {"sql": statements[0]}
        return Scenario.model_validate(
            {
                "scenario": "peers_postgres",
                "purpose": "A script of pgbench, closed loop, side by side with other tools",
                "seed": self.seed,
                "workloads": [
                    {
                        "name": "sql",
                        "target": "postgres",
                        "driver": "postgres",
                        "lanes": self.connections,
                        "parameters": {
                            name: {"from": low, "to": high} for name, (low, high) in self.ranges.items()
                        },
                        "operations": {"script": operation},
                        "arrivals": "closed",
                    }
                ],
                "phases": [{"name": "turn", "for": f"{seconds:.3f}s"}],
            }
        )

    def to_json(self) -> dict[str, Any]:
        """For the record: the task, not the place."""
        return {
            "script": self.script.name,
            "protocol": "prepared",
            "connections": self.connections,
            "scale": self.scale,
            "distribution": "uniform",
        }
