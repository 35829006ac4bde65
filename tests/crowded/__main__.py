"""`python -m tests.crowded`: the samples beside busy loops; nobody may be blamed for what the loops did.

Every sample is run in its quick form while processes that never sleep keep every core busy. A verdict may be
PASS or WARN, or INVALID and INCONCLUSIVE with its reason; FAIL, of whatever rule, is a fault of ours. It ends
with 1 where there was one. What was run is kept in FOLDER/runs.jsonl, so that the next call goes on with what
is missing: a machine that others use too can be stressed in portions (--seconds).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

SCENARIOS = Path(__file__).parents[2] / "scenarios"
LONGEST_LOOP_S = 60
LONGEST_RUN_S = 180
LOOP = f"import time\nend = time.monotonic() + {LONGEST_LOOP_S}\nwhile time.monotonic() < end: pass"
UNDER_LOAD = " left"
"""The end of the first line of progress that is written under load."""


def main() -> int:
    """Run what is missing, and tell what all of it said."""
    asked = argparse.ArgumentParser(prog="python -m tests.crowded", description=__doc__)
    asked.add_argument("folder", type=Path, help="where the runs, and the list of them, are kept")
    asked.add_argument("--loops", type=int, default=20, help="how many processes never sleep")
    asked.add_argument("--times", type=int, default=2, help="how often each sample is run")
    asked.add_argument("--seconds", type=float, default=1e9, help="begin no run after so many")
    asked.add_argument("--only", default="*", help="a pattern of the samples' names")
    found = asked.parse_args()
    found.folder.mkdir(parents=True, exist_ok=True)
    kept = found.folder / "runs.jsonl"
    end_s = time.monotonic() + found.seconds
    for number in range(found.times):
        for path in sorted(SCENARIOS.glob(f"{found.only}.yaml")):
            if time.monotonic() > end_s:
                return told(entries(kept))
            if not any(one["scenario"] == path.stem and one["number"] == number for one in entries(kept)):
                entry = {"scenario": path.stem, "number": number, **crowded(path, found.folder, found.loops)}
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(entry) + "\n")
    return told(entries(kept))


def entries(kept: Path) -> list[dict[str, Any]]:
    """The runs so far."""
    return [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []


def crowded(scenario: Path, out: Path, loops: int) -> dict[str, Any]:
    """One run; the loops begin with its load and end with it."""
    command = [sys.executable, "-m", "bench", "run", str(scenario), "--quick", "--json", "--out", str(out)]
    with ExitStack() as cleanup:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        cleanup.callback(process.kill)
        assert process.stderr is not None
        last = ""
        for last in process.stderr:
            if last.rstrip().endswith(UNDER_LOAD):
                break
        for _ in range(loops):
            loop = subprocess.Popen([sys.executable, "-S", "-c", LOOP])
            cleanup.callback(loop.wait)
            cleanup.callback(loop.kill)
        out_text, err_text = process.communicate(timeout=LONGEST_RUN_S)
    try:
        (verdict,) = json.loads(out_text)
    except ValueError:
        return {"status": "none", "code": process.returncode, "reasons": [last + err_text[-500:]]}
    reasons = [
        f"{check['status']} {check['rule']}: {check['because']}"
        for check in verdict["checks"]
        if check["status"] not in ("PASS", "WARN")
    ]
    return {
        "status": verdict["status"],
        "code": process.returncode,
        "run": verdict["run"],
        "failed": sum(check["status"] == "FAIL" for check in verdict["checks"]),
        "reasons": reasons,
    }


def told(runs: list[dict[str, Any]]) -> int:
    """Print every run with its reasons; 1 where a rule failed, or no verdict came."""
    for one in runs:
        say(f"{one['status']:<12} {one['scenario']} {one.get('run', '')}")
        for reason in one["reasons"]:
            say(f"    {reason}")
    blamed = [one for one in runs if one["status"] in ("FAIL", "none") or one.get("failed")]
    statuses = Counter(one["status"] for one in runs)
    say(f"{len(runs)} runs: {dict(statuses)}; with a rule that failed, or none judged: {len(blamed)}")
    return int(bool(blamed))


def say(text: str) -> None:
    """One line."""
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
