"""What goes wrong on a worker, told where the run is coordinated."""

from __future__ import annotations

import traceback
from typing import Any

from bench.core.errors import ExitCode, HoldfastError, StatementRefused, TargetError
from bench.core.failure import BUG, failure_of


class WorkerError(TargetError):
    """A worker cannot do its part: it, or its way to the target, is not as it should be."""

    def __init__(self, worker: str, sentence: str, exit_code: int = ExitCode.TARGET) -> None:
        self.target = self.worker = worker
        self.exit_code = ExitCode(exit_code)
        HoldfastError.__init__(self, f"worker {worker}: {sentence}")


def packed_failure(error: Exception) -> dict[str, Any]:
    """An error as values; the traceback of one that is our bug goes to standard error here."""
    if isinstance(error, StatementRefused):
        parts = [list(error.path), error.offset, error.expected, error.found, error.advice]
        return {"refused": parts, "message": str(error), "exit_code": int(error.exit_code)}
    text, code = failure_of(error)
    if text == BUG:
        traceback.print_exception(error)
        text = (
            f"{type(error).__name__}: {error}; this is a bug in Holdfast: the worker's log has its traceback"
        )
    return {"message": text.removeprefix("bench: "), "exit_code": int(code)}


def unpacked_failure(worker: str, values: dict[str, Any]) -> HoldfastError:
    """The error to raise."""
    if "refused" in values:
        path, offset, expected, found, advice = values["refused"]
        return StatementRefused(tuple(path), offset, expected, f"{found} (on worker {worker})", advice)
    return WorkerError(worker, values["message"], values["exit_code"])
