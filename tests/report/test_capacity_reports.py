"""What a search for the capacity says in a terminal, in Markdown and as a page."""

import json
import re
from pathlib import Path

import pytest

from bench.capacity.readings import with_limit
from bench.capacity.record import CapacityRecord, with_findings
from bench.capacity.search import Bounds, Ending
from bench.report.capacity import page, sections

MS = 1_000_000
RULE = "cache.response.p95 < 10ms"
FILE = Path("results/capacity/20260202t024000z-redis_latency-0a1b2c.capacity.json")


def probe(rate, reading, p95_ms, **more):
    status = {"held": "PASS", "broke": "FAIL", "undecided": "INCONCLUSIVE", "generator": "INVALID"}[reading]
    broke = reading == "broke"
    return {
        "rate_per_s": float(rate),
        "run": f"20260202t0240{rate % 60:02}z-redis_latency-0a1b2c",
        "status": status,
        "reading": reading,
        "because": f"P95 is {p95_ms} ms, above the limit of 10ms" if broke else "",
        "limited_by": RULE if broke else None,
        "offered_per_s": float(rate),
        "done_per_s": float(min(rate, 52_000)),
        "p50_ns": p95_ms * MS // 3,
        "p95_ns": p95_ms * MS,
        "p99_ns": p95_ms * MS * 2,
        "service_p50_ns": p95_ms * MS // 4,
        "in_use": {"redis.cpu": min(rate / 50_000, 1.0), "cache.lanes": 0.2, "generator": rate / 100_000},
        **more,
    }


HELD = [probe(1200, "held", 1), probe(9600, "held", 1), probe(38_400, "held", 3), probe(47_000, "held", 7)]
BROKE = [probe(76_800, "broke", 900), probe(49_300, "broke", 11), probe(49_300, "broke", 12)]


def found(*probes, ending=Ending.PRECISE, unmet=()):
    record = CapacityRecord.read(
        {
            "scenario": "redis_latency",
            "state": "ended",
            "started_utc": "2026-02-02T02:40:00+00:00",
            "own_per_s": {"cache": 1200.0},
            "question": {"path": "scenarios/redis_latency.yaml", "digest": "d" * 64},
            "probes": list(probes),
        }
    )
    return with_limit(with_findings(record, Bounds(1200, 20)), ending, list(unmet))


def test_the_report_in_a_terminal_is_80_columns_wide_and_ends_with_the_result():
    text = sections.render_text(found(*HELD, HELD[-1], HELD[-1], *BROKE, BROKE[-1]))
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[-1] == "FOUND  redis_latency: 47 000/s holds, 49 300/s does not"
    assert f"limited by  {RULE}, which breaks first" in text
    assert "full first  redis.cpu, 94 % in use at 47 000/s" in text
    assert "knee        38 400/s" in text
    assert "o held, x broke" in text


def test_a_limit_of_the_generator_is_never_said_to_be_the_targets():
    beyond = [probe(76_800, "generator", 20)] * 2
    record = found(*HELD, *beyond, ending=Ending.GENERATOR)
    text = " ".join(sections.render_text(record).split())
    assert (record.limited_by, record.saturated, record.first_failing_per_s) == (
        "generator",
        "redis.cpu",
        None,
    )
    assert "the load generator, not the target" in text
    assert text.endswith("FOUND redis_latency: 47 000/s holds")


def test_a_capacity_below_a_minimum_throughput_is_said_in_the_headline():
    text = sections.render_text(
        found(*HELD, HELD[-1], HELD[-1], *BROKE, BROKE[-1], unmet=["cache.throughput >= 60000/s"])
    )
    assert text.splitlines()[-1].startswith("BELOW THE MINIMUM  redis_latency: 47 000/s holds")
    assert "no rate satisfies all rules" in " ".join(text.split())


@pytest.mark.parametrize(
    ("probes", "ending", "headline"),
    [
        ([probe(1200, "broke", 90)] * 2, Ending.LOWEST, "NO RATE  redis_latency: no rate was shown to hold"),
        (
            [probe(1200, "undecided", 90)],
            Ending.UNDECIDED,
            "CANNOT TELL  redis_latency: no rate was shown to hold",
        ),
        (HELD, Ending.PROBES, "CANNOT TELL  redis_latency: 47 000/s holds; its limit is not known"),
    ],
)
def test_what_was_not_found_is_said_so(probes, ending, headline):
    assert sections.render_text(found(*probes, ending=ending)).splitlines()[-1] == headline


def test_lanes_are_full_first_only_where_the_target_answers_as_fast_as_before():
    full = {"redis.cpu": 0.3, "cache.lanes": 0.97, "generator": 0.2}
    few_lanes = [{**one, "in_use": full, "service_p50_ns": MS} for one in BROKE]
    held = [{**one, "service_p50_ns": MS, "in_use": {**one["in_use"], "redis.cpu": 0.3}} for one in HELD]
    assert found(*held, held[-1], held[-1], *few_lanes, few_lanes[-1]).saturated == "cache.lanes"
    slow = [{**one, "service_p50_ns": 3 * MS} for one in few_lanes]
    assert found(*held, held[-1], held[-1], *slow, slow[-1]).saturated is None


def test_the_page_draws_times_throughput_and_use_over_the_rate_and_links_every_run():
    text = page.render(found(*HELD, HELD[-1], HELD[-1], *BROKE, BROKE[-1]), FILE)
    data = json.loads(re.search(r'id="plots">(.*?)</script>', text)[1])
    assert list(data["plots"]) == ["response", "done", "use"]
    assert {plot["axis"] for plot in data["plots"].values()} == {"rate"}
    assert data["plots"]["response"]["band"] == [47_000, 49_300]
    assert data["plots"]["response"]["limits"][0]["label"] == "P95 < 10ms"
    assert all(one["run"] in text for one in (*HELD, *BROKE))


def test_markdown_has_every_probe_in_a_table():
    text = sections.render_markdown(found(*HELD, HELD[-1], HELD[-1], *BROKE, BROKE[-1]), FILE, FILE.parent)
    assert text.count("| 49 300/s |") == 3
    assert "](<20260202t024000z-redis_latency-0a1b2c>)" in text


def test_a_machine_that_others_use_is_not_what_is_full_first():
    shared = [{**one, "in_use": {"machine.cpu": 1.0, "redis.cpu": 0.4}} for one in (*HELD, *BROKE)]
    record = found(*shared, shared[3], shared[3], shared[-1])
    assert record.saturated is None
    assert "nothing measured is full" in sections.render_text(record)
