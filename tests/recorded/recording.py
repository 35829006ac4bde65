"""`python -m tests.recorded.recording FOLDER [SCENARIO…]`: record the runs of this folder anew.

Each scenario beside this file is run with this version, as its user would run it, and what a reader needs
of its run is put into FOLDER. A folder of `runs/` is never recorded again: it is what its version has made.
Record a new one when a version writes what no earlier one has written.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.helpers.ui_process import UiProcess, environment
from tests.helpers.waiting import eventually

HERE = Path(__file__).parent
SCENARIOS = HERE / "scenarios"
DERIVED = ("report.html", "*.log")
"""What can be made again from the rest, or is read by nobody."""
INSTALLED = re.compile(r'"/[^"]*/(lib/python3|bin/python)')
"""Where the programs of servers are: the one thing in a record that is of the recorder's own machine."""
INTERRUPTED_AFTER_WINDOWS = 12
WAIT_S = 180


def main() -> None:
    """Record what was named, else everything."""
    folder, *names = sys.argv[1:]
    for file in sorted(SCENARIOS.glob("*.yaml")):
        if not names or file.stem in names:
            print(_recorded(file.stem, Path(folder)))  # noqa: T201 - a program


def _recorded(name: str, folder: Path) -> Path:
    # A short neutral path, because paths stand in records.
    with tempfile.TemporaryDirectory(prefix="recorded-") as place:
        shutil.copytree(SCENARIOS, Path(place) / "scenarios")
        out = Path(place) / "results"
        WAYS.get(name, _run)(Path(place), name)
        (run,) = out.iterdir()
        for pattern in DERIVED:
            for file in run.glob(pattern):
                file.unlink()
        record = run / "run.json"
        record.write_text(INSTALLED.sub(r'"/venv/\1', record.read_text(encoding="utf-8")), encoding="utf-8")
        return Path(shutil.copytree(run, folder / run.name))


def _run(place: Path, name: str) -> None:
    """As a user does it."""
    done = subprocess.run(_command(name), cwd=place, env=environment(), check=False)
    if done.returncode not in (0, 1, 5):
        sys.exit(f"{name}: ended with {done.returncode}")


def _interrupt(place: Path, name: str) -> None:
    """Ctrl-C when there are some windows."""
    process = subprocess.Popen(
        _command(name),
        cwd=place,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    results = place / "results"
    eventually(
        lambda: _windows(results) >= INTERRUPTED_AFTER_WINDOWS or process.poll() is not None,
        f"{INTERRUPTED_AFTER_WINDOWS} windows of {name}",
        WAIT_S,
    )
    process.send_signal(signal.SIGINT)
    process.wait(WAIT_S)


def _distribute(place: Path, name: str) -> None:
    """The web UI with two workers."""
    ui = UiProcess(place / "results", "--processes", "2", scenarios=place / "scenarios")
    try:
        ui.until(lambda: ui.ask("GET", "/worker-count").json["worker_count"] == 2, "both workers are ready")
        if not ui.start(scenario=name).json["success"]:
            sys.exit(f"{name}: the web UI has not started it")
        ui.until_over()
    finally:
        ui.close()


def _command(name: str) -> list[str]:
    return [sys.executable, "-m", "bench", "run", f"scenarios/{name}.yaml", "--stack", "embedded"]


def _windows(results: Path) -> int:
    """How many there are of the run under way."""
    return sum(file.read_bytes().count(b"\n") for file in results.glob(".*.partial/series.csv"))


WAYS: dict[str, Callable[[Path, str], None]] = {
    "postgres_mixed": _interrupt,
    "redis_throughput": _distribute,
}

if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(HERE.parent.parent))
    main()
