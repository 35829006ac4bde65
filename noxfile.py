"""Sessions; `nox -l` marks those that `nox` alone runs.

nox -s perf                 every load scenario in its standard form, judged (at most 5 minutes)
nox -s perf -- --quick      the same and one kill, shortened (at most 90 s)
nox -s chaos                every scenario with faults in scenarios/ (--quick, --stack docker)
nox -s perf -- FILE.yaml    these scenarios instead; chaos takes files too
nox -s perf -- --against REV FILE.yaml --both start=COMMAND     a git revision against what lies here
nox -s tests                all tests but those for Docker, for a browser, and the long ones (-- PATH: these)
nox -s long                 the other tests of each kind that take over 3 s, and properties with all examples
nox -s tests_on-3.13        the same on one of the supported versions of Python
nox -s lint types           style, workflows and types
nox -s browser              the tests that drive a Chromium
nox -s coverage             what the tests cover
nox -s micro                the hot path in small, compared with what -- --save has kept of this machine
nox -s peers                side by side with redis-benchmark, pgbench, wrk, hey and a Locust user
nox -s calibrate            the error table against servers of known delays
nox -s lock                 updates requirements.lock and the locks in .ci/ to the newest versions

Sessions share two environments, which are sessions too and made where one requires them: `editable` for
what works on these sources, `installed` for what users run. Both install the versions that are in
requirements.lock, so that a fresh machine gets what was tested. With HOLDFAST_VERSIONS=newest they install
the newest ones instead; `.ci/newest.py` does that at night.
"""

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.2.9"  # the first with `requires`
nox.options.sessions = ["lint", "types", "tests"]
nox.options.error_on_external_run = True
nox.options.reuse_existing_virtualenvs = True
nox.options.default_venv_backend = "virtualenv"


# Most tests wait for real servers, so there are more of them at a time than processors. Files stay whole,
# because their tests share a server, and in their order, because the first ones leave time to compile.
# What took long is named at the end: see the rule for `long` in CONTRIBUTING.md.
IN_PARALLEL = ("-n", "4", "--dist", "loadfile", "--no-loadscope-reorder")
SLOW_ONES = ("--durations=30", "--durations-min=3")

LOCK = "requirements.lock"

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]

UNMARKED = ("-m", "not long and not browser and not docker")

SYSTEM_PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"

MOST_UNSTABLE = 3
"""Tests that may fail beside others and pass alone (docs/decisions/0009); more are no accident."""


@contextmanager
def exit_code_kept() -> Iterator[None]:
    """End nox with the command's own exit code, the verdict; nox itself makes every failure a 1."""
    try:
        yield
    except CommandFailed as failed:
        sys.exit(getattr(failed, "return_code", None) or 1)  # older versions do not tell it


def install(session: nox.Session, *, editable: bool = True) -> None:
    """Install the project and what it needs: as locked, or the newest if HOLDFAST_VERSIONS says so."""
    # To compile all modules of all libraries takes longer than to install them; the few that are imported are
    # compiled then, and kept.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    project = ["-e", "."] if editable else ["."]
    if os.environ.get("HOLDFAST_VERSIONS") == "newest":
        session.install("--no-compile", "--upgrade", *project[:-1], ".[embedded,dev,browser]")
        return
    session.install("--no-compile", "--require-hashes", "--requirement", LOCK)
    # What builds the project is in the lock too: an isolated build would fetch the newest of it.
    session.install("--no-deps", "--no-build-isolation", *project)


EDITABLE, INSTALLED = "editable", "installed"

BIN: dict[str, Path] = {}
"""Where the programs of each shared environment are, once its session has run."""


@nox.session(default=False)
def editable(session: nox.Session) -> None:
    """Make the environment in which the project is what lies here."""
    install(session)
    BIN[EDITABLE] = Path(session.bin)


@nox.session(default=False)
def installed(session: nox.Session) -> None:
    """Make the environment in which the project is installed as a user would install it."""
    install(session, editable=False)
    BIN[INSTALLED] = Path(session.bin)


def run(session: nox.Session, shared: str, *command: str, env: Mapping[str, str] | None = None) -> None:
    """Run a program of a shared environment, which the session must require, as if it were the session's."""
    program, *arguments = command
    place = BIN[shared]
    entered = {"VIRTUAL_ENV": str(place.parent), "PATH": os.pathsep.join([str(place), os.environ["PATH"]])}
    session.run(str(place / program), *arguments, env={**entered, **(env or {})}, external=True)


