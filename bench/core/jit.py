"""Compiling: one decorator, and a cache that can never serve code older than its sources.

numba's own cache looks at the file of the function it compiled, not at the files of the functions
which that one calls, so an edit to a scanner would leave the old loop in place. The cache folder is
therefore named after a digest of every source that can be compiled, and of numba and Python.

With NUMBA_DISABLE_JIT=1 the same functions run as plain Python: for coverage, and for tests that
both lives give the same Board.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

Function = TypeVar("Function", bound=Callable[..., object])


def int64(value: int) -> int:
    """A constant for compiled code. numba compiles a function again for every literal int handed to it,
    but once for all int64; types call both an int.
    """
    return np.int64(value)  # type: ignore[return-value]


PLAIN = bool(numba.config.DISABLE_JIT)
"""True when compiled functions run as plain Python."""

KEPT_VERSIONS = 8
_COMPILED_FOLDERS = ("engine", "protocols", "plan", "run/calibration")


def _source_digest() -> str:
    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    core = Path(__file__).parent
    sources = [core / "jit.py", core / "histogram.py", core / "outcome.py"]
    for folder in _COMPILED_FOLDERS:
        sources += sorted((core.parent / folder).rglob("*.py"))
    for source in sources:
        content = source.read_bytes()
        # Compiled code takes constants from layout.py and outcome.py; the rest of it asks for a decorator.
        if source.parent == core or b"bench.core.jit" in content or source.name == "layout.py":
            digest.update(content)
    return digest.hexdigest()[:16]


def _forget_old(current: Path) -> None:
    """Keep the code of the KEPT_VERSIONS versions used last."""
    os.utime(current)
    with contextlib.suppress(OSError):  # another process may be forgetting the same ones
        versions = sorted(current.parent.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
        for old in versions[KEPT_VERSIONS:]:
            shutil.rmtree(old, ignore_errors=True)


def cache_folder() -> Path:
    """Where compiled code is kept: under XDG_CACHE_HOME or ~/.cache, else a folder for this process alone."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = base / "holdfast" / "compiled" / _source_digest()
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


if not PLAIN and not os.environ.get("NUMBA_CACHE_DIR"):
    numba.config.CACHE_DIR = str(cache_folder())


def is_cold() -> bool:
    """Whether the first run of this version still has to compile."""
    return not PLAIN and not any(Path(numba.config.CACHE_DIR).rglob("loop.run_loop*.nbc"))


def compiled(function: Function) -> Function:
    """Compile for the measuring path: no GIL, cached on disk, C arithmetic, no bounds checks.

    Without numba's run-time (`_nrt=False`) there is no allocation and no reference count: a kernel
    that would allocate does not compile, and views cost nothing (a turn of the loop was three times
    slower with the counts).
    """
    return numba.njit(nogil=True, cache=True, error_model="numpy", _nrt=False)(function)  # type: ignore[no-any-return]


class _LinkedCode(JITCodeLibrary):  # type: ignore[misc]  # numba has no types for us
    """A kernel's code for others to link in, where it is inlined: no machine code is made of it alone."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:  # noqa: ARG002 - numba's form
        """None: it has no wrapper for Python that could be called."""
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> _LinkedCode:
        """What is asked for the place of an environment, which only machine code has."""
        return self

    def set_env(self, name: str, environment: object) -> None:
        """Nothing: kernels raise no exception and print nothing, so they need none."""


class _Inner(Compiler):  # type: ignore[misc]
    """numba's compiler up to the code for others."""

    def define_pipelines(self) -> Any:
        """numba's own passes."""
        self.state.library = _LinkedCode(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        return super().define_pipelines()


def inner(function: Function) -> Function:
    """Compile a kernel that only other kernels call: neither a wrapper for Python, which for a bundle of 30
    arrays costs more to compile than the kernel itself, nor machine code and a place in the cache, because
    all that it is linked into has those.
    """
    return numba.njit(  # type: ignore[no-any-return]
        nogil=True,
        error_model="numpy",
        _nrt=False,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        pipeline_class=_Inner,
    )(function)
