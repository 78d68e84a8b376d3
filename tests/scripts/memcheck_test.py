"""Tests of scripts/memcheck: it reads the sanitizer's output, finds the case of each finding and refuses wrong calls.

The sanitizer is recorded text, or a small program in its place. The cases of the last tests run in the real dsv4diff, so
that the real worker writes the lines that name the cases.
"""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(os.environ.get("DSV4_SOURCE_DIR", Path(__file__).resolve().parents[2]))
sys.dont_write_bytecode = True


def load_script():
    loader = importlib.machinery.SourceFileLoader("memcheck", str(ROOT / "scripts/memcheck"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("memcheck", loader))
    loader.exec_module(module)
    return module


memcheck = load_script()
from sanitizer_log import Log, attribute  # noqa: E402


def marker(case):
    return f"\n##dsv4diff case {case}\n"


def read(thread, place="topk_kernel(const float *, int)+0x490 in topk_v1.cu:131"):
    """A block as memcheck 2025 writes it."""
    return f"""========= Invalid __global__ read of size 4 bytes
=========     at {place}
=========     by thread ({thread},0,0) in block (0,0,0)
=========     Access at 0x7f698ba0014{thread} is out of bounds
=========     and is 1 bytes after the nearest allocation at 0x7f698ba00000 of size 324 bytes
=========     Saved host backtrace up to driver entry point at kernel launch time
=========         Host Frame: cudaLaunchKernel [0x83cb7] in libcudart.so.13
=========         Host Frame: forward [0xab50] in topk_v1.so
=========
"""


RACE = """========= Error: Race reported between Write access at plan_kernel(int *)+0x1a0 in plan.cu:80
=========     and Read access at plan_kernel(int *)+0x2f0 in plan.cu:92 [16 hazards]
=========
"""
BARRIER = """========= Barrier error detected. Divergent thread(s) in block.
=========     at topk_kernel(float *)+0x80 in topk_v1.cu:90
=========     by thread (32,0,0) in block (0,0,0)
=========
"""
HEAD = "========= COMPUTE-SANITIZER\n"


def log_of(text, step=0):
    """Reads the text at once, or in parts of `step` characters."""
    log = Log()
    for at in range(0, len(text), step or len(text)):
        log.feed(text[at:at + (step or len(text))])
    log.close()
    return log


class Reading(unittest.TestCase):
    def test_findings_belong_to_the_case_before_them(self):
        text = HEAD + marker("a/1") + marker("b/2") + read(1) + read(2) + marker("c/3") + RACE + marker("d/4") + (
            "========= ERROR SUMMARY: 3 errors\n")  # fmt: skip
        for step in (0, 1, 7, 100):
            log = log_of(text, step)
            self.assertEqual(log.order, ["a/1", "b/2", "c/3", "d/4"])
            self.assertEqual(log.cases_with_findings(), ["b/2", "c/3"])
            self.assertEqual([len(f) for f in log.findings.values()], [2, 1])
            self.assertEqual(log.counted, 3)
            self.assertEqual(log.before("c/3"), "b/2")
            self.assertIsNone(log.before("a/1"))

    def test_a_finding_keeps_what_a_reader_needs(self):
        found = log_of(marker("a/1") + read(1)).findings["a/1"][0]
        self.assertEqual(found.header, "Invalid __global__ read of size 4 bytes")
        self.assertEqual(found.place(), "topk_kernel(const float *, int)+0x490 in topk_v1.cu:131")
        self.assertEqual(found.access(), "by thread (1,0,0) in block (0,0,0), Access at 0x7f698ba00141 is out of bounds, and is "
                         "1 bytes after the nearest allocation at 0x7f698ba00000 of size 324 bytes")  # fmt: skip

    def test_findings_of_all_tools_are_read(self):
        uninitialised = BARRIER.replace("Barrier error detected. Divergent thread(s) in block.",
                                        "Uninitialized __global__ memory read of size 4 bytes")  # fmt: skip
        for block in (read(1), RACE, BARRIER, uninitialised):
            log = log_of(HEAD + marker("a/1") + block + "=========\n")
            self.assertEqual(len(log.findings["a/1"]), 1, block)
            self.assertEqual(log.trouble, [])

    def test_a_marker_in_a_line_of_the_sanitizer_ends_the_finding(self):
        log = log_of(marker("a/1") + read(1)[:150] + marker("b/2") + "=========     by thread (9,0,0)\n" + read(2))
        self.assertEqual({case: len(f) for case, f in log.findings.items()}, {"a/1": 1, "b/2": 1})

    def test_messages_that_are_not_findings(self):
        noise = ("========= Error: process didn't terminate successfully\n========= Target application returned an error\n"
                 "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)\n"
                 "========= ERROR SUMMARY: 0 errors\n")  # fmt: skip
        log = log_of(HEAD + marker("a/1") + noise)
        self.assertEqual((log.all_findings(), log.trouble, log.counted), ([], [], 0))
        self.assertEqual(log_of("========= Internal Sanitizer Error: out of memory\n").trouble,
                         ["Internal Sanitizer Error: out of memory"])  # fmt: skip

    def test_summaries_of_all_processes_are_added(self):
        log = log_of("========= ERROR SUMMARY: 2 errors\n========= ERROR SUMMARY: 1 error\n"
                     "========= ERROR SUMMARY: 5 errors were not printed. Use --print-limit option to adjust the number\n")  # fmt: skip
        self.assertEqual((log.counted, log.unprinted), (3, 5))

    def test_findings_before_the_first_case_are_kept(self):
        self.assertEqual(len(log_of(read(1) + marker("a/1")).findings[""]), 1)


class Attribution(unittest.TestCase):
    TEXT = marker("a/1") + marker("b/2") + read(1) + marker("c/3") + RACE

    def attributed(self, text, alone, sure=()):
        tried = []

        def try_alone(case):
            tried.append(case)
            return log_of(marker(case) + alone.get(case, "")).findings.get(case, [])

        found = attribute(log_of(text), try_alone, lambda case: case in sure)
        return [(case, len(findings), note) for case, findings, note in found], tried

    def test_a_case_that_shows_it_alone_owns_the_finding(self):
        found, tried = self.attributed(self.TEXT, {"b/2": read(1) + read(2), "c/3": RACE})
        self.assertEqual(found, [("b/2", 2, ""), ("c/3", 1, "")])
        self.assertEqual(tried, ["b/2", "c/3"])

    def test_a_late_finding_belongs_to_the_case_before(self):
        found, tried = self.attributed(marker("a/1") + marker("b/2") + read(1), {"a/1": read(1)})
        self.assertEqual(found, [("a/1", 1, "")])
        self.assertEqual(tried, ["b/2", "a/1"])

    def test_a_late_finding_joins_the_findings_that_came_in_time(self):
        found, _ = self.attributed(self.TEXT, {"b/2": read(1)})
        self.assertEqual(found, [("b/2", 1, "")])

    def test_a_finding_that_no_case_shows_alone_says_so(self):
        found, _ = self.attributed(self.TEXT, {"c/3": RACE})
        self.assertEqual(found, [("b/2", 1, "not when the case runs alone: it may depend on earlier cases"), ("c/3", 1, "")])

    def test_known_faults_and_single_cases_are_not_tried_alone(self):
        self.assertEqual(self.attributed(self.TEXT, {"c/3": RACE}, sure=("b/2",))[1], ["c/3"])
        self.assertEqual(self.attributed(marker("a/1") + read(1), {}), ([("a/1", 1, "")], []))

    def test_only_so_many_cases_are_tried_alone(self):
        text = "".join(marker(f"c/{i}") + read(1) for i in range(30))
        found, tried = self.attributed(text, {f"c/{i}": read(1) for i in range(30)})
        self.assertEqual((len(found), len(tried)), (30, 20))
        self.assertEqual(found[-1], ("c/29", 1, "not tried alone"))


class Calls(unittest.TestCase):
    def refused(self, *words):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(memcheck.main(list(words)), 2, words)
        self.assertEqual(len(said.getvalue().splitlines()), 1)
        return said.getvalue()

    def test_wrong_calls_are_refused(self):
        self.assertIn("--tool leaks: expected one of memcheck,", self.refused("--tool", "leaks"))
        self.assertIn("--tool needs a value", self.refused("--tool"))
        self.assertIn("--jobs cannot be given", self.refused("--jobs", "2"))
        self.assertIn("--show many: expected a number", self.refused("--show=many"))
        self.assertIn("--sanitizer /nowhere: there is no such program", self.refused("--sanitizer", "/nowhere"))

    def test_a_cpu_set_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "manifest.json").write_text('{"device": "simt"}')
            self.assertIn("runs on a CPU, where compute-sanitizer sees nothing", self.refused("--set", folder))

    def test_a_machine_without_a_gpu_is_refused(self):
        library = memcheck.ctypes.CDLL
        memcheck.ctypes.CDLL = lambda name: library("no_such_library.so.1")
        self.addCleanup(setattr, memcheck.ctypes, "CDLL", library)
        self.assertIn("this machine has no GPU", self.refused("--sanitizer", "/bin/true"))

    def test_options_go_to_dsv4diff_and_defaults_are_added(self):
        own, rest = memcheck.split_options(["--tool=racecheck", "--op", "topk_v1", "--show", "3", "--seed", "2"])
        self.assertEqual(own, {"tool": "racecheck", "sanitizer": "", "show": "3"})
        self.assertEqual(memcheck.with_defaults(rest), ["--op", "topk_v1", "--seed", "2", "--set", "cuda", "--tier", "smoke",
                                                        "--timeout", "600"])  # fmt: skip
        given = ["--set", "mine", "--case", "a/b", "--timeout", "9"]
        self.assertEqual(memcheck.with_defaults(given), given)
        self.assertEqual(memcheck.without_cases([*given, "--tier=quick", "--op", "x"]), ["--set", "mine", "--timeout", "9"])

    def test_a_choice_of_cases_replaces_the_default_tier_and_is_left_out_later(self):
        for option in ("--sequence", "--last-failed", "--soak", "--case"):
            given = [option, "value", "--set", "mine", "--timeout", "9"]
            self.assertEqual(memcheck.with_defaults(given), given)
            self.assertEqual(memcheck.without_cases(given), ["--set", "mine", "--timeout", "9"])


