"""A report format in a file of its own, as a plug-in has it: the status of each run on a line."""

from collections.abc import Sequence

from bench.report.formats import FORMATS, Format, JudgedRun, Reader, RunFolder


def add() -> None:
    """Offer it under the name `statuses`."""
    FORMATS.register("statuses", Format(".txt", f"{__name__}:render_runs", f"{__name__}:render_folder"))


def render_runs(runs: Sequence[JudgedRun], _: Reader) -> str:
    return "".join(f"{run.scenario} {verdict.status.name}\n" for run, verdict in runs)


def render_folder(folder: RunFolder, _: Reader) -> str:
    return "".join(f"{entry.scenario} {entry.state}\n" for entry in folder.entries)
