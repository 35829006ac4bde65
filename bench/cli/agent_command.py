"""`bench agent`: one run, or a worker's engine host, for a process that talks JSON lines.

The processes of Locust cannot run a session themselves; each starts one of these. It ends with the exit
codes of `bench run`.
"""

from __future__ import annotations

import contextlib
import signal
import traceback
from typing import TYPE_CHECKING

import click

from bench.core.machine_limits import BUG, failure_of

if TYPE_CHECKING:
    from bench.run.stop_request import StopRequest
    from bench.swarm.channel import ControlChannel
    from bench.swarm.distributed.coordinator import Coordinator
    from bench.swarm.messages import RunRequest, ToAgent


@click.command(hidden=True)
def command() -> int:
    """Run one scenario, or the engines of one, for a parent that speaks JSON on the standard streams."""
    from bench.swarm.channel import parent_process
    from bench.swarm.messages import Failed, RunRequest

    with parent_process() as parent:
        try:
            request = parent.first_request()
            return _run(parent, request) if isinstance(request, RunRequest) else _host(parent)
        except Exception as failure:  # noqa: BLE001 - the outermost frame: whatever it is, it is reported to the parent
            text, code = failure_of(failure)
            if text == BUG:
                traceback.print_exc()
            parent.lines.write(Failed(text, int(code)))
            return code


def _run(parent: ControlChannel, request: RunRequest) -> int:
    from bench.cli.session_opening import (
        load_all,
        named_stack,
        open_session,
        run_and_judge,
        stop_signals,
    )
    from bench.judge.verdict import exit_code
    from bench.run.plugins import Observers
    from bench.run.stop_request import StopRequest
    from bench.swarm.channel import EventPublisher
    from bench.swarm.distributed.coordinator import Coordinator
    from bench.swarm.messages import RelayRequest

    stop = StopRequest()
    workers = Coordinator(
        request.workers, lambda name, message: parent.lines.write(RelayRequest(name, message))
    )
    publisher = EventPublisher(parent.lines)
    with stop_signals(stop):
        parent.listen(lambda order: _obey(order, stop, workers), stop.ask_at_once)
        stack = named_stack(request.stack, [request.scenario])
        (loaded,) = load_all([request.scenario], request.overrides, request.quick, stack)
        watchers = Observers([publisher], publisher.step)
        with (
            contextlib.closing(workers),
            open_session(
                [loaded], request.out, stack, publisher, stop, seed=request.seed, watchers=watchers
            ) as session,
        ):
            if request.workers:
                workers.meet()
                session.generators = workers
            _, verdict = run_and_judge(session, loaded)
    return exit_code([verdict.status])


def _obey(order: ToAgent, stop: StopRequest, workers: Coordinator) -> None:
    from bench.swarm.messages import RelayedMessage, StopRun, WorkerJoined, WorkerLost

    match order:
        case StopRun(at_once=True):
            stop.ask_at_once()
        case StopRun():
            stop.ask()
        case RelayedMessage(sender, message):
            workers.hear(sender, message)
        case WorkerLost(worker, reason):
            workers.lost(worker, reason)
        case WorkerJoined(worker):
            workers.joined(worker)


def _host(parent: ControlChannel) -> int:
    from bench.swarm.distributed.engine_host import EngineHost, scratch_folder
    from bench.swarm.messages import RelayedMessage, RelayRequest

    # A terminal's Ctrl-C reaches every process of it: the coordinator says what becomes of the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with scratch_folder() as scratch:
        host = EngineHost(lambda message: parent.lines.write(RelayRequest(None, message)), scratch)
        signal.signal(signal.SIGTERM, lambda *_: host.end())
        parent.listen(
            lambda order: host.hear(order.message) if isinstance(order, RelayedMessage) else None, host.end
        )
        return host.run()
