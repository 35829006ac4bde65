"""Messages between processes: frozen dataclasses, written and read here, as JSON, one object a line; and what
tells of an event within one."""

import json
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

M = TypeVar("M")

Count = Annotated[int, Field(ge=0, lt=2**53)]
"""A number of things, as JSON can have it."""


class Event(BaseModel):
    """An entry of events.jsonl: when something happened, of what kind, and whatever its kind has besides."""

    model_config = ConfigDict(frozen=True, extra="allow")

    at_ns: int
    kind: str

    @property
    def details(self) -> dict[str, JsonValue]:
        """All other fields."""
        return self.model_extra or {}


class MessageError(ValueError):
    """A text that is no message. `place` is the field that is wrong, such as `window.live.taken`."""

    def __init__(self, place: str, sentence: str) -> None:
        self.place = place
        super().__init__(f"{place}: {sentence}" if place else sentence)


class Messages(Generic[M]):
    """The messages that go one way: a dataclass, or a union of them that one field tells apart."""

    def __init__(self, kinds: Any) -> None:
        self._adapter: TypeAdapter[M] = TypeAdapter(kinds)

    def read(self, text: bytes | str) -> M:
        """The message in a text. Raises MessageError: nothing is converted, and no field may be missing."""
        try:
            return self._adapter.validate_json(text, strict=True)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(step) for step in problem["loc"])
            raise MessageError(place, problem["msg"]) from None

    def of(self, value: object) -> M:
        """The message in a value that was read from JSON already. Raises MessageError."""
        return self.read(json.dumps(value))

    def write(self, message: M) -> bytes:
        """One line. Numbers of numpy are written as numbers."""
        return self._adapter.dump_json(message, by_alias=True, fallback=_plain, warnings=False) + b"\n"


def _plain(value: Any) -> object:
    return value.tolist()
