"""Machine code of an entry, kept in a folder that can never serve code older than its sources, and called.

numba's own cache looks at the file of the function it compiled, not at the files of the functions
which that one calls, so an edit to a scanner would leave the old loop in place. The cache folder is
therefore named after a digest of every source that can be compiled, and of numba and Python. Nothing in it
depends on where the sources lie: all environments with the same ones share what one of them compiled.

It takes one address: of a table of 64-bit words, in which the first is for what it returns, and the rest are
the arguments, one after the other (`words_of`). `compiler.py` makes it in a separate process, because this
one would keep the compiler's memory.
"""

import atexit
import contextlib
import ctypes
import fcntl
import hashlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.child_process import HelperProcess, for_python

KEPT_VERSIONS = 8
_COMPILED_FOLDERS = ("engine", "protocols", "plan", "run/calibration")


def source_digest() -> str:
    """Of every source that can be compiled, and of what compiles it."""
    digest = hashlib.sha256(f"{version('numba')} {version('llvmlite')} {sys.version}".encode())
    core = Path(__file__).parents[1]
    sources = [*sorted((core / "jit").glob("*.py")), core / "histogram.py", core / "outcome.py"]
    for folder in _COMPILED_FOLDERS:
        sources += sorted((core.parent / folder).rglob("*.py"))
    for source in sources:
        content = source.read_bytes()
        # Compiled code takes constants from layout.py and outcome.py; the rest of it asks for a decorator.
        if core in source.parents or b"bench.core.jit" in content or source.name == "layout.py":
            digest.update(content)
    return digest.hexdigest()[:16]


def _forget_old(current: Path) -> None:
    """Keep the code of the KEPT_VERSIONS versions used last."""
    os.utime(current)
    with contextlib.suppress(OSError):  # another process may be forgetting the same ones
        versions = sorted(current.parent.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
        for old in versions[KEPT_VERSIONS:]:
            shutil.rmtree(old, ignore_errors=True)


@cache
def cache_folder() -> Path:
    """Where compiled code is kept: under XDG_CACHE_HOME or ~/.cache, else a folder for this process alone."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = base / "holdfast" / "compiled" / source_digest()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # What is in there is run: it must be ours alone to write.
        facts = folder.stat()
        if facts.st_uid == os.getuid() and not facts.st_mode & 0o022 and os.access(folder, os.W_OK):
            _forget_old(folder)
            return folder
    except (OSError, RuntimeError):
        pass  # no home, or none that can be written: compiled code then lives as long as this process
    fleeting = tempfile.mkdtemp(prefix="holdfast-compiled-")
    atexit.register(shutil.rmtree, fleeting, ignore_errors=True)
    return Path(fleeting)


ENTRY = "holdfast_entry"

SYMBOLS: dict[str, int] = {}
"""Addresses of functions that are called by symbol, and are in none of the libraries that Python loads."""


def type_of(value: object) -> str:
    """The type of an argument, in words for `compiler.numba_type`: int64, uint64, boolean, float64;
    `array <i8 2 C w`: item, dimensions, contiguous or any, writable or read-only;
    `tuple module:name(type;…)`. Raises TypeError for any other.
    """
    if isinstance(value, np.ndarray):
        layout, access = "C" if value.flags.c_contiguous else "A", "w" if value.flags.writeable else "r"
        return f"array {value.dtype.str} {value.ndim} {layout} {access}"
    if isinstance(value, bool | np.bool_):
        return "boolean"
    if isinstance(value, np.uint64):
        return "uint64"
    if isinstance(value, int | np.integer):
        return "int64"
    if isinstance(value, float):
        return "float64"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        kind = type(value)
        return f"tuple {kind.__module__}:{kind.__qualname__}({';'.join(type_of(one) for one in value)})"
    raise TypeError(f"compiled code takes numbers, arrays and named tuples of them, no {type(value)}")


def types_of(arguments: tuple[object, ...]) -> str:
    """The types of all arguments, one a line."""
    return "\n".join(type_of(one) for one in arguments)


def words_of(value: Any) -> Iterator[int]:
    """An argument as words: of an array its address, sizes and strides; of a tuple those of its parts."""
    if isinstance(value, np.ndarray):
        yield value.ctypes.data
        yield from value.shape
        yield from value.strides
    elif isinstance(value, float):
        yield struct.unpack("q", struct.pack("d", value))[0]
    elif isinstance(value, tuple):
        for one in value:
            yield from words_of(one)
    else:
        yield int(value) & (2**64 - 1)


def load(function: Callable[..., object], types: str) -> Callable[[tuple[object, ...]], object]:
    """The machine code of an entry for these types, made first where nobody has made it.

    Raises RuntimeError with what the compiler said where it cannot be made.
    """
    from llvmlite import binding

    machine = _machine()
    about = f"{function.__module__}\n{types}\n{binding.get_host_cpu_name()} {_features()}"
    name = f"{function.__qualname__}-{hashlib.sha256(about.encode()).hexdigest()[:16]}"
    file = cache_folder() / f"{name}.o"
    with contextlib.ExitStack() as held:
        if not file.exists():
            # One process compiles what several ask for.
            lock = held.enter_context((cache_folder() / f"{name}.lock").open("wb"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            _compile(function, types, file)
    for symbol, address in SYMBOLS.items():
        binding.add_symbol(symbol, address)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
    engine.add_object_file(binding.ObjectFileRef.from_data(file.read_bytes()))
    engine.finalize_object()
    code = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(engine.get_function_address(ENTRY))

    def call(arguments: tuple[object, ...]) -> object:
        assert engine is not None, "the code lives as long as its engine"
        words = [0, *(word for one in arguments for word in words_of(one))]
        table = np.array([word - 2**64 if word >= 2**63 else word for word in words], dtype=np.int64)
        status = code(table.ctypes.data)
        assert status == 0, "kernels raise nothing"
        return int(table[0])

    return call


@cache
def _machine() -> Any:
    """What machine code is made and loaded for: this one, as numba sets it up."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    with contextlib.suppress(RuntimeError):  # where it is a part of libc
        binding.load_library_permanently("libm.so.6")
    target = binding.Target.from_default_triple()
    return target.create_target_machine(
        cpu=binding.get_host_cpu_name(), features=_features(), opt=3, codemodel="jitdefault", jit=True
    )


@cache
def _features() -> str:
    from llvmlite import binding

    return str(binding.get_host_cpu_features().flatten())


def _compile(function: Callable[..., object], types: str, file: Path) -> None:
    """Have another process compile it into `file`."""
    child = HelperProcess(
        ["-m", "bench.core.jit.compiler", function.__module__, function.__qualname__, str(file)],
        for_python(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    child.write_line(types.encode("unicode_escape"))
    said = child.process.stdout.read() if child.process.stdout is not None else b""
    child.end(patience_s=10)
    if not file.exists():
        raise RuntimeError(f"cannot compile {function.__qualname__}: {said.decode(errors='replace')[-2000:]}")
