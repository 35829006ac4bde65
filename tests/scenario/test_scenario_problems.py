"""Bad scenarios: every problem is told, with its place, and nothing else is raised."""

import pytest

# (what is replaced in the good file, by what, line:column and start of the sentence)
MISTAKES = [
    ("scenario: example", "scenario: Example", "1:11: scenario: expected a name of lower-case"),
    ("scenario: example\n", "", "1:1: file: expected the key scenario, found none"),
    ("lanes: 50", "lane: 50", "7:5: workloads[0].lane: expected one of the keys"),
    ("lanes: 50", "lanes: '50'", '7:12: workloads[0].lanes: expected a whole number 1..10000, found "50"'),
    (
        "lanes: 50",
        "lanes: 0",
        "7:12: workloads[0].lanes: expected a whole number 1..10000, found the number 0",
    ),
    (
        "lanes: 50",
        "lanes: true",
        "7:12: workloads[0].lanes: expected a whole number 1..10000, found the truth",
    ),
    (
        "value: {bytes: 128}",
        "pipeline: 1000\n    value: {bytes: 16MiB}",
        "10:20: workloads[0].value.bytes: expected lanes x pipeline x the largest request to be at most 2 GB",
    ),
    ("lanes: 50", "lanes: [5]", "7:12: workloads[0].lanes: expected a whole number 1..10000, found a list"),
    (
        "lanes: 50",
        "lanes: 5\n    threads: 6",
        "8:14: workloads[0].threads: expected at most one thread per lane",
    ),
    (
        "driver: redis",
        "driver: reddis",
        "6:13: workloads[0].driver: expected one of redis, redis_pubsub, postgres, http, locust, noop",
    ),
    ("driver: redis", "driver: locust", '5:13: workloads[0].target: expected the target "api"'),
    ("target: redis", "target: cache", '5:13: workloads[0].target: expected the target "redis"'),
    (
        "arrivals: poisson",
        "arrivals: random",
        "13:15: workloads[0].arrivals: expected one of constant, poisson",
    ),
    (
        "rate: 1200/s",
        "rate: 1200",
        '14:11: workloads[0].rate: expected a rate such as "1000/s", found the number',
    ),
    ("rate: 1200/s", "rate: fast", "14:11: workloads[0].rate: expected a rate such as"),
    ("rate: 1200/s", "rate: 0/s", "14:11: workloads[0].rate: expected a rate above 0/s"),
    ("rate: 1200/s", "rate: -5/s", "14:11: workloads[0].rate: expected a rate such as"),
    (
        "rate: 1200/s",
        "rate: 99999999999/s",
        "14:11: workloads[0].rate: expected a rate above 0/s and at most",
    ),
    ("rate: 1200/s", "rate: .inf", "14:11: workloads[0].rate: expected a rate such as"),
    ("rate: 1200/s", "rate: 10ms", "14:11: workloads[0].rate: expected a rate such as"),
    ("    rate: 1200/s\n", "", "4:5: workloads[0]: expected a rate with arrivals: poisson"),
    (
        "arrivals: poisson",
        "arrivals: closed",
        "14:11: workloads[0].rate: expected no rate with arrivals: closed",
    ),
    ("deadline: 1s", "deadline: 1/s", "15:15: workloads[0].deadline: expected a duration such as"),
    ("{bytes: 128}", "{bytes: 0}", "9:20: workloads[0].value.bytes: expected a number of bytes 1..16777216"),
    ("{bytes: 128}", "{bytes: 1GB}", "9:20: workloads[0].value.bytes: expected a number of bytes"),
    ("{bytes: 128}", "128", "9:12: workloads[0].value: expected a mapping, found the number 128"),
    (
        "{count: 1000}",
        "{count: 5, exponent: 2.0}",
        "8:32: workloads[0].keys.exponent: expected exponent only with",
    ),
    ("{count: 1000}", "{count: 5, preload: yes}", "8:31: workloads[0].keys.preload: expected true or false"),
    ('[GET, "{key}"]', "GET a", "11:34: workloads[0].operations.get.command: expected a command as a list"),
    (
        '[GET, "{key}"]',
        "[]",
        "11:34: workloads[0].operations.get.command: expected at least 1 item(s), found none",
    ),
    (
        '[GET, "{key}"]',
        '[GET, "{kee}"]',
        "11:40: workloads[0].operations.get.command[1]: expected one of {key}",
    ),
    (
        '[GET, "{key}"]',
        "[MONITOR]",
        "11:35: workloads[0].operations.get.command[0]: expected a command that the",
    ),
    ("weight: 80", "weight: -1", "11:21: workloads[0].operations.get.weight: expected a number 0 to"),
    ("      get:", "      Get:", "11:7: workloads[0].operations.Get: expected a name of lower-case"),
    (
        "    value: {bytes: 128}\n",
        "",
        "11:49: workloads[0].operations.set.command[2]: expected a value in the",
    ),
    (
        "lanes: 50",
        "lanes: 50\n    pool: 5",
        "8:11: workloads[0].pool: expected pool only with engine: client",
    ),
    ("lanes: 50", "lanes: 50\n    channels: 5", "8:15: workloads[0].channels: expected channels only with"),
    ("driver: redis", "driver: redis_pubsub", "11:7: workloads[0].operations: expected no operations"),
    ("for: 30s", "for: 0s", "18:25: phases[1].for: expected a duration above 0s"),
    ("for: 30s", "for: 25h", "18:25: phases[1].for: expected a duration above 0s and at most 24 h"),
    ("for: 30s", "for: 30", "18:25: phases[1].for: expected a duration such as"),
    (
        "name: steady",
        "name: warmup",
        '18:12: phases[1].name: expected a phase name used once, found "warmup"',
    ),
    ("for: 30s", "for: 30s, measured: false", "17:3: phases: expected at least one measured phase"),
    (
        "for: 30s",
        "for: 30s, load: 150",
        '18:36: phases[1].load: expected a load such as "150%", found the number',
    ),
    ("for: 30s", "for: 30s, load: {from: 1%}", "18:36: phases[1].load: expected the key to, found none"),
    ("sla:", "faults: [{kill: redis}]\nsla:", "19:10: faults[0]: expected the time of the fault"),
    ("< 10ms warn 8ms", "< 10/s", '20:5: sla[0]: expected a duration such as 10ms for "cache.response.p95"'),
    (
        "cache.response.p95 <",
        "cash.response.p95 <",
        "20:5: sla[0]: expected a metric of this scenario: response",
    ),
    ("  - cache.response.p95 < 10ms warn 8ms", "  - 5", "20:5: sla[0]: expected text, found the number 5"),
    ("\n  - cache.response.p95 < 10ms warn 8ms", " errors < 1%", "19:6: sla: expected a list, found"),
    ("name: cache", "name: ${NOPE}", "4:11: workloads[0].name: expected the environment variable NOPE"),
    ("name: cache", "name: ${bad-name}", "4:11: workloads[0].name: expected ${NAME} or ${NAME:-default}"),
    (
        "lanes: 50",
        "lanes: 50\n    lanes: 51",
        '8:5: workloads[0].lanes: expected every key once, found the key "lanes"',
    ),
    ("lanes: 50", "\tlanes: 50", "7:1: file: expected spaces, found a tab"),
    (
        "lanes: 50",
        "lanes: !!python/name:os.system 50",
        "7:12: workloads[0].lanes: expected a value without a tag",
    ),
    ("lanes: 50", "<<: 50", "7:5: workloads[0].<<: expected a mapping, or a list of mappings, to be merged"),
    (
        "lanes: 50",
        "<<: [{lanes: 1}, [2]]",
        "7:5: workloads[0].<<: expected a mapping, or a list of mappings, to be merged",
    ),
    ("lanes: 50", "<<: {lanes: 50}\n    <<: {pool: 5}", "8:5: workloads[0].<<: expected one << in a mapping"),
    ("lanes: 50", "'<<': 50", "7:5: workloads[0].<<: expected"),
    ("lanes: 50", "lanes: *nowhere", "7:12: workloads[0].lanes: expected an alias of an anchor above"),
    ("{count: 1000}", "{count: 1000", "9:10: file: expected"),
    ("sla:", "---\nsla:", "19:1: file: expected one document"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), MISTAKES)
