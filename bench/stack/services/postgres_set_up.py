"""How the data of a new Postgres comes about: made by initdb once for each version, and copied after that.

initdb takes longer than all else in a start. What it makes depends on the programs, the user and the time
zone alone, so it is kept in the user's cache, with our empty database in it and without a password: each
server is given a new one. Servers whose data was copied have one system identifier, by which a standby would
know a stranger; a standby of ours is told its primary, and copies that one's data.
"""

import hashlib
import os
import platform
from pathlib import Path

from bench.stack.services.programs import Account, PostgresPrograms
from bench.stack.supervisor.supervised import SetUpStep

INITDB = ("--auth=reject", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
KEEP = """
kept=$1 data=$2 new=$1.new-$$
find "$(dirname "$kept")" -maxdepth 1 -name '*.new-*' -mmin +60 -exec rm -rf {} +
cp -a "$data" "$new" && find "$new" -type f -exec sync {} + && mv -T "$new" "$kept" || rm -rf "$new"
exit 0
"""
"""Kept whole or not at all, also where the machine fails, because later starts trust it. A full disk, or
another process that was faster, does not keep this server from starting. What a killed process left behind is
removed an hour later."""


def set_up_steps(
    programs: PostgresPrograms, source: Path, account: Account | None, data: Path, *, user: str, password: str
) -> tuple[SetUpStep, ...]:
    """What is to be run, in order, before the first start of a server in the empty folder `data`.

    programs: those that the account can run. source: where they were found, which says what they are.
    user: the superuser, and the name of the database.
    """
    bin_folder = programs.bin
    initdb = SetUpStep((str(bin_folder / "initdb"), "-D", str(data), "-U", user, *INITDB))
    # An error there must not bring the password into the log.
    alone: tuple[str, ...] = (
        str(bin_folder / "postgres"),
        "--single",
        "-F",
        "-c",
        "log_min_error_statement=panic",
    )
    alone += ("-D", str(data), "postgres")
    database = SetUpStep(alone, f"CREATE DATABASE {user}\n")
    own_password = SetUpStep(alone, f"ALTER ROLE {user} PASSWORD '{password}'\n")
    kept = _kept(source, account, user)
    if kept is None:
        return initdb, database, own_password
    if kept.is_dir():
        copy = ("/bin/cp", "-a", f"{kept}/.", str(data))
        return SetUpStep(copy, as_harness=True), own_password
    keep = ("/bin/sh", "-c", KEEP, "keep", str(kept), str(data))
    return initdb, database, SetUpStep(keep, as_harness=True), own_password


def _kept(source: Path, account: Account | None, user: str) -> Path | None:
    """Where the data is kept that these programs make for this account; None where nothing can be."""
    program = (source / "postgres").stat()
    made_by = (str(source), program.st_size, program.st_mtime_ns, platform.machine())
    made_as = (account.user_id if account else os.geteuid(), user, *INITDB)
    zone = (os.environ.get("TZ"), str(Path("/etc/localtime").resolve()))
    key = hashlib.sha256(repr((made_by, made_as, zone)).encode()).hexdigest()[:16]
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = base / "holdfast" / "postgres"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        facts = folder.stat()
    except (OSError, RuntimeError):  # no home, or one that cannot be written to
        return None
    # A server's configuration is in there, which may name commands: it must be ours alone to write.
    is_ours = facts.st_uid == os.geteuid() and not facts.st_mode & 0o022
    return folder / key if is_ours else None
