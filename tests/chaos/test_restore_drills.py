"""Restore drills: data are backed up, destroyed and restored under load, and what came back counts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.core.errors import ScenarioError, TargetError
from bench.judge.verdict import Status
from bench.scenario.load import load_scenario
from bench.stack.assembled import AssembledStack
from bench.stack.stack_file import load_stack_file
from bench.stack.supervisor.processes import ProcessIdentity
from bench.stack.target import Target
from chaos.faults.drill import Destroy
from chaos.faults.fault import FaultContext
from chaos.faults.recipes import RecipeError, recipe_for
from chaos.faults.safety_copy import about_to_be_destroyed, copy_for_safety
from chaos.integrity.readers import RedisReader, connected
from chaos.schedule import planned
from chaos.undo import RemoveFolder, RestoreCopy, read_undo
from tests.chaos.in_process import run_file

pytestmark = pytest.mark.usefixtures("one_self_measurement")

S = 1_000_000_000
SCENARIO = """\
scenario: drilled
purpose: What a backup has comes back
workloads:
  - name: orders
    target: postgres
    driver: postgres
    lanes: 2
    setup: ["CREATE TABLE IF NOT EXISTS drilled (run bigint, id bigint, PRIMARY KEY (run, id))"]
    operations: {order: {sql: "INSERT INTO drilled VALUES ({run}, {seq})"}}
    arrivals: constant
    rate: 100/s
    deadline: 1s
  - name: sessions
    target: redis
    driver: redis
    lanes: 2
    operations: {add: {command: [SET, "session:{run}:{seq}", "{seq}"]}}
    arrivals: constant
    rate: 100/s
    deadline: 1s
phases:
  - {name: steady, for: 3s}
actions:
ACTIONS
integrity:
  - {acknowledged_writes: orders, found: "SELECT id FROM drilled WHERE run = {run}"}
  - {acknowledged_writes: sessions}
sla:
  - recovery_point < 30s
  - recovery_time < 30s
