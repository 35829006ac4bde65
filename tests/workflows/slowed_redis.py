"""A Redis behind the fault proxy, for a command that takes REDIS_URL: how a slower target looks at night.

    python tests/workflows/slowed_redis.py --delay 0ms  -- python .ci/nightly.py perf keep
    python tests/workflows/slowed_redis.py --delay 5ms  -- python .ci/nightly.py perf compare verdict

with HOLDFAST_SCENARIOS=scenarios/redis_latency.yaml and HOLDFAST_FORM=--quick for a try. The second ends with
exit code 1 and says which figure became worse, from what to what.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from bench.core.units import duration_ns  # noqa: E402
from bench.stack.stack import open_stack  # noqa: E402 - found only now
from chaos.proxy.client import FaultProxy  # noqa: E402


@contextmanager
def redis_behind_proxy(logs: Path) -> Iterator[FaultProxy]:
    """A Redis of our own; clients are to use the proxy's address."""
    with open_stack("embedded", {"redis"}, logs) as stack:
        target = stack.targets()["redis"]
        with FaultProxy(target.host, target.port, name="redis") as proxy:
            yield proxy


def url_of(proxy: FaultProxy) -> str:
    host, port = proxy.address
    return f"redis://{host}:{port}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--delay", type=duration_ns, required=True, help="how much later answers come: 5ms")
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="slowed-") as logs, redis_behind_proxy(Path(logs)) as proxy:
        if asked.delay:
            proxy.add("latency", {"delay": asked.delay, "direction": "down"})
        environment = {**os.environ, "REDIS_URL": url_of(proxy)}
        return subprocess.run(asked.command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
