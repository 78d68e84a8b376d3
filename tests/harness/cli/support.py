"""Helpers for the tests of the command line."""

import json
import os
import subprocess
import tempfile
import unittest

BUILD = os.environ["DSV4_BUILD_DIR"]
SOURCE = os.environ["DSV4_SOURCE_DIR"]
PROGRAM = os.path.join(BUILD, "dsv4diff")

CASE = "mask_topk_ids/rows=5,k=6,gap=0,real=3,count=device_i32/seed=1"  # one of the cases that QUICK_RUN runs
QUICK_RUN = ["run", "--set", "host", "--op", "mask_topk_ids", "--tier", "smoke"]


class CommandLineTest(unittest.TestCase):
    """Runs the program in a temporary folder, a new one for each test."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="dsv4diff test ")  # the path has a space on purpose
        self.addCleanup(scratch.cleanup)
        self.folder = scratch.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def call(self, *words, env=None, stdout=subprocess.PIPE):
        """Runs the program. Returns (exit status, standard output, standard error)."""
        done = subprocess.run([PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                              cwd=self.folder, env={**os.environ, **(env or {})}, timeout=300)
        output = done.stdout.decode() if done.stdout is not None else ""
        return done.returncode, output, done.stderr.decode()

    def results(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return json.load(file)

    def expect_refusal(self, *words, says):
        """Expects that the call ends with status 2 and prints only one message, which contains `says`."""
        status, output, error = self.call(*words)
        self.assertEqual(status, 2, f"{words}: {output}{error}")
        self.assertEqual(output, "", words)
        self.assertEqual(len(error.strip().splitlines()), 1, f"{words}: one message is expected, not\n{error}")
        self.assertIn(says, error, words)