def test_a_mistake_is_told_at_its_place(problems, good, old, new, sentence) -> None:
    assert old in good
    found = [str(problem) for problem in problems(good.replace(old, new, 1))]
    assert any(f"/scenario.yaml:{sentence}" in text for text in found), found


@pytest.mark.parametrize(("old", "new", "sentence"), MISTAKES)
def test_a_problem_is_one_line_that_says_what_to_do(problems, good, old, new, sentence) -> None:
    for problem in problems(good.replace(old, new, 1)):
        assert "\n" not in str(problem)
        assert problem.expected
        assert problem.found
        assert problem.advice
        assert "pydantic" not in str(problem)


def test_all_problems_of_a_file_are_told_at_once(problems, good) -> None:
    """Problems of single fields, between fields, of rules and of the environment do not hide each other."""
    text = (
        good.replace("lanes: 50", "lane: 50\n    lanes: 2\n    threads: 3")
        .replace("    rate: 1200/s\n", "")
        .replace("deadline: 1s", "deadline: soon")
        .replace('[GET, "{key}"]', '[GET, "{kee}"]')
        .replace("for: 30s", "for: 30")
        .replace("name: steady", "name: warmup")
        .replace("purpose: shows", "purpose: ${UNSET} shows")
        + "  - cache.respones.p95 < 1ms\n  - errors < 5ms\n"
    )
    where = [problem.where for problem in problems(text)]
    assert where == [
        "purpose",
        "workloads[0]",
        "workloads[0].lane",
        "workloads[0].threads",
        "workloads[0].operations.get.command[1]",
        "workloads[0].deadline",
        "phases[1].name",
        "phases[1].for",
        "sla[1]",
        "sla[2]",
    ]


