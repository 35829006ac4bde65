"""Compile the measuring loop if this machine does not have it yet: python -m tests.compile_the_loop."""

import signal

from bench.core.jit import is_cold
from bench.run.calibration.measure import self_measurement

LIMIT_S = 900
"""Whoever waits for this process then goes on without it, and compiles by itself."""

if __name__ == "__main__" and is_cold():
    signal.alarm(LIMIT_S)
    self_measurement(None, 8)
