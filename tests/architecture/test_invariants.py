"""The invariants of the design, as far as they can be read from the sources."""

import ast
import json
import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, imports_of, modules, tops, tree_of

HEAVY = (
    "locust",
    "gevent",
    "numba",
    "docker",
    "pandas",
    "redis",
    "asyncpg",
    "hdrh",
    "psutil",
    "rich",
    "numpy",
)
SWARM = ("bench.swarm", "bench.swarm.*")
"""What runs inside a Locust process."""

PURE = (
    "bench.protocols.*",
    "bench.plan.draws",
    "bench.plan.pacing",
    "bench.plan.plan",
    "bench.plan.program",
    "bench.plan.compile",
    "bench.core.histogram",
    "bench.judge.*",
    "bench.resources.starvation",
    "bench.scenario.rules.*",
    "bench.core.units",
    "bench.core.outcome",
    "bench.run.anomalies",
    "bench.watch.history",
    "bench.watch.rollup",
    "bench.watch.objectives",
    "bench.watch.summary",
    "chaos.recovery.*",
    "chaos.integrity.zones",
    "chaos.integrity.ledger",
    "chaos.integrity.ledger",
    "chaos.integrity.ledger",
)
IMPURE = ("socket", "time", "select", "selectors", "asyncio", "threading", "subprocess", "signal", "requests")
READS_FILES = ("bench.judge.rules_file",)
"""Reads the file that a user names; it may know paths, though no clock."""


def matching(*patterns: str) -> list[str]:
    found = [name for name in modules() if any(fnmatch(name, pattern) for pattern in patterns)]
    assert found, patterns
    return found


def imported_by(statement: str) -> set[str]:
    """Top-level modules that are loaded after a statement in a fresh process."""
    program = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("COV_", "COVERAGE"))
    }
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_bench_never_imports_chaos() -> None:
    for name, path in modules().items():
        if name.startswith("bench.cli"):
            continue  # only the command line composes the two
        if name.partition(".")[0] == "bench":
            assert "chaos" not in tops(imports_of(path)), name


@pytest.mark.parametrize(
    "package", ["bench", "chaos", "bench.engine", "bench.drivers", "bench.cli.main", "bench.core.errors"]
)
def test_importing_a_package_is_light(package: str) -> None:
    assert imported_by(f"import {package}").isdisjoint(HEAVY)


def test_help_imports_neither_compiler_nor_models() -> None:
    program = "from bench.cli.main import run\nassert run(['--help']) == 0"
    assert imported_by(program).isdisjoint({*HEAVY, "pydantic", "yaml"})


def test_judging_imports_no_engine() -> None:
    loaded = imported_by("import bench.judge.judge, bench.judge.rules_file, bench.results.reader")
    assert loaded.isdisjoint({"numba", "redis", "hiredis", "locust", "asyncpg", "uvloop"})


def test_only_the_swarm_imports_locust() -> None:
    for name, path in modules().items():
        if not any(fnmatch(name, pattern) for pattern in SWARM):
            assert tops(imports_of(path)).isdisjoint({"locust", "gevent"}), name


@pytest.mark.parametrize("name", matching(*PURE))
def test_a_pure_module_knows_neither_clock_nor_socket(name: str) -> None:
    found = tops(imports_of(modules()[name]))
    assert found.isdisjoint(IMPURE), found & set(IMPURE)
    called = {
        node.func.id
        for node in ast.walk(tree_of(modules()[name]))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    if name not in READS_FILES:
        assert "open" not in called


@pytest.mark.parametrize(
    "name", matching("bench.judge.*", "bench.scenario.rules.*", "bench.report.*", "bench.results.*")
)
def test_what_works_on_results_does_not_know_the_engine(name: str) -> None:
    """A run is judged from its folder: the hard break between engine and results."""
    found = imports_of(modules()[name], everywhere=True)
    engine = {
        imported
        for imported in found
        if imported.startswith(("bench.engine", "bench.drivers", "bench.stack", "bench.run.session"))
    }
    assert not engine, engine


@pytest.mark.parametrize("name", matching("bench.scenario.*", "bench.scenario.rules.*"))
def test_a_scenario_does_not_know_its_plan(name: str) -> None:
    found = imports_of(modules()[name])
    assert not {
        one
        for one in found
        if one.startswith(("bench.plan", "bench.engine", "bench.run.session", "bench.results"))
    }


def test_the_engine_does_not_know_the_session_or_the_results() -> None:
    for name in matching("bench.engine.*", "bench.protocols.*", "bench.plan.*", "bench.drivers.*"):
        found = imports_of(modules()[name])
        above = (
            "bench.run.session",
            "bench.results",
            "bench.judge",
            "bench.report",
            "bench.cli",
            "bench.run.recorder",
        )
        assert not {one for one in found if one.startswith(above)}, name


def test_one_clock() -> None:
    """Wall time is read in few places and never to measure with."""
    wall = {"bench.core.clock", "bench.results.ownership", "bench.results.layout"}
    for name, path in modules().items():
        if name == "bench.stack.machine":
            continue  # measures what a reading of our clock costs, with another one
        for node in ast.walk(tree_of(path)):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "time"
            ):
                assert node.attr not in ("perf_counter", "perf_counter_ns"), name
                assert node.attr not in ("time", "time_ns") or name in wall, name


