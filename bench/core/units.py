"""Quantities as text with units, and back: durations, rates, sizes, growth, ratios, counts.

Inside the product a duration is int ns, a rate float per second, a size int bytes, a growth float
bytes per second, a ratio float (1.0 is 100 %). Text with units exists at the edges only, and every
parser demands the unit: `10` is refused where `10ms` is meant, so no one has to guess.
"""

import math
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

NS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
NS["d"] = 24 * NS["h"]
PER_S = {"/s": Fraction(1), "/min": Fraction(1, 60), "/h": Fraction(1, 3600)}
BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
BYTES_PER_S = {size + per: scale * PER_S[per] for size, scale in BYTES.items() for per in PER_S}
PERCENT = {"%": Fraction(1, 100)}
BASE_UNITS = {"count": ("count", 1.0), "s": ("ns", 1e9), "bytes": ("bytes", 1.0), "ratio": ("ratio", 1.0)}
BASE_UNITS["per_s"] = ("per_s", 1.0)
"""Unit of a query's value -> unit of rules about it, and how many of those it is."""
Scales = Mapping[str, int] | Mapping[str, Fraction]

# Up to 18 digits: everything a benchmark can mean, and nothing that turns into infinity.
NUMBER = r"[0-9]{1,18}(?:\.[0-9]{1,18})?"
_QUANTITY = re.compile(rf"\s*({NUMBER})\s*([^\s0-9.]\S*)?\s*")
_SHOWN_CHARACTERS = 60


class Mismatch(ValueError):  # noqa: N818 - named for what happened, like every sentence it makes
    """A text is not what it should be. Carries the three parts of the sentence."""

    def __init__(self, expected: str, found: str, advice: str) -> None:
        self.expected = expected
        self.found = found
        self.advice = advice
        super().__init__(f"expected {expected}, found {found}")


class Quantity(NamedTuple):
    """A number in its base unit (ns, per_s, bytes, bytes_per_s, ratio, count) and that unit's name."""

    value: float
    unit: str


def quoted(text: str, limit: int = _SHOWN_CHARACTERS) -> str:
    """`text` in quotes, on one line, without control characters, cut to `limit` characters."""
    shown = text if len(text) <= limit else text[: limit - 3] + "..."
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown) + '"'


def duration_ns(text: str) -> int:
    """Nanoseconds in a text such as "10ms", "1.5s", "2min". Raises Mismatch (a ValueError)."""
    return round(_scaled(text, NS, 'a duration such as "10ms" or "30s"'))


def rate_per_s(text: str) -> float:
    """Events per second in a text such as "1000/s" or "60/min". Raises Mismatch (a ValueError)."""
    return float(_scaled(text, PER_S, 'a rate such as "1000/s"'))


def size_bytes(text: str) -> int:
    """Bytes in a text such as "100MB" (10^6) or "16MiB" (2^20). Raises Mismatch (a ValueError)."""
    return round(_scaled(text, BYTES, 'a size such as "100MB" or "4KiB"'))


def ratio(text: str) -> float:
    """The ratio in a text such as "99.9%", which is 0.999. Raises Mismatch (a ValueError)."""
    return float(_scaled(text, PERCENT, 'a percentage such as "99.9%"'))


def quantity(text: str) -> Quantity:
    """A quantity of any kind, its kind given by its unit; without a unit it is a count.

    Raises Mismatch (a ValueError).
    """
    expected = 'a quantity such as "10ms", "1000/s", "1%", "100MB", "1MB/min" or a plain count'
    number, unit = _split(text, expected, f"use one of the units {_listed(_ALL_UNITS)}")
    for kind, scales in _KINDS.items():
        if unit in scales:
            return Quantity(float(Fraction(number) * scales[unit]), kind)
    if unit == "":
        return Quantity(float(number), "count")
    advice = f"use one of the units {_listed(_ALL_UNITS)}"
    raise Mismatch(expected, f"{quoted(text)} with the unknown unit {quoted(unit)}", advice)


