"""A Python of ours beside the harness that ends with it: the end of its stdin is its order to end."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Mapping, Sequence


class HelperProcess:
    """Started in a separate session, so that what kills the harness's group, or a Ctrl-C, does not reach it.

    Should a Ctrl-C hit between the start and the assignment of this object, its stdin closes with the lost
    object, and it ends by itself.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        pass_fds: Sequence[int] = (),
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.DEVNULL,
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            pass_fds=pass_fds,
            env=environment,
            cwd="/",
        )
        self.pid = self.process.pid

    def first_line(self) -> bytes:
        """What it says when it is ready; empty where it ended before. Waits for it."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def write_line(self, line: bytes) -> None:
        """Write a line to its stdin, if it still runs."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()

    def end(self, patience_s: float) -> int:
        """Close its stdin and wait for its end; one that is stopped or hangs is killed. Idempotent.

        Returns its status.
        """
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return self.process.returncode
