"""The journal: on disk before the fault, read by whoever finds it, emptied by what was seen to work."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.core.errors import HealError, UsageError
from bench.stack.supervisor.processes import ProcessIdentity, own_entry
from chaos.journal import (
    Entry,
    Journal,
    JournalLock,
    heal,
    heal_orphans,
    journal_folder,
    left_alone,
    leftovers,
    read_journal,
)
from chaos.undo import (
    ConnectContainer,
    ContinueProcesses,
    Nothing,
    RemoveFile,
    StartContainer,
    UnpauseContainer,
    Unreadable,
    read_undo,
)
from chaos.watchdog import Watchdog
from tests.chaos.journals_left import DEAD, ended, harness, intent, is_stopped, left_by_the_dead, paused


def test_an_intent_is_on_disk_when_it_returns_and_gone_when_it_is_done(journals: Path) -> None:
    journal = Journal()
    number = journal.intend("pause of redis", Nothing())
    found = read_journal(journal.path)
    assert found.entries == {number: Entry("pause of redis", Nothing())}
    assert found.harness == ProcessIdentity.of(os.getpid())
    assert not found.is_orphaned
    journal.done(number)
    assert read_journal(journal.path).entries == {}
    journal.close()
    journal.close()
    assert leftovers() == []
    assert journals == journal_folder()


def test_what_is_open_when_a_journal_is_closed_stays_for_others() -> None:
    journal = Journal()
    journal.intend("pause of redis", Nothing())
    journal.close()
    (left,) = leftovers()
    assert len(left.entries) == 1


def test_two_runs_with_faults_at_once_are_refused_and_the_second_may_follow_the_first() -> None:
    first = Journal()
    with pytest.raises(UsageError, match="another run with faults is under way"):
        Journal()
    first.close()
    Journal().close()


def test_a_harness_that_lives_is_left_alone(sleeper: psutil.Process) -> None:
    journal = Journal()
    journal.intend("pause", paused(sleeper))
    assert heal_orphans() == []
    assert is_stopped(sleeper)
    journal.close()


def test_what_the_dead_have_left_is_undone_and_told(journals: Path, sleeper: psutil.Process) -> None:
    path = left_by_the_dead(journals, intent(paused(sleeper)))
    assert heal_orphans() == ["healed: a pause"]
    assert not is_stopped(sleeper)
    assert not path.exists()
    assert heal_orphans() == []


def test_the_number_of_a_dead_harness_may_be_anybodys_by_now(journals: Path, sleeper: psutil.Process) -> None:
    mine = ProcessIdentity.of(os.getpid())
    assert mine is not None
    journals.mkdir(parents=True)
    text = json.dumps({"harness": own_entry() | {"start_ticks": mine.start_ticks - 1}})
    (journals / "old.jsonl").write_text(text + "\n" + json.dumps(intent(paused(sleeper))) + "\n")
    assert heal_orphans() == ["healed: a pause"]
    assert not is_stopped(sleeper)


def test_an_undo_never_hits_a_stranger_with_the_same_number(sleeper: psutil.Process) -> None:
    (identity,) = paused(sleeper).processes
    stranger = replace(identity, start_ticks=identity.start_ticks + 1)
    assert ContinueProcesses((stranger,)).heal() is None
    assert is_stopped(sleeper)


@pytest.mark.parametrize(
    "rest", ['{"intend": "2", "wh', '{"intend": "2"}{"don', "\x00\xff", "[]", "7", "null", ""]
)
def test_half_a_line_at_the_end_hides_no_other(journals: Path, sleeper: psutil.Process, rest: str) -> None:
    left_by_the_dead(journals, intent(paused(sleeper)), rest)
    assert heal_orphans() == ["healed: a pause"]
    assert not is_stopped(sleeper)


def test_entries_are_undone_from_the_last_to_the_first_and_those_done_are_not(journals: Path) -> None:
    lines = [intent(Nothing(), str(n), f"fault {n}") for n in range(3)]
    left_by_the_dead(journals, *lines, {"done": "1"})
    assert heal_orphans() == ["healed: fault 2", "healed: fault 0"]


DAMAGED = [
    {},
    "text",
    None,
    5,
    {"way": "of the future"},
    {"way": "remove_file", "path": "/"},
    {"way": "start_container"},
    {"way": "continue_processes", "processes": 7},
]


@pytest.mark.parametrize("entry", DAMAGED, ids=str)
def test_what_cannot_be_undone_is_told_and_kept_and_hinders_no_other(
    journals: Path, sleeper: psutil.Process, entry: Any
) -> None:
    path = left_by_the_dead(journals, intent(paused(sleeper), "1"), intent(entry, "2", "the odd one"))
    with pytest.raises(HealError, match=r"not healed: the odd one: .*\. The journal .* is kept"):
        heal_orphans()
    assert not is_stopped(sleeper)
    assert list(read_journal(path).entries) == ["2"]


def test_the_number_of_a_thread_is_no_process_and_the_next_entry_is_healed(
    journals: Path, sleeper: psutil.Process
) -> None:
    """The kernel has another word for the number of a thread than for one that nobody has."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    gone = own_entry() | {"pid": thread.native_id, "start_ticks": 1}
    identity = ProcessIdentity.from_json(gone)
    assert identity is not None
    identity.send(signal.SIGCONT)
    assert identity.wait(0)
    way = {"way": "continue_processes", "processes": [gone]}
    left_by_the_dead(journals, intent(paused(sleeper), "1"), intent(way, "2", "pause of redis"))
    skipped, undone = heal_orphans()
    assert skipped.startswith(f"skipped: pause of redis: process {thread.native_id} has ended")
    assert undone == "healed: a pause"
    assert not is_stopped(sleeper)
    over.set()
    thread.join()