def format_duration_ns(duration: float) -> str:
    """A human-readable duration of three significant digits: "9.87 ms"."""
    for unit in ("h", "min", "s", "ms", "µs"):
        if abs(duration) >= NS[unit] * 0.9995 and (unit not in ("h", "min") or abs(duration) >= 2 * NS[unit]):
            return f"{_three_digits(duration / NS[unit])} {unit}"
    return f"{_three_digits(duration)} ns" if duration else "0 s"


def format_rate(per_s: float) -> str:
    """A human-readable rate: "1 200/s"."""
    return f"{_three_digits(per_s)}/s"


def format_bytes(size: float) -> str:
    """A human-readable size, in powers of 1000: "75.3 MB"."""
    for unit in ("GB", "MB", "kB"):
        if abs(size) >= BYTES[unit] * 0.9995:
            return f"{_three_digits(size / BYTES[unit])} {unit}"
    return f"{_three_digits(size)} B"


def format_growth(bytes_per_s: float) -> str:
    """How fast a size grows, human-readable: "1.20 MB/min". A minute, because what matters is slow."""
    return f"{format_bytes(bytes_per_s * 60)}/min"


def format_ratio(value: float) -> str:
    """A human-readable ratio. Near 100 % the digits that matter are those after the nines."""
    percent = value * 100
    if percent in (0, 100):
        return f"{percent:.0f} %"
    smaller = min(abs(100 - percent), abs(percent))
    places = 1 if smaller >= 10 else 2 - math.floor(math.log10(max(smaller, 1e-7)))
    return f"{percent:.{places}f}".rstrip("0").removesuffix(".") + " %"


def format_quantity(value: float, unit: str) -> str:
    """A human-readable value; its base unit is "ns", "per_s", "bytes", "bytes_per_s", "ratio" or "count"."""
    match unit:
        case "ns":
            return format_duration_ns(value)
        case "per_s":
            return format_rate(value)
        case "bytes":
            return format_bytes(value)
        case "bytes_per_s":
            return format_growth(value)
        case "ratio":
            return format_ratio(value)
        case _:
            return _three_digits(value)


_KINDS: dict[str, Scales] = {
    "ns": NS,
    "per_s": PER_S,
    "bytes": BYTES,
    "bytes_per_s": BYTES_PER_S,
    "ratio": PERCENT,
}
_ALL_UNITS = [*NS, *PER_S, *BYTES, "MB/min", *PERCENT]
"""For a list to read: of growth one unit stands for a size with /s, /min or /h after it."""


def _scaled(text: str, scales: Scales, expected: str) -> Fraction:
    """The number in its base unit, exact: 99.9% is 0.999 and not a binary neighbour of it."""
    advice = f"use one of the units {_listed(scales)}"
    number, unit = _split(text, expected, advice)
    if unit == "":
        example = f"{number}{next(iter(scales)) if len(scales) == 1 else _everyday(scales)}"
        raise Mismatch(
            expected, f"{quoted(text)} without a unit", f"write the unit, such as {quoted(example)}"
        )
    if unit not in scales:
        raise Mismatch(expected, f"{quoted(text)} with the unit {quoted(unit)}", advice)
    return Fraction(number) * scales[unit]


def _split(text: str, expected: str, advice: str) -> tuple[str, str]:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise Mismatch(expected, quoted(text), advice)
    return match[1], match[2] or ""


def _everyday(scales: Scales) -> str:
    return next(unit for unit in ("ms", "/s", "MB") if unit in scales)


def often(count: int) -> str:
    """ "once", "2 894 times"."""
    return "once" if count == 1 else f"{spaced(count)} times"


def counted(count: int, word: str) -> str:
    """ "1 run", "3 runs"."""
    return f"{count} {word}{'s' * (count != 1)}"


def _listed(units: Iterable[str]) -> str:
    return ", ".join(unit for unit in units if unit not in ("KB", "µs"))


def spaced(count: float) -> str:
    """A human-readable count: "36 000"."""
    return f"{count:,.0f}".replace(",", " ")


def _three_digits(value: float) -> str:
    if value == round(value) and abs(value) < 1000:
        return f"{value:.0f}"
    if abs(value) >= 100:
        return spaced(value)
    return f"{value:.{2 if abs(value) < 10 else 1}f}"