@pytest.mark.parametrize("name", modules())
def test_every_module_says_what_it_is(name: str) -> None:
    text = ast.get_docstring(tree_of(modules()[name]))
    assert text
    assert len(text.split()) >= 2


def test_no_module_is_named_after_nothing() -> None:
    for name in modules():
        last = name.rpartition(".")[2]
        assert last not in ("util", "utils", "helper", "helpers", "common", "manager", "misc"), name


def test_no_source_names_a_machine_or_leaves_work_undone() -> None:
    for path in modules().values():
        text = path.read_text(encoding="utf-8")
        for word in ("TODO", "FIXME", "XXX", "/home/", "/root/"):
            assert word not in text, (path, word)


def test_every_folder_of_tests_is_a_package() -> None:
    """So two files may have one name, and helpers are imported by their whole names."""
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    folders.remove(ROOT / "tests" / "recorded" / "scenarios")
    assert sorted(folder for folder in folders if not (folder / "__init__.py").exists()) == []


def test_nothing_is_imported_that_is_not_declared() -> None:
    import tomllib

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {"pyyaml": "yaml", "hdrhistogram": "hdrh", "opentelemetry-sdk": "opentelemetry"}
    listed = [
        *declared["dependencies"],
        *(one for extra in declared["optional-dependencies"].values() for one in extra),
    ]
    packages = {requirement.partition(">")[0].partition("[")[0].strip() for requirement in listed}
    known = {names.get(package, package.replace("-", "_")) for package in packages}
    known |= {"llvmlite", "pydantic_core", "gevent", "flask", "zmq"}  # part of numba, pydantic, locust
    for name, path in modules().items():
        foreign = tops(imports_of(path)) - set(sys.stdlib_module_names) - {"bench", "chaos", ""}
        assert foreign <= known, (name, foreign - known)


def kernels() -> list[tuple[Path, ast.FunctionDef]]:
    """Every function that is compiled."""

    def is_compiled(node: ast.FunctionDef) -> bool:
        return any(
            isinstance(one, ast.Name) and one.id in ("compiled", "entry", "inner")
            for one in node.decorator_list
        )

    return [
        (path, node)
        for path in modules().values()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef) and is_compiled(node)
    ]


def test_kernels_are_compiled_without_the_run_time_that_could_allocate(tmp_path: Path) -> None:
    """Where it is off, a kernel that would allocate does not compile at all."""
    program = """
import numpy as np
from numba.core.errors import NumbaError
from bench.core.jit import compiler
for dispatcher in (compiler.linked, compiler.called):
    options = dispatcher(lambda n: n).targetoptions
    assert options["_nrt"] is False and options["nogil"] is True, options
    assert options["error_model"] == "numpy", options
    assert not options.get("parallel") and not options.get("fastmath"), options
    assert not options.get("forceobj") and not options.get("looplift"), options
import numba
allocating = numba.njit(nogil=True, _nrt=False)(lambda n: np.zeros(n).sum())
try:
    allocating(3)
except NumbaError:
    print("refused")
"""
    script = tmp_path / "script.py"  # numba caches only what has a file
    script.write_text(program)
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "refused" in done.stdout


def test_only_one_module_calls_the_compiler() -> None:
    for name, path in modules().items():
        found = imports_of(path)
        if "numba" in tops(found):
            assert name == "bench.core.jit.compiler" or "njit" not in path.read_text(), name


def test_kernels_raise_nothing_and_build_nothing() -> None:
    assert len(kernels()) > 40
    for path, kernel in kernels():
        for node in ast.walk(kernel):
            assert not isinstance(node, ast.Raise | ast.Try | ast.Dict | ast.ListComp | ast.Assert), (
                path,
                kernel.name,
            )


DIGESTS = """
import json, pathlib, sys
from bench.core.jit.machine_code import source_digest

def tell(source):
    print(json.dumps([source, source_digest()]))

tell("before")
for source in map(pathlib.Path, sys.argv[1:]):
    content = source.read_bytes()
    source.write_bytes(content + b"\\n# changed\\n")
    tell(str(source))
    source.write_bytes(content)
tell("after")
"""
"""One process for all sources: starting one takes longer than all the digests."""


def test_the_cache_of_compiled_code_is_named_after_every_source_that_is_compiled(tmp_path: Path) -> None:
    """A copy of the product in which one such file is changed must not find the code of the old one."""
    import shutil

    shutil.copytree(ROOT / "bench", tmp_path / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    compiled = {path for path, _ in kernels()}
    constants = {
        *(ROOT / "bench" / "core" / "jit").glob("*.py"),
        ROOT / "bench" / "engine" / "wire" / "layout.py",
        ROOT / "bench" / "core" / "histogram.py",
        ROOT / "bench" / "core" / "outcome.py",
    }
    sources = [str(source.relative_to(ROOT)) for source in sorted(compiled | constants)]
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS, *sources],
        cwd=tmp_path,
        # A cache folder of its own: the versions made up here must not drive out the real ones.
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, _ in told] == ["before", *sources, "after"]
    before, *changed, after = [digest for _, digest in told]
    assert before == after
    assert [source for source, digest in zip(sources, changed, strict=True) if digest == before] == []
