"""Machine code that is kept: made once, loaded without the compiler."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from bench.core.jit import PLAIN
from bench.core.jit.machine_code import load, types_of, words_of

pytestmark = pytest.mark.skipif(PLAIN, reason="nothing is compiled")

WITHOUT_NUMBA = """
import os, select, sys
import numpy as np
from bench.engine.wire.syscalls import EPOLL_CTL_ADD, EPOLLIN, epoll_change

epoll, (reading, writing) = select.epoll(), os.pipe()
words = np.zeros(4, dtype=np.int32)
print(epoll_change(epoll.fileno(), EPOLL_CTL_ADD, reading, EPOLLIN, 7, words))
os.write(writing, b".")
print(epoll.poll(0), epoll_change(epoll.fileno(), EPOLL_CTL_ADD, 1 << 20, EPOLLIN, 7, words))
print(sorted({"numba", "scipy"} & set(sys.modules)))
"""


class Pair(NamedTuple):
    """What an entry may take."""

    table: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    share: float


def test_an_entry_gives_what_it_returns_and_needs_no_compiler_where_its_code_is_kept() -> None:
    for _ in range(2):  # whoever comes first has it made, in another process
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_NUMBA],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines() == ["0", "[(7, 1)] -9", "[]"]


def test_the_types_of_arguments_say_all_that_the_code_depends_on() -> None:
    table = np.zeros((2, 3), dtype=np.int64)
    still = table.copy()
    still.flags.writeable = False
    pair = f"tuple {Pair.__module__}:Pair(array <i8 2 C w;float64)"
    assert types_of((table, table[:, 1:], still)).split("\n") == [
        "array <i8 2 C w",
        "array <i8 2 A w",
        "array <i8 2 C r",
    ]
    assert types_of((1, True, np.uint64(1), 0.5, Pair(table, 0.5))).split("\n") == [
        *("int64", "boolean", "uint64", "float64", pair)
    ]
    for foreign in ("text", [1], None, {}):
        with pytest.raises(TypeError, match="numbers, arrays and named tuples"):
            types_of((foreign,))


def test_arguments_are_words_of_64_bits() -> None:
    table = np.zeros((2, 3), dtype=np.int64)
    assert [*words_of(Pair(table, 0.5))] == [table.ctypes.data, 2, 3, 24, 8, 0x3FE0000000000000]
    assert [*words_of(-1), *words_of(np.uint64(2**64 - 1)), *words_of(True)] == [2**64 - 1, 2**64 - 1, 1]


def no_kernel(table: object) -> object:
    """Never decorated: there is nothing to compile."""
    return table


def test_what_cannot_be_compiled_is_named_with_what_the_compiler_said() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)cannot compile no_kernel.*AttributeError"):
        load(no_kernel, "int64")
