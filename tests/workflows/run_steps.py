"""Runs the steps of a workflow here, in order, in a clean checkout, as GitHub would as far as it matters.

    python -m tests.workflows.run_steps nightly
    HOLDFAST_FORM=--quick python -m tests.workflows.run_steps nightly --cache /tmp/nights
    HOLDFAST_TESTS="tests/protocols tests/compare" python -m tests.workflows.run_steps ci --matrix python=3.11

A checkout is a copy of the files that git knows or would know. `run:` steps go through the same shell as
there (`bash --noprofile --norc -eo pipefail`), with files for GITHUB_ENV, GITHUB_OUTPUT, GITHUB_PATH and
GITHUB_STEP_SUMMARY. Of the actions four are played: checkout, setup-python (a virtual environment of that
version, or, said so, of another one), cache (a folder given by --cache) and upload-artifact (--artifacts).
What else a workflow might say is refused. Variables HOLDFAST_* and *_URL of this shell win over the
workflow's. Jobs run one after the other, each in a checkout of its own; the exit code is 1 if a step failed.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.workflows.workflow_job import ROOT, Job, say

WORKFLOWS = ROOT / ".github" / "workflows"
TAIL = 40


def matrices(spec: dict[str, Any], chosen: dict[str, str]) -> Iterator[dict[str, str]]:
    """Every combination of the job's matrix that is among those chosen."""
    axes = spec.get("strategy", {}).get("matrix", {})
    names = list(axes)
    for values in itertools.product(*(axes[name] for name in names)):
        found = dict(zip(names, map(str, values), strict=True))
        if all(chosen.get(name, value) == value for name, value in found.items()):
            yield found


def load(name: str) -> dict[str, Any]:
    """A workflow by its file's name."""
    found: dict[str, Any] = yaml.safe_load((WORKFLOWS / f"{name}.yml").read_text())
    return found


def given_pairs(texts: list[str]) -> dict[str, str]:
    return dict(text.split("=", 1) for text in texts)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workflow", choices=sorted(path.stem for path in WORKFLOWS.glob("*.yml")))
    parser.add_argument("--job", help="only this one")
    parser.add_argument("--matrix", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--home", type=Path, help="where to work (default: a temporary folder, removed)")
    parser.add_argument("--cache", type=Path, help="what stays from one run to the next")
    parser.add_argument("--artifacts", type=Path, help="where uploads go")
    asked = parser.parse_args(arguments)
    workflow = load(asked.workflow)
    with tempfile.TemporaryDirectory(prefix="workflow-") as temporary:
        home = (asked.home or Path(temporary)).resolve()
        run_id = str(time.time_ns())
        jobs = [
            Job(
                " ".join([name, *matrix.values()]),
                spec,
                workflow,
                matrix,
                given_pairs(asked.input),
                home / "-".join([name, *matrix.values()]),
                (asked.cache or home / "cache").resolve(),
                (asked.artifacts or home / "artifacts").resolve(),
                run_id,
            )
            for name, spec in workflow["jobs"].items()
            for matrix in matrices(spec, given_pairs(asked.matrix))
            if asked.job in (None, name)
        ]
        for job in jobs:
            shutil.rmtree(job.home, ignore_errors=True)
            job.checkout.mkdir(parents=True)
            job.cache.mkdir(parents=True, exist_ok=True)
            job.run()
        return told(jobs)


def told(jobs: list[Job]) -> int:
    """The end: each step with its conclusion and time, and the beginning of each summary."""
    for job in jobs:
        if job.summary.exists():
            lines = job.summary.read_text().splitlines()
            say(f"\nSummary of {job.name}, {len(lines)} lines, beginning with")
            say("\n".join(lines[:TAIL]))
    say("")
    for job in jobs:
        for one in job.outcomes:
            say(f"{one.conclusion:<8} {one.seconds:6.0f} s  {job.name}: {one.name}")
    return int(any(job.failed() for job in jobs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
