"""What the environment may set, read at once and checked before anything starts."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.core.errors import TargetError
from bench.stack.target import Target


class SettingsError(Exception):
    """Settings that make no sense: one line for each."""


@dataclass(frozen=True)
class Settings:
    """The variable that sets each value stands beside it."""

    redis: Target
    """REDIS_URL"""
    database: Target
    """DATABASE_URL"""
    host: str = "127.0.0.1"
    """API_HOST"""
    port: int = 8000
    """API_PORT. 0: any free one."""
    deadline_s: float = 1.0
    """API_DEADLINE_MS. No request takes longer, whatever hangs behind."""
    pool: int = 10
    """API_POOL: connections to Postgres for requests. The monitor has a separate one."""
    redis_pool: int = 50
    """API_REDIS_POOL: connections to Redis for requests. The monitor has a separate one."""
    cache_ttl_s: float = 30.0
    """API_CACHE_TTL_S: how long a cached item is as good as the row."""
    stale_ttl_s: float = 3600.0
    """API_STALE_TTL_S: how long it is good enough while Postgres is unreachable."""
    breaker_failures: int = 5
    """API_BREAKER_FAILURES: so many in a row, and the component is left alone."""
    breaker_reset_s: float = 1.0
    """API_BREAKER_RESET_S: after so long it is tried again."""
    items: int = 10_000
    """API_ITEMS: rows to be there at the least, with ids from 1."""


REDIS_URL = "redis://127.0.0.1:6379/0"
DATABASE_URL = "postgresql://127.0.0.1:5432/postgres"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings out of variables; an empty one counts as not set. Raises SettingsError with every problem."""
    problems: list[str] = []

    def read(name: str, parse: Callable[[str], Any], default: Any) -> Any:
        text = environment.get(name, "").strip()
        try:
            return parse(text) if text else default
        except ValueError as error:
            # Whatever the text is, it is not a URL: it may be shown.
            problems.append(f"{name}: expected {error}, found {text!r}")
            return default

    def target(name: str, default: str, kind: str) -> Target | None:
        url = environment.get(name, "").strip() or default
        try:
            return Target.from_url(url, name=kind, source=name, kind=kind)
        except TargetError as error:
            problems.append(str(error))
            return None

    redis, database = (
        target("REDIS_URL", REDIS_URL, "redis"),
        target("DATABASE_URL", DATABASE_URL, "postgres"),
    )
    values = {
        "host": read("API_HOST", str, Settings.host),
        "port": read("API_PORT", whole(0, 65_535), Settings.port),
        "deadline_s": read("API_DEADLINE_MS", whole(50, 600_000), 1000) / 1e3,
        "pool": read("API_POOL", whole(1, 1000), Settings.pool),
        "redis_pool": read("API_REDIS_POOL", whole(1, 10_000), Settings.redis_pool),
        "cache_ttl_s": read("API_CACHE_TTL_S", seconds(0.001, 1e6), Settings.cache_ttl_s),
        "stale_ttl_s": read("API_STALE_TTL_S", seconds(0.001, 1e8), Settings.stale_ttl_s),
        "breaker_failures": read("API_BREAKER_FAILURES", whole(1, 1_000_000), Settings.breaker_failures),
        "breaker_reset_s": read("API_BREAKER_RESET_S", seconds(0.01, 86_400), Settings.breaker_reset_s),
        "items": read("API_ITEMS", whole(1, 1_000_000), Settings.items),
    }
    if problems or redis is None or database is None:
        raise SettingsError("\n".join(problems))
    return Settings(redis=redis, database=database, **values)


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
