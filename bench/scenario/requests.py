"""An HTTP request of a scenario, and what its answer must be."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from bench.core.units import Mismatch, quoted
from bench.scenario.fields import kind_of
from bench.scenario.strict_model import StrictModel

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


class Expect(StrictModel):
    """What an answer must be to end OK. Anything else ends ERROR."""

    status: Annotated[tuple[int, ...], BeforeValidator(_statuses, json_schema_input_type=Any)] = Field(
        tuple(range(200, 400)),
        description="A status, a class such as 2xx, or a list; 2xx and 3xx by default.",
    )
    contains: Annotated[str, Field(strict=True, min_length=1, max_length=1000)] | None = Field(
        None, description="Text that the body must contain; no placeholders."
    )


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
