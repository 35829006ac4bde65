"""Tables that plug-ins add to: what the product has itself, and what installed distributions announce.

A distribution announces an entry by an entry point, `name = module:object`, in the group of the table. Its
module is imported when that name is looked up, or when the table is listed; `name in table` imports nothing.
A plug-in that cannot be used is left out of lists and named in `problems`, so it stops only what asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from bench.core.errors import UsageError
from bench.core.sanitize import one_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Entry = TypeVar("Entry")

problems: dict[str, None] = {}
"""A sentence for each plug-in that was left out, once, in the order in which they were found."""


class PluginError(UsageError):
    """A plug-in that was asked for and cannot be used."""

    def __init__(self, source: str, expected: str, found: str) -> None:
        self.source, self.expected, self.found = source, expected, found
        super().__init__(f"{source}: expected {expected}, found {found}; repair it, or uninstall it")


class Table(Mapping[str, Entry]):
    """Entries by name: those of the product, those that were registered, then those of distributions."""

    def __init__(
        self, what: str, group: str, entries: Mapping[str, Entry], is_entry: Callable[[object], bool]
    ) -> None:
        """`what` an entry is, in messages; `is_entry`: whether what a plug-in names can be one."""
        self.group = group
        self._what, self._is_entry = what, is_entry
        self._own = dict(entries)
        self._loaded: dict[str, Entry | PluginError] = {}

    def register(self, name: str, entry: Entry) -> None:
        """Add an entry of this process alone. Raises ValueError for a name that is taken."""
        if name in self:
            raise ValueError(f"the {self._what} {name} is registered already")
        self._own[name] = entry

    def unregister(self, name: str) -> None:
        """Remove an entry that was registered."""
        del self._own[name]

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._announced

    def __getitem__(self, name: str) -> Entry:
        """Raises PluginError for the entry of a plug-in that cannot be used."""
        if name in self._own:
            return self._own[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(self._announced[name])
        entry = self._loaded[name]
        if isinstance(entry, PluginError):
            raise entry
        return entry

    def usable(self, name: str) -> Entry | None:
        """The entry, or None where there is none that can be used."""
        try:
            return self.get(name)
        except PluginError as error:
            problems[str(error)] = None
            return None

    def __iter__(self) -> Iterator[str]:
        """The names of all entries that can be used."""
        yield from list(self._own)
        yield from (name for name in self._announced if self.usable(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @cached_property
    def _announced(self) -> dict[str, EntryPoint]:
        from importlib.metadata import entry_points

        found: dict[str, EntryPoint] = {}
        for point in sorted(entry_points(group=self.group), key=_source):
            if point.name in self._own or point.name in found:
                has_it = _source(found[point.name]) if point.name in found else "Holdfast"
                text = f"{_source(point)}: expected a name that is free for its {self._what}"
                problems[f"{text}, found {point.name}, which {has_it} has; it is ignored"] = None
            else:
                found[point.name] = point
        return found

    def _load(self, point: EntryPoint) -> Entry | PluginError:
        what = f"the {self._what} {point.name}"
        try:
            entry: Any = point.load()
        except Exception as error:  # noqa: BLE001 - whatever the code of others raises
            found = one_line(f"{type(error).__name__}: {error}")
            return PluginError(_source(point), f"to import {what} from {point.value}", found)
        if not self._is_entry(entry) or getattr(entry, "name", point.name) != point.name:
            found = f"a {type(entry).__name__}" + (f" named {entry.name}" if hasattr(entry, "name") else "")
            return PluginError(_source(point), f"{point.value} to be {what}", found)
        return entry  # type: ignore[no-any-return]  # checked by `is_entry`


def _source(point: EntryPoint) -> str:
    """Where an entry comes from, for messages."""
    return f"the plug-in {point.dist.name} {point.dist.version}" if point.dist else "a plug-in"
