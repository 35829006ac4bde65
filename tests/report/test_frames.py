import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.core.errors import ResultError
from tests.helpers.synthetic_run import MS, SyntheticRun

ROOT = Path(__file__).parents[2]
OTHER = "20260203t024000z-redis_latency-0a1b2d"


@pytest.fixture
def results(tmp_path):
    samples = {"unmeasured:cache/get/response/ok": [(MS, 1)], "cache/get/response/ok": [(MS, 500)]}
    run = SyntheticRun(sla=["cache.response.p95 < 10ms", "errors < 1%"], samples=samples, windows=5)
    run.write(tmp_path)
    run.write(tmp_path, OTHER)
    return tmp_path


def test_a_folder_of_runs_becomes_frames_of_all_of_them(results):
    frames = bench.load_runs(results)
    assert list(frames.runs["run"]) == ["20260202t024000z-redis_latency-0a1b2c", OTHER]
    assert list(frames.runs["verdict"]) == ["PASS", "PASS"]
    assert list(frames.runs["ok"]) == [500, 500]
    assert len(frames.checks) == 4
    assert len(frames.series) == 4


def test_one_run_becomes_frames_of_one(results):
    frames = bench.load_runs(str(results / OTHER))
    assert list(frames.runs["run"]) == [OTHER]
    measured = frames.windows[frames.windows["measured"]]
    assert list(measured["samples"]) == [100] * 5
    assert list(measured["p99_ns"]) == [1_000_447] * 5
    assert list(measured["start_s"]) == [1.0, 3.0, 5.0, 7.0, 9.0]


def test_a_folder_without_runs_is_told(tmp_path):
    with pytest.raises(ResultError, match="expected a run folder"):
        bench.load_runs(tmp_path)


def test_importing_bench_imports_neither_pandas_nor_numpy():
    code = "import sys, bench; print(sorted({'pandas', 'numpy', 'numba', 'redis'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        bench.nothing  # noqa: B018 - reading it is the test
