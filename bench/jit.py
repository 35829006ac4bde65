"""Compiling: one decorator, and a cache that can never serve code older than its sources.

numba's own cache looks at the file of the function it compiled, not at the files of the functions
which that one calls, so an edit to a scanner would leave the old loop in place. The cache folder is
therefore named after a digest of every source that can be compiled, and of numba and Python.

With NUMBA_DISABLE_JIT=1 the same functions run as plain Python: for coverage, and for tests that
both lives give the same Board.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])

PLAIN = bool(numba.config.DISABLE_JIT)
"""True when compiled functions run as plain Python."""

_COMPILED_FOLDERS = ("engine", "wire", "plan", "calibration")


def _source_digest() -> str:
    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    root = Path(__file__).parent
    sources = [root / "jit.py", root / "histogram.py"]
    for folder in _COMPILED_FOLDERS:
        sources += sorted((root / folder).glob("*.py"))
    for source in sources:
        content = source.read_bytes()
        if b"compiled" in content or source.name == "layout.py":
            digest.update(content)
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Where compiled code is kept: under XDG_CACHE_HOME or ~/.cache, else a temporary folder."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for candidate in (base, Path(tempfile.gettempdir()) / f"holdfast-cache-{os.getuid()}"):
        folder = candidate / "holdfast" / "compiled" / _source_digest()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return Path(tempfile.mkdtemp(prefix="holdfast-compiled-"))


if not PLAIN and not os.environ.get("NUMBA_CACHE_DIR"):
    numba.config.CACHE_DIR = str(cache_folder())


def compiled(function: Function) -> Function:
    """Compile for the measuring path: no GIL, cached on disk, C arithmetic, no bounds checks.

    Without numba's run-time (`_nrt=False`) there is no allocation and no reference count: a kernel
    that would allocate does not compile, and views cost nothing (a turn of the loop was three times
    slower with the counts).
    """
    return numba.njit(nogil=True, cache=True, error_model="numpy", _nrt=False)(function)  # type: ignore[no-any-return]


def inner(function: Function) -> Function:
    """Compile a kernel that only other kernels call: no wrapper for Python, which for a bundle of 30
    arrays costs more to compile than the kernel itself.
    """
    return numba.njit(  # type: ignore[no-any-return]
        nogil=True, cache=True, error_model="numpy", _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True
    )(function)
