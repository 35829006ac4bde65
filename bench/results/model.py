"""What every record of a run is: a frozen model, read from JSON with the place of whatever is wrong in it.

A key that this version does not know is kept and written again; one that is absent stays absent. So a record
that is read and written is the same, also when it is that of a newer or an older version.
"""

from __future__ import annotations

from enum import Enum
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Self, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

HIGHEST = 2**63 - 1
"""No time and no count of a run is beyond this."""


def _as_written(value: float, check: ValidatorFunctionWrapHandler) -> float:
    check(value)
    return value


Whole = Annotated[int, Field(ge=-HIGHEST, le=HIGHEST)]
Number = Annotated[float, WrapValidator(_as_written)]
"""Any finite number; a whole one stays whole."""

KINDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


class UnplacedError(ValueError):
    """What is wrong, in a sentence that says where by itself."""


class Record(BaseModel):
    """A part of what a run has written."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", allow_inf_nan=False, defer_build=True)

    @classmethod
    def read(cls, value: object) -> Self:
        """The record that was written as `value`. Raises ValueError: what is wrong first, and where."""
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, found {kind_of(value)}")  # noqa: TRY004 - one error for all damage
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise ValueError(_sentence(cls, error.errors(include_url=False)[0])) from error

    def to_json(self) -> dict[str, Any]:
        """As it is written: the keys that it was made with."""
        return self.model_dump(exclude_unset=True)


def kind_of(value: object) -> str:
    """What `value` is, in JSON's words: "a whole number"; "nothing" for null."""
    if isinstance(value, int | float) and not -HIGHEST <= value <= HIGHEST:
        return "a number out of range"  # NaN, too
    return "nothing" if value is None else KINDS.get(type(value), type(value).__name__)


def _sentence(model: type[Record], error: ErrorDetails) -> str:
    place = ""
    for step in error["loc"]:
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else str(step)
    if error["type"] == "value_error":
        reason = error["ctx"]["error"]
        return str(reason) if isinstance(reason, UnplacedError) else f"{place}: {reason}"
    found = None if error["type"] == "missing" else error["input"]
    return f"{place}: expected {_expected(model, error['loc'])}, found {kind_of(found)}"


def _expected(annotation: Any, steps: tuple[int | str, ...]) -> str:
    """What belongs at a place of a model, in JSON's words."""
    or_null = ""
    for step in steps:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields[str(step)]
            annotation = field.annotation
            or_null = " or null" if field.is_required() and type(None) in get_args(annotation) else ""
        else:
            parts = get_args(annotation)
            if get_origin(annotation) not in (dict, list, tuple) or not parts:
                return "a JSON value"  # what is free in its form is wrong somewhere within
            annotation = parts[1 if get_origin(annotation) is dict else 0]
        annotation = _without_null(annotation)
    kind = get_origin(annotation) or annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        kind = str  # by its name
    return ("a list" if kind is tuple else KINDS.get(kind, "an object")) + or_null


def _without_null(annotation: Any) -> Any:
    if get_origin(annotation) in (UnionType, Union):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
