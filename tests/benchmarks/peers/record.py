"""The comparison on disk: comparison.json with every round, comparison.md and comparison.txt for people.

comparison.json, format 2: format, holdfast, name (of the subject), title, status (complete, interrupted or
not opened), verdict, started_utc, settings (rounds, seconds, seed, connections), subject (task, servers),
environment (key, facts: the machine before the first round), versions, tools (contestant -> version),
absent (contestant -> why), left_out, rounds (number, order, others_cores, results by contestant: requests,
seconds, throughput_per_s, mean_ns, p50_ns, p99_ns, little, cpu_s, counted: by the server; null for what is
not told or not measured), summary (by contestant), findings (rule, observed, status, because).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.judge.verdict import Status
from bench.results.layout import as_json, write_whole
from bench.run.record import versions
from tests.benchmarks.peers import table
from tests.benchmarks.peers.verdict import status_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from tests.benchmarks.peers.comparison import Comparison
    from tests.benchmarks.peers.verdict import Finding

FORMAT = 2


def record_of(
    comparison: Comparison,
    findings: Sequence[Finding],
    subject: dict[str, Any],
    environment: dict[str, Any],
    started: datetime,
) -> dict[str, Any]:
    """Everything that is known, ready for JSON."""
    connections = comparison.connections
    known = versions()
    return {
        "format": FORMAT,
        "holdfast": known.get("holdfast"),
        "name": comparison.name,
        "title": comparison.title,
        "status": "complete" if comparison.is_complete else "interrupted",
        "verdict": status_of(findings).name,
        "started_utc": started.isoformat(),
        "settings": {
            "rounds": comparison.planned_rounds,
            "seconds": comparison.seconds,
            "seed": comparison.seed,
            "connections": connections,
        },
        "subject": subject,
        "environment": environment,
        "versions": known,
        "tools": comparison.tools,
        "absent": comparison.absent,
        "left_out": list(comparison.left_out),
        "rounds": [
            {
                "number": one.number,
                "order": list(one.order),
                "others_cores": one.others_cores,
                "results": {name: result.to_json(connections) for name, result in one.results.items()},
            }
            for one in comparison.rounds
        ],
        "summary": {name: asdict(summary) for name, summary in comparison.summaries().items()},
        "findings": [{**asdict(finding), "status": finding.status.name} for finding in findings],
    }


def not_opened(name: str, reason: str) -> dict[str, Any]:
    """All that is known of a subject whose server is not there; it is printed and not kept."""
    return {
        "format": FORMAT,
        "name": name,
        "status": "not opened",
        "verdict": Status.INCONCLUSIVE.name,
        "because": reason,
    }


def write(
    folder: Path, record: dict[str, Any], comparison: Comparison, findings: Sequence[Finding], machine: str
) -> None:
    """Put the three files into `folder`, the JSON last: where it stands, the others do too."""
    write_whole(folder / "comparison.txt", table.text_of(comparison, findings, machine))
    write_whole(folder / "comparison.md", table.markdown_of(comparison, findings, machine))
    write_whole(folder / "comparison.json", as_json(record))


def machine_of(environment: dict[str, Any]) -> str:
    """One line on the machine: what else it was doing matters as much as what it is."""
    key, facts = environment["key"], environment["facts"]
    load = facts["load_average"][0]
    return f"{key['cores']} cores of {key['cpu'] or 'unknown make'}, load average {load:g} at the start"
