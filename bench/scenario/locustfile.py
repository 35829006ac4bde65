"""The locustfile of a workload: named beside the scenario, read and parsed with it, and never run by that."""

import warnings
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from bench.core.errors import ScenarioError
from bench.core.units import Mismatch, quoted
from bench.scenario.fields import kind_of
from bench.scenario.finding import Finding
from bench.scenario.read import file_name, read_text
from bench.scenario.strict_model import StrictModel


class Locustfile(StrictModel):
    """A Python file with Locust user classes."""

    path: Annotated[str, Field(strict=True, min_length=1, max_length=1000)]
    """As the scenario names it: relative to the scenario's folder."""
    text: Annotated[str, Field(strict=True, max_length=2**20)] | None = None
    """What stands in it: part of the plan, so that another file is another plan."""
    folder: Annotated[str, Field(strict=True)] | None = Field(None, exclude=True)
    """The scenario's folder on this machine; no part of the plan."""

    @property
    def file(self) -> Path:
        """Where it is on this machine."""
        return Path(self.folder or ".", self.path)


def named_locustfile(value: Any) -> Any:
    """`journey.py` is how a scenario writes {path: journey.py}."""
    if isinstance(value, str) and value:
        return {"path": value}
    if isinstance(value, Locustfile) or value is None:
        return value
    raise Mismatch("the path of a locustfile", kind_of(value), "write a path such as journeys/shop.py")


def read_locustfile(named: Locustfile, folder: Path) -> tuple[Locustfile, Finding | None]:
    """The file with its text, and what is wrong with it: missing, or no Python. Nothing of it is run."""
    file = folder / named.path
    try:
        text = read_text(file)
    except ScenarioError as error:
        problem = error.problems[0]
        found = f"{file_name(file)}: {problem.found}"
        if problem.line:  # a file that is there, and is no text
            return named, Finding((), f"a locustfile of {problem.expected}", found, problem.advice)
        advice = "check the path; it is relative to the scenario"
        return named, Finding((), "a locustfile beside the scenario", found, advice)
    complete = named.model_copy(update={"text": text, "folder": str(folder)})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a string is the author's affair
            compile(text, str(file), "exec", dont_inherit=True)
    except SyntaxError as error:
        found = f"{file_name(file)}, line {error.lineno}: {quoted(error.msg, 200)}"
        return complete, Finding((), "a locustfile that is Python", found, "correct the file")
    except (ValueError, RecursionError, MemoryError) as error:
        found = f"{file_name(file)}: {type(error).__name__}"
        return complete, Finding((), "a locustfile that is Python", found, "correct the file")
    return complete, None
