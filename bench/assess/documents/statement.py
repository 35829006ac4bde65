"""Signed statements: what no tool can measure, said by somebody who answers for it, until a day.

The signature is one of SSH (`ssh-keygen -Y sign`), checked by `ssh-keygen -Y verify` with a file that
says whose key is whose. A shared secret would only prove that the signer is one of those who can check.
What is signed is the file as it stands, so that nothing in it can change: not the text, not the day, not
the requirement that it is about, nor the digests of the files that it refers to.
"""

import hashlib
import subprocess
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from bench.assess.documents.kinds import Document
from bench.assess.documents.reading import Unreadable, read_bytes
from bench.assess.documents.reports import Finding
from bench.assess.status import RequirementStatus
from bench.core.child_process import for_program
from bench.core.clock import NS_PER_S
from bench.core.errors import ScenarioError
from bench.core.sanitize import one_line
from bench.core.units import Mismatch, quoted
from bench.scenario.decode import validated
from bench.scenario.fields import StrictModel, Text
from bench.scenario.source import compose, file_name

NAMESPACE = "holdfast"
SUFFIX = ".sig"
DEADLINE_S = 10


def _day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise Mismatch("a day such as 2026-01-31", quoted(text), "write year, month and day") from None
    return text


Day = Annotated[Text, AfterValidator(_day)]


class Statement(StrictModel):
    """The file that is signed."""

    statement: Text
    """What holds, in the words of its owner."""
    requirement: Text
    """The key of the requirement that it is about: it shows no other."""
    owner: Text
    """Who says so, as the file of signers names the key."""
    date: Day
    expires: Day
    """The last day on which it counts."""
    files: dict[Text, Text] = Field(default={}, max_length=1000)
    """SHA-256 of the files that it refers to, by their paths from its folder."""


def statement(document: Document, path: Path, key: str, folder: Path, now_ns: int) -> Finding:
    """Whether a statement about the requirement `key` is signed, whole and not expired. Raises Unreadable."""
    data, _ = read_bytes(path)
    said = _read(data, path)
    made_ns = _ns(said.date, time.min)
    missing, broken = RequirementStatus.NOT_SHOWN, RequirementStatus.FAIL
    if said.requirement != key:
        return Finding(missing, f"it is about the requirement {one_line(said.requirement)}", made_ns)
    if document.by is not None and said.owner != document.by:
        return Finding(missing, f"it is by {one_line(said.owner)}, not by {document.by}", made_ns)
    if problem := unsigned(data, path, said.owner, folder / document.signers):
        return Finding(RequirementStatus.INVALID, problem, made_ns)
    if made_ns > now_ns:
        return Finding(missing, f"it is dated in the future, {said.date}", made_ns)
    if _ns(said.expires, time.max) < now_ns:
        return Finding(
            missing, f"it expired on {said.expires}; {one_line(said.owner)} must renew it", made_ns
        )
    for name, wanted in said.files.items():
        found = hashlib.sha256(read_bytes(path.parent / name)[0]).hexdigest()
        if found != wanted.lower().removeprefix("sha256:"):
            return Finding(broken, f"{one_line(name)} is not the file that it was made about", made_ns)
    text = one_line(said.statement.strip())[:400]
    because = f"{one_line(said.owner)} on {said.date}, until {said.expires}: {text}"
    return Finding(RequirementStatus.PASS, because, made_ns)


def _ns(day: str, at: time) -> int:
    return int(datetime.combine(date.fromisoformat(day), at, UTC).timestamp()) * NS_PER_S


def _read(data: bytes, path: Path) -> Statement:
    """What was signed: the bytes that were checked, and not the file once more."""
    try:
        root, problems = compose(data.decode("utf-8"), file_name(path))
        if root is not None and not problems:
            return validated(Statement, root, problems)
    except UnicodeDecodeError:
        raise Unreadable(f"{path} is not UTF-8 text") from None
    except ScenarioError as error:
        problems = list(error.problems)
    raise Unreadable("; ".join(map(str, problems)) or f"{path} is empty")


def unsigned(data: bytes, path: Path, owner: str, signers: Path) -> str | None:
    """Why `data` is not known to be signed by `owner`; None where it is."""
    signature = path.with_name(path.name + SUFFIX)
    for needed, what in ((signature, "signature"), (signers, "file of signers")):
        if not needed.is_file():
            return f"it has no {what} {needed}"
    if owner.startswith("-"):
        return "its owner begins with -"
    command = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", owner, "-n", NAMESPACE]
    try:
        done = subprocess.run(
            [*command, "-s", str(signature)],
            input=data,
            capture_output=True,
            timeout=DEADLINE_S,
            check=False,
            env=for_program(),
        )
    except FileNotFoundError:
        return "ssh-keygen, which checks its signature, is not installed"
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return f"its signature could not be checked: {one_line(str(error))[:200]}"
    if done.returncode == 0:
        return None
    why = one_line(done.stderr.decode("utf-8", "replace").strip().replace("\r", ""))[:200]
    return f"it is not signed by {one_line(owner)}: {why or 'ssh-keygen rejects the signature'}"
