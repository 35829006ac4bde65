"""The folder of compiled code, which can never serve code older than its sources.

numba's own cache looks at the file of the function it compiled, not at the files of the functions
which that one calls, so an edit to a scanner would leave the old loop in place. The cache folder is
therefore named after a digest of every source that can be compiled, and of numba and Python. Nothing in it
depends on where the sources lie: all environments with the same ones share what one of them compiled.
"""

import atexit
import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

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
