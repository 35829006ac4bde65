"""Who takes part in the subjects over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.peers.aiohttp_client import AioHttp
from bench.peers.hey import Hey
from bench.peers.ours import Ours
from bench.peers.wrk import Wrk

if TYPE_CHECKING:
    from bench.peers.contestant import Contestant
    from bench.peers.http_task import HttpTask
    from bench.peers.subject import Opening

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
