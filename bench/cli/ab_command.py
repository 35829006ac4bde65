"""`bench ab SCENARIO --a ... --b ...`: two variants, measured in pairs: is one of them slower?"""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.compare_command import Threshold
from bench.cli.output import DurationNs, NamedPath, say, say_problem
from bench.core.errors import ExitCode, InterruptedRun, UsageError

if TYPE_CHECKING:
    from bench.ab.findings import PairedFigure
    from bench.ab.record import AbRecord
    from bench.ab.schedule import Schedule
    from bench.cli.variant_runs import VariantRuns
    from bench.run.progress import Progress

PAIRS, QUICK_PAIRS = 10, 3


@click.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option("--a", "words_a", multiple=True, metavar="KEY=VALUE", help="What makes variant a; repeatable.")
@click.option("--b", "words_b", multiple=True, metavar="KEY=VALUE", help="What makes variant b; repeatable.")
@click.option(
    "--both", "words_both", multiple=True, metavar="KEY=VALUE", help="The same for both; repeatable."
)
@click.option(
    "--pairs",
    type=click.IntRange(1, 200),
    help=f"Pairs of runs (default {PAIRS}, {QUICK_PAIRS} with --quick).",
)
@click.option(
    "--threshold", type=Threshold(), default="5%", show_default=True, help="Ignore smaller differences."
)
@click.option("--floor", is_flag=True, help="Measure a against itself, and keep how far chance goes here.")
@click.option("--stack", metavar="STACK", help="The stack of a variant that names none, as in bench run.")
@click.option(
    "--out",
    type=NamedPath(path_type=Path),
    default=Path("results", "ab"),
    show_default=True,
    help="Where the runs and the result go.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Use this seed instead of the scenario's.")
