"""What the operations of a workload are made of: HTTP requests, data sets for SQL, and locustfiles.

A locustfile is read and parsed with the scenario, and never run by that.
"""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema, model_validator

from bench.core.errors import ScenarioError
from bench.core.units import Mismatch, quoted
from bench.scenario.fields import PARSED, GrowingModel, Name, StrictModel, Whole, kind_of
from bench.scenario.problems import Violation
from bench.scenario.source import file_name, read_text

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_UNSAFE = re.compile(r"[\r\n\0]")
_PATH = re.compile(r"/[\x21\x22\x24-\x7e]*")  # no "#": what stands behind it is never sent
# The engine counts bytes itself, and decides about the connection.
_OURS = ("content-length", "transfer-encoding", "connection", "expect", "upgrade", "te")


def _headers(value: Any) -> Any:
    if not isinstance(value, dict):
        raise Mismatch("headers as name: value lines", kind_of(value), "write headers: {Accept: text/html}")
    for name, content in value.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise Mismatch("the name of a header", kind_of(name), "use letters, digits and -")
        if name.lower() in _OURS:
            raise Mismatch("headers that the engine does not write itself", quoted(name), "remove it")
        # The text itself is not shown: it may have come from the environment.
        if not isinstance(content, str):
            raise Mismatch(f"a line of text for the header {quoted(name)}", "something else", "correct it")
        if _UNSAFE.search(content):
            raise Mismatch(f"a line of text for the header {quoted(name)}", "several lines", "correct it")
        if not content.isascii():
            raise Mismatch(f"ASCII text for the header {quoted(name)}", "other characters", "encode it")
    if len({name.lower() for name in value}) != len(value):
        raise Mismatch("every header once", "one name in two spellings", "remove one of them")
    return value


Headers = Annotated[dict[str, str], BeforeValidator(_headers), Field(max_length=100)]


def _path(value: Any) -> Any:
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise Mismatch(
            'a path such as "/items/{item}" of printable ASCII without spaces and #',
            kind_of(value),
            "encode it with %"
            if isinstance(value, str) and value.startswith("/")
            else "begin it with /; the host comes from the target's URL",
        )
    return value


def _statuses(value: Any) -> Any:
    """`200`, `2xx`, or a list of both, as the statuses themselves."""
    found: list[int] = []
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, int) and not isinstance(item, bool) and 200 <= item <= 599:
            found.append(item)
        elif isinstance(item, str) and re.fullmatch(r"[2-5]xx", item):
            first = int(item[0]) * 100
            found += range(first, first + 100)
        else:
            raise Mismatch("a status 200..599, or a class such as 2xx", kind_of(item), "write 200 or 2xx")
    if not found:
        raise Mismatch("at least one status", "none", "write status: 200")
    return tuple(found)


_STEP = re.compile(
    r"""\.(?P<name>[^\s.\[\]"'*?@(),:]+)|\[(?P<index>[0-9]{1,9})\]|\[(?P<quoted>"[^"\\]+"|'[^'\\]+')\]"""
)
MOST_STEPS_OF_A_PATH = 16


def path_steps(path: str) -> tuple[str | int, ...]:
    """The names and numbers of a JSON path such as $.items[0].id. Raises Mismatch."""
    steps: list[str | int] = []
    at = 1
    while path.startswith("$") and (step := _STEP.match(path, at)):
        steps.append(int(step["index"]) if step["index"] else step["name"] or step["quoted"][1:-1])
        at = step.end()
    if not path.startswith("$") or at < len(path):
        advice = 'write names and places only: $.items[0].id, $["a name"]'
        raise Mismatch("a JSON path such as $.items[0].id", quoted(path), advice)
    if len(steps) > MOST_STEPS_OF_A_PATH:
        raise Mismatch(f"a path of at most {MOST_STEPS_OF_A_PATH} steps", str(len(steps)), "look less deep")
    return tuple(steps)


def _header_name(value: Any) -> Any:
    if not isinstance(value, str) or not _HEADER_NAME.fullmatch(value):
        raise Mismatch("the name of a header", kind_of(value), "use letters, digits and -")
    return value


def _path_text(value: str) -> str:
    path_steps(value)
    return value


JsonPath = Annotated[str, Field(strict=True, max_length=1000), AfterValidator(_path_text)]
HeaderName = Annotated[str, BeforeValidator(_header_name)]
Mark = Annotated[str, Field(strict=True, min_length=1, max_length=200)]
Scalar = str | int | float | bool | None


def _scalar(value: Any) -> Any:
    if not isinstance(value, Scalar):
        raise Mismatch("a text, a number, true, false or null", kind_of(value), "name the path of one value")
    if isinstance(value, str) and len(value.encode()) > MOST_EXPECTED:
        raise Mismatch(f"at most {MOST_EXPECTED} bytes", str(len(value.encode())), "expect a shorter one")
    return value


MOST_EXPECTED = 1000


class Expect(GrowingModel):
    """What an answer must be to end OK. Anything else ends ERROR."""

    added = ("json_values", "header")

    status: Annotated[tuple[int, ...], BeforeValidator(_statuses, json_schema_input_type=Any)] = Field(
        tuple(range(200, 400)),
        description="A status, a class such as 2xx, or a list; 2xx and 3xx by default.",
    )
    contains: Annotated[str, Field(strict=True, min_length=1, max_length=1000)] | None = Field(
        None, description="Text that the body must contain; no placeholders."
    )
    json_values: Annotated[dict[JsonPath, Annotated[Any, BeforeValidator(_scalar)]], Field(max_length=8)] = (
        Field(
            default_factory=dict,
            alias="json",
            description="Values that the body must have, by their JSON paths: {$.count: 1}; no placeholders.",
        )
    )
    header: Annotated[dict[HeaderName, Mark], Field(max_length=8)] = Field(
        default_factory=dict, description="Headers that the answer must have, with these values."
    )


