"""Runs that were recorded once stay readable, and are judged and reported as they were.

`runs/` has them by the commit that made them; `golden/` has what is made of them. HOLDFAST_UPDATE_GOLDEN=1
writes the latter anew, to be read in the diff.
"""

import contextlib
import difflib
import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import load_runs
from bench.cli.main import run as bench
from bench.core.clock import NS_PER_S, WallLabel
from bench.results.reader import Run
from tests.recorded.pages import lines_of

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
RUNS = sorted(record.parent.relative_to(HERE) for record in HERE.glob("runs/*/*/run.json"))
COMMITS = sorted({run.parent for run in RUNS})
NEW, OLD = Path("runs/ed727af"), Path("runs/a7f2cd1")
LOSSES = "7b86575/durability_controls"
ONE_RUN = {"text": "txt", "markdown": "md", "json": "json", "junit": "xml", "csv": "csv", "html": "html"}
A_FOLDER = {"html": "html", "markdown": "md", "json": "json", "junit": "xml"}
ASSESSMENT = {"html": "html", "markdown": "md", "json": "json", "text": "txt"}
COMPARISON = {"text": "txt", "markdown": "md", "json": "json", "github": "github.txt"}
DAY_AFTER_NS = 1_795_953_600 * NS_PER_S
"""Noon of the day after the newest recording, at which readiness is assessed."""
MOST_DIFFERENT_LINES = 100
LARGEST_RUN_BYTES = 165_000
LARGEST_BYTES = 1_200_000


