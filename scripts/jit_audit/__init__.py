"""Reads the Python files of sglang's JIT kernels without importing them, and finds what a reviewer asks about."""
