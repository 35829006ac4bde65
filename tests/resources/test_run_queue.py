"""What the kernel tells of waiting and pressure, read from real processes."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench.resources.cgroup import throttled_s
from bench.resources.generator import RunQueue
from bench.resources.machine import read_pressure

BUSY = "import os, time\nos.sched_setaffinity(0, {int(%r)})\nend = time.monotonic() + 10\n" + (
    "print('on', flush=True)\nwhile time.monotonic() < end: pass"
)


def test_processes_that_share_one_processor_wait_for_each_other_and_it_is_counted() -> None:
    core = min(os.sched_getaffinity(0))
    busy = [
        subprocess.Popen([sys.executable, "-c", BUSY % core], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for one in busy:
            assert one.stdout is not None
            assert one.stdout.readline() == "on\n"
        queue = RunQueue()
        first = queue.read([one.pid for one in busy])
        assert first is not None
        assert (first.ran_s, first.waited_s, first.worst_s) == (0.0, 0.0, 0.0)
        waited_s = 0.0
        while waited_s < 0.2:
            again = queue.read([one.pid for one in busy])
            assert again is not None, "they ended, and had hardly waited"
            waited_s = again.waited_s
        assert 0 <= again.worst_s <= waited_s
    finally:
        for one in busy:
            one.kill()
            one.communicate()


def test_a_thread_that_waits_is_found_among_those_of_its_process() -> None:
    queue = RunQueue()
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        first = queue.read([os.getpid()])
        assert first is not None
        sum(range(3_000_000))
        again = queue.read([os.getpid()])
        assert again is not None
        assert again.ran_s > first.ran_s
        assert 0 <= again.worst_s <= again.waited_s + 1e-9
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_process_that_is_gone_tells_nothing(tmp_path: Path) -> None:
    assert RunQueue().read([2**22 - 1]) is None
    assert RunQueue(tmp_path).read([os.getpid()]) is None


def test_pressure_is_read_where_the_kernel_has_it(tmp_path: Path) -> None:
    folder = tmp_path / "pressure"
    folder.mkdir()
    (folder / "cpu").write_text("some avg10=12.50 avg60=1.00 avg300=0.00 total=2500000\n")
    (folder / "io").write_text(
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n"
        "full avg10=3.00 avg60=0.00 avg300=0.00 total=500000\n"
    )
    found = read_pressure(tmp_path)
    assert (found.cpu_s, found.memory_s, found.io_s) == (2.5, None, 0.5)


@pytest.mark.parametrize(
    ("lines", "file", "content"),
    [
        ("0::/jobs/bench\n", "jobs/cpu.stat", "usage_usec 1\nthrottled_usec 2500000\n"),
        ("4:cpu,cpuacct:/box\n", "cpu/box/cpu.stat", "nr_throttled 3\nthrottled_time 2500000000\n"),
        ("0::/of/the/host\n", "cpu.stat", "throttled_usec 2500000\n"),
    ],
    ids=["version 2, a group above", "version 1", "in a container"],
)
def test_the_time_that_a_quota_stopped_us_is_found_in_our_group_and_those_above(
    tmp_path: Path, lines: str, file: str, content: str
) -> None:
    proc, root = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(lines)
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(content)
    assert throttled_s(root, proc) == 2.5


def test_without_a_quota_nothing_is_told(tmp_path: Path) -> None:
    assert throttled_s(tmp_path, tmp_path) is None
