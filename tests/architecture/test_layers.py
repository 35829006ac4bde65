"""Packages form layers, and modules are rooms of a sensible size. The lists here are the rule."""

from collections import Counter, defaultdict

from tests.architecture.sources import modules, modules_imported

LAYERS = (
    *("core", "statistics", "registry", "protocols", "scenario", "plan", "results", "stack", "resources"),
    *(
        "explain",
        "judge",
        "compare",
        "capacity",
        "matrix",
        "ab",
        "trend",
        "assess",
        "datasets",
        "engine",
        "drivers",
        "run",
        "watch",
    ),
    *("exporters", "report", "swarm", "reference_api", "init", "cli", "pytest_plugin"),
)
"""The packages of `bench`, lowest first: a module imports from its own layer and from lower ones.

`chaos` stands beside them: it imports from `bench`, and only the command line imports it.
"""

OF_THE_PLAN = {"bench.engine.wire.layout": "plan", "bench.engine.wire.arrivals": "plan"}
"""The form of a plan in the loop's tables, and the kernels that walk it: files of the engine, below plan."""

PLUG_INS = (
    "bench.cli.",
    "bench.drivers.",
    "bench.exporters.",
    "bench.stack.",
    "chaos.faults.",
)
"""One small file for each command, driver, exporter, service and fault is what makes them easy to add."""

FEWEST_LINES, MOST_LINES = 40, 450


def layer_of(name: str) -> int | None:
    """The place of a module in LAYERS; none for the package itself, its entry point and chaos."""
    parts = name.split(".")
    if parts[0] != "bench" or len(parts) == 1 or parts[1] == "__main__":
        return None
    return LAYERS.index(OF_THE_PLAN.get(name, parts[1]))


def test_every_package_has_a_layer() -> None:
    packages = {name.split(".")[1] for name in modules() if name.startswith("bench.")}
    assert packages - {"__main__"} == set(LAYERS)


def test_no_import_goes_up() -> None:
    """Not inside a function either, and not for a type."""
    upward = []
    for name, path in modules().items():
        layer = layer_of(name)
        for imported in modules_imported(path):
            above = layer_of(imported)
            if layer is not None and above is not None and above > layer:
                upward.append(f"{name} -> {imported}")
    assert sorted(upward) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Those that are left when modules whose imports are all gone are taken away again and again."""
    left = {name: modules_imported(path, in_functions=False) for name, path in modules().items()}
    while done := {name for name, imported in left.items() if not imported}:
        left = {name: imported - done for name, imported in left.items() if name not in done}
    assert sorted(left) == []


def test_a_prefix_of_three_files_is_a_folder() -> None:
    prefixes = Counter(
        (path.parent, path.stem.split("_")[0])
        for path in modules().values()
        if "_" in path.stem and path.stem not in {"__init__", "__main__"}
    )
    assert [f"{folder}/{prefix}_*" for (folder, prefix), count in prefixes.items() if count > 2] == []


def test_what_only_one_module_needs_and_fits_into_a_page_stands_in_it() -> None:
    importers = defaultdict(set)
    for name, path in modules().items():
        for imported in modules_imported(path):
            importers[imported].add(name)
    small = [
        name
        for name, path in modules().items()
        if path.name != "__init__.py"
        and len(importers[name]) == 1
        and not name.startswith(PLUG_INS)
        and path.read_text(encoding="utf-8").count("\n") < FEWEST_LINES
    ]
    assert small == []


def test_no_module_is_longer_than_a_reader_can_keep_in_mind() -> None:
    lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in modules().items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}
