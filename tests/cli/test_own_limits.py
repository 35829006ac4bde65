"""Limits of our own machine: raised where they may be, and told as ours where a run meets them."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.stack.stack import open_stack

SERVER = """\
import asyncio

ANSWER = b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: 2\\r\\n\\r\\nok"

async def serve(reader, writer):
    try:
        await reader.readuntil(b"\\r\\n\\r\\n")
        writer.write(ANSWER)
        await writer.drain()
        await reader.read()  # the client closes first, and keeps the port
    except (OSError, asyncio.IncompleteReadError):
        pass
    writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 7110)
    await server.serve_forever()

asyncio.run(main())
"""

CLOSING = """\
scenario: closing
purpose: A server that closes after each answer, so that each needs a connection of its own
workloads:
  - name: api
    target: api
    driver: http
    engine: {engine}
    lanes: 4{pool}
    operations:
      get: {{request: {{path: "/"}}}}
    arrivals: constant
    rate: 200/s
    deadline: 500ms
phases:
  - {{name: steady, for: 3s}}
sla:
  - api.errors < 1%
"""

LANES = """\
scenario: many
purpose: More connections than the descriptors of this shell
workloads:
  - name: cache
    target: redis
    driver: redis
    engine: {engine}
    lanes: 300
    {pool}
    operations:
      get: {{command: [GET, a]}}
    arrivals: constant
    rate: 50/s
    deadline: 5s
phases:
  - {{name: steady, for: 1s}}
sla:
  - cache.errors < 1%
"""


def limited(soft: int, hard: int):
    """What a child does before it starts."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "entry",
    [
        "from bench.cli.main import run; run(['--version'])",
        "import pytest; pytest.main(['--bench', '-q', '-p', 'no:cacheprovider', '--co', 'nowhere.yaml'])",
    ],
    ids=["the command line", "pytest"],
)
def test_a_process_has_all_the_descriptors_that_its_hard_limit_allows(entry: str) -> None:
    program = f"{entry}\nimport resource\nprint(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=limited(200, 900),
    )
    assert done.stdout.splitlines()[-1] == "900 900"


@pytest.mark.parametrize("engine", ["wire", pytest.param("client", marks=pytest.mark.long)])
def test_lanes_beyond_the_hard_limit_are_a_limit_of_this_machine_and_not_of_the_target(
    bench, tmp_path: Path, engine: str
) -> None:
    text = LANES.format(engine=engine, pool="pool: 300" if engine == "client" else "")
    scenario = bench.scenario(text, "many.yaml")
    # Started here: one that the limited process had started would be as limited.
    with open_stack("embedded", {"redis"}, tmp_path) as stack:
        url = f"redis://{stack.targets()['redis'].address}"
        done = bench.run(scenario, REDIS_URL=url, preexec_fn=limited(100, 256))
    assert done.code == 2, done.err
    assert "bench: this machine: expected " in done.err
    assert "no descriptor was free ('too many open files'): this process may have 256" in done.err
    assert "raise the hard limit" in done.err
    assert "Traceback" not in done.err
    assert "check the user" not in done.err


@pytest.mark.long
@pytest.mark.parametrize("engine", ["wire", "client"])
def test_a_run_that_found_no_free_local_port_is_invalid_and_names_the_ports(bench, engine: str) -> None:
    ip = shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin")
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    if ip is None or shutil.which("unshare") is None or subprocess.call([*alone, "true"], stderr=-3):
        pytest.skip("needs the ip command and the right to make a network namespace")
    server = bench.folder / "server.py"
    server.write_text(SERVER)
    scenario = bench.scenario(
        CLOSING.format(engine=engine, pool="\n    pool: 4" * (engine == "client")), "closing.yaml"
    )
    script = (
        f"{ip} link set lo up && echo '40000 40019' > /proc/sys/net/ipv4/ip_local_port_range && "
        f"{{ {sys.executable} {server} & }} && server=$! && "
        f"{sys.executable} -m bench run {scenario} --json --out {bench.results}; "
        "code=$?; kill $server; exit $code"
    )
    done = bench.command([*alone, "bash", "-c", script], API_URL="http://127.0.0.1:7110")
    assert done.code == 5, done.err
    (verdict,) = json.loads(done.out)
    assert verdict["status"] == "INVALID"
    rule = next(check for check in verdict["checks"] if check["rule"] == "api.errors < 1%")
    assert rule["status"] == "INVALID"
    assert "no local port was free" in rule["because"]
    assert "20 local ports (40000-40019)" in rule["because"]
    assert "ip_local_port_range" in rule["advice"]
    assert not any("server's log" in (check["advice"] or "") for check in verdict["checks"])
    (entry,) = bench.record()["workloads"]
    assert entry["counters"]["own_limits"] > 0


def test_a_shell_with_too_little_virtual_memory_is_refused_before_anything_starts(bench) -> None:
    def little() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (600_000 << 10, 600_000 << 10))

    done = bench.run(bench.scenario(), preexec_fn=little)
    assert done.code == 2
    assert done.err == (
        "bench: this machine: expected 1024 MiB of virtual memory for the engine and its threads, found that "
        "this shell allows 585 MiB; raise the limit (ulimit -v unlimited), or limit what is resident instead "
        "(a control group)\n"
    )


def test_a_full_disk_for_the_results_is_said_before_a_service_fails_for_it(bench, tmp_path: Path) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    full = tmp_path / "full"
    full.mkdir()
    mount = f"mount -t tmpfs -o size=64k tmpfs {full} && head -c 1M /dev/zero > {full}/x 2>/dev/null;"
    if shutil.which("unshare") is None or subprocess.call([*alone, "bash", "-c", f"{mount} true"], stderr=-3):
        pytest.skip("needs the right to mount in a namespace")
    run = f"{sys.executable} -m bench run {bench.scenario()} --out {full}/results"
    done = bench.command([*alone, "bash", "-c", f"{mount} mountpoint -q {full} || exit 99; {run}"])
    if done.code == 99:
        pytest.skip("no tmpfs may be mounted here")
    assert done.code == 2, done.err
    assert "results cannot be written to" in done.err
    assert "No space left on device" in done.err
    assert "redis" not in done.err
    assert "Traceback" not in done.err