CASES = [f"mask_topk_ids/rows={rows},k=6,gap=0,real=3,count=host_i32/seed=1" for rows in (5, 6, 7)]

# Stands for compute-sanitizer: runs the command after its own options. When a case of a list begins, prints the block of
# that case. `LATE` holds the block back until the next case has begun.
STUB = """#!/usr/bin/env python3
import os, subprocess, sys, threading, time
words = sys.argv[1:]
command = words[next(i for i, w in enumerate(words) if os.path.isabs(w) and os.access(w, os.X_OK)):]
late = bool(os.environ.get("LATE"))
print("========= COMPUTE-SANITIZER", flush=True)
# The worker writes into this file, and this program passes the lines on, so that blocks come in a known order.
terminal, log = os.environ["DSV4DIFF_CASE_LOG"], os.environ["STUB_LOG"]
open(log, "w").close()
child = subprocess.Popen(command, env={**os.environ, "DSV4DIFF_CASE_LOG": log})
status = child.wait()
errors, held = 0, ""
out = os.open(terminal, os.O_WRONLY | os.O_NOCTTY)
for line in open(log):
    os.write(out, line.encode())
    if held and line.strip():
        os.write(out, held.encode())
        held = ""
    if line.startswith("##") and "rows=6," in line:
        errors += 1
        block = os.environ["STUB_BLOCK"]
        if late and line != open(log).readlines()[-1]:
            held = block
        else:
            os.write(out, block.encode())
print(f"========= ERROR SUMMARY: {errors} error{'' if errors == 1 else 's'}", flush=True)
sys.exit(status)
"""


