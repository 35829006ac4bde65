"""The names inside `results/`, and the version of their format. Documented in `results/FORMAT.md`."""

import re
import secrets
from datetime import UTC, datetime

FORMAT = 1
"""Grows when an old reader would misread a new run. Its history stands in `results/FORMAT.md`."""

RECORD = "run.json"
WINDOWS = "windows.hlog"
SERIES = "series.csv"
RESOURCES = "resources.csv"
EVENTS = "events.jsonl"
OPERATIONS = "operations.npy"
VERDICT = "verdict.json"
REPORT = "report.html"
OWNER = "owner.json"

RUN_NAME = re.compile(r"(?P<utc>\d{8}t\d{6}z)-(?P<scenario>[a-z][a-z0-9_]*)-(?P<id>[0-9a-f]{6})")
STARTING_NAME = re.compile(r"\.(?P<run>.+)\.starting")
PARTIAL_NAME = re.compile(r"\.(?P<run>.+)\.partial")


def run_name(scenario: str) -> str:
    """A new name, `<UTC>-<scenario>-<id>`: sorts by time; the id keeps two runs of one second apart."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dt%H%M%Sz}-{scenario}-{secrets.token_hex(3)}"


def starting_name(run: str) -> str:
    """The folder of a run that nobody owns yet."""
    return f".{run}.starting"


def partial_name(run: str) -> str:
    """The folder of a run that has not ended yet: hidden, so that no reader takes it for a result."""
    return f".{run}.partial"
