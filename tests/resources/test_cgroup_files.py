"""Control groups of both versions, made of files."""

from pathlib import Path

import pytest

from bench.resources.cgroup import read_cgroup


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids io\n")
    group = tmp_path / "system.slice" / "docker-0123.scope"
    group.mkdir(parents=True)
    for name, text in {
        "cgroup.procs": "12\n13\n",
        "memory.current": "100000000\n",
        "memory.stat": "anon 60000000\nfile 40000000\ninactive_file 30000000\nactive_file 10000000\n",
        "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n",
        "cpu.max": "150000 100000\n",
        "pids.current": "5\n",
        "io.stat": "8:0 rbytes=100 wbytes=200 rios=1 wios=2\n8:16 rbytes=1 wbytes=2 rios=1 wios=1\n",
    }.items():
        (group / name).write_text(text)
    return tmp_path


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    for name, text in {
        "memory/docker/0123/memory.usage_in_bytes": "100000000\n",
        "memory/docker/0123/memory.stat": "cache 40\ninactive_file 1\ntotal_inactive_file 30000000\n",
        "cpuacct/docker/0123/cpuacct.usage": "2500000000\n",
        "cpu/docker/0123/cpu.cfs_quota_us": "-1\n",
        "cpu/docker/0123/cpu.cfs_period_us": "100000\n",
        "pids/docker/0123/pids.current": "5\n",
        "blkio/docker/0123/blkio.throttle.io_service_bytes": "8:0 Read 100\n8:0 Write 200\n8:16 Read 1\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_version_2_is_read_without_its_inactive_file_cache(version_2: Path) -> None:
    use = read_cgroup("/system.slice/docker-0123.scope", version_2)
    assert use is not None
    assert (use.working_set_bytes, use.cpu_s, use.processes) == (70_000_000, 2.5, 5)
    assert (use.read_bytes, use.write_bytes, use.cores) == (101, 202, 1.5)


def test_version_1_is_read_without_its_inactive_file_cache(version_1: Path) -> None:
    use = read_cgroup("docker/0123", version_1)
    assert use is not None
    assert (use.working_set_bytes, use.cpu_s, use.processes) == (70_000_000, 2.5, 5)
    assert (use.read_bytes, use.write_bytes, use.cores) == (101, 200, None)


def test_an_absolute_path_names_the_same_group(version_1: Path) -> None:
    assert read_cgroup(f"{version_1}/memory/docker/0123", version_1) == read_cgroup("docker/0123", version_1)


def test_a_group_of_version_2_with_its_absolute_path_is_found(version_2: Path) -> None:
    absolute = f"{version_2}/system.slice/docker-0123.scope"
    assert read_cgroup(absolute, version_2) == read_cgroup("system.slice/docker-0123.scope", version_2)


def test_what_the_kernel_does_not_account_for_is_unknown_and_not_zero(version_2: Path) -> None:
    group = version_2 / "system.slice" / "docker-0123.scope"
    for name in ("memory.current", "cpu.stat", "cpu.max", "pids.current", "io.stat"):
        (group / name).unlink()
    use = read_cgroup("system.slice/docker-0123.scope", version_2)
    assert use is not None
    assert set(vars(use).values()) == {None}


def test_a_group_without_a_limit_may_use_every_core(version_2: Path) -> None:
    (version_2 / "system.slice" / "docker-0123.scope" / "cpu.max").write_text("max 100000\n")
    use = read_cgroup("system.slice/docker-0123.scope", version_2)
    assert use is not None
    assert use.cores is None


@pytest.mark.parametrize("path", ["", "/", "docker/9999", "/nowhere"])
def test_a_group_that_is_not_there_is_none(version_1: Path, path: str) -> None:
    assert read_cgroup(path, version_1) is None
