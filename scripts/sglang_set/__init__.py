"""Builds kernel sets from sglang's CUDA sources. See scripts/build_sglang_set.py."""
