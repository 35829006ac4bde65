"""Compile the measuring loop if this machine does not have it yet: python -m tests.compile_the_loop."""

from bench.core.jit import is_cold
from bench.run.calibration.measure import self_measurement

if __name__ == "__main__" and is_cold():
    self_measurement(None, 8)
