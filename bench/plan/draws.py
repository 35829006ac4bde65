"""Random draws that belong to an arrival's number, not to the order in which they are made.

Every draw is a function of (seed, stream, index): SplitMix64 (Steele, Lea, Flood 2014) run as a
counter. So any arrival can be computed by itself, by any engine thread or segment of a distributed
run, and two runs with one seed send the same bytes.

Arithmetic is on uint64 and wraps. With the JIT off numpy warns of that; callers run plain kernels
under `numpy.errstate(over="ignore")`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bench.core.jit import compiled, int64

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNIFORM, ZIPF, GAUSSIAN, SEQUENTIAL, SHUFFLED = 0, 1, 2, 3, 4

# Columns of a row of the variables table (float64; counts stay exact below 2**53).
V_KIND, V_COUNT, V_STREAM = 0, 1, 2
V_EXPONENT, V_H_FIRST, V_H_LAST, V_SHORTCUT = 3, 4, 5, 6
V_CENTRE, V_SIGMA = 3, 4
VARIABLE_COLUMNS = 8

STREAM_GAPS, STREAM_OPERATION, STREAM_FIRST_VARIABLE = (int64(n) for n in (1, 2, 16))

START = int64(0)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_STREAM = np.uint64(0xD1342543DE82EF95)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_ONE = np.uint64(1)
_TO_UNIT = 1.0 / (1 << 53)


@compiled
def mix64(value: np.uint64) -> np.uint64:
    """SplitMix64's finalizer: a bijection of 64 bits in which every input bit reaches every output bit."""
    value = (value ^ (value >> _S30)) * _MIX_1
    value = (value ^ (value >> _S27)) * _MIX_2
    return value ^ (value >> _S31)


@compiled
def stream_key(seed: int, stream: int) -> np.uint64:
    """The start of one stream of draws."""
    return mix64(np.uint64(seed) * _GOLDEN + np.uint64(stream) * _STREAM)


@compiled
def unit(key: np.uint64, index: int) -> float:
    """Draw number `index` of a stream, uniform on [0, 1) in steps of 2**-53."""
    return float(mix64(key + np.uint64(index) * _GOLDEN) >> _S11) * _TO_UNIT


@compiled
def again(key: np.uint64, index: int, attempt: int) -> float:
    """A further draw for the same index, for methods that reject: a stream of its own per attempt."""
    return unit(mix64(key + np.uint64(attempt) * _STREAM), index)


@compiled
def _h_integral(x: float, exponent: float) -> float:
    """Integral of t**-exponent from 1 to x, stable for exponents near 1."""
    log_x = math.log(x)
    t = (1.0 - exponent) * log_x
    factor = math.expm1(t) / t if abs(t) > 1e-8 else 1.0 + t / 2.0 * (1.0 + t / 3.0 * (1.0 + t / 4.0))
    return factor * log_x


@compiled
def _h_integral_inverse(y: float, exponent: float) -> float:
    t = max(y * (1.0 - exponent), -1.0)
    factor = math.log1p(t) / t if abs(t) > 1e-8 else 1.0 - t * (0.5 - t * (1.0 / 3.0 - 0.25 * t))
    return math.exp(factor * y)


@compiled
def shuffled(key: np.uint64, count: int, index: int) -> int:
    """The number in 0..count-1 that index has in a permutation: every `count` of them have a new one.

    A Feistel network of four rounds over the least even number of bits, applied again until the result is
    in range (Black and Rogaway, Ciphers with Arbitrary Finite Domains, CT-RSA 2002, method 2).
    """
    shift, mask = _ONE, _ONE
    while (mask + _ONE) * (mask + _ONE) < np.uint64(count):
        shift += _ONE
        mask = (_ONE << shift) - _ONE
    value = np.uint64(index % count)
    turn = mix64(np.uint64(key) + np.uint64(index // count) * _GOLDEN)
    while True:
        left, right = value >> shift, value & mask
        for number in range(4):
            left, right = right, left ^ (mix64(turn + right * _STREAM + np.uint64(number)) & mask)
        value = (left << shift) | right
        if value < np.uint64(count):
            return int(np.int64(value))  # signed, as what all others return: mixed they would be floats


@compiled
def draw(variable: NDArray[np.float64], seed: int, index: int) -> int:
    """The value in 0..count-1 that arrival `index` has for a variable (one row of the table).

    zipf: rejection-inversion (Hörmann and Derflinger, ACM TOMACS 6(3), 1996, doi
    10.1145/235025.235029); rank 0 is the most frequent. gaussian: Box-Muller around the middle of
    the range, drawn again outside it. sequential: the arrival number, modulo count. shuffled: that
    number's place in a permutation.
    """
    count = int(variable[V_COUNT])
    kind = int(variable[V_KIND])
    if kind == SEQUENTIAL:
        return index % count
    key = stream_key(seed, int(variable[V_STREAM]))
    if kind == SHUFFLED:
        return shuffled(key, count, index)
    if kind == UNIFORM:
        return int(unit(key, index) * count)
    attempt = START
    if kind == ZIPF:
        exponent = variable[V_EXPONENT]
        first, last = variable[V_H_FIRST], variable[V_H_LAST]
        while True:
            u = last + again(key, index, attempt) * (first - last)
            x = _h_integral_inverse(u, exponent)
            rank = min(max(int(x + 0.5), 1), count)
            if rank - x <= variable[V_SHORTCUT] or u >= _h_integral(rank + 0.5, exponent) - math.exp(
                -exponent * math.log(rank)
            ):
                return rank - 1
            attempt += 1
    while True:
        radius = math.sqrt(-2.0 * math.log(1.0 - again(key, index, attempt)))
        normal = radius * math.cos(2.0 * math.pi * again(key, index, attempt + 1))
        value = math.floor(variable[V_CENTRE] + normal * variable[V_SIGMA])
        if 0 <= value < count:
            return value
        attempt += 2


@compiled
def choose(cumulative: NDArray[np.float64], u: float) -> int:
    """Index of the first cumulative share above `u`; shares end at 1."""
    index = 0
    while index < cumulative.size - 1 and u >= cumulative[index]:
        index += 1
    return index


def variable_row(
    kind: int, count: int, stream: int, *, exponent: float = 0.99, deviations: float = 3.0
) -> NDArray[np.float64]:
    """One row of the variables table, its constants worked out."""
    row = np.zeros(VARIABLE_COLUMNS)
    row[V_KIND], row[V_COUNT], row[V_STREAM] = kind, count, stream
    if kind == ZIPF:
        row[V_EXPONENT] = exponent
        row[V_H_FIRST] = _h_integral(1.5, exponent) - 1.0
        row[V_H_LAST] = _h_integral(count + 0.5, exponent)
        squeeze = _h_integral(2.5, exponent) - math.exp(-exponent * math.log(2))
        row[V_SHORTCUT] = 2.0 - _h_integral_inverse(squeeze, exponent)
    elif kind == GAUSSIAN:
        row[V_CENTRE] = count / 2
        row[V_SIGMA] = count / (2 * deviations)
    return row