class Marks(StrictModel):
    """A text between two others, at their first place."""

    after: Mark
    before: Mark | None = Field(None, description="Of a header it may be left out: then to the value's end.")


class Capture(StrictModel):
    """What later requests need of an answer: one of these, or a header with the text between marks in it."""

    json_path: JsonPath | None = Field(None, alias="json", description="A JSON path such as $.items[0].id.")
    header: HeaderName | None = Field(None, description="The name of a header.")
    text: Marks | None = Field(
        None,
        description="The text after one mark and before another, in the body or in the header beside it.",
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [name for name in ("json_path", "header", "text") if getattr(self, name) is not None]
        if len(given) != 1 and given != ["header", "text"]:
            found = "several" if given else "none"
            raise Mismatch("one of json, header and text", found, "write {json: $.id}")
        if self.header is None and self.text is not None and self.text.before is None:
            raise Mismatch("before, the mark where the text in the body ends", "none", "add before")
        return self


Captures = Annotated[dict[Name, Capture], Field(max_length=8)]


class Request(StrictModel):
    """One request. Placeholders stand in the path, in the values of headers, and in the body."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    path: Annotated[str, BeforeValidator(_path), Field(max_length=4000)]
    headers: Headers = Field(default_factory=dict)
    body: Annotated[str, Field(strict=True, max_length=1_000_000)] | None = Field(
        None, description="The body as text."
    )
    json_body: Annotated[Any, WithJsonSchema({})] = Field(
        None,
        alias="json",
        description='The body as JSON: a mapping or a list, or JSON as text. "{item}" alone is a number.',
    )
    expect: Expect = Expect.model_validate({})

    def declares_json(self, common: Mapping[str, str]) -> bool:
        """Whether its headers, or those `common` to all requests, declare that it sends JSON."""
        for name, text in (*self.headers.items(), *common.items()):
            if name.lower() == "content-type":
                return "json" in text.lower()
        return False


class RequestStep(StrictModel):
    """One request of several, and what the following ones need of its answer."""

    request: Request
    capture: Captures = Field(
        default_factory=dict, description="Names for parts of the answer: {cart: {json: $.id}}."
    )


class Login(RequestStep):
    """The request by which a lane logs in: no arrival, and its time is recorded apart."""


BUILT_IN = ("tpcb", "app")


class SqlSource(StrictModel):
    """SQL to run before the load: a file beside the scenario, or the text itself."""

    path: Annotated[str, Field(strict=True, min_length=1, max_length=1000)] = "inline"
    text: Annotated[str, Field(strict=True, max_length=2**20)] | None = None


def _source(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


def _sources(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


class DataSetChoice(StrictModel):
    """Which data set, how large, and whether it stays."""

    name: Literal["tpcb", "app"] | None = Field(None, description="tpcb: as pgbench has it; app: orders.")
    scale: Annotated[int, Whole(1, 10_000)] = 1
    keep: Annotated[bool, Field(strict=True, description="Leave it for the next run.")] = False
    sql: Annotated[
        tuple[Annotated[SqlSource, BeforeValidator(_source, json_schema_input_type=str | SqlSource)], ...],
        BeforeValidator(_sources),
        Field(max_length=20, description="Files with SQL, run in order; relative to the scenario."),
    ] = ()


def data_set_choice(value: Any) -> Any:
    """`tpcb` is the short form of {name: tpcb}."""
    if isinstance(value, str):
        if value not in BUILT_IN:
            expected = f"one of {', '.join(BUILT_IN)}, or {{sql: [file.sql]}}"
            raise Mismatch(expected, quoted(value), f"write one of {', '.join(BUILT_IN)}")
        return {"name": value}
    if not isinstance(value, dict | DataSetChoice):
        raise Mismatch("a data set such as tpcb", kind_of(value), f"write one of {', '.join(BUILT_IN)}")
    return value


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


def named_locustfile(value: Any, info: ValidationInfo) -> Any:
    """`journey.py` is how a scenario writes {path: journey.py}."""
    if isinstance(value, str) and value:
        return {"path": value}
    if isinstance(value, Locustfile) or value is None or info.context is PARSED:
        return value
    raise Mismatch("the path of a locustfile", kind_of(value), "write a path such as journeys/shop.py")


def read_locustfile(named: Locustfile, folder: Path) -> tuple[Locustfile, Violation | None]:
    """The file with its text, and what is wrong with it: missing, or no Python. Nothing of it is run."""
    file = folder / named.path
    try:
        text = read_text(file)
    except ScenarioError as error:
        problem = error.problems[0]
        found = f"{file_name(file)}: {problem.found}"
        if problem.line:  # a file that is there, and is no text
            return named, Violation((), f"a locustfile of {problem.expected}", found, problem.advice)
        advice = "check the path; it is relative to the scenario"
        return named, Violation((), "a locustfile beside the scenario", found, advice)
    complete = named.model_copy(update={"text": text, "folder": str(folder)})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a string is the author's affair
            compile(text, str(file), "exec", dont_inherit=True)
    except SyntaxError as error:
        found = f"{file_name(file)}, line {error.lineno}: {quoted(error.msg, 200)}"
        return complete, Violation((), "a locustfile that is Python", found, "correct the file")
    except (ValueError, RecursionError, MemoryError) as error:
        found = f"{file_name(file)}: {type(error).__name__}"
        return complete, Violation((), "a locustfile that is Python", found, "correct the file")
    return complete, None
