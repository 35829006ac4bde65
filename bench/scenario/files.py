"""Files that a scenario names: read when it is loaded, so that a plan is all that a run needs."""

from collections.abc import Mapping
from pathlib import Path

from bench.core.errors import Problem, ScenarioError
from bench.scenario.dataset import DataSetChoice
from bench.scenario.locustfile import read_locustfile
from bench.scenario.model import Scenario, Workload
from bench.scenario.paths import Path as KeyPath
from bench.scenario.paths import where
from bench.scenario.read import read_text
from bench.scenario.source import Place


def with_files(
    scenario: Scenario, file: Path, marks: Mapping[KeyPath, Place]
) -> tuple[Scenario, list[Problem]]:
    """The scenario with the text of every SQL file and locustfile in it, and a problem for each that
    cannot be used.

    Paths are relative to the scenario's folder.
    """
    problems: list[Problem] = []
    workloads: list[Workload] = []
    for number, workload in enumerate(scenario.workloads):
        if workload.dataset is not None and workload.dataset.sql:
            path: KeyPath = ("workloads", number, "dataset", "sql")
            choice, found = _read(workload.dataset, file.parent, path, marks)
            problems += found
            workloads.append(workload.model_copy(update={"dataset": choice}))
        elif workload.locustfile is not None:
            path = ("workloads", number, "locustfile")
            complete, finding = read_locustfile(workload.locustfile, file.parent)
            workloads.append(workload.model_copy(update={"locustfile": complete}))
            if finding is not None:
                place = marks.get(path) or Place("--set")
                told = (finding.expected, finding.found, finding.advice)
                problems.append(Problem(place.file, place.line, place.column, where(path), *told))
        else:
            workloads.append(workload)
    return scenario.model_copy(update={"workloads": tuple(workloads)}), problems


def _read(
    choice: DataSetChoice, folder: Path, path: KeyPath, marks: Mapping[KeyPath, Place]
) -> tuple[DataSetChoice, list[Problem]]:
    problems: list[Problem] = []
    sources = []
    for index, source in enumerate(choice.sql):
        text = source.text
        if text is None:
            try:
                text = read_text(folder / source.path)
            except ScenarioError as error:
                place = marks.get((*path, index)) or marks.get(path) or Place("--set")
                one = error.problems[0]
                problems.append(
                    Problem(
                        place.file,
                        place.line,
                        place.column,
                        where((*path, index)),
                        "a file with SQL beside the scenario",
                        f"{one.file}: {one.found}",
                        "check the path; it is relative to the scenario",
                    )
                )
                continue
        sources.append(source.model_copy(update={"text": text}))
    return choice.model_copy(update={"sql": tuple(sources)}), problems