"""
BOTH = [
    "{backup: postgres, at: 500ms}",
    "{backup: redis, at: 700ms}",
    "{destroy: redis, at: 1500ms}",
    "{restore: redis, at: 1700ms}",
    "{destroy: postgres, at: 1900ms}",
    "{restore: postgres, at: 2100ms}",
]


def drilled(folder: Path, *actions: str) -> Path:
    path = folder / "drilled.yaml"
    path.write_text(SCENARIO.replace("ACTIONS", "\n".join(f"  - {action}" for action in actions)))
    return path


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AssembledStack]:
    folder = tmp_path_factory.mktemp("own")
    file = folder / "stack.yaml"
    file.write_text(
        "stack: own\nallow: {actions: true}\n"
        "targets: {redis: {kind: redis, embedded: {}}, postgres: {kind: postgres, embedded: {}}}\n"
    )
    with AssembledStack(load_stack_file(file), {"redis", "postgres"}, folder) as up:
        yield up


@pytest.fixture
def redis(stack: AssembledStack) -> Iterator[Target]:
    target = stack.targets()["redis"]
    with RedisReader(target) as server:
        server.ask("FLUSHDB")
    yield target
    with RedisReader(target) as server:
        server.ask("FLUSHDB")


@pytest.fixture
def postgres(stack: AssembledStack) -> Target:
    target = stack.targets()["postgres"]
    with connected(target, is_writing=True) as server:
        server.execute(b"DROP TABLE IF EXISTS kept CASCADE; CREATE TABLE kept (id serial, what text)")
        server.execute(b"CREATE VIEW seen AS SELECT what FROM kept")
        server.execute(b"INSERT INTO kept (what) VALUES ('a'), ('b')")
    return target


def test_a_drill_says_how_old_what_came_back_was_and_how_long_it_took(
    stack: AssembledStack, tmp_path: Path
) -> None:
    ended = run_file(stack, tmp_path, drilled(tmp_path, *BOTH))
    faults = {(fault.kind, fault.target): fault for fault in ended.record.faults}
    assert all(fault.took_effect and fault.healed for fault in faults.values())
    for check in ended.record.integrity:
        (point,) = check.recovery_points
        backup, destroy = faults["backup", str(check.target)], faults["destroy", str(check.target)]
        assert destroy.number == point.fault
        assert destroy.effective_ns is not None
        assert backup.asked_ns is not None
        assert backup.returned_ns is not None
        assert point.age_ns is not None
        # Writes come each 10 ms; a busy machine may answer them later.
        assert point.age_ns >= destroy.effective_ns - backup.returned_ns - 0.5 * S
        assert point.age_ns <= destroy.effective_ns - backup.asked_ns + 0.5 * S
        assert 0 < point.kept < point.written
        assert check.lost
        assert (check.holes, check.unexpected) == (0, 0)
    for fault in (faults["destroy", "postgres"], faults["destroy", "redis"]):
        assert fault.healed_ns is not None
    assert ended.check("recovery_point").status is Status.PASS
    assert ended.check("recovery_time").status is Status.PASS
    observed = ended.check("recovery_time").observed
    assert observed is not None
    assert observed >= 0.15 * S


SPOIL = """\
import pathlib, sys
file = pathlib.Path(sys.argv[1])
file.write_bytes(file.read_bytes()[:-20])
"""
ROT = """\
import pathlib, sys
file = pathlib.Path(sys.argv[1])
entries, mark, end = file.read_bytes().rpartition(b"*2\\r\\n")
first, *others = entries.split(b"*5\\r\\n")
others.sort(key=lambda entry: int(entry.split(b"\\r\\n")[3].split(b":")[-1]))
file.write_bytes(b"*5\\r\\n".join([first, *others[:5], *others[6:]]) + mark + end)
"""
"""Leaves out one of the first keys that were written: a file that is whole, with something missing."""


def meddling(folder: Path, script: str, file: Path) -> str:
    """What an action runs that changes a file."""
    (folder / "meddle.py").write_text(script)
    return f"[{sys.executable}, {folder / 'meddle.py'}, {file}]"


@pytest.mark.long
@pytest.mark.parametrize("target", ["redis", "postgres"])
def test_a_backup_that_cannot_be_restored_fails_the_run_and_nothing_is_lost_by_it(
    stack: AssembledStack, tmp_path: Path, target: str
) -> None:
    file = tmp_path / "backup"
    actions = (
        f"{{backup: {target}, file: {file}, at: 500ms}}",
        f"{{name: spoil, target: {target}, run: {meddling(tmp_path, SPOIL, file)}, at: 1s}}",
        f"{{destroy: {target}, at: 1500ms}}",
        f"{{restore: {target}, file: {file}, at: 1700ms}}",
    )
    ended = run_file(stack, tmp_path, drilled(tmp_path, *actions))
    check = ended.check("validity.target_not_back")
    assert check.status is Status.FAIL
    assert "the restore failed: " in check.because
    assert ended.check("recovery_point").status is Status.FAIL
    assert ended.check("recovery_time").status is Status.FAIL
    if target == "redis":
        with RedisReader(stack.targets()["redis"]) as server:
            assert server.ask("DBSIZE") > 200
    else:
        with connected(stack.targets()["postgres"]) as server:
            (row,) = server.execute(b"SELECT count(*) FROM drilled").fetchall()
        assert row[0] > 100


@pytest.mark.long
@pytest.mark.usefixtures("redis")
def test_a_backup_with_something_missing_fails_by_its_content(stack: AssembledStack, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    actions = (
        f"{{backup: redis, file: {file}, at: 1s}}",
        f"{{name: rot, target: redis, run: {meddling(tmp_path, ROT, file)}, at: 1200ms}}",
        "{destroy: redis, at: 1500ms}",
        f"{{restore: redis, file: {file}, at: 1700ms}}",
    )
    ended = run_file(stack, tmp_path, drilled(tmp_path, *actions))
    (fault,) = [one for one in ended.record.faults if one.kind == "destroy"]
    assert (fault.took_effect, fault.healed) == (True, True)
    (check,) = [one for one in ended.record.integrity if one.workload == "sessions"]
    assert check.holes == 1
    (point,) = check.recovery_points
    assert point.kept < 10
    assert ended.check("validity.integrity_hole").status is Status.FAIL


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_what_is_destroyed_comes_back_from_the_backup_as_it_was(
    kind: str, redis: Target, postgres: Target, tmp_path: Path
) -> None:
    target, recipe = {"redis": redis, "postgres": postgres}[kind], recipe_for(kind)
    assert recipe is not None
    with RedisReader(redis) as server:
        server.ask_all([("SET", "a", b"\x00\xff"), ("RPUSH", "l", "x", "y"), ("SET", "t", "1", "EX", 1000)])
    recipe.back_up(target, tmp_path / "new" / "backup", 30)
    assert (tmp_path / "new" / "backup").stat().st_mode & 0o077 == 0
    wiped = recipe.wipe(target)
    assert (wiped.before > 0, wiped.after) == (True, 0)
    recipe.load(target, tmp_path / "new" / "backup", 30)
    if kind == "redis":
        with RedisReader(redis) as server:
            assert server.ask("GET", "a") == b"\x00\xff"
            assert server.ask("LRANGE", "l", 0, -1) == [b"x", b"y"]
            assert 900 < server.ask("TTL", "t") <= 1000
    else:
        with connected(postgres, is_writing=True) as rows:
            rows.execute(b"INSERT INTO kept (what) VALUES ('c')")
            assert rows.execute(b"SELECT what FROM seen ORDER BY 1").fetchall() == [("a",), ("b",), ("c",)]


@pytest.mark.parametrize(
    ("spoiled", "words"),
    [
        (b"", "its end is missing"),
        (b"*2\r\n$4\r\nECHO\r\n$3\r\nabc\r\n", "its end is missing"),
        (b"*1\r\n$8\r\nFLUSHALL\r\n", "holds something else than the keys of a Redis"),
        (b"rubbish\r\n", "is no backup, or a damaged one"),
    ],
)
def test_a_damaged_file_is_refused_before_any_of_it_is_loaded(
    redis: Target, tmp_path: Path, spoiled: bytes, words: str
) -> None:
    recipe = recipe_for("redis")
    assert recipe is not None
    (tmp_path / "backup").write_bytes(spoiled)
    with RedisReader(redis) as server:
        server.ask("SET", "a", 1)
        with pytest.raises(RecipeError, match=words):
            recipe.load(redis, tmp_path / "backup", 30)
        assert server.ask("GET", "a") == b"1"


def test_another_process_puts_back_what_a_killed_harness_had_destroyed(redis: Target, tmp_path: Path) -> None:
    recipe, folder = recipe_for("redis"), tmp_path / "drills" / "copy-1"
    assert recipe is not None
    undo = read_undo(RestoreCopy((), folder).to_json())
    assert undo.heal() is None  # nothing is destroyed yet
    with RedisReader(redis) as server:
        server.ask("SET", "a", 1)
        copy_for_safety(redis, recipe, folder)
        assert all(file.stat().st_mode & 0o077 == 0 for file in folder.iterdir())
        about_to_be_destroyed(folder)
        recipe.wipe(redis)
        # What goes with the run leaves the copy alone, in whatever order they are healed.
        assert read_undo(RemoveFolder(folder.parent).to_json()).heal() is None
        assert [undo.heal(), undo.heal()] == [None, None]
        assert server.ask("GET", "a") == b"1"
    assert not folder.parent.exists()


def test_what_was_copied_but_not_destroyed_is_left_as_it_is(redis: Target, tmp_path: Path) -> None:
    recipe, folder = recipe_for("redis"), tmp_path / "copy-1"
    assert recipe is not None
    with RedisReader(redis) as server:
        server.ask("SET", "a", 1)
        copy_for_safety(redis, recipe, folder)
        server.ask("SET", "a", 2)
        assert RestoreCopy((), folder).heal() is None
        assert server.ask("GET", "a") == b"2"
    assert not folder.exists()


def test_what_ended_with_its_harness_is_not_put_back_and_what_still_runs_is_reported(
    redis: Target, tmp_path: Path
) -> None:
    recipe, folder = recipe_for("redis"), tmp_path / "copy-1"
    assert recipe is not None
    copy_for_safety(redis, recipe, folder)
    about_to_be_destroyed(folder)
    (folder / "url").write_text("redis redis://127.0.0.1:1")
    kept = RestoreCopy((), folder).heal()
    assert kept is not None
    assert f"the data as they were before are in {folder / 'data'}" in kept
    own = ProcessIdentity.of(1)
    assert own is not None
    gone = replace(own, start_ticks=own.start_ticks + 1)
    assert RestoreCopy((gone,), folder).heal() is None
    assert not folder.exists()


def test_a_run_that_ends_before_the_restore_gets_back_all_that_was_destroyed(
    stack: AssembledStack, redis: Target, tmp_path: Path
) -> None:
    scenario = load_scenario(drilled(tmp_path, *BOTH), environment={}).scenario
    (plan,) = [one for one in planned(scenario, seed=1) if (one.kind, one.target) == ("destroy", "redis")]
    context = FaultContext(stack, stack.targets(), actions=scenario.actions, private=tmp_path / "drills")
    destroy, recipe = Destroy(plan, context), recipe_for("redis")
    assert recipe is not None
    assert destroy.undo().way == "restore_copy"
    with pytest.raises(TargetError, match=r"a complete backup to restore from.*none"):
        destroy.inject()
    context.backed_up.add(tmp_path / "drills" / f"redis-{7 * S // 10}.backup")
    with RedisReader(redis) as server:
        server.ask("SET", "newer", 1)
        destroy.inject()
        assert destroy.took_effect().text == "1 key before, 0 after"
        destroy.give_up()
        destroy.heal()
        assert destroy.healed(0).holds
        assert server.ask("GET", "newer") == b"1"


RESTORE = "{restore: redis, at: 2s}"


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (["{destroy: redis, at: 1s}", RESTORE], "a backup of redis before it is destroyed"),
        (["{backup: redis, at: 1s}", "{destroy: redis, at: 2s}"], "a restore of redis after it is destroyed"),
        (["{backup: redis, at: 1s}", RESTORE], "a destroy of redis before it is restored"),
        (["{backup: redis, destroy: redis, at: 1s}"], "found backup and destroy"),
        (["{backup: redis2, at: 1s}"], "actions[0].backup: expected one of the targets"),
        (["{backup: redis, undo: ['true'], at: 1s}"], "expected no undo with backup"),
        (["{backup: redis, run: ['true'], file: a, at: 1s}"], "file only with a backup or restore by the"),
        (
            ["{backup: redis, run: ['true'], at: 1s}", "{destroy: redis, at: 1500ms}", RESTORE],
            "expected what is to be restored, found no file and no run",
        ),
        (["{name: a, run: ['true'], file: b, target: redis, at: 1s}"], "file only with backup or restore"),
    ],
)
def test_a_drill_that_lacks_a_step_is_refused_before_any_load(
    tmp_path: Path, actions: list[str], words: str
) -> None:
    with pytest.raises(ScenarioError) as refused:
        load_scenario(drilled(tmp_path, *actions), environment={})
    assert words in str(refused.value)


def test_data_of_others_are_not_destroyed_unless_they_are_given_for_it(redis: Target, tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    text = SCENARIO.replace("ACTIONS", "\n".join(f"  - {action}" for action in BOTH if "redis" in action))
    begin, end = text.index("  - name: orders"), text.index("  - name: sessions")
    path = tmp_path / "drilled.yaml"
    path.write_text((text[:begin] + text[end:]).replace("  - {acknowledged_writes: orders", "  # {"))
    file.write_text(f"stack: theirs\ntargets: {{redis: {{kind: redis, url: 'redis://{redis.address}'}}}}\n")
    with (
        AssembledStack(load_stack_file(file), {"redis"}, tmp_path) as theirs,
        pytest.raises(TargetError, match="a target that may be broken"),
    ):
        run_file(theirs, tmp_path, path)