def test_the_nearest_known_key_is_suggested(problems, good) -> None:
    (problem,) = problems(good.replace("deadline:", "dead_line:"))
    assert problem.advice == 'write "deadline" if that was meant'


def test_two_workloads_of_one_name_are_refused(problems, good) -> None:
    workload = good[good.index("  - name: cache") : good.index("phases:")]
    (problem,) = problems(good.replace("phases:", workload + "phases:"))
    assert problem.where == "workloads[1].name"


def test_phases_may_not_last_longer_than_a_day_in_all(problems, good) -> None:
    (problem,) = problems(good.replace("for: 3s", "for: 13h").replace("for: 30s", "for: 13h"))
    assert problem.expected == "at most 24 h in all"


def test_the_last_of_very_many_phases_is_checked_too(problems, good) -> None:
    more = (
        "".join(f"  - {{name: p{number}, for: 1s}}\n" for number in range(900)) + "  - {name: p0, for: 1s}\n"
    )
    (problem,) = problems(good.replace("sla:", more + "sla:"))
    assert problem.where == "phases[902].name"


def test_a_load_that_makes_the_rate_impossible_is_refused(problems, good) -> None:
    text = good.replace("1200/s", "9000000/s").replace("for: 30s", "for: 30s, load: 200%")
    (problem,) = problems(text)
    assert (problem.where, problem.found) == ("phases[1].load", "18000000/s")


