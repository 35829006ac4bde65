"""What the load side makes of fixed input, as JSON on stdout. Run once with the JIT and once without.

Argument: the port of a server that answers as `scripted` in test_without_the_jit.py.
"""

import hashlib
import json
import sys

import numpy as np

from bench.core.jit import PLAIN
from bench.plan.walk import first_arrivals
from bench.stack.target import Target
from tests.engine.runs import plan_of, run
from tests.protocols.reply_trees import scan_all

RECORDED = (
    b"+OK\r\n-ERR no\r\n:42\r\n$5\r\nhello\r\n$-1\r\n*2\r\n$1\r\na\r\n*-1\r\n%1\r\n+a\r\n,1.5\r\n_\r\n"
    b">2\r\n+message\r\n+x\r\n|1\r\n+ttl\r\n:3\r\n!9\r\nSYNTAX no\r\n"
    b"=7\r\ntxt:abc\r\n#t\r\n(123\r\n~1\r\n:1\r\n"
)
BROKEN = (
    b"HTTP/1.1 200 OK\r\n",
    b"$3\r\nabcd\r\n",
    b"*99999999999999999999\r\n",
    b"$-2\r\n",
    b"\x80",
    b"+a\nb\r\n",
)

RAMP = (
    {"name": "rise", "for": "700ms", "load": {"from": "0%", "to": "150%"}},
    {"name": "steady", "for": "1s"},
    {"name": "fall", "for": "800ms", "load": {"from": "150%", "to": "0%"}},
)
KEYS = (
    {"count": 1000, "distribution": "uniform"},
    {"count": 100_000, "distribution": "zipf", "exponent": 0.99},
    {"count": 1000, "distribution": "zipf", "exponent": 1.0},
    {"count": 1000, "distribution": "gaussian"},
    {"count": 7, "distribution": "sequential"},
)
MIX = {
    "set": {"command": ["SET", "{key}", "{value}"], "weight": 3},
    "both": {"commands": [["GET", "{key}"], ["ECHO", "{seq}:{key}"]]},
}


def scans() -> list[object]:
    random = np.random.default_rng(5)
    found: list[object] = []
    for _ in range(50):
        scanner = scan_all(RECORDED, random.integers(0, len(RECORDED), 12).tolist(), text_element=0)
        found.append([scanner.classes, [text.decode() for text in scanner.texts], scanner.is_broken])
    return found + [[scan_all(data).classes, scan_all(data).is_broken] for data in BROKEN]


def plans() -> list[object]:
    found: list[object] = []
    for keys in KEYS:
        for arrivals in ("constant", "poisson", "closed"):
            phases = ({"name": "steady", "for": "2s"},) if arrivals == "closed" else RAMP
            plan = plan_of(phases, seed=77, arrivals=arrivals, keys=keys, operations=MIX)
            workload = plan.workloads[0]
            rows = first_arrivals(workload, workload.seed, 300, shard=1, shards=2).rows()
            digest = hashlib.sha256(workload.program.template.tobytes()).hexdigest()
            found.append([plan.digest, digest, rows[:20], hashlib.sha256(repr(rows).encode()).hexdigest()])
    return found


def tallies(port: int) -> list[object]:
    found: list[object] = []
    for given in (
        {"lanes": 1},
        {"lanes": 3, "pipeline": 2, "arrivals": "poisson"},
        {"lanes": 2, "threads": 2},
    ):
        plan = plan_of(seed=3, operations=MIX, keys=KEYS[1], deadline="60s", **given)
        ran = run(plan, Target("redis", "redis", "127.0.0.1", port))
        ran.assert_sums_hold()
        counters = {
            name: ran.result.counters[name] for name in ("bytes_sent", "bytes_received", "null_replies")
        }
        errors = [error.to_json() for error in ran.result.errors]
        found.append([ran.result.taken.tolist(), ran.result.tallies.tolist(), counters, errors])
    return found


if __name__ == "__main__":
    with np.errstate(over="ignore"):
        answer = {"scans": scans(), "plans": plans(), "tallies": tallies(int(sys.argv[1]))}
    print(json.dumps({"plain": PLAIN, "found": answer}))  # noqa: T201 - its output is its result