@click.option(
    "--quick", is_flag=True, help="Shorten the phases; with few pairs this only shows that it works."
)
@click.option("--wait", "wait_ns", type=DurationNs(), metavar="DURATION", help="As in bench run.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; everything else to stderr.")
@click.option(
    "--markdown", type=NamedPath(path_type=Path, dir_okay=False), metavar="FILE", help="Write it in Markdown."
)
@click.option(
    "--comment",
    type=NamedPath(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it as one comment for a pull request.",
)
def command(
    scenario: Path,
    words_a: tuple[str, ...],
    words_b: tuple[str, ...],
    words_both: tuple[str, ...],
    pairs: int | None,
    threshold: float,
    floor: bool,
    stack: str | None,
    out: Path,
    seed: int | None,
    quick: bool,
    wait_ns: int | None,
    as_json: bool,
    markdown: Path | None,
    comment: Path | None,
) -> int:
    """Run a scenario in two variants, in pairs in random order, and say what differs.

    \b
    bench ab redis_latency --b set=workloads.cache.lanes=20
    bench ab redis_latency --b settings=redis.io-threads=4
    bench ab redis_latency --b program=redis=build/valkey-server
    bench ab api.yaml --a stack=stacks/blue.yaml --b stack=stacks/green.yaml
    bench ab api.yaml --a revision=v1.4 --both start="./server --port 8080"
    bench ab redis_latency --floor

    \b
    Keys of a variant; one that is given nothing is the scenario as it is:
      set=KEY=VALUE              a value of the scenario, as bench run --set
      stack=STACK                a stack file, or a stack by its name
      settings=TARGET.KEY=VALUE  of a server that bench starts on this machine
      program=TARGET=PATH        the server (redis); its folder (postgres)
      env=NAME=VALUE             for stack files, servers and commands
      build=COMMAND              run once, before the first pair
      start=COMMAND              started before each run, ended after it
      in=FOLDER                  where these commands run
      revision=REV               a git worktree of it, where these commands run
      with=BENCH                 another installation's bench, to make the runs

    Targets that bench starts are started anew for every run. A pair in which a run is INVALID, or others
    used much more of the machine beside one run than beside the other, is set aside and run again.

    \b
    Exit codes: 0 no regression, 1 b is worse, 5 cannot tell.
    """
    from bench.ab.findings import exit_code
    from bench.ab.record import save
    from bench.ab.schedule import Schedule
    from bench.ab.variant import parse_variant
    from bench.cli.session_opening import stop_signals
    from bench.cli.variant_runs import Asked, VariantRuns
    from bench.core.clock import NS_PER_S
    from bench.results.layout import run_name
    from bench.run.progress import progress_for
    from bench.run.stop_request import StopRequest
    from bench.scenario.load import discover

    _check(floor, words_a, words_b)
    found = discover([scenario])
    if len(found) != 1:
        raise UsageError(f"ab: expected one scenario, found {len(found)} in {scenario}; name one of them")
    wait_s = None if wait_ns is None else wait_ns / NS_PER_S
    asked = Asked(found[0], stack, out, seed, quick, wait_s)
    progress, stop = progress_for(), StopRequest()
    words = {"a": (*words_both, *words_a), "b": (*words_both, *(words_a if floor else words_b))}
    sides = {
        name: VariantRuns(parse_variant(name, given), asked, progress, stop) for name, given in words.items()
    }
    wanted = pairs or (QUICK_PAIRS if quick else PAIRS)
    name = run_name(sides["a"].scenario)
    schedule = Schedule(wanted, seed if seed is not None else 1)
    with stop_signals(stop), contextlib.ExitStack() as undo:
        try:
            for side in sides.values():
                undo.enter_context(side.prepared())
            _measure(name, schedule, sides, progress)
        except InterruptedRun as interrupted:
            say_problem(
                f"bench: {interrupted}; {len(schedule.kept)} of {wanted} pairs were measured, "
                "nothing is compared"
            )
            return ExitCode.INTERRUPTED
    record, figures = _compared(name, schedule, sides, threshold, out, floor)
    path = save(record, out)
    _tell(record, figures, path, as_json, markdown, comment)
    return ExitCode.OK if floor and figures else exit_code(figures, record.pairs)


def _check(floor: bool, words_a: tuple[str, ...], words_b: tuple[str, ...]) -> None:
    if floor and words_b:
        raise UsageError("--floor compares a with itself: expected no --b, found some; remove it")
    if not floor and sorted(words_a) == sorted(words_b):
        raise UsageError(
            "ab: expected two variants, found the same twice; add --b set=KEY=VALUE or another key "
            "(bench ab --help), or --floor to measure what chance does"
        )


def _measure(name: str, schedule: Schedule, sides: dict[str, VariantRuns], progress: Progress) -> None:
    """Run pairs until there are enough, or too many had to be set aside."""
    from bench.ab.schedule import Pair
    from bench.results.run_record import PairRecord

    while (order := schedule.next_pair()) is not None:
        made = {}
        for place, variant in enumerate(order.variants, start=1):
            progress.step(
                f"pair {order.number}: {variant} ({len(schedule.kept)} of {schedule.wanted} pairs measured)"
            )
            made[variant] = sides[variant].run(
                PairRecord(ab=name, variant=variant, number=order.number, place=place)
            )
        because = schedule.add(Pair(order.number, made["a"], made["b"]))
        if because:
            progress.step(f"pair {order.number} is set aside: {because}")


def _compared(
    name: str,
    schedule: Schedule,
    sides: dict[str, VariantRuns],
    threshold: float,
    out: Path,
    floor: bool,
) -> tuple[AbRecord, list[PairedFigure]]:
    from bench.ab.findings import paired_figures
    from bench.ab.record import AbRecord, FigureRecord, floor_for, floor_of, save_floor
    from bench.compare.figures import figures

    kept, notes = schedule.kept, [shortage] if (shortage := schedule.shortage()) else []
    utc = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    found: list[PairedFigure] = []
    known = None
    if kept:
        first = kept[0].a.run
        known = None if floor else floor_for(first, out)
        floors = known.figures if known else {}
        read = [(figures(pair.a.run), figures(pair.b.run)) for pair in kept]
        found = paired_figures(read, threshold, floors)
        notes += _notes(kept[0].a.run.record.plan.digest, kept[0].b.run.record.plan.digest)
    if floor and found:
        path = save_floor(kept[0].a.run, len(kept), floor_of(found), utc, out)
        notes.append(f"kept as the A/A floor of this machine: {path}")
    record = AbRecord(
        ab=name,
        scenario=sides["a"].scenario,
        utc=utc,
        a=sides["a"].variant.shown,
        b="a once more" if floor else sides["b"].variant.shown,
        threshold=threshold,
        floor=known is not None or floor,
        pairs=len(kept),
        runs=[[pair.a.run.name, pair.b.run.name] for pair in kept],
        set_aside=schedule.set_aside,
        notes=notes,
        figures=[FigureRecord.of(one) for one in found],
    )
    return record, found


def _notes(digest_a: str | None, digest_b: str | None) -> list[str]:
    if digest_a == digest_b:
        return []
    return [
        "the variants have different plans: what differs may be the load itself "
        f"(plan {str(digest_a)[:8]} and {str(digest_b)[:8]})"
    ]


def _tell(
    record: AbRecord,
    figures: list[PairedFigure],
    path: Path,
    as_json: bool,
    markdown: Path | None,
    comment: Path | None,
) -> None:
    from bench.cli.report_command import write_report
    from bench.report import ab

    if markdown is not None:
        write_report(markdown, ab.render_markdown(record, figures))
    if comment is not None:
        write_report(comment, ab.render_comment(record, figures))
    if as_json:
        say(ab.render_json(record), newline=False)
        say_problem(f"bench: {path}")
    else:
        say(ab.render_text(record, figures), newline=False)
        say(f"\n{os.path.relpath(path)}")
