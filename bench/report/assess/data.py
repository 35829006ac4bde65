"""The assessment as JSON, for a gate in a script. Values in base units, as in verdict.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.results.layout import as_json

if TYPE_CHECKING:
    from bench.assess.assessment import Assessment
    from bench.assess.matrix import Row


FORMAT = 1


def render_json(found: Assessment) -> str:
    """The document, with a line end."""
    return as_json(
        {
            "format": FORMAT,
            "recommendation": found.recommendation.value,
            "assessed_wall_ns": found.now_ns,
            "max_age_ns": found.max_age_ns,
            "results": str(found.results),
            "score": {
                "shown": found.score.shown,
                "total": found.score.total,
                **{status.name.lower(): count for status, count in found.score.counts.items()},
            },
            "reasons": [
                {"standing": one.status.name, "text": one.text, "todo": one.todo} for one in found.reasons
            ],
            "requirements": [
                {
                    "key": result.requirement.key,
                    "area": result.requirement.area,
                    "demand": result.requirement.demand,
                    "standing": result.status.name,
                    "because": result.because,
                    "todo": result.todo,
                    "proofs": [_row(row) for row in result.rows],
                }
                for result in found.mets
            ],
            "further_rules": [_row(one) for one in found.further],
            "targets": [
                {
                    "name": one.name,
                    "kind": one.kind,
                    "address": one.address,
                    "state": one.state,
                    "uptime_s": one.uptime_s,
                    "version": one.version,
                    "asked_now": one.evidence is None,
                    "run": one.evidence.run.name if one.evidence else None,
                }
                for one in found.targets
            ],
            "runs": [
                {
                    "scenario": name,
                    "run": one.run.name,
                    "verdict": one.verdict.status.name,
                    "form": one.form,
                    "age_ns": one.age_ns,
                    "marks": [mark.word for mark in one.marks],
                }
                for name, one in found.body.by_scenario.items()
            ],
            "missing": {name: silence.because for name, silence in found.body.silent.items()},
            "damaged": [{"path": str(one.path), "reason": one.reason} for one in found.body.damaged],
            "to_run": list(found.to_run),
        }
    )


def _row(row: Row) -> dict[str, Any]:
    check, sure = row.check, row.uncertainty
    return {
        "scenario": row.scenario,
        "rule": row.rule.text,
        "standing": row.status.name,
        "because": row.because,
        "observed": check.observed if check else None,
        "unit": row.rule.unit,
        "interval": [sure.low, sure.high] if sure and sure.method else None,
        "method": sure.method if sure else None,
        "limit": None if row.is_recorded_only else row.rule.limit,
        "warn": row.rule.warn,
        "headroom": row.headroom,
        "run": row.evidence.run.name if row.evidence else None,
        "todo": row.todo,
    }
