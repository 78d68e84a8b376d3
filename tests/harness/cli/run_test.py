"""Tests of `run` as a user calls it: results, reports, exit statuses, full disks and Ctrl-C."""

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support import CASE, PROGRAM, QUICK_RUN, CommandLineTest  # noqa: E402


class Run(CommandLineTest):
    def expect_junit_schema(self, root):
        """Checks the XML against Jenkins' schema (junit-10.xsd).

        The XML must have every attribute that the schema requires. All its elements and attributes must be allowed.
        """
        allowed = {"testsuites": ({"name", "time", "tests", "failures", "errors"}, set(), {"testsuite"}),
                   "testsuite": ({"name", "tests", "failures", "errors", "time", "skipped"},
                                 {"name", "tests", "failures", "errors"}, {"testcase"}),
                   "testcase": ({"name", "time", "classname"}, {"name"}, {"skipped", "error", "failure"}),
                   "skipped": ({"type", "message"}, set(), set()), "error": ({"type", "message"}, set(), set()),
                   "failure": ({"type", "message"}, set(), set())}  # fmt: skip
        self.assertEqual(root.tag, "testsuites")
        for element in root.iter():
            attributes, required, children = allowed[element.tag]
            self.assertLessEqual(set(element.attrib), attributes, element.tag)
            self.assertLessEqual(required, set(element.attrib), element.tag)
            self.assertLessEqual({child.tag for child in element}, children, element.tag)

    def test_sets_that_agree_pass_and_all_reports_are_written(self):
        status, output, error = self.call(*QUICK_RUN, "--json", "r.json", "--junit", "r.xml", "--markdown", "r.md")
        self.assertEqual(status, 0, output + error)
        self.assertRegex(output, r"(?m)^agrees: \d+ cases")
        results = self.results("r.json")
        self.assertEqual(results["schema"], 2)
        self.assertEqual(results["exit_status"], 0)
        run = results["runs"][0]
        self.assertEqual((run["set"], run["against"]), ("host", "reference"))
        ids = [r["id"] for r in run["results"]]
        self.assertEqual(ids, sorted(ids))
        self.assertIn(CASE, ids)
        suites = xml.etree.ElementTree.parse(self.path("r.xml")).getroot()
        self.expect_junit_schema(suites)
        self.assertEqual(int(suites.get("tests")), len(ids))
        with open(self.path("r.md"), encoding="utf-8") as file:
            self.assertIn("| `mask_topk_ids` |", file.read())

    def test_results_do_not_depend_on_jobs(self):
        results = []
        for jobs in ("1", "3"):
            self.assertEqual(self.call(*QUICK_RUN, "--jobs", jobs, "--json", "r.json")[0], 0)
            run = self.results("r.json")["runs"][0]["results"]
            for r in run:
                del r["seconds"]
            results.append(run)
        self.assertEqual(results[0], results[1])

    def test_one_case_by_its_reproduction_command(self):
        status, output, _ = self.call("run", "--set", "host", "--case", CASE)
        self.assertEqual(status, 0)
        self.assertRegex(output, r"(?m)^agrees: 1 case \(")

    def test_several_sets(self):
        status, output, _ = self.call(*QUICK_RUN, "--set", "reference")
        self.assertEqual(status, 0)
        self.assertIn("host against reference", output)
        self.assertIn("reference against reference", output)

    def test_soak(self):
        status, output, error = self.call("run", "--set", "host", "--op", "mask_topk_ids", "--soak", "3", "--seed", "5",
                                          "--json", "r.json")
        self.assertEqual(status, 0, output + error)
        results = self.results("r.json")["runs"][0]["results"]
        self.assertGreater(len(results), 10)
        self.assertEqual(len({r["id"] for r in results}), len(results))

    def test_shards_merge_into_the_whole(self):
        self.assertEqual(self.call(*QUICK_RUN, "--json", "whole.json")[0], 0)
        for k in (1, 2, 3):
            self.call(*QUICK_RUN, "--shard", f"{k}/3", "--json", f"{k}.json")
        status, output, error = self.call("merge", "3.json", "1.json", "2.json", "--json", "merged.json")
        self.assertEqual(status, 0, output + error)

        def verdicts(name):
            return [(r["id"], r["verdict"]) for r in self.results(name)["runs"][0]["results"]]
        self.assertEqual(verdicts("merged.json"), verdicts("whole.json"))
        self.expect_refusal("merge", "1.json", "2.json", says="shard 3/3 is missing")
        before = self.results("1.json")
        self.expect_refusal("merge", "1.json", "2.json", "3.json", "--json", "./1.json", says="names the same file")
        self.assertEqual(self.results("1.json"), before)
        self.expect_refusal("merge", "1.json", "1.json", "2.json", "3.json", says="shard 1/3 is in")
        self.assertEqual(self.call("merge", "--partial", "1.json", "2.json", "--json", "part.json")[0], 0)
        self.assertEqual(self.results("part.json")["shards"], ["1/3", "2/3"])
        self.assertEqual(self.results("merged.json")["shards"], ["1/1"])

    def test_journal_is_written_to_the_given_path(self):
        self.assertEqual(self.call("run", "--set", "host", "--case", CASE, "--journal", "j")[0], 0)
        with open(self.path("j"), encoding="utf-8") as file:
            first, rest = file.read().split("\n", 1)
        self.assertTrue(first.startswith('sweep {"files":'), first)
        self.assertEqual(rest, f"start {CASE}\t{PROGRAM} run --set host --case {CASE}\npassed {CASE}\n")

    def test_no_temporary_file_stays(self):
        os.mkdir(self.path("tmp"))
        self.assertEqual(self.call("run", "--set", "host", "--case", CASE, env={"TMPDIR": self.path("tmp")})[0], 0)
        self.assertEqual(os.listdir(self.path("tmp")), [])

    def test_full_disk_is_an_error_and_the_results_are_printed(self):
        for option in ("--json", "--junit", "--markdown"):
            status, output, error = self.call(*QUICK_RUN, option, "/dev/full")
            self.assertEqual(status, 2)
            self.assertIn("agrees:", output, "the results must be printed even if a report cannot be written")
            self.assertIn("/dev/full: cannot be written: No space left", error)
        with open("/dev/full", "w", encoding="utf-8") as full:
            status, _, error = self.call(*QUICK_RUN, stdout=full)
            self.assertEqual(status, 2)
            self.assertIn("the output cannot be written", error)
            for words in (["ops"], ["sets"], ["cases", "--tier", "full"], ["--help"], ["run", "--help"]):
                status, _, error = self.call(*words, stdout=full)
                self.assertEqual(status, 2, words)
                self.assertIn("the output cannot be written: No space left", error)
        status, _, error = self.call(*QUICK_RUN, "--journal", "/dev/full")
        self.assertEqual(status, 2)
        self.assertIn("--journal /dev/full: cannot be written", error)

    def test_full_or_closed_streams_do_not_stop_a_run(self):
        def shell(redirections, *words):
            line = " ".join(shlex.quote(w) for w in [PROGRAM, *words]) + " " + redirections
            return subprocess.run(line, shell=True, cwd=self.folder, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, check=False).returncode

        self.assertEqual(shell("2>/dev/full", *QUICK_RUN), 0)
        self.assertEqual(shell("2>/dev/full", "rnu"), 2)
        for redirections, status in (("2>&-", 0), ("<&-", 0), (">&-", 2), ("<&- >&- 2>&-", 2)):
            self.assertEqual(shell(redirections, *QUICK_RUN, "--json", "r.json"), status, redirections)
            self.assertEqual(self.results("r.json")["exit_status"], 0, redirections)
            os.remove(self.path("r.json"))
        self.assertEqual(shell("| head -n 1", *QUICK_RUN, "--json", "r.json"), 0)
        self.assertEqual(self.results("r.json")["exit_status"], 0, "a closed output must not stop the report")

    def test_reports_may_go_to_standard_output(self):
        with open(self.path("out"), "w", encoding="utf-8") as out:
            self.assertEqual(self.call(*QUICK_RUN, "--json", "/dev/stdout", stdout=out)[0], 0)
        with open(self.path("out"), encoding="utf-8") as file:
            text = file.read()
        self.assertRegex(text, r"(?m)^agrees: ")
        self.assertEqual(json.loads(text[text.index("\n{") :])["exit_status"], 0)

    def test_the_smallest_memory_limit_is_enough_to_start(self):
        status, output, _ = self.call(*QUICK_RUN, "--memory", "0.25")
        self.assertEqual(status, 0, output)


