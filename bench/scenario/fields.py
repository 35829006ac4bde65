"""Field types of the scenario model: each checks one value and says what it expected instead.

A failed check raises Mismatch; `bench.scenario.decode` turns it into a placed Problem. Bounds are
there because a scenario is untrusted text: each one is far above any real use and far below what would
hurt the machine that reads it.
"""

import math
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from bench.core.plugins import Entry, PluginError, Table
from bench.core.units import (
    Mismatch,
    duration_ns,
    format_duration_ns,
    quoted,
    rate_per_s,
    ratio,
    size_bytes,
)
from bench.scenario.problems import Violation

Part = TypeVar("Part", bound="CheckedModel")

PARSED = object()
"""Context of a validation whose values come from a model's dump: quantities are numbers, without a unit."""


class StrictModel(BaseModel):
    """Frozen, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class GrowingModel(StrictModel):
    """A part that was given keys later. Without them it is written as it was before, so that plans keep their
    digests.
    """

    added: ClassVar[tuple[str, ...]] = ()
    """The fields that came later."""

    @model_serializer(mode="wrap")
    def _without_later_fields(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        fields: dict[str, object] = dump(self)
        for name in self.added:
            field = type(self).model_fields[name]
            if getattr(self, name, None) == field.get_default(call_default_factory=True):
                fields.pop(name, None)
                fields.pop(field.alias or name, None)
        return fields


class CheckedModel(StrictModel):
    """A part of a scenario whose fields must also fit together.

    Made in Python, a part that violates that is an error. When a file is loaded, every part is kept in
    `Parts` instead: one with wrong fields has its right ones, so that one pass finds all problems of a file.
    """

    def violations(self) -> Iterable[Violation]:
        """What does not fit together although every field is right."""
        return ()

    def has(self, *names: str) -> bool:
        """Whether these fields are right; of a complete model all are."""
        return self.__dict__.keys() >= set(names)

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, value: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        if isinstance(info.context, Parts):
            return info.context.part(cls, value, handler)
        model = handler(value)
        for violation in model.violations():
            sentence = str(violation).replace("{", "(").replace("}", ")")
            raise PydanticCustomError("inconsistent", sentence)
        return model

    @field_validator("*", mode="wrap")
    @classmethod
    def _right(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        checked = handler(value)
        if isinstance(info.context, Parts):
            info.context.keep(str(info.field_name), checked)
        return checked


@cache
def _with_defaults(kind: type[CheckedModel]) -> CheckedModel:
    """A part of which every field is the default; to make one takes longer than to check one."""
    return kind.model_construct()


class Parts:
    """The context in which a file is validated: its parts in their order, complete or as far as right."""

    def __init__(self) -> None:
        self._parts: list[CheckedModel] = []
        self._open: list[CheckedModel] = []
        """The parts that are being validated, as far as they are known to be right; the innermost last."""

    def of(self, kind: type[Part]) -> list[Part]:
        """All parts of a kind."""
        return [part for part in self._parts if isinstance(part, kind)]

    def part(self, kind: type[Part], value: Any, validate: Callable[[Any], Part]) -> Part:
        """Validate one part. Raises its ValidationError after keeping what is right of it."""
        partial = copy(_with_defaults(kind))
        for name, field in kind.model_fields.items():
            if not isinstance(value, dict) or (field.alias or name) in value:
                partial.__dict__.pop(name, None)
        self._open.append(partial)
        try:
            part = validate(value)
        except ValidationError:
            self._parts.append(partial)
            raise
        finally:
            self._open.pop()
        self._parts.append(part)
        return part

    def keep(self, name: str, value: Any) -> None:
        """A field of the innermost part is right."""
        self._open[-1].__dict__[name] = value
        self._open[-1].model_fields_set.add(name)


NAME_PATTERN = r"^[a-z][a-z0-9_]*$"
MAX_RATE_PER_S = 10_000_000
MAX_TOTAL_NS = 24 * 3600 * 10**9
MAX_LOAD = 100.0
MOST_LANES = 10_000
SHORTEST_CYCLE_NS = 20_000_000

Name = Annotated[str, StringConstraints(strict=True, pattern=NAME_PATTERN, max_length=64)]
Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=4000)]


def kind_of(value: Any) -> str:
    """What a value read from YAML is, in the words of a reader."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the truth value {str(value).lower()}"
        case int() | float():
            return f"the number {quoted(str(value))[1:-1]}"
        case str():
            return quoted(value) if value else "empty text"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def usable(table: Table[Entry], name: str) -> Entry:
    """The entry of a table that may be a plug-in's. Raises Mismatch for one that cannot be used."""
    try:
        return table[name]
    except PluginError as error:
        advice = "repair or uninstall it, or write another one"
        raise Mismatch(f"{error.source} {error.expected}", error.found, advice) from None


