"""The labels on everything that is ours in an engine; what does not carry them is never touched.

A container, network or volume names its run and the harness process that made it, so that what a
killed harness has left can be told from what another one is using.
"""

import json

from bench.stack.supervisor.harness_identity import fate_of, own_entry
from bench.stack.supervisor.process_identity import ProcessIdentity

RUN = "holdfast.run"
HARNESS = "holdfast.harness"
SERVICE = "holdfast.service"
ADDRESS = "holdfast.address"
"""On a container: the address in the run's network that it has at every connection."""
CONTENT = "holdfast.content"
"""On an image that was built here: the digest of what is in it."""
BASE = "holdfast.base"
"""On such an image: the base that was named for it; empty where it was made of this machine's programs."""
CHAOS = "bench.chaos"
ALLOW = "allow"
"""The value of CHAOS that opts a container in for faults."""


def labels_of(run: str) -> dict[str, str]:
    """The labels that mark something as this run's, made by this process."""
    return {RUN: run, HARNESS: harness_text()}


def harness_text() -> str:
    """This process, as a label: its identity, its machine and its name space of process numbers."""
    return json.dumps(own_entry())


def is_left_over(text: str) -> bool:
    """Whether the harness of a label is surely gone; False for one that cannot be judged from here."""
    try:
        entry = json.loads(text)
    except ValueError:
        return False
    if ProcessIdentity.from_json(entry) is None or not {"host", "pids"} <= entry.keys():
        return False
    return fate_of(entry) == "gone"
