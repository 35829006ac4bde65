"""What the environment may set, read at once and checked before anything starts."""

import math
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from bench.core.errors import TargetError
from bench.stack.target import Target
from bench.stack.target_url import target_of


class SettingsError(Exception):
    """Settings that make no sense: one line for each."""


def whole(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers within bounds. It raises ValueError with what it expects."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return parse


def seconds(least: float, most: float) -> Callable[[str], float]:
    """A reader of seconds within bounds. It raises ValueError with what it expects."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise ValueError(f"seconds from {least:g} to {most:g}")
        return value

    return parse


def _set_by(variable: str, parse: Callable[[str], Any], default: Any) -> Any:
    return field(default=default, metadata={"variable": variable, "parse": parse})


@dataclass(frozen=True)
class Settings:
    """Each value stands with the variable that sets it."""

    redis: Target
    """REDIS_URL"""
    database: Target
    """DATABASE_URL"""
    host: str = _set_by("API_HOST", str, "127.0.0.1")
    port: int = _set_by("API_PORT", whole(0, 65_535), 8000)
    """0: any free one."""
    deadline_s: float = _set_by("API_DEADLINE_MS", lambda text: whole(50, 600_000)(text) / 1e3, 1.0)
    """No request takes longer, whatever hangs behind."""
    pool: int = _set_by("API_POOL", whole(1, 1000), 10)
    """Connections to Postgres for requests. The monitor has a separate one."""
    redis_pool: int = _set_by("API_REDIS_POOL", whole(1, 10_000), 50)
    """Connections to Redis for requests. The monitor has a separate one."""
    cache_ttl_s: float = _set_by("API_CACHE_TTL_S", seconds(0.001, 1e6), 30.0)
    """How long a cached item is as good as the row."""
    stale_ttl_s: float = _set_by("API_STALE_TTL_S", seconds(0.001, 1e8), 3600.0)
    """How long it is good enough while Postgres is unreachable."""
    breaker_failures: int = _set_by("API_BREAKER_FAILURES", whole(1, 1_000_000), 5)
    """So many in a row, and the component is left alone."""
    breaker_reset_s: float = _set_by("API_BREAKER_RESET_S", seconds(0.01, 86_400), 1.0)
    """After so long it is tried again."""
    drain_s: float = _set_by("API_DRAIN_S", seconds(0, 60), 0.0)
    """How long it goes on serving after it was asked to end, while /health says so: the time in which
    a proxy leads requests elsewhere."""
    token_s: float = _set_by("API_TOKEN_S", seconds(0.01, 1e6), 3600.0)
    """How long a log-in is good for."""
    heap: int = _set_by("API_HEAP", whole(0, 100_000_000), 0)
    """Objects kept for nothing: what the collector of garbage looks through, to see what its pauses do."""
    collect_s: float = _set_by("API_COLLECT_S", seconds(0.01, 86_400), 10.0)
    """How often it looks through them, on average."""
    items: int = _set_by("API_ITEMS", whole(1, 1_000_000), 10_000)
    """Rows to be there at the least, with ids from 1."""


REDIS_URL = "redis://127.0.0.1:6379/0"
DATABASE_URL = "postgresql://127.0.0.1:5432/postgres"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings out of variables; an empty one counts as not set. Raises SettingsError with every problem."""
    problems: list[str] = []

    def target(variable: str, default: str, kind: str) -> Any:
        url = environment.get(variable, "").strip() or default
        try:
            read = target_of(url, name=kind, source=variable, kind=kind)
        except TargetError as error:
            problems.append(str(error))
            return None
        if read.hosts or read.socket_file:
            found = "several hosts" if read.hosts else "a socket file"
            problems.append(f"{variable}: expected one host and its port, found {found}")
        return read

    def value(setting: Field[Any]) -> Any:
        variable = setting.metadata["variable"]
        text = environment.get(variable, "").strip()
        try:
            return setting.metadata["parse"](text) if text else setting.default
        except ValueError as error:
            # Whatever the text is, it is not a URL: it may be shown.
            problems.append(f"{variable}: expected {error}, found {text!r}")

    redis, database = (
        target("REDIS_URL", REDIS_URL, "redis"),
        target("DATABASE_URL", DATABASE_URL, "postgres"),
    )
    values = {setting.name: value(setting) for setting in fields(Settings) if setting.metadata}
    if problems:
        raise SettingsError("\n".join(problems))
    return Settings(redis, database, **values)
