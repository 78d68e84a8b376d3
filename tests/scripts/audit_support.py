"""Small packages for the tests of `dsv4diff audit`."""

import json
import os
import subprocess
import tempfile
import textwrap
import unittest
from pathlib import Path

ROOT = Path(os.environ.get("DSV4_SOURCE_DIR", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("DSV4_BUILD_DIR", ROOT / "build"))

UTILS = """
import functools
import torch

def cache_once(fn):
    known = {}
    @functools.wraps(fn)
    def wrapper(*args, **kwargs):
        key = (args, tuple(sorted(kwargs.items())))
        if key not in known:
            known[key] = fn(*args, **kwargs)
        return known[key]
    return wrapper

def make_name(name):
    return f"dpsk_v4_{name}"

def make_cpp_args(*args):
    return [str(a).lower() for a in args]

def load_jit(*args, cuda_files=None, cuda_wrappers=None, extra_cuda_cflags=None):
    from tvm_ffi.cpp import load_inline
    return load_inline("sgl_kernel_jit_" + "_".join(str(a) for a in args), cuda_sources=cuda_files)
"""
HEAD = "from sglang.jit_kernel.utils import cache_once, load_jit, make_cpp_args, make_name\nimport torch\n"


def audit(*arguments, **environment) -> subprocess.CompletedProcess:
    return subprocess.run([BUILD / "dsv4diff", "audit", *map(str, arguments)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})  # fmt: skip


class AuditCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def package(self, files: dict, name="package") -> Path:
        """A folder with a package sglang. `files` are below sglang/jit_kernel, or below sglang/ if they begin with "/"."""
        top = self.folder / name
        for path, text in {"utils.py": UTILS, **files}.items():
            file = top / "sglang" / (path[1:] if path.startswith("/") else f"jit_kernel/{path}")
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(text, bytes):
                file.write_bytes(text)
            else:
                file.write_text(textwrap.dedent(text))
        return top

    def report(self, path, *more, status=None) -> dict:
        done = audit(path, "--json", *more)
        self.assertEqual(done.stderr, "")
        report = json.loads(done.stdout)
        self.assertEqual(report["exit_status"], done.returncode)
        if status is not None:
            self.assertEqual(done.returncode, status, done.stdout)
        return report

    def findings(self, files: dict, rule: str, status=None, *more) -> list:
        """(place, text) of a rule's findings."""
        report = self.report(self.package(files), *more, status=status)
        return [(f"{f['path'].removeprefix('sglang/jit_kernel/')}:{f['line']}", f["text"]) for f in report["findings"] if f["rule"] == rule]