def run_tests(session: nox.Session, *arguments: str, shared: str = EDITABLE) -> None:
    """Run pytest. The few tests that failed are run again by themselves, and named if they pass then."""
    with (
        tempfile.TemporaryDirectory() as memory
    ):  # of this run alone: what failed in an earlier one is not asked
        command = ["pytest", "-o", f"cache_dir={memory}", *arguments]
        try:
            run(session, shared, *command)
        except CommandFailed:
            failures = Path(memory, "v", "cache", "lastfailed")
            failed = list(json.loads(failures.read_text())) if failures.exists() else []
            if not 0 < len(failed) <= MOST_UNSTABLE:
                raise
            names = ", ".join(failed)
            session.warn(f"{len(failed)} failed beside the others; now by themselves: {names}")
            run(session, shared, *command, "-n", "0", "--last-failed")
            session.warn(f"UNSTABLE, please report: failed beside others, passed alone: {names}")


@nox.session(requires=[INSTALLED], venv_backend="none")
def perf(session: nox.Session) -> None:
    """Run the load scenarios on the embedded stack, and a kill with --quick; exit with the verdict."""
    arguments = list(session.posargs)
    # --full is the nightly's word: the standard form is already as long as these scenarios' statistics need.
    if "--full" in arguments:
        arguments.remove("--full")
    named, arguments = named_scenarios(arguments)
    if "--against" in arguments:
        against(session, named, arguments)
        return
    if not named:
        named, missing = with_programs(perf_scenarios(quick="--quick" in arguments))
        for scenario, program in missing.items():
            session.warn(f"left out: {scenario}, because there is no {program} (apt-get install {program})")
    with exit_code_kept():
        run(session, INSTALLED, "bench", "run", *named, *arguments)


def against(session: nox.Session, named: list[str], arguments: list[str]) -> None:
    """Compare a git revision with what lies here, by `bench ab`; --both says how it is built and started."""
    place = arguments.index("--against")
    if len(named) != 1 or len(arguments) < place + 2:
        session.error("expected --against REV, one scenario, and --both start=COMMAND (docs/comparing.md)")
    revision = arguments[place + 1]
    rest = arguments[:place] + arguments[place + 2 :]
    with exit_code_kept():
        run(session, INSTALLED, "bench", "ab", named[0], "--a", f"revision={revision}", *rest)