@dataclass(frozen=True)
class Whole:
    """Annotation of a field: a whole number within low..high."""

    low: int
    high: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's hook: our check, described as a bounded integer in the JSON Schema."""
        described = core_schema.int_schema(ge=self.low, le=self.high)
        return core_schema.no_info_plain_validator_function(self.check, json_schema_input_schema=described)

    def check(self, value: Any) -> int:
        """`value` itself. Raises Mismatch."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            expected = f"a whole number {self.low}..{self.high}"
            raise Mismatch(expected, kind_of(value), f"write a number {self.low}..{self.high}")
        return value


@dataclass(frozen=True)
class Number:
    """Annotation of a field: a number within low..high, or above low where that is excluded."""

    low: float
    high: float
    above_low: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's hook: our check, described as a bounded number in the JSON Schema."""
        if self.above_low:
            described = core_schema.float_schema(gt=self.low, le=self.high)
        else:
            described = core_schema.float_schema(ge=self.low, le=self.high)
        return core_schema.no_info_plain_validator_function(self.check, json_schema_input_schema=described)

    def check(self, value: Any) -> float:
        """`value` as float. Raises Mismatch."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not self.low <= value <= self.high or (self.above_low and value == self.low):
            range_words = f"above {self.low:.12g} and at most" if self.above_low else f"{self.low:.12g} to"
            expected = f"a number {range_words} {self.high:.12g}"
            raise Mismatch(expected, kind_of(value), f"write {expected}")
        return float(value)


@dataclass(frozen=True)
class ByteSize:
    """Annotation of a field: a number of bytes within low..high, or a text such as "16MiB"."""

    low: int
    high: int
    shown_range: str
    example: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's hook: our check, described as a bounded integer or a text in the JSON Schema."""
        described = core_schema.union_schema(
            [core_schema.int_schema(ge=self.low, le=self.high), core_schema.str_schema()]
        )
        return core_schema.no_info_plain_validator_function(self.check, json_schema_input_schema=described)

    def check(self, value: Any) -> int:
        """The number of bytes. Raises Mismatch."""
        size = size_bytes(value) if isinstance(value, str) else value
        if isinstance(size, bool) or not isinstance(size, int) or not self.low <= size <= self.high:
            advice = f'write a whole number such as 128, or "{self.example}"'
            raise Mismatch(f"a number of bytes{self.shown_range}", kind_of(value), advice)
        return size


def quantity(
    parse: Callable[[str], float], example: str, unit: str, fits: Callable[[float], str]
) -> BeforeValidator:
    """A text with a unit. `fits` returns "" or the words for the range that the value must be in."""

    def check(value: Any, info: ValidationInfo) -> Any:
        if info.context is PARSED:
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            advice = f'write "{value}{unit}"' if value > 0 else f"write {example}"
            raise Mismatch(example, f"{kind_of(value)} without a unit", advice)
        if not isinstance(value, str):
            raise Mismatch(example, kind_of(value), f"write {example}")
        parsed = parse(value)
        if complaint := fits(parsed):
            raise Mismatch(complaint, quoted(value), f"write {complaint}")
        return parsed

    return BeforeValidator(check)


def _within_total(ns: float) -> str:
    return (
        ""
        if 0 < ns <= MAX_TOTAL_NS
        else f"a duration above 0s and at most {format_duration_ns(MAX_TOTAL_NS)}"
    )


def _within_rate(per_s: float) -> str:
    possible = math.isfinite(per_s) and 0 < per_s <= MAX_RATE_PER_S
    return "" if possible else f"a rate above 0/s and at most {MAX_RATE_PER_S}/s"


def _within_load(load: float) -> str:
    return "" if 0 <= load <= MAX_LOAD else f"a load 0%..{MAX_LOAD * 100:.0f}%"


def _within_rest(rest: float) -> str:
    return "" if 0 < rest < 1 else "a rest above 0% and below 100%"


DURATION = 'a duration such as "10ms" or "30s"'
Duration = Annotated[
    int,
    quantity(duration_ns, DURATION, "s", _within_total),
    WithJsonSchema({"type": "string", "examples": ["30s"]}),
]
Rate = Annotated[
    float,
    quantity(rate_per_s, 'a rate such as "1000/s"', "/s", _within_rate),
    WithJsonSchema({"type": "string", "examples": ["1000/s"]}),
]
LoadRatio = Annotated[
    float,
    quantity(ratio, 'a load such as "150%"', "%", _within_load),
    WithJsonSchema({"type": "string", "examples": ["150%"]}),
]
RestRatio = Annotated[
    float,
    quantity(ratio, 'a share such as "30%"', "%", _within_rest),
    WithJsonSchema({"type": "string", "examples": ["30%"]}),
]
ValueBytes = Annotated[int, ByteSize(1, 16 * 2**20, " 1..16777216 (16MiB)", "1KiB")]
