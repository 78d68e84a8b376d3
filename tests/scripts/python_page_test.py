#!/usr/bin/env python3
"""Runs the Python examples of docs/python.md, and compares what they print with what the page says.

The examples run in one interpreter, in the order of the page, as a reader would type them.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["DSV4_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["DSV4_BUILD_DIR"])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class PythonPage(unittest.TestCase):
    def test_the_examples_print_what_the_page_says(self):
        packages = SOURCE / ".deps" / "python"
        self.assertTrue((packages / "tvm_ffi").is_dir(), "run scripts/setup: it installs the Python packages")
        blocks = BLOCK.findall((SOURCE / "docs" / "python.md").read_text())
        code = "".join(text for kind, text in blocks if kind == "python")
        said = "".join(text for kind, text in blocks if kind == "text")
        self.assertGreater(code.count("\n"), 20)
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(BUILD, os.path.join(folder, "build"))
            done = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, cwd=folder,
                                  env={**os.environ, "PYTHONPATH": str(packages)}, timeout=120)  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, said)


if __name__ == "__main__":
    unittest.main()
