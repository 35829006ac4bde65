"""A harness in a process of its own, to be interrupted and killed; and how to wait for what follows."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench

ROOT = Path(bench.__file__).parents[1]
DEADLINE_S = 30.0  # far above what anything here takes: only a hang ever meets it


def is_running(pid: int) -> bool:
    """Whether the process lives; a zombie that nobody collects does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@contextlib.contextmanager
def child_process(command: list[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A process, which is waited for when the block ends; killed where the block fails, so that a test which
    fails or is out of time does not wait for it for ever.
    """
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


class Harness:
    """A process that opens an embedded stack and then does what `body` says with `stack`."""

    def __init__(self, folder: Path, body: str, needed: str = "redis") -> None:
        self.folder = folder
        program = (
            "import os, sys, json, signal\n"
            "from pathlib import Path\n"
            "from bench.stack.stack import open_stack\n"
            # A shell that runs the tests in the background has it ignored, and that is inherited.
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "say = lambda text: print(text, flush=True)\n"
            f"with open_stack('embedded', {{{needed!r}}}, Path('logs')) as stack:\n"
            "    say(json.dumps(stack.describe()[0].to_json()))\n"
        ) + "".join(f"    {line}\n" for line in body.splitlines())
        (folder / "tmp").mkdir(mode=0o755)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
                "TMPDIR": str(folder / "tmp"),
            },
            start_new_session=True,
        )
        self.description: dict[str, Any] = json.loads(self.read_line())

    @property
    def server_pid(self) -> int:
        return int(self.description["pid"])

    @property
    def supervisor_pid(self) -> int:
        return int(self.description["supervisor_pid"])

    def read_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def has_left_nothing(self) -> bool:
        return not (
            is_running(self.server_pid)
            or is_running(self.supervisor_pid)
            or any((self.folder / "tmp").iterdir())
        )

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
