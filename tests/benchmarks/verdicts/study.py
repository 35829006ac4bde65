"""How often a verdict on a percentile is wrong at the limit, and right beyond it.

`python -m tests.benchmarks.verdicts.study` prints the tables of docs/verdicts.md, in some minutes: of the
processes by which the method was chosen, of those held out, and of those held out later. At the limit (the
true percentile is the limit itself) both PASS and FAIL are wrong. Beyond it the right answer is FAIL, and
below it PASS.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.statistics.evidence import ShareEvidence, share_evidence
from tests.benchmarks.verdicts.processes import CHOSEN, Process, held_out, held_out_later

WINDOWS = 60
"""Of a measured phase of up to a minute."""
MOST_VALUES = 6_000_000
"""In memory at a time."""
TRIALS, SEED = 1000, 20261130


@dataclass(frozen=True)
class Setting:
    """A percentile of a process, by runs of so many samples; `over`: the percentile, in limits."""

    process: Process
    share: float
    samples: int
    over: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """How many of the trials passed and failed."""

    trials: int
    passed: int
    failed: int


def evidence(values: np.ndarray, limit: float, share: float) -> ShareEvidence:
    """What one run shows of a limit of its percentile, as the judge looks at it."""
    windows = values[: len(values) // WINDOWS * WINDOWS].reshape(WINDOWS, -1)
    rank = int(np.ceil(values.size * share)) - 1
    observed = np.partition(values, rank)[rank]
    sizes = np.full(WINDOWS, windows.shape[1], dtype=np.float64)
    beyond, beyond_observed = ((windows > level).sum(axis=1).astype(float) for level in (limit, observed))
    return share_evidence(beyond, sizes, levels=(beyond_observed,))


def outcome(setting: Setting, trials: int, seed: int) -> Outcome:
    """Judge so many runs."""
    random = np.random.default_rng(seed)
    limit = setting.process.percentile(setting.share) / setting.over
    passed = failed = done = 0
    while done < trials:
        count = min(trials - done, max(1, MOST_VALUES // setting.samples))
        for values in setting.process.values(random, count, setting.samples):
            found = evidence(values, limit, setting.share)
            passed += found.is_below(1 - setting.share)
            failed += found.is_above(1 - setting.share)
        done += count
    return Outcome(trials, passed, failed)


SETTINGS = ((0.5, 6000), (0.95, 6000), (0.95, 24000), (0.99, 6000), (0.99, 24000), (0.99, 60000))


def table(processes: Callable[[float], tuple[Process, ...]], trials: int, seed: int) -> Iterator[str]:
    """Lines of Markdown: wrong at the limit with 95 % intervals, then the power beyond it."""
    yield "| process | rule | samples | false PASS | false FAIL | FAIL at +10 % | at +20 % | PASS at -20 % |"
    yield "|---|---|---|---|---|---|---|---|"
    for share, samples in SETTINGS:
        for process in processes(share):
            setting = Setting(process, share, samples)
            at = outcome(setting, trials, seed)
            if "stalls" in process.name:
                cells = ["-", "-", "-"]
            else:
                few = trials // 4
                cells = [
                    _percent(outcome(Setting(process, share, samples, 1.1), few, seed + 1).failed / few),
                    _percent(outcome(Setting(process, share, samples, 1.2), few, seed + 2).failed / few),
                    _percent(outcome(Setting(process, share, samples, 0.8), few, seed + 3).passed / few),
                ]
            wrong = [_with_interval(count, trials) for count in (at.passed, at.failed)]
            yield f"| {' | '.join([process.name, f'P{100 * share:g}', f'{samples}', *wrong, *cells])} |"


def _with_interval(count: int, trials: int) -> str:
    """A share of independent trials with its 95 % interval."""
    seen = ShareEvidence(count, trials)
    low, high = seen.lower(0.975), seen.upper(0.975)
    return f"{_percent(count / trials)} [{100 * low:.1f}, {100 * high:.1f}]"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    for processes in (lambda _: CHOSEN, held_out, held_out_later):
        for line in table(processes, TRIALS, SEED):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
