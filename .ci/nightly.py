"""A night: every scenario, judged, compared with the nights before, told, and kept.

    python .ci/nightly.py                 all stages, as the workflow runs them one by one
    python .ci/nightly.py perf compare    some of them

perf      the load scenarios (`nox -s perf -- --full`)
chaos     the scenarios with faults, in containers (`nox -s chaos -- --stack docker`)
again     once more what was INVALID: such a run says nothing
compare   with the nights that were kept; what became worse is run once more, and counts if it is worse again;
          a step over many nights (`bench trend`) counts if `bench ab` finds it against the commit before it
report    into $GITHUB_STEP_SUMMARY, or printed: verdicts, readiness, comparison; pages for the browser
keep      tonight among the nights to compare with, ten of each scenario; nothing that failed or became worse
verdict   exit 1 where a rule FAILED, a run is INVALID, a stage broke or a figure became worse

From the environment:

HOLDFAST_FORM           --full, or --quick for a try
HOLDFAST_SCENARIOS      these files instead of all scenarios
HOLDFAST_NIGHT          results/nightly; the stage perf empties it
HOLDFAST_HISTORY        results/history
HOLDFAST_THRESHOLD      10%
HOLDFAST_CHAOS_STACK    docker
HOLDFAST_BENCH          the program bench, instead of that of `nox -s perf`
HOLDFAST_ACCEPT         1: what became worse is as it should be from now on; the earlier nights of these
                        scenarios are forgotten
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confirming import COMMIT, confirmed_steps, head
from nights import (
    HISTORY,
    JUDGED,
    NIGHT,
    ROOT,
    Broken,
    annotate,
    bench,
    call,
    kept_nights,
    newest,
    note,
    noted,
    said,
    tell,
)

FORM = os.environ.get("HOLDFAST_FORM") or "--full"
SCENARIOS = (os.environ.get("HOLDFAST_SCENARIOS") or "").split()
THRESHOLD = os.environ.get("HOLDFAST_THRESHOLD") or "10%"
CHAOS_STACK = os.environ.get("HOLDFAST_CHAOS_STACK") or "docker"
IS_ACCEPTED = os.environ.get("HOLDFAST_ACCEPT") in ("1", "true")
AGAIN = NIGHT / "again"
"""Second runs of what became worse; a folder below, so that they are none of the night's own."""
INVALID = NIGHT / "invalid"
"""First runs of what was INVALID."""
COMPARED = NIGHT / "compared.md"
IMAGES = ("redis", "postgres", "api")
KEPT_NIGHTS = 10
LARGE = shutil.ignore_patterns("operations.npy", "*.log", "report.html")
"""What no comparison reads."""
SUMMARY_BYTES = 900_000
"""GitHub refuses a summary of more than 1 MiB."""


def perf() -> int:
    """The load scenarios on the embedded stack, or where the environment says. A night begins here."""
    shutil.rmtree(NIGHT, ignore_errors=True)
    return ran("perf", named(with_faults=False), [FORM])


def chaos() -> int:
    """The scenarios with faults."""
    if CHAOS_STACK == "docker" and named(with_faults=True) != []:
        python = Path(bench()[0]).with_name("python")
        if code := call([str(python), "-m", "bench.stack.images", "build", *IMAGES]):
            raise Broken(code)
    form = ["--quick"] if FORM == "--quick" else []
    return ran("chaos", named(with_faults=True), [*form, "--stack", CHAOS_STACK])


def named(*, with_faults: bool) -> list[str] | None:
    """Of the scenarios that were named those of one kind; None where none was named: then it is all."""
    if not SCENARIOS:
        return None
    return [path for path in SCENARIOS if ("\nfaults:" in Path(path).read_text()) is with_faults]


def ran(session: str, scenarios: list[str] | None, arguments: list[str]) -> int:
    """Run one nox session into the night's folder; only what is no verdict fails the stage."""
    if scenarios == []:
        tell(f"{session}: none of the scenarios that were named")
        return 0
    arguments = [*(scenarios or []), *arguments]
    code = call([sys.executable, "-m", "nox", "-s", session, "--", *arguments, "--out", str(NIGHT.resolve())])
    note(session, code)
    return 0 if code in JUDGED else code