def test_a_pubsub_workload_needs_channels_subscribers_and_a_message_that_holds_its_stamp(
    problems, good
) -> None:
    start, end = good.index("    operations:"), good.index("    arrivals:")
    text = good[:start] + good[end:]
    text = text.replace("driver: redis", "driver: redis_pubsub").replace("bytes: 128", "bytes: 63")
    found = {(problem.where, problem.expected.split(",")[0]) for problem in problems(text)}
    assert found == {
        ("workloads[0]", "channels for a pub/sub workload"),
        ("workloads[0]", "subscribers for a pub/sub workload"),
        ("workloads[0].keys", "no keys with a pub/sub workload"),
        ("workloads[0].value.bytes", "at least 64 bytes"),
    }


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("workloads.cache.rate=fast", "--set: workloads[0].rate: expected a rate such as"),
        (
            "workloads.cash.rate=5/s",
            "--set: workloads: expected the index 0..0 or the name of an item (names: cache)",
        ),
        ("workloads.7.rate=5/s", "--set: workloads: expected the index 0..0"),
        ("workload.cache.rate=5/s", "--set: workload: expected one of the keys"),
        ("seed", "--set: path: expected key.path=value"),
        ("a..b=1", "--set: path: expected key.path=value"),
        ("=1", "--set: path: expected key.path=value"),
        ("seed.x=1", "--set: seed: expected a mapping or a list"),
        ("workloads.cache.+=1", "--set: workloads[0]: expected a list to append to"),
        ("seed=[1", "--set: file: expected"),
        ("seed=", "--set: seed: expected a whole number"),
        ("seed=\udcff", "--set: file: expected valid YAML"),
        ("seed=${NOPE}", "--set: seed: expected the environment variable NOPE"),
        ("sla.0=cache.errors < 5ms", "--set: sla[0]: expected a percentage"),
    ],
)
def test_a_bad_override_is_told(problems, good, override, sentence) -> None:
    text = good.replace("purpose", "seed: 4\npurpose", 1)
    found = [str(problem) for problem in problems(text, [override])]
    assert any(line.startswith(sentence) for line in found), found


SECRET = "hunter2-swordfish"
SECRET_PLACES = [
    ("scenario: example", "scenario: ${S}"),
    ("lanes: 50", "lanes: ${S}"),
    ("lanes: 50", "lanes: ${S}\n    threads: 60"),
    ("driver: redis", "driver: ${S}"),
    ("target: redis", "target: ${S}"),
    ("rate: 1200/s", "rate: ${S}/s"),
    ("{bytes: 128}", "${S}"),
    ('[GET, "{key}"]', '[GET, "{${S}}", "{${S}_a}"]'),
    ('[GET, "{key}"]', '"GET ${S}"'),
    ("arrivals: poisson", "arrivals: ${S}"),
    ("for: 30s", "for: '${S}'"),
    ("for: 30s", "for: 30s, load: '${S}'"),
    ("name: steady", "name: '${S}'"),
    ("  - cache.response.p95 < 10ms warn 8ms", "  - ${S}.response.p95 < 10ms"),
    ("  - cache.response.p95 < 10ms warn 8ms", "  - cache.${S} < 10ms"),
    ("  - cache.response.p95 < 10ms warn 8ms", "  - cache.response.p95 < 10 ${S}"),
    ("  - cache.response.p95 < 10ms warn 8ms", "  - cache.errors(${S}=5s) < 10%"),
]


@pytest.mark.parametrize(("old", "new"), SECRET_PLACES)
@pytest.mark.parametrize("value", [SECRET, "hunter2_swordfish", "{hunter2_swordfish}"])
def test_the_value_of_a_variable_is_never_shown(problems, good, old, new, value) -> None:
    text = good.replace(old, new, 1) + "  - nothing.like.response.p95 < 1ms\n"
    shown = "\n".join(map(str, problems(text, environment={"S": value})))
    assert "hunter2" not in shown


def test_a_name_from_a_variable_is_not_shown_in_the_list_of_metrics(problems, good) -> None:
    text = good.replace("name: cache", "name: ${S}")
    shown = "\n".join(map(str, problems(text, environment={"S": "hunter2"})))
    assert "hunter2" not in shown
    assert "(not shown)" in shown
