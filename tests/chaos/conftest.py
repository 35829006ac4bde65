"""An embedded stack that is there to be broken, and journals of the tests' own."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.results.generator_records import CalibrationRecord
from bench.run.session import Session
from bench.stack.embedded import EmbeddedStack
from bench.stack.probes.redis import RespClient
from chaos.faults import fault_for
from chaos.faults.fault import Fault, FaultContext
from chaos.schedule import FaultPlan

S = 1_000_000_000
BACK_S = 60.0
"""How long something may take to come back on a busy machine; only what never does meets it."""

FaultMaker = Callable[..., Fault]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """Redis and Postgres; whoever breaks them waits until they are back."""
    with EmbeddedStack({"redis", "postgres"}, tmp_path_factory.mktemp("logs")) as stack:
        yield stack


@pytest.fixture
def around(stack: EmbeddedStack) -> FaultContext:
    target = stack.targets()["redis"]
    with RespClient(target.host, target.port, BACK_S) as redis:
        redis.ask(
            "CONFIG", "SET", "maxclients", "200"
        )  # a restart forgets it; 20 000 take seconds to exhaust
    return FaultContext(stack, stack.targets())


@pytest.fixture
def make(around: FaultContext) -> FaultMaker:
    """A fault of a kind on a target, as the schedule would plan it."""

    def make(kind: str, target: str = "redis", for_ns: int | None = None, **settings: object) -> Fault:
        return fault_for(FaultPlan(0, kind, target, 0, for_ns, settings), around)

    return make


@pytest.fixture(autouse=True)
def journals(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Journals of runs on this machine are none of the tests' business, and the reverse."""
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    return state / "holdfast" / "faults"


@pytest.fixture
def closing() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    """A process that nobody watches over: it stays as it is left."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield psutil.Process(process.pid)
        process.kill()


@pytest.fixture(scope="module")
def one_self_measurement() -> Iterator[None]:
    """It is not what is tested here, and takes longer than these runs."""
    found: list[CalibrationRecord] = []
    measure = Session._calibrate

    def once(session: Session, plan: Any) -> CalibrationRecord:
        if not found:
            found.append(measure(session, plan))
        return found[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "_calibrate", once)
        yield
