"""What each kind of fault asks of a scenario. Adding one to scenario files is one entry here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FaultFacts:
    """What an entry under `faults` of this kind may and must say."""

    explanation: str
    lasts: str
    """"never": over at once, healing is a restart; "must": stays for a stated time; "may": either."""
    needs: tuple[str, ...] = ()
    """Settings it must have."""
    takes: tuple[str, ...] = ()
    """Further settings it may have."""
    through_proxy: bool = False
    """The load goes through the fault proxy from the start, so the fault is on the network path."""
    on_process: bool = False
    """It acts on the target's process or container, and only one such fault can hold at a time."""


LOOKING_ON = ("nothing", "observe")
"""Kinds that do nothing to their target."""

FAULT_KINDS = {
    "nothing": FaultFacts("no fault at all, for runs that must find nothing", "may"),
    "kill": FaultFacts("SIGKILL, or docker kill", "never", on_process=True),
    "crash": FaultFacts(
        "its process dies from outside, so that the supervisor acts", "never", on_process=True
    ),
    "stop": FaultFacts("an ordered end, and a start after a time", "must", on_process=True),
    "restart": FaultFacts("an ordered end and a start at once", "never", on_process=True),
    "pause": FaultFacts("it stands still: SIGSTOP, or docker pause", "must", on_process=True),
    "disconnect": FaultFacts("cut off from the network", "must", on_process=True),
    "latency": FaultFacts(
        "answers come later", "must", ("delay",), ("delay_jitter", "direction"), through_proxy=True
    ),
    "bandwidth": FaultFacts("bytes come slower", "must", ("rate",), ("direction",), through_proxy=True),
    "reset": FaultFacts("connections are reset", "may", through_proxy=True),
    "black_hole": FaultFacts(
        "connections stay open and nothing comes", "must", takes=("direction",), through_proxy=True
    ),
    "slow_close": FaultFacts("connections close late", "must", ("delay",), through_proxy=True),
    "limit_data": FaultFacts(
        "connections end after some bytes", "must", ("bytes",), ("direction",), through_proxy=True
    ),
    "refuse": FaultFacts("new connections are refused", "must", through_proxy=True),
    "slicer": FaultFacts(
        "bytes come in small pieces", "must", ("bytes", "delay"), ("direction",), through_proxy=True
    ),
    "cpu": FaultFacts("something else takes the processor", "must", ("load",)),
    "memory": FaultFacts("something else takes memory", "must", ("bytes",)),
    "io": FaultFacts("something else keeps the disk busy", "must", ("bytes",)),
    "disk_full": FaultFacts("its data directory has no room left", "must"),
    "exhaust_connections": FaultFacts("nearly all its connections are taken", "must", takes=("keep",)),
    "observe": FaultFacts(
        "no fault of ours: what happens to the target from then on, whoever does it, is judged", "may"
    ),
}

HOOKS = {"redis_rewrite": ("redis",), "postgres_checkpoint": ("postgres", "postgres_16")}
"""Moments that a fault can wait for, and the targets that have them."""