class Interrupts(CommandLineTest):
    def start(self, *words):
        return subprocess.Popen([PROGRAM, *words], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                stdin=subprocess.DEVNULL)

    def wait_for_cases(self, number):
        for _ in range(600):
            if os.path.exists(self.path("j")):
                with open(self.path("j"), encoding="utf-8") as file:
                    if len(re.findall(r"(?m)^passed ", file.read())) >= number:
                        return
            time.sleep(0.05)
        self.fail(f"fewer than {number} cases have passed within 30 s")

    def test_ctrl_c_prints_and_writes_the_results_so_far(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            run = self.start("run", "--set", "host", "--op", "*topk*", "--tier", "full", "--jobs", "1", "--journal", "j",
                             "--json", "r.json")
            self.wait_for_cases(5)
            run.send_signal(number)
            output, error = run.communicate(timeout=60)
            self.assertEqual(run.returncode, 128 + number, error)
            self.assertIn("interrupted: so far", output.decode())
            results = self.results("r.json")
            self.assertGreaterEqual(len(results["runs"][0]["results"]), 5)
            self.assertEqual(results["signal"], number)
            os.remove(self.path("j"))

    def test_soak_of_a_shard_without_cases_can_be_interrupted(self):
        run = self.start("run", "--set", "host", "--op", "mask_topk_ids", "--soak", "1000", "--shard",
                         "7/18446744073709551615", "--journal", "j")
        for _ in range(600):
            if os.path.exists(self.path("j")):
                break
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 2)
        self.assertIn(b"nothing was tested", output)

    def test_interrupted_soak_ends_with_its_verdict(self):
        run = self.start("run", "--set", "host", "--op", "mask_topk_ids", "--soak", "1000", "--journal", "j")
        self.wait_for_cases(5)
        run.send_signal(signal.SIGINT)
        output, error = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 0, output + error)
        self.assertIn(b"agrees:", output)

    def running(self):
        """Returns the ids of the processes that have this test's folder `tmp` as their TMPDIR."""
        mark = f"TMPDIR={self.path('tmp')}".encode()
        found = []
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{process}/environ", "rb") as file:
                    if mark in file.read().split(b"\0"):
                        found.append(process)
            except OSError:
                pass  # the process has ended meanwhile, or it belongs to another user
        return found

    def test_killed_run_leaves_no_report_of_an_earlier_run(self):
        reports = ["--json", "r.json", "--junit", "r.xml", "--markdown", "r.md"]
        self.assertEqual(self.call(*QUICK_RUN, *reports)[0], 0)
        self.assertEqual(self.results("r.json")["exit_status"], 0)
        run = self.start("run", "--set", "host", "--op", "*topk*", "--tier", "full", "--jobs", "1", "--journal", "j",
                         *reports)
        self.wait_for_cases(1)
        run.kill()
        run.communicate(timeout=60)
        results = self.results("r.json")
        self.assertEqual((results["unfinished"], results["exit_status"], results["runs"]), (True, None, []))
        suites = xml.etree.ElementTree.parse(self.path("r.xml")).getroot()
        self.assertEqual((suites.get("tests"), suites.get("errors")), ("1", "1"))
        self.assertIn("did not finish", suites.find("testsuite/testcase/error").get("message"))
        with open(self.path("r.md"), encoding="utf-8") as file:
            self.assertIn("this run did not finish", file.read())
        self.expect_refusal("merge", "r.json", says="r.json: the run that writes this file did not finish")

    def test_counts_of_the_root_include_the_interruption(self):
        run = self.start("run", "--set", "host", "--op", "*topk*", "--tier", "full", "--jobs", "1", "--journal", "j",
                         "--junit", "r.xml")
        self.wait_for_cases(1)
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=60)
        suites = xml.etree.ElementTree.parse(self.path("r.xml")).getroot()
        for count in ("tests", "failures", "errors"):
            self.assertEqual(int(suites.get(count)), sum(int(s.get(count)) for s in suites.iter("testsuite")), count)
        self.assertEqual(suites.get("errors"), "1")

    def test_killed_run_leaves_its_journal_and_no_worker(self):
        os.mkdir(self.path("tmp"))
        run = subprocess.Popen([PROGRAM, "run", "--set", "host", "--op", "*topk*", "--tier", "full"], cwd=self.folder,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env={**os.environ, "TMPDIR": self.path("tmp")})
        journal = self.path(f"tmp/dsv4diff-{run.pid}.journal")
        for _ in range(600):
            if os.path.exists(journal) and b"\nstart " in pathlib.Path(journal).read_bytes():
                break
            time.sleep(0.05)
        self.assertNotEqual(self.running(), [])
        run.kill()
        run.wait()
        for _ in range(200):
            if not self.running():
                break
            time.sleep(0.05)
        self.assertEqual(self.running(), [], "a worker must end when its parent is killed")
        with open(journal, encoding="utf-8") as file:
            self.assertRegex(file.readline(), r"^sweep ")
            self.assertRegex(file.readline(), r"^start \S+\t\S+dsv4diff run --set host --case \S+\n$")


if __name__ == "__main__":
    unittest.main()