def again() -> int:
    """A second try for what was INVALID, by whatever disturbed it."""
    for verdict, record in newest().values():
        if verdict["status"] == "INVALID":
            tell(f"again: {verdict['scenario']} was INVALID")
            code = call(run_again(record, NIGHT))
            if code not in JUDGED:
                return code
            # Out of the night's own runs, yet kept for whoever wants to know what disturbed it.
            INVALID.mkdir(exist_ok=True)
            (NIGHT / verdict["run"]).rename(INVALID / verdict["run"])
    return 0


def compare() -> int:
    """Compare with the nights kept; what became worse must be so twice."""
    note("worse", [])
    COMPARED.unlink(missing_ok=True)
    if not any(HISTORY.glob("*/run.json")):
        COMPARED.write_text("## Compared with earlier runs\n\nThis is the first night: there are none.\n")
        tell("compare: the first night, there is nothing to compare with")
        return 0
    found = compared(NIGHT)
    worse = [one for one in found["scenarios"] if one["regressions"]]
    confirmed = [one for one in worse if is_worse_again(one)]
    note("worse", [{key: one[key] for key in ("scenario", "after", "regressions")} for one in confirmed])
    note("not_compared", [one["scenario"] for one in found["scenarios"] if one["not_comparable"]])
    COMPARED.write_text(
        said(["compare", str(HISTORY), str(NIGHT), "--threshold", THRESHOLD, "--format", "markdown"])
    )
    for one in worse:
        for text in one["regressions"]:
            if one in confirmed:
                annotate("error", f"Regression in {one['scenario']}", text)
            else:
                annotate("warning", "Not worse when run again", text)
    for name in found["missing"]:
        annotate("warning", "Scenario missing", f"{name} was run in an earlier night and not in this one")
    steps = confirmed_steps()
    note("steps", steps)
    for text in steps:
        annotate("error", "A step over the nights, confirmed in pairs", text)
    names = ", ".join(one["scenario"] for one in confirmed) or "none"
    tell(f"compare: {found['summary']}; worse twice: {names}")
    return 0


def is_worse_again(found: dict[str, Any]) -> bool:
    """Whether a second run is worse, too. One that says nothing does not clear the first."""
    name = found["scenario"]
    record = json.loads((NIGHT / found["after"] / "run.json").read_text())
    tell(f"compare: {name} became worse; once more, to be sure")
    folder = AGAIN / found["after"]
    if call(run_again(record, folder)) not in JUDGED:
        return True
    second = [one for one in compared(folder)["scenarios"] if one["scenario"] == name]
    return any(one["regressions"] or one["not_comparable"] for one in second) or not second


def run_again(record: dict[str, Any], out: Path) -> list[str]:
    """The command that makes a run of the same form once more."""
    plan, stack = record["plan"], record["stack"]["kind"]
    words = [*bench(), "run", record["scenario"]["path"], "--out", str(out), "--stack", stack]
    words += ["--quick"] if plan["quick"] else []
    return words + [word for one in plan["overrides"] for word in ("--set", one)]


def compared(after: Path) -> dict[str, Any]:
    """`bench compare` with the nights kept, as JSON."""
    found: dict[str, Any] = json.loads(
        said(["compare", str(HISTORY), str(after), "--threshold", THRESHOLD, "--format", "json"])
    )
    return found


def report() -> int:
    """Everything that a person wants to see in the morning."""
    parts = [
        said(["report", str(NIGHT), "--format", "markdown"]),
        said(["assess", str(NIGHT), "--format", "markdown"]),
    ]
    parts.append(COMPARED.read_text() if COMPARED.exists() else "The night was not compared.\n")
    summary = "\n".join(parts).encode()
    if len(summary) > SUMMARY_BYTES:
        summary = summary[:SUMMARY_BYTES] + b"\n\nCut here; the artifact of this night has all of it.\n"
    text = summary.decode(errors="ignore")
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
    else:
        tell(text)
    pages = [
        call([*bench(), "report", str(NIGHT), "--format", "html"]),
        call([*bench(), "assess", str(NIGHT), "--out", str(NIGHT / "readiness.html")]),
    ]
    # 1 and 5 of assess are its verdict on production, no failure of the night.
    return next((code for code in pages if code not in JUDGED), 0)


