"""Compiling: the decorators of compiled functions. None of them imports numba: a run whose machine code is
kept already does not load the compiler, which costs two seconds of a processor and a hundred megabytes.

    compiled     called from Python and by other kernels; numba is imported with its first call
    entry        called from Python once in a while: the loops. Its machine code is made in another process,
                 kept and loaded without numba (`machine_code.py`)
    inner        called by other kernels only
    generated    written in LLVM's terms, called by other kernels only

With NUMBA_DISABLE_JIT=1 the same functions run as plain Python: for coverage, and for tests that
both lives give the same Board.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, update_wrapper
from typing import Any, TypeVar, cast

import numpy as np

Function = TypeVar("Function", bound=Callable[..., object])

PLAIN = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
"""True when compiled functions run as plain Python."""


def int64(value: int) -> int:
    """A constant for compiled code. numba compiles a function again for every literal int handed to it,
    but once for all int64; types call both an int.
    """
    return np.int64(value)  # type: ignore[return-value]


class Kernel:
    """A function that can be compiled. numba takes it, as a global of another one, for its `_numba_type_`."""

    def __init__(self, function: Callable[..., object]) -> None:
        update_wrapper(self, function)
        self.function = function

    @cached_property
    def linked(self) -> Any:
        """numba's dispatcher for other kernels, which link its code in."""
        from bench.core.jit.compiler import linked

        return linked(self.function)

    @property
    def _numba_type_(self) -> Any:
        from bench.core.jit.compiler import type_of

        return type_of(self.linked)

    def __call__(self, *_: object) -> object:
        """Refused: nothing makes a form of it that Python could call."""
        raise TypeError(f"{self.function.__qualname__} is called by compiled code only")


class _Called(Kernel):
    """One that Python calls, too, through numba."""

    @cached_property
    def _dispatcher(self) -> Any:
        from bench.core.jit.compiler import called

        return called(self.function)

    def __call__(self, *arguments: object) -> object:
        return self._dispatcher(*arguments)


class _Entry(Kernel):
    """One whose machine code is kept by us."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(function)
        self._codes: dict[str, Callable[[tuple[object, ...]], object]] = {}  # by the types of arguments

    def __call__(self, *arguments: object) -> object:
        from bench.core.jit import machine_code

        types = machine_code.types_of(arguments)
        if types not in self._codes:
            self._codes[types] = machine_code.load(self.function, types)
        return self._codes[types](arguments)


class _Generated(Kernel):
    """One that is written in LLVM's terms: numba's intrinsic."""

    @property
    def _numba_type_(self) -> Any:
        from bench.core.jit.compiler import type_of_generated

        return type_of_generated(self.linked)

    @cached_property
    def linked(self) -> Any:
        """numba's intrinsic."""
        from numba.extending import intrinsic

        return intrinsic(self.function)


@dataclass(frozen=True)
class _External:
    """A function of C that numba calls by its symbol."""

    symbol: str
    returns: str
    takes: tuple[str, ...]

    @property
    def _numba_type_(self) -> Any:
        from numba import types

        signature = getattr(types, self.returns)(*(getattr(types, name) for name in self.takes))
        return types.ExternalFunction(self.symbol, signature)


def is_cold() -> bool:
    """Whether the first run of this version still has to compile the loop."""
    from bench.core.jit.machine_code import cache_folder

    return not PLAIN and not any(cache_folder().glob("run_loop-*.o"))


def compiled(function: Function) -> Function:
    """Compile for the measuring path: no GIL, cached on disk, C arithmetic, no bounds checks.

    Without numba's run-time (`_nrt=False`) there is no allocation and no reference count: a kernel
    that would allocate does not compile, and views cost nothing (a turn of the loop was three times
    slower with the counts).
    """
    return function if PLAIN else cast("Function", _Called(function))


def entry(function: Function) -> Function:
    """The same for a loop. Its arguments are numbers, arrays, and named tuples of them; a call costs
    microseconds for each, and holds no GIL.
    """
    return function if PLAIN else cast("Function", _Entry(function))


def inner(function: Function) -> Function:
    """The same for a kernel that only other kernels call: neither a wrapper for Python, which for a bundle of
    30 arrays costs more to compile than the kernel itself, nor machine code and a place in the cache, because
    all that it is linked into has those.
    """
    return function if PLAIN else cast("Function", Kernel(function))


def generated(function: Callable[..., object]) -> Any:
    """A few instructions, written by `function` as numba's `intrinsic` asks for it."""
    return _Generated(function)


def external(symbol: str, returns: str, *takes: str) -> Any:
    """A function of C, called by symbol: its place may be another in each process. Types by numba's names."""
    return _External(symbol, returns, takes)