class WholeRuns(unittest.TestCase):
    """The script with a stub of the sanitizer and a CPU set."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.stub = Path(scratch.name, "compute-sanitizer")
        self.stub.write_text(STUB)
        self.stub.chmod(0o755)
        program = memcheck.program
        memcheck.program = lambda: [os.path.join(os.environ["DSV4_BUILD_DIR"], "dsv4diff")]
        self.addCleanup(setattr, memcheck, "program", program)
        for name, value in (("STUB_LOG", str(Path(scratch.name, "cases"))), ("STUB_BLOCK", read(1))):
            os.environ[name] = value
            self.addCleanup(os.environ.pop, name)

    def checked(self, *cases):
        words = ["--set", "host"] + [word for case in cases for word in ("--case", case)]
        own = {"tool": "memcheck", "sanitizer": "", "show": "20"}
        with contextlib.redirect_stdout(io.StringIO()) as said:
            run, status = memcheck.check_cases(own, str(self.stub), ["--set", "host"], words)
        return run, status, said.getvalue()

    def test_a_finding_is_told_with_its_case(self):
        run, status, said = self.checked(*CASES)
        self.assertEqual(sorted(run.log.order), sorted(CASES))
        self.assertEqual(status, 1)
        self.assertIn(f"memcheck {CASES[1]}\n  Invalid __global__ read of size 4 bytes\n    at topk_kernel(const", said)
        self.assertRegex(said, r"  reproduce: \S+ --set host --case mask_topk_ids/rows=6,")
        self.assertIn("differs: memcheck has findings in 1 of 3 cases; 0 cases differ without a finding", said)

    def test_a_late_finding_is_told_with_the_case_that_shows_it_alone(self):
        os.environ["LATE"] = "1"
        self.addCleanup(os.environ.pop, "LATE")
        run, status, said = self.checked(*CASES)
        self.assertNotEqual(run.log.cases_with_findings(), [CASES[1]])
        self.assertEqual(status, 1)
        self.assertIn(f"memcheck {CASES[1]}\n", said)
        self.assertIn("findings in 1 of 3 cases", said)

    def test_no_finding_agrees(self):
        run, status, said = self.checked(CASES[0], CASES[2])
        self.assertEqual((run.status, status), (0, 0))
        self.assertEqual(said, "agrees: memcheck has no finding in 2 cases\n")

    def test_an_unknown_form_of_the_output_is_not_taken_for_no_finding(self):
        os.environ["STUB_BLOCK"] = "========= \n"
        with self.assertRaisesRegex(memcheck.Misuse, "counts 1 errors, and its output has only 0"):
            self.checked(*CASES)

    def test_a_run_without_cases_is_refused(self):
        with self.assertRaisesRegex(memcheck.Misuse, "no case ran"):
            self.checked("mask_topk_ids/rows=5/seed=1")

    def test_help_is_printed(self):
        done = subprocess.run([ROOT / "scripts/memcheck", "--help"], capture_output=True, text=True, check=True)
        self.assertIn("Exit status:", done.stdout)


if __name__ == "__main__":
    unittest.main()
