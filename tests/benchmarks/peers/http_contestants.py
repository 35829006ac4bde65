"""Who takes part in the subjects over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.peers.aiohttp_client import AioHttp
from tests.benchmarks.peers.hey import Hey
from tests.benchmarks.peers.ours import Ours
from tests.benchmarks.peers.wrk import Wrk

if TYPE_CHECKING:
    from tests.benchmarks.peers.contestant import Contestant
    from tests.benchmarks.peers.http_task import HttpTask
    from tests.benchmarks.peers.subject import Opening

NAMES = (Ours.name, Wrk.name, Hey.name, AioHttp.name)


def contestants_of(task: HttpTask, opening: Opening) -> list[Contestant]:
    """Those who were asked for."""
    may_install = opening.may_install
    everyone: tuple[Contestant, ...] = (
        Ours(task),
        Wrk(task, may_install=may_install),
        Hey(task, may_install=may_install),
        AioHttp(task),
    )
    return [one for one in everyone if one.name in opening.names]
