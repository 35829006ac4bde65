"""What holds for all tests: how they share a machine, and what the processes that run them do only once."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pytest

# Hundreds of processes start here: compiled modules are kept even where the environment says otherwise.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# As `bench` does: to find out that it has nothing to watch, this plug-in imports all of OpenTelemetry.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "logfire-plugin")
# Threads of numpy's library wait for each other by turning on the spot, where tests have the processors.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings  # noqa: E402 - compiled and kept, and without that plug-in

# None of them is judged by how fast it was.
ALL_EXAMPLES = "all examples"
settings.register_profile(
    ALL_EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(ALL_EXAMPLES)
FEW = 40
"""So many examples of each property are tried among all tests; `nox -s long` tries as many as it asks for."""

ROOT = Path(__file__).parent
WITHOUT_THE_LOOP = (
    *("architecture", "assess", "chaos/recovery", "compare", "core", "judge", "plan", "protocols"),
    *("reference_api", "report", "results", "scenario", "stack/probes", "stack/services", "stack/supervisor"),
)
"""Folders of tests that do not run the measuring loop. They come first: it is compiled meanwhile."""

LONGEST = ("browser", "parity", "engine/locust", "stack/services", "stack/supervisor", "cli", "pytest_plugin")
"""Folders with the longest files: they begin early, so that none is left to one process at the end."""

COMPILATION = pytest.StashKey[tuple["subprocess.Popen[bytes]", Path]]()
LOCK = "compilation_lock"


MEMORY = Path("/dev/shm")  # noqa: S108 - where the kernel keeps files in memory
ENOUGH_BYTES = 6 << 30
IN_MEMORY = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the data of servers in memory where there is plenty of it; what tests write themselves is on disk.

    A Postgres is more than a thousand files. To make and to remove a hundred of them is a fifth of all the
    work of the tests, and no test is about how fast a disk is.
    """
    if hasattr(config, "workerinput") or "TMPDIR" in os.environ or not has_room(MEMORY):
        return
    os.environ["PYTEST_DEBUG_TEMPROOT"] = tempfile.gettempdir()
    folder = config.stash[IN_MEMORY] = Path(tempfile.mkdtemp(prefix="holdfast-tests-", dir=MEMORY))
    folder.chmod(0o755)  # servers of root's are another user's
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None  # which is remembered


def has_room(memory: Path) -> bool:
    """Whether files and programs may be kept there, and enough of them."""
    if not memory.is_dir() or os.statvfs(memory).f_flag & os.ST_NOEXEC:
        return False
    return min(shutil.disk_usage(memory).free, psutil.virtual_memory().available) > ENOUGH_BYTES


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing in memory."""
    if IN_MEMORY in config.stash:
        shutil.rmtree(config.stash[IN_MEMORY], ignore_errors=True)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Where several processes run the tests, compile the measuring loop once for all of them."""
    config = session.config
    if not config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        return
    descriptor, path = tempfile.mkstemp(prefix="holdfast-tests-", suffix=".lock")
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    # It inherits the lock, which is free again when it has ended, however it ended.
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.compile_the_loop"], cwd=ROOT, pass_fds=[descriptor]
    )
    os.close(descriptor)
    config.stash[COMPILATION] = (process, Path(path))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of tests whom to wait for."""
    if COMPILATION in node.config.stash:
        node.workerinput[LOCK] = str(node.config.stash[COMPILATION][1])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End a compilation that nobody needs any more."""
    if COMPILATION in session.config.stash:
        process, path = session.config.stash[COMPILATION]
        process.kill()
        process.wait()
        path.unlink()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What needs no compiled loop first; of each kind what is long; otherwise in the order of the files."""
    if config.getoption("hypothesis_profile", None) != ALL_EXAMPLES:
        for item in items:
            function = getattr(item, "obj", None)
            asked = getattr(function, "_hypothesis_internal_use_settings", None)  # as its own plug-in does
            if asked is not None and asked.max_examples > FEW:
                function._hypothesis_internal_use_settings = settings(asked, max_examples=FEW)
    items.sort(key=lambda item: (runs_the_loop(item), not is_in(LONGEST, item.path)))


def pytest_collection_finish() -> None:
    """Take what has been imported out of every later search for garbage.

    An engine of clients begins with such a search, half a second long otherwise, and there are hundreds.
    """
    gc.collect()
    gc.freeze()
    gc.unfreeze = lambda: None  # type: ignore[assignment]  # with which such an engine ends


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before any timeout of the test begins
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let the first test that runs the loop wait until it is compiled."""
    lock = getattr(item.config, "workerinput", {}).get(LOCK)
    if lock is not None and runs_the_loop(item):
        del item.config.workerinput[LOCK]  # type: ignore[attr-defined]  # which xdist adds
        with Path(lock).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
    return (yield)


def runs_the_loop(item: pytest.Item) -> bool:
    """Whether a test is in a folder whose tests may need the compiled loop."""
    return not is_in(WITHOUT_THE_LOOP, item.path)


@cache  # files have many tests, and paths are slow to compare
def is_in(folders: tuple[str, ...], file: Path) -> bool:
    """Whether a file is in one of these folders of tests."""
    return any(file.is_relative_to(ROOT / "tests" / folder) for folder in folders)
