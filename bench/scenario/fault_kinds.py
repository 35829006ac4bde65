"""What each kind of fault asks of a scenario: data only. How it is made is in `chaos.faults`."""

from dataclasses import dataclass
from typing import Literal

from bench.core.plugins import Table


@dataclass(frozen=True)
class FaultFacts:
    """What an entry under `faults` of this kind may and must say."""

    explanation: str
    lasts: Literal["never", "must", "may"]
    """Never: it is instantaneous, healing is a restart. Must: stays for a stated time. May: either."""
    needs: tuple[str, ...] = ()
    """Settings it must have."""
    takes: tuple[str, ...] = ()
    """Further settings it may have."""
    through_proxy: bool = False
    """The load goes through the fault proxy from the start, so the fault is on the network path."""
    on_process: bool = False
    """It acts on the target's process or container, and only one such fault can hold at a time."""
    implementation: str | None = None
    """Of a plug-in's kind: "module:class", imported on use. `chaos.faults.FAULTS` has the product's."""


ACTION = "action"
"""The kind of a command of the scenario in the record, among the faults; no fault can be written so."""
BACKUP, DESTROY, RESTORE = "backup", "destroy", "restore"
"""The steps of a restore drill, among the actions. In the record there are the first two: a restore is how
what was destroyed is healed.
"""
ACTIONS = (ACTION, BACKUP, DESTROY)
PASSIVE_KINDS = ("nothing", "observe")
"""Kinds that do nothing to their target."""
REMEDIES = ("promote",)
"""Kinds that mend what another fault broke: no outage, no detection and no loss is theirs."""

_KINDS = {
    "nothing": FaultFacts("no fault: such a run must detect nothing", "may"),
    "kill": FaultFacts("SIGKILL, or docker kill; with for: it stays down", "may", on_process=True),
    "crash": FaultFacts(
        "its process is killed from outside, and the supervisor acts", "never", on_process=True
    ),
    "stop": FaultFacts("an orderly stop, and a start after a time", "must", on_process=True),
    "restart": FaultFacts("an orderly stop and an immediate start", "never", on_process=True),
    "pause": FaultFacts("suspended: SIGSTOP, or docker pause", "must", on_process=True),
    "disconnect": FaultFacts("disconnected from its networks", "must", on_process=True),
    "latency": FaultFacts(
        "data is delayed", "must", ("delay",), ("delay_jitter", "direction", "toxicity"), through_proxy=True
    ),
    "bandwidth": FaultFacts(
        "throughput is limited", "must", ("rate",), ("direction", "toxicity"), through_proxy=True
    ),
    "reset": FaultFacts("connections are reset", "may", takes=("toxicity",), through_proxy=True),
    "black_hole": FaultFacts(
        "connections stay open, but no data passes",
        "must",
        takes=("direction", "toxicity"),
        through_proxy=True,
    ),
    "slow_close": FaultFacts("connections close late", "must", ("delay",), ("toxicity",), through_proxy=True),
    "limit_data": FaultFacts(
        "connections close after a number of bytes",
        "must",
        ("bytes",),
        ("direction", "toxicity"),
        through_proxy=True,
    ),
    "refuse": FaultFacts("new connections are refused", "must", through_proxy=True),
    "slicer": FaultFacts(
        "data arrives in small pieces",
        "must",
        ("bytes", "delay"),
        ("direction", "toxicity"),
        through_proxy=True,
    ),
    "cpu": FaultFacts("other processes use the CPU", "must", ("load",)),
    "memory": FaultFacts("another process uses memory", "must", ("bytes",)),
    "io": FaultFacts("another process keeps the disk busy", "must", ("bytes",)),
    "disk_full": FaultFacts("its data directory is full", "must"),
    "exhaust_connections": FaultFacts("nearly all of its connections are taken", "must", takes=("keep",)),
    "failover": FaultFacts(
        "another server is made the primary: Sentinels, or a replica in a cluster, are asked to; a Postgres "
        "primary is killed first",
        "never",
    ),
    "switchover": FaultFacts("a Postgres primary is ended in order, then a standby promoted", "never"),
    "promote": FaultFacts(
        "the answer to a dead Postgres primary: a standby is promoted; with for: beside one that goes on",
        "may",
    ),
    "observe": FaultFacts("no fault of ours: whatever happens to the target from then on is judged", "may"),
}


def _is_made(entry: object) -> bool:
    """Whether a plug-in says both what may be written about a fault and what makes it."""
    return isinstance(entry, FaultFacts) and entry.implementation is not None


FAULT_KINDS = Table("fault", "holdfast.faults", _KINDS, _is_made)

HOOKS = {"redis_rewrite": ("redis",), "postgres_checkpoint": ("postgres", "postgres_16")}
"""Moments that a fault can wait for, and the targets that have them."""
