"""Eight causes planted into runs against real servers: the right one ranks first; a clean run names none.

Limits are so high, and what is planted so long, that a busy machine does not matter.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from bench.stack.stack import Stack, open_stack
from bench.stack.target import Target
from tests.explain.planted import explained, first, lasting, preloaded

pytestmark = [pytest.mark.timeout(400), pytest.mark.long]
LOOP = "local till = os.clock() + tonumber(ARGV[1]) while os.clock() < till do end return 1"
"""For so many seconds of the server's processor time, however fast that is at the moment."""
HELD_S = 0.8

CACHE = """\
  - name: cache
    target: redis
    driver: redis
    lanes: 20
    keys: {count: 1000, preload: true}
    value: {bytes: 100}
    operations:
      get: {weight: 100, command: [GET, "{key}"]}
%s    arrivals: poisson
    rate: 100/s
    deadline: 5s
"""
CACHE_RULE = "  - cache.response.p95 < 250ms\n"
BANK = """\
  - name: bank
    target: postgres
    driver: postgres
    lanes: 40
    setup:
      - DROP TABLE IF EXISTS planted
      - CREATE TABLE planted AS SELECT generate_series(1, 1000) AS id, 0 AS amount
      - CREATE INDEX ON planted (id)
    teardown: [DROP TABLE planted]
    parameters: {id: {from: 1, to: 1000}}
    operations:
      read: {weight: 1, sql: "SELECT amount FROM planted WHERE id = {id}"}
      write: {weight: 1, sql: "UPDATE planted SET amount = amount + 1 WHERE id = {id}"}
    arrivals: poisson
    rate: 80/s
    deadline: 5s
"""
BANK_RULE = "  - bank.response.p95 < 250ms\n"


@contextlib.contextmanager
def stack_of(*services: str) -> Iterator[Stack]:
    """Servers of our own, whatever the environment names; their folder is open to the servers' user."""
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory() as folder:
        for name in ("REDIS_URL", "DATABASE_URL", "API_URL"):
            patched.delenv(name, raising=False)
        with open_stack("embedded", set(services), Path(folder)) as opened:
            yield opened


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with stack_of("redis", "postgres") as opened:
        yield opened


def cache_of(target: Target) -> redis.Redis:
    return redis.Redis(target.host, target.port)


def session_of(target: Target) -> psycopg.Connection:
    return psycopg.connect(
        host=target.host,
        port=target.port,
        user=target.username,
        password=target.password,
        dbname=target.database,
        autocommit=True,
    )


def test_a_clean_run_names_no_cause(stack: Stack, tmp_path: Path) -> None:
    found = explained(stack, tmp_path, CACHE % "", CACHE_RULE)
    assert found.causes == ()


def test_one_slow_operation(stack: Stack, tmp_path: Path) -> None:
    slow = f'      report: {{weight: 1, command: [EVAL, "{LOOP}", "0", "{HELD_S / 3:.3f}"]}}\n'
    found = explained(stack, tmp_path, CACHE.replace("weight: 100", "weight: 250") % slow, CACHE_RULE)
    assert first(found) == ("operation", "cache.report")


def test_a_session_that_holds_a_lock(stack: Stack, tmp_path: Path) -> None:
    with session_of(stack.targets()["postgres"]) as holder:

        def hold() -> None:
            with holder.transaction(), lasting(HELD_S):
                holder.execute("LOCK TABLE planted IN EXCLUSIVE MODE")

        found = explained(stack, tmp_path, BANK, BANK_RULE, hold)
    assert first(found) == ("lock_wait", "postgres")
    assert "LOCK TABLE planted" in found.causes[0].text


def test_too_few_lanes(stack: Stack, tmp_path: Path) -> None:
    sleepy = """\
  - name: queue
    target: postgres
    driver: postgres
    lanes: 2
    operations: {sleep: {weight: 1, sql: "SELECT pg_sleep(0.05)"}}
    arrivals: constant
    rate: 50/s
    deadline: 5s
"""
    found = explained(stack, tmp_path, sleepy, "  - queue.response.p95 < 250ms\n")
    assert first(found) == ("lanes", "queue")