def test_an_entry_whose_undoing_fails_in_any_way_is_told_and_hinders_no_other(
    journals: Path, sleeper: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> str | None:
        raise ConnectionResetError("the engine went away")

    monkeypatch.setattr(UnpauseContainer, "_heal", broken)
    way = {"way": "unpause_container", "container": "c"}
    left_by_the_dead(journals, intent(paused(sleeper), "1"), intent(way, "2", "pause of redis"))
    with pytest.raises(HealError, match="pause of redis: ConnectionResetError: the engine went away") as told:
        heal_orphans()
    assert told.value.done == ("healed: a pause",)
    assert not is_stopped(sleeper)


def test_a_journal_that_cannot_be_healed_hinders_no_other(journals: Path, sleeper: psutil.Process) -> None:
    left_by_the_dead(journals, intent(paused(sleeper))).rename(journals / "z.jsonl")
    left_by_the_dead(journals, intent({"way": "of the future"}))
    with pytest.raises(HealError, match="of the future") as told:
        heal_orphans()
    assert told.value.done == ("healed: a pause",)
    assert not is_stopped(sleeper)
    assert [one.path.name for one in leftovers()] == ["left.jsonl"]


ELSEWHERE = [
    {"host": "another machine"},
    {"pids": 1},
    {"boot_id": "of another machine", "host": None},
]


@pytest.mark.parametrize("harness", ELSEWHERE, ids=str)
def test_the_journal_of_another_machine_or_name_space_is_left_alone_and_said_so(
    journals: Path, sleeper: psutil.Process, harness: dict[str, Any]
) -> None:
    path = left_by_the_dead(journals, intent(paused(sleeper)))
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join([json.dumps({"harness": DEAD | own_entry() | {"start_ticks": 1} | harness}), lines[1]])
    )
    (one,) = leftovers()
    assert not one.is_orphaned
    assert heal_orphans() == []
    (said,) = left_alone()
    assert heal(one) == [said]
    assert said.startswith(f"left alone: the journal {path} (a pause), whose run belongs to ")
    assert "another" in said
    assert is_stopped(sleeper)
    assert path.exists()
    # A run of ours need not wait for it.
    Journal().close()
    done = subprocess.run(
        [sys.executable, "-m", "bench", "heal"], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert (done.returncode, done.stdout) == (0, said + "\n")


def test_nothing_is_healed_beside_somebody_who_heals(journals: Path, sleeper: psutil.Process) -> None:
    left_by_the_dead(journals, intent(paused(sleeper)))
    lock = JournalLock.take(journals, lambda: False)
    assert lock is not None
    healing = threading.Thread(target=heal_orphans)
    healing.start()
    try:
        # As long as it takes to begin with it: it would be undone by then.
        healing.join(0.2)
        assert healing.is_alive()
        assert is_stopped(sleeper)
    finally:
        lock.close()
    healing.join()
    assert not is_stopped(sleeper)


def test_no_run_begins_while_another_is_being_mended(sleeper: psutil.Process) -> None:
    journal = Journal()
    watchdog = Watchdog(journal.path, journal.lock)
    journal.intend("pause", paused(sleeper))
    journal.close()  # and the lock is the watchdog's now
    with pytest.raises(UsageError, match="another run with faults is under way"):
        Journal()
    watchdog.close()
    assert not is_stopped(sleeper)
    Journal().close()


def test_a_run_after_a_killed_one_waits_for_its_reaper(sleeper: psutil.Process) -> None:
    process, _ = harness(paused(sleeper))
    ended(process)
    Journal().close()
    assert not is_stopped(sleeper)


def test_a_container_of_another_engine_does_not_pass_for_one_that_was_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/of-then.sock")
    entry = StartContainer.of("c")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/of-now.sock")
    assert "run: DOCKER_HOST=unix:///run/of-then.sock bench heal" in (entry.heal() or "")


def test_a_line_is_whole_when_the_one_before_was_cut_off(journals: Path) -> None:
    """Healing adds to a file whose last line may be half."""
    path = left_by_the_dead(journals, intent({"way": "odd"}, "1"), intent(Nothing(), "2"), '{"half')
    with pytest.raises(HealError):
        heal(read_journal(path))
    assert list(read_journal(path).entries) == ["1"]


def test_a_disk_without_room_refuses_the_intent_and_keeps_the_journal_readable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = Journal()
    first = journal.intend("one", Nothing())
    write = os.write

    def half(fd: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data[:-10])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(OSError, match="No space left"):
            journal.intend("two", Nothing())
        journal.done(first)  # no harm: undoing it once more is none
    assert list(read_journal(journal.path).entries) == [first]
    third = journal.intend("three", Nothing())
    assert list(read_journal(journal.path).entries) == [first, third]
    journal.done(third)
    journal.close()
    assert leftovers() == []


def test_threads_do_not_mix_their_lines() -> None:
    journal = Journal()

    def work() -> None:
        for _ in range(20):
            journal.done(journal.intend("x" * 1000, Nothing()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = journal.path.read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == 1 + 4 * 20 * 2
    journal.close()
    assert leftovers() == []


def test_a_folder_that_cannot_be_written_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="set XDG_STATE_HOME"):
        Journal()
    assert leftovers() == []


PROCESS = {"pid": 4711, "start_ticks": 12, "boot_id": "of then"}


ENGINE = {"container": "c0ffee", "engine": "unix:///run/docker.sock", "settled_at": 1764370800.5}


NOTED = [
    {"way": "nothing"},
    {"way": "continue_processes", "processes": [PROCESS, PROCESS | {"pid": 4712}]},
    {"way": "end_processes", "processes": [PROCESS]},
    {"way": "remove_file", "path": "/mnt/small/.holdfast-full-1"},
    {"way": "unpause_container", **ENGINE},
    {"way": "start_container", **ENGINE},
    {"way": "connect_container", **ENGINE, "endpoints": [{"network": "n1", "aliases": ["redis"]}]},
]


@pytest.mark.parametrize("entry", NOTED, ids=lambda entry: str(entry["way"]))
def test_what_any_version_notes_is_read_and_written_again_as_it_was(entry: dict[str, Any]) -> None:
    assert json.loads(json.dumps(read_undo(entry).to_json())) == entry


def test_a_disconnection_of_older_versions_is_read_with_its_one_network() -> None:
    undo = read_undo({"way": "connect_container", "container": "c", "network": "n1", "aliases": ["redis"]})
    assert isinstance(undo, ConnectContainer)
    assert not undo.has_address
    assert [(one.network, one.aliases) for one in undo.endpoints] == [("n1", ("redis",))]


def test_removing_a_file_twice_is_harmless(tmp_path: Path) -> None:
    (tmp_path / "full").touch()
    for _ in range(2):
        assert RemoveFile(tmp_path / "full").heal() is None
    assert not list(tmp_path.iterdir())


def test_an_entry_with_an_impossible_number_is_reported_as_damaged_and_stops_nothing() -> None:
    undo = read_undo({"way": "unpause_container", "container": "x", "engine": "e", "settled_at": 10**400})
    assert isinstance(undo, Unreadable)
