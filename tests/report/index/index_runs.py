"""A folder of runs of many kinds, made by the real writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.judge.judge import judge
from bench.judge.verdict import save
from bench.results.reader import Run
from bench.results.writer import RunWriter
from tests.helpers.synthetic_run import MS, SyntheticRun

US = 1_000


def put(out: Path, number: int, p50_us: int = 200, judged: bool = True, **record: Any) -> Path:
    """Run `number` of scenario redis_latency (a day later each), with a rule that breaks above 1 ms."""
    made = SyntheticRun(
        sla=["cache.response.p95 < 1ms", "cache.errors < 1%"],
        samples={
            "cache/get/response/ok": [(p50_us * US, 5_000), (2 * p50_us * US, 500)],
            "cache/set/response/ok": [(p50_us * US, 500)],
        },
        record={
            "started": {"utc": f"2026-02-{number:02}T02:40:00Z", "monotonic_ns": 0, "wall_ns": 0},
            **record,
        },
        windows=10,
    )
    path = made.write(out, f"202602{number:02}t024000z-redis_latency-{number:06x}")
    if judged:
        save(judge(run := Run.load(path)), run.path)
    return path


def put_everything(out: Path) -> None:
    """Good runs, a failed and an interrupted one, several damaged, a newer one, one whose harness died."""
    put(out, 1)
    put(out, 2, p50_us=900)
    put(out, 3, environment={"key": {"cpu": "Another CPU", "cores": 8}, "facts": {}})
    put(out, 4)
    put(out, 5, judged=False)
    (put(out, 6) / "run.json").write_text('{"format": 1, "status": "complete"}')
    newer = put(out, 7) / "run.json"
    newer.write_text(newer.read_text().replace('"format": 1', '"format": 9', 1))
    (put(out, 8) / "verdict.json").write_text("{")
    (put(out, 9) / "windows.hlog").unlink()
    SyntheticRun(samples={"cache/get/response/ok": [(MS, 50)]}, interrupted=True).write(
        out, "20260210t024000z-redis_latency-00000a"
    )
    RunWriter(out, "20260211t024000z-redis_latency-00000b").leave()
    (out / "20260212t024000z-redis_latency-00000c").mkdir()
    (out / "notes").mkdir()
    (out / "FORMAT.md").write_text("no run")