def keep() -> int:
    """Add tonight to the nights, without what failed or became worse, and forget the oldest."""
    worse = {one["after"] for one in noted("worse", [])}
    HISTORY.mkdir(parents=True, exist_ok=True)
    for form, (verdict, record) in newest().items():
        name = verdict["run"]
        if name in worse and IS_ACCEPTED:
            for earlier in kept_nights(form):
                shutil.rmtree(earlier)
            tell(f"keep: {verdict['scenario']} is as it should be from now on; earlier nights are forgotten")
        elif name in worse or verdict["status"] in ("FAIL", "INVALID") or record["status"] != "complete":
            tell(f"keep: {name} is not kept ({'worse' if name in worse else verdict['status']})")
            continue
        if not (HISTORY / name).exists():
            beside = HISTORY / f".{name}.partial"
            shutil.rmtree(beside, ignore_errors=True)
            shutil.copytree(NIGHT / name, beside, ignore=LARGE)
            (beside / COMMIT).write_text(head())
            beside.rename(HISTORY / name)
        for old in kept_nights(form)[:-KEPT_NIGHTS]:
            shutil.rmtree(old)
    tell(f"keep: {len(list(HISTORY.glob('*/run.json')))} runs to compare the next night with")
    return 0


def verdict() -> int:
    """Red where something must be looked at, with one line for each."""
    reasons = [
        f"{one['scenario']} is {one['status']}: {first_reason(one)}"
        for one, _ in newest().values()
        if one["status"] in ("FAIL", "INVALID")
    ]
    for session in ("perf", "chaos"):
        code = noted(session, None)
        if code is not None and code not in JUDGED:
            reasons.append(f"{session} ended with exit code {code}")
    if not newest():
        reasons.append("no run was made")
    for reason in reasons:
        annotate("error", "Nightly", reason)
    worse = noted("worse", [])
    texts = [*(text for one in worse for text in one["regressions"]), *noted("steps", [])]
    for text in texts:
        tell(f"REGRESSION {text}")
    if IS_ACCEPTED and texts:
        tell("verdict: the regressions are accepted")
        texts = []
    inconclusive = [one["scenario"] for one, _ in newest().values() if one["status"] == "INCONCLUSIVE"]
    if inconclusive:
        tell(f"verdict: INCONCLUSIVE: {', '.join(sorted(set(inconclusive)))}")
    tell(f"verdict: {len(reasons)} to look at, {len(texts)} regressions, {len(newest())} runs")
    return 1 if reasons or texts else 0


def first_reason(found: dict[str, Any]) -> str:
    """Why a verdict is as bad as it is."""
    return next(
        (
            f"{check['rule']}: {check['because']}"
            for check in found["checks"]
            if check["status"] == found["status"]
        ),
        "without a check",
    )


STAGES: dict[str, Callable[[], int]] = {
    "perf": perf,
    "chaos": chaos,
    "again": again,
    "compare": compare,
    "report": report,
    "keep": keep,
    "verdict": verdict,
}


def main(asked: list[str]) -> int:
    """Run the stages that are asked for, in their order; the first failure is the exit code, after all."""
    if unknown := [name for name in asked if name not in STAGES]:
        sys.stderr.write(f"nightly: expected stages among {', '.join(STAGES)}, found '{unknown[0]}'\n")
        return 2
    os.chdir(ROOT)
    codes = []
    for name, stage in STAGES.items():
        if not asked or name in asked:
            try:
                codes.append(stage())
            except Broken as broken:
                annotate("error", "Nightly", f"{name}: a command ended with {broken}")
                codes.append(broken.code)
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