def named_scenarios(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The scenario files among the arguments, and the others."""
    named = [one for one in arguments if one.endswith((".yaml", ".yml"))]
    return named, [one for one in arguments if one not in named]


def perf_scenarios(*, quick: bool) -> list[str]:
    """The scenarios without faults, and in the quick form the one kill that everybody should have seen."""
    found = sorted(path for path in Path("scenarios").glob("*.yaml") if path.stem != "requirements")
    sample = {"redis_kill"} if quick else set()
    return [str(path) for path in found if "\nfaults:" not in path.read_text() or path.stem in sample]


def chaos_scenarios() -> list[str]:
    """The scenarios with faults; those in folders below need stacks of their own."""
    found = sorted(path for path in Path("scenarios").glob("*.yaml") if path.stem != "requirements")
    return [str(path) for path in found if "\nfaults:" in path.read_text()]


def with_programs(scenarios: list[str]) -> tuple[list[str], dict[str, str]]:
    """The scenarios whose stack can be started here, and of the others the program that is missing."""
    missing: dict[str, str] = {}
    for scenario in scenarios:
        if stack := re.search(r"^stack: (\S+)", Path(scenario).read_text(), re.MULTILINE):
            text = Path(scenario).parent.joinpath(stack[1]).read_text()
            for program in re.findall(r"proxy: (\w+)", text):
                if shutil.which(program, path=SYSTEM_PROGRAMS) is None:
                    missing[scenario] = program
    return [scenario for scenario in scenarios if scenario not in missing], missing


@nox.session(requires=[INSTALLED], venv_backend="none", default=False)
def chaos(session: nox.Session) -> None:
    """Break things on the embedded stack (or --stack docker) and exit with the verdict."""
    named, arguments = named_scenarios(list(session.posargs))
    with exit_code_kept():
        run(session, INSTALLED, "bench", "run", *(named or chaos_scenarios()), *arguments)


@nox.session(requires=[EDITABLE], venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run the tests that need neither Docker nor a browser and are not long, or those that are named."""
    run_tests(session, *IN_PARALLEL, *SLOW_ONES, *chosen(session.posargs))


def chosen(arguments: list[str]) -> list[str]:
    """All tests but those that are marked, or exactly those that are named."""
    names_some = any(one.startswith("tests") for one in arguments)
    return [*(() if names_some else UNMARKED), *arguments]


@nox.session(requires=[EDITABLE], venv_backend="none", default=False)
def long(session: nox.Session) -> None:
    """Run the tests that `nox -s tests` leaves out as long, and properties with all their examples.

    Long is what takes over three seconds, alone and of any kind of which a shorter test stays in `tests`.
    """
    run_tests(
        *(session, *IN_PARALLEL, *SLOW_ONES, "-m", "(long or hypothesis) and not browser"),
        *("--hypothesis-profile", "all examples", *session.posargs),
    )


@nox.session(python=PYTHONS, venv_backend="virtualenv", default=False)
def tests_on(session: nox.Session) -> None:
    """Run the tests on each supported Python that is installed."""
    install(session)
    BIN[session.name] = Path(session.bin)
    run_tests(session, *IN_PARALLEL, *chosen(session.posargs), shared=session.name)


@nox.session(requires=[EDITABLE], venv_backend="none", default=False)
def browser(session: nox.Session) -> None:
    """Run the tests that drive a Chromium, which `.ci/browser.sh` installs where there is none."""
    run_tests(session, *(session.posargs or ("-m", "browser", "tests/browser")))


@nox.session(requires=[EDITABLE], venv_backend="none", default=False)
def coverage(session: nox.Session) -> None:
    """Run the tests with the JIT off where that is possible, and report what they cover."""
    plain = {"NUMBA_DISABLE_JIT": "1"}
    # Plain Python cannot keep up with load, so only the pure parts run with the JIT off.
    pure = ["tests/protocols", "tests/plan", "tests/core"]
    run(session, EDITABLE, "coverage", "run", "-m", "pytest", "-q", *pure, env=plain)
    run(session, EDITABLE, "coverage", "run", "-m", "pytest", "-q", *session.posargs)
    run(session, EDITABLE, "coverage", "combine")
    run(session, EDITABLE, "coverage", "report")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and form, also of the workflows and issue forms."""
    session.install("--require-hashes", "--requirement", ".ci/lint.lock")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    workflows = [str(path) for path in sorted(Path(".github/workflows").glob("*.yml"))]
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    forms = [str(path) for path in sorted(Path(".github/ISSUE_TEMPLATE").glob("*.yml"))]
    forms.remove(".github/ISSUE_TEMPLATE/config.yml")  # of another form: it says which ones there are
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-issue-forms", *forms)


@nox.session(requires=[EDITABLE], venv_backend="none")
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    run(session, EDITABLE, "mypy")


@nox.session(requires=[INSTALLED], venv_backend="none", default=False)
def peers(session: nox.Session) -> None:
    """Measure side by side with redis-benchmark, pgbench, wrk, hey, client libraries and a Locust user."""
    extra = ["--install"] if os.geteuid() == 0 else []
    with exit_code_kept():
        run(session, INSTALLED, "python", "-m", "tests.benchmarks.peers", *extra, *session.posargs)


@nox.session(requires=[EDITABLE], venv_backend="none", default=False)
def micro(session: nox.Session) -> None:
    """Measure the hot path in small; fail where it became much slower than what --save has kept."""
    kept = {"--save": "--benchmark-save=micro"}
    arguments = [kept.get(argument, argument) for argument in session.posargs]
    # Files of another name than those of tests, so that no run of the tests measures anything.
    columns = "--benchmark-columns=min,median,iqr,rounds"
    run(
        session,
        EDITABLE,
        "pytest",
        "tests/micro",
        "-o",
        "python_files=speed_*.py",
        "-n",
        "0",
        columns,
        *arguments,
    )


@nox.session(requires=[INSTALLED], venv_backend="none", default=False)
def calibrate(session: nox.Session) -> None:
    """Print the error table against servers of known delays."""
    run(session, INSTALLED, "bench", "calibrate", *session.posargs)


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Write the locks anew: versions and hashes for every supported Python, no addresses."""
    session.install("uv>=0.5")
    compiled = ["uv", "pip", "compile", "--universal", "--generate-hashes", "--no-annotate", "--no-header"]
    compiled += ["--python-version", "3.11", "--upgrade", "--quiet", *session.posargs]
    session.run(*compiled, "--all-extras", "--group", "build", "--output-file", LOCK, "pyproject.toml")
    for group in ("nox", "lint"):
        session.run(*compiled, "--constraint", LOCK, "--group", group, "--output-file", f".ci/{group}.lock")