@pytest.fixture(scope="module", autouse=True)
def _copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Copies of the runs under the same relative paths, judged; nobody's stack or CI has a say."""
    place = tmp_path_factory.mktemp("recorded")
    for name in ("runs", "scenarios", "rules"):
        shutil.copytree(HERE / name, place / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("XDG_STATE_HOME", str(place / "state"))
        for name in ("GITHUB_ACTIONS", "HOLDFAST_SERVICES", "REDIS_URL", "DATABASE_URL", "API_URL"):
            patch.delenv(name, raising=False)
        patch.setattr(WallLabel, "read", lambda: WallLabel(0, DAY_AFTER_NS))
        for run in RUNS:
            with contextlib.redirect_stdout(io.StringIO()):  # which would stand above every difference
                assert bench(["judge", str(run)]) in (0, 1, 5)
        yield


def named(run: Path) -> str:
    """ "ed727af/redis_kill": a run by its version and scenario."""
    return f"{run.parent.name}/{scenario_of(run)}"


def scenario_of(run: Path) -> str:
    return run.name.split("-")[1]


def lines_in(file: Path) -> int:
    return file.read_bytes().count(b"\n")


def written(*words: str) -> str:
    """What a command writes into the file that --out names."""
    file = Path("report")
    assert bench([*words, "--out", str(file)]) in (0, 1, 5)
    return file.read_text(encoding="utf-8")


def approve(name: str, found: str) -> None:
    """Compare with a golden file, and show by which lines it is another."""
    found = shortened(lines_of(found) if name.endswith(".html") else found)
    file = GOLDEN / name
    if os.environ.get("HOLDFAST_UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(found, encoding="utf-8")
    wanted = file.read_text(encoding="utf-8")
    if found != wanted:
        lines = list(
            difflib.unified_diff(
                wanted.splitlines(), found.splitlines(), "approved", "found", n=2, lineterm=""
            )
        )
        more = len(lines) - MOST_DIFFERENT_LINES
        lines[MOST_DIFFERENT_LINES:] = [f"and {more} lines more"] if more > 0 else []
        pytest.fail(f"{file} is not what is made now:\n" + "\n".join(lines), pytrace=False)


def shortened(text: str) -> str:
    """Text whose numbers have 12 digits at most: the last ones are of the processor's vector instructions."""
    return re.sub(r"\b\d+\.\d{8,}(e[-+]?\d+)?\b", lambda number: f"{float(number[0]):.12g}", text)


@pytest.mark.parametrize("run", RUNS, ids=named)
def test_a_recorded_run_is_judged_as_it_was(run: Path) -> None:
    approve(f"{named(run)}/verdict.json", (run / "verdict.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("run", [run for run in RUNS if run.parent != OLD], ids=named)
def test_the_verdict_is_that_of_the_version_that_made_the_run_or_is_not_shown(run: Path) -> None:
    """Verdicts came to be shown with confidence: an old run is judged so by its windows."""
    now, then = (json.loads((folder / "verdict.json").read_text()) for folder in (run, HERE / run))
    for check, old in zip(now["checks"], then["checks"], strict=True):
        for key in ("rule", "metric", "observed", "unit", "limit", "warn", "samples"):
            assert check[key] == old[key], old["rule"]
        if check["status"] != old["status"]:
            assert check["status"] == "INCONCLUSIVE"
            assert "with 95 % confidence it is not shown" in check["because"]
        assert check["because"].startswith(old["because"])


@pytest.mark.parametrize("run", RUNS, ids=named)
def test_a_recorded_run_is_judged_by_rules_about_all_that_it_measured_as_it_was(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = f"rules/{scenario_of(run)}.yaml"
    capsys.readouterr()
    assert bench(["judge", str(run), "--sla", rules, "--json"]) in (0, 1, 5)
    checks = json.loads(capsys.readouterr().out)["checks"]
    lines = [json.dumps(check, ensure_ascii=False) for check in checks]
    approve(f"{named(run)}/rules.jsonl", "\n".join(lines) + "\n")


@pytest.mark.parametrize("form", ONE_RUN)
@pytest.mark.parametrize("run", RUNS, ids=named)
def test_a_recorded_run_is_reported_as_it_was(run: Path, form: str) -> None:
    approve(f"{named(run)}/report.{ONE_RUN[form]}", written("report", str(run), "--format", form))


@pytest.mark.parametrize("run", RUNS, ids=named)
def test_every_part_of_a_recorded_run_can_be_read(run: Path) -> None:
    found = Run.load(run)
    assert found.tags()
    assert len(found.series()) == lines_in(run / "series.csv") - 1
    assert len(found.resources()) == lines_in(run / "resources.csv") - 1
    assert len(found.events()) == lines_in(run / "events.jsonl")
    assert sum(int(window.counts.sum()) for window in found.windows("response")) > 0
    logged = found.operations()
    assert (logged is not None) == (run / "operations.npy").exists()
    if logged is not None:
        assert len(logged) == found.record.totals.planned


@pytest.mark.parametrize("commit", COMMITS, ids=lambda path: path.name)
def test_the_frames_of_recorded_runs_have_a_row_for_each_of_their_parts(commit: Path) -> None:
    frames = load_runs(commit)
    runs = [Run.load(run) for run in RUNS if run.parent == commit]
    assert list(frames.runs["run"]) == sorted(run.name for run in runs)
    assert len(frames.series) == sum(len(run.series()) for run in runs)
    assert len(frames.windows) == sum(len(list(run.windows())) for run in runs)
    assert len(frames.faults) == sum(len(run.record.faults) for run in runs)
    assert len(frames.recoveries) == sum(len(run.record.recoveries) for run in runs)


@pytest.mark.parametrize("form", A_FOLDER)
@pytest.mark.parametrize("commit", COMMITS, ids=lambda path: path.name)
def test_the_index_of_recorded_runs_is_as_it_was(commit: Path, form: str) -> None:
    approve(f"{commit.name}/index.{A_FOLDER[form]}", written("report", str(commit), "--format", form))


@pytest.mark.parametrize("form", ["text", "markdown", "json", "junit", "csv"])
def test_several_recorded_runs_in_one_report_are_as_they_were(form: str) -> None:
    runs = [str(run) for run in RUNS if run.parent == OLD]
    approve(f"{OLD.name}/together.{ONE_RUN[form]}", written("report", *runs, "--format", form))


@pytest.mark.parametrize("form", ASSESSMENT)
def test_the_readiness_by_recorded_runs_is_as_it_was(form: str) -> None:
    found = written("assess", str(NEW), "--scenarios", "scenarios", "--format", form)
    approve(f"{NEW.name}/assessment.{ASSESSMENT[form]}", found)


@pytest.mark.parametrize("form", COMPARISON)
def test_the_comparison_of_two_versions_runs_is_as_it_was(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert bench(["compare", str(OLD), str(NEW), "--format", form]) in (0, 1, 5)
    approve(f"comparison.{COMPARISON[form]}", capsys.readouterr().out)


def test_every_kind_of_run_has_been_recorded() -> None:
    records = {named(run): Run.load(run).record for run in RUNS}
    new = {name.partition("/")[2]: record for name, record in records.items() if NEW.name in name}
    drivers = {name: {workload.driver for workload in record.workloads} for name, record in new.items()}
    assert {"redis", "postgres", "http"} <= drivers["everything"]
    assert drivers["redis_pubsub"] == {"redis_pubsub"}
    assert drivers["api_locust_journey"] == {"locust"}
    assert len(new["redis_throughput"].workers) == 2
    assert new["postgres_mixed"].status == "interrupted"
    for faults in (new["redis_kill"], records[f"{OLD.name}/redis_kill"]):
        assert {fault.kind for fault in faults.faults} == {"kill", "latency"}
        assert faults.recoveries
        assert faults.integrity
    assert records[f"{OLD.name}/redis_latency"].status == "complete"
    checks = {check.check: check for check in records[LOSSES].integrity}
    assert set(checks) == {"acknowledged_writes", "messages", "registers", "transfers"}
    assert checks["acknowledged_writes"].lost > 0


def test_recorded_runs_are_small_and_tell_nothing_of_where_they_were_made() -> None:
    sizes = {named(run): sum(file.stat().st_size for file in (HERE / run).iterdir()) for run in RUNS}
    assert {name: size for name, size in sizes.items() if size > LARGEST_RUN_BYTES} == {}
    assert sum(sizes.values()) < LARGEST_BYTES
    for run in RUNS:
        text = (HERE / run / "run.json").read_text() + (HERE / run / "events.jsonl").read_text()
        assert not re.search(r"/(work|home|root)/", text), run


@pytest.mark.parametrize("builder", ["sdist.SdistBuilder", "wheel.WheelBuilder"])
def test_what_is_released_does_not_contain_recorded_runs(builder: str) -> None:
    module, _, name = builder.rpartition(".")
    build = getattr(pytest.importorskip(f"hatchling.builders.{module}"), name)(str(HERE.parents[1]))
    released = [file.relative_path for file in build.recurse_included_files()]
    assert "bench/cli/main.py" in released
    assert [path for path in released if path.startswith("tests/recorded")] == []
