"""`bench agent`: one run, or a worker's engine host, for a process that talks JSON lines.

The processes of Locust cannot run a session themselves; each starts one of these. It ends with the exit
codes of `bench run`.
"""

from __future__ import annotations

import contextlib
import signal
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bench.core.errors import UsageError
from bench.core.machine_limits import BUG, failure_of

if TYPE_CHECKING:
    from bench.run.stop_request import StopRequest
    from bench.swarm.channel import ControlChannel
    from bench.swarm.distributed.coordinator import Coordinator


@click.command(hidden=True)
def command() -> int:
    """Run one scenario, or the engines of one, for a parent that speaks JSON on the standard streams."""
    from bench.swarm.channel import parent_process

    with parent_process() as parent:
        try:
            order = parent.first_order()
            match order.get("do"):
                case "run":
                    return _run(parent, order)
                case "host":
                    return _host(parent)
                case other:
                    _refuse(other)
        except Exception as failure:  # noqa: BLE001 - the outermost frame: the parent is told, whatever it is
            text, code = failure_of(failure)
            if text == BUG:
                traceback.print_exc()
            parent.lines.say("failed", message=text, exit_code=int(code))
            return code


def _refuse(order: object) -> NoReturn:
    raise UsageError(f"bench agent: expected the order run or host, found {order!r:.80}")


def _run(parent: ControlChannel, order: dict[str, Any]) -> int:
    from bench.cli.session_opening import load_all, open_session, run_and_judge, stop_signals
    from bench.judge.verdict import exit_code
    from bench.run.plugins import Observers
    from bench.run.stop_request import StopRequest
    from bench.swarm.channel import EventPublisher
    from bench.swarm.distributed.coordinator import Coordinator
    from bench.swarm.messages import RunRequest

    wanted = RunRequest.read(order)
    stop = StopRequest()
    fleet = Coordinator(wanted.workers, lambda name, one: parent.lines.say("relay", to=name, message=one))
    publisher = EventPublisher(parent.lines, segments=len(wanted.workers) or 1)
    with stop_signals(stop):
        parent.listen(lambda further: _obey(further, stop, fleet), stop.ask_at_once)
        (loaded,) = load_all([wanted.scenario], wanted.overrides, wanted.quick)
        watchers = Observers([publisher], publisher.step)
        with (
            contextlib.closing(fleet),
            open_session(
                [loaded], wanted.out, wanted.stack, publisher, stop, seed=wanted.seed, watchers=watchers
            ) as session,
        ):
            if wanted.workers:
                fleet.meet()
                session.generators = fleet
            _, verdict = run_and_judge(session, loaded)
    return exit_code([verdict.status])


def _obey(order: dict[str, Any], stop: StopRequest, fleet: Coordinator) -> None:
    match order.get("do"):
        case "stop" if order.get("at_once"):
            stop.ask_at_once()
        case "stop":
            stop.ask()
        case "relay":
            fleet.hear(order["from"], order["message"])
        case "worker_lost":
            fleet.lost(order["worker"], order["reason"])
        case "worker_joined":
            fleet.joined(order["worker"])


def _host(parent: ControlChannel) -> int:
    from bench.swarm.distributed.engine_host import EngineHost, scratch_folder

    # A terminal's Ctrl-C reaches every process of it: the coordinator says what becomes of the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with scratch_folder() as scratch:
        host = EngineHost(lambda one: parent.lines.say("relay", to=None, message=one), scratch)
        signal.signal(signal.SIGTERM, lambda *_: host.end())
        parent.listen(lambda order: host.hear(order["message"]) if order["do"] == "relay" else None, host.end)
        return host.run()