def test_a_generator_that_stands_still(stack: Stack, tmp_path: Path) -> None:
    libc = ctypes.PyDLL(None)  # unlike CDLL it keeps the interpreter's lock: no other thread of ours runs
    asking = CACHE.replace("driver: redis\n", "driver: redis\n    engine: client\n    pool: 20\n")
    asking = asking.replace("    lanes: 20\n", "")
    found = explained(stack, tmp_path, asking % "", CACHE_RULE, lambda: libc.usleep(int(HELD_S * 1e6)))
    assert first(found) == ("generator", "generator")


def test_a_neighbour_that_takes_the_processors(stack: Stack, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give a neighbour the priority that starves the others")
    busy = (
        "import os, time\n"
        "os.nice(-20)\n"
        f"end = time.monotonic() + {HELD_S}\n"
        "while time.monotonic() < end: pass"
    )

    def take() -> None:
        neighbours = [
            subprocess.Popen([sys.executable, "-S", "-c", busy]) for _ in range(4 * (os.cpu_count() or 1))
        ]
        for neighbour in neighbours:
            try:
                neighbour.wait(30)
            finally:
                neighbour.send_signal(signal.SIGKILL)

    rule = "  - cache.response.p95 < 40ms\n"
    found = explained(stack, tmp_path, CACHE % "", rule, take, may_be_others=True)
    assert first(found) == ("other_processes", "machine")


FORK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>
pid_t fork(void) {
    pid_t pid = ((pid_t (*)(void))dlsym(RTLD_NEXT, "fork"))();
    if (pid > 0 && strstr(program_invocation_short_name, "server")) usleep(800000);
    return pid;
}
"""
"""As on a machine where copying the page tables of much memory takes so long."""


def test_a_fork_for_a_snapshot(tmp_path: Path) -> None:
    with preloaded(FORK, tmp_path), stack_of("redis") as stack, cache_of(stack.targets()["redis"]) as client:
        found = explained(stack, tmp_path, CACHE % "", CACHE_RULE, client.bgsave)
    assert first(found) == ("snapshot", "redis")
    assert (found.causes[0].longest_ns or 0) > 500_000_000


DISK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
static volatile long *busy_until;
static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
static int disk(void) {
    if (busy_until) return 1;
    int fd = open("%s", O_RDWR);
    if (fd < 0) return 0;
    void *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page == MAP_FAILED) return 0;
    busy_until = page;
    return 1;
}
int fsync(int fd) {
    if (disk() && busy_until[1]) { *busy_until = now_ms() + 400; usleep(40000); }
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
int fdatasync(int fd) {
    if (disk()) while (busy_until[1] && now_ms() < *busy_until) usleep(2000);
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
"""
"""A disk with one queue: commits wait behind what a checkpoint writes. Off until the second word is set."""


def test_a_checkpoint() -> None:
    with tempfile.TemporaryDirectory() as named:
        folder, disk = Path(named), Path(named) / "disk"
        folder.chmod(0o755)
        disk.write_bytes(bytes(4096))
        disk.chmod(0o666)
        with preloaded(DISK % disk, folder), stack_of("postgres") as stack:
            disk.write_bytes(bytes(8) + b"\1" + bytes(4087))
            with session_of(stack.targets()["postgres"]) as asker:
                found = explained(stack, folder, BANK, BANK_RULE, lambda: asker.execute("CHECKPOINT"))
    assert first(found) == ("checkpoint", "postgres")


def test_pauses_of_the_api_for_its_garbage(tmp_path: Path) -> None:
    web = """\
  - name: web
    target: api
    driver: http
    lanes: 30
    operations: {read: {weight: 1, request: {path: "/items/7"}}}
    arrivals: poisson
    rate: 40/s
    deadline: 5s
"""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("API_HEAP", "8000000")
        patched.setenv("API_COLLECT_S", "4")
        with stack_of("redis", "postgres", "api") as stack:
            found = explained(stack, tmp_path, web, "  - web.response.p95 < 150ms\n")
    assert first(found) == ("garbage_collection", "api")
