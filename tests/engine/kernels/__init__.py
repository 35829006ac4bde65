"""Tests of single kernels as plain Python: test_kernels.py runs them with the JIT off."""
