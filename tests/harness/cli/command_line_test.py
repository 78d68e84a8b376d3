"""The command line from outside: commands, filters, reports, refusals, exit statuses, Ctrl-C."""

import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support import PROGRAM, CommandLineTest  # noqa: E402

CASE = "mask_topk_ids/rows=5,k=6,gap=0,real=3,count=device_i32/seed=1"
QUICK_RUN = ["run", "--set", "host", "--op", "mask_topk_ids", "--tier", "smoke"]


class LookAround(CommandLineTest):
    def test_help_and_version(self):
        status, output, _ = self.call("--help")
        self.assertEqual(status, 0)
        for command in ["run", "record", "verify", "merge", "ops", "sets", "cases"]:
            self.assertRegex(output, rf"(?m)^  {command} ")
        self.assertNotIn("worker", output)
        status, output, _ = self.call("--version")
        self.assertEqual((status, output.split()[0]), (0, "dsv4diff"))
        for command in ["run", "record", "verify", "merge", "ops", "sets", "cases"]:
            self.assertEqual(self.call(command, "--help")[0], 0)

    def test_ops(self):
        status, output, _ = self.call("ops", "--json")
        self.assertEqual(status, 0)
        ops = {op["name"]: op for op in json.loads(output)}
        op = ops["mask_topk_ids"]
        self.assertEqual(op["family"], "moe")
        self.assertIn("host", op["sets"])
        self.assertIn("reference", op["sets"])
        self.assertLessEqual(op["cases"]["smoke"], op["cases"]["quick"])
        self.assertLessEqual(op["cases"]["quick"], op["cases"]["full"])
        self.assertIn("relation:repeat", [s["name"] for s in op["scenarios"]])
        self.assertIn("rows", [p["name"] for p in op["params"]])
        table = self.call("ops")[1]
        for name in ops:
            self.assertRegex(table, rf"(?m)^{name} ")

    def test_sets(self):
        status, output, _ = self.call("sets", "--json")
        self.assertEqual(status, 0)
        sets = {s["name"]: s for s in json.loads(output)}
        self.assertEqual(sets["reference"]["device"], "cpu")
        self.assertEqual(sets["host"]["device"], "simt")
        self.assertTrue(sets["host"]["usable"])
        self.assertIn("compiler", sets["host"]["provenance"])
        self.assertIn("host", self.call("sets")[1])

    def test_cases(self):
        smoke = self.call("cases", "--op", "mask_topk_ids", "--tier", "smoke")[1].split()
        self.assertIn(CASE, smoke)
        listed = json.loads(self.call("cases", "--op", "mask_topk_ids", "--tier", "smoke", "--json")[1])
        self.assertEqual([c["id"] for c in listed], smoke)
        parts = [self.call("cases", "--op", "mask_topk_ids", "--shard", f"{k}/3")[1].split() for k in (1, 2, 3)]
        whole = self.call("cases", "--op", "mask_topk_ids")[1].split()
        self.assertEqual(sorted(sum(parts, [])), whole)


class Run(CommandLineTest):
    def expect_junit_schema(self, root):
        """What Jenkins' schema (junit-10.xsd) demands and allows."""
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

    def test_agreement(self):
        status, output, error = self.call(*QUICK_RUN, "--json", "r.json", "--junit", "r.xml", "--markdown", "r.md")
        self.assertEqual(status, 0, output + error)
        self.assertRegex(output, r"(?m)^agrees: \d+ cases")
        results = self.results("r.json")
        self.assertEqual(results["schema"], 1)
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
        self.assertRegex(output, r"(?m)^agrees: 1 cases")

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
        self.assertEqual(self.call("merge", "--partial", "1.json", "2.json")[0], 0)

    def test_journal_is_kept_where_it_was_asked_for(self):
        self.assertEqual(self.call("run", "--set", "host", "--case", CASE, "--journal", "j")[0], 0)
        with open(self.path("j"), encoding="utf-8") as file:
            self.assertEqual(file.read(), f"start {CASE}\t{PROGRAM} run --set host --case {CASE}\npassed {CASE}\n")

    def test_no_temporary_file_stays(self):
        os.mkdir(self.path("tmp"))
        self.assertEqual(self.call("run", "--set", "host", "--case", CASE, env={"TMPDIR": self.path("tmp")})[0], 0)
        self.assertEqual(os.listdir(self.path("tmp")), [])

    def test_full_disk_loses_nothing(self):
        for option in ("--json", "--junit", "--markdown"):
            status, output, error = self.call(*QUICK_RUN, option, "/dev/full")
            self.assertEqual(status, 2)
            self.assertIn("agrees:", output, "the results are printed all the same")
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
        self.assertEqual(self.results("r.json")["exit_status"], 0, "a reader that leaves does not take the report with it")

    def test_reports_may_go_to_standard_output(self):
        with open(self.path("out"), "w", encoding="utf-8") as out:
            self.assertEqual(self.call(*QUICK_RUN, "--json", "/dev/stdout", stdout=out)[0], 0)
        with open(self.path("out"), encoding="utf-8") as file:
            text = file.read()
        self.assertRegex(text, r"(?m)^agrees: ")
        self.assertEqual(json.loads(text[text.index("\n{") :])["exit_status"], 0)

    def test_memory_too_small_to_start(self):
        status, output, _ = self.call(*QUICK_RUN, "--memory", "0.000001")
        self.assertEqual(status, 2)
        self.assertIn("--memory is too small", output)


class Goldens(CommandLineTest):
    def test_record_then_verify(self):
        record = ["record", "--set", "host", "--op", "mask_topk_ids", "--tier", "smoke", "--golden", "golden"]
        status, output, error = self.call(*record)
        self.assertEqual(status, 0, output + error)
        self.assertIn("new: golden/mask_topk_ids/host.h5", output)
        with open(self.path("golden/mask_topk_ids/host.h5"), "rb") as file:
            first = file.read()
        status, output, _ = self.call(*record)
        self.assertIn("unchanged", output)
        with open(self.path("golden/mask_topk_ids/host.h5"), "rb") as file:
            self.assertEqual(file.read(), first)
        self.assertEqual(self.call("verify", "--set", "host", "--golden", "golden")[0], 0)
        # Without --golden it is the goldens that come with the tool.
        status, output, error = self.call(
            "verify", "--set", "host", "--recorded", "host", "--op", "mask_topk_ids", "--json", "r.json"
        )
        self.assertEqual(status, 0, output + error)
        self.assertIn("host against golden:host", output)
        result = self.results("r.json")["runs"][0]["results"][0]
        self.assertEqual(result["reproduce"], f"{PROGRAM} verify --set host --recorded host --case {result['id']}")
        self.assertEqual(self.call(*result["reproduce"].split()[1:])[0], 0)
        self.assertEqual(self.call("verify", "--set", "reference", "--golden", "golden/mask_topk_ids/host.h5")[0], 0)
        self.expect_refusal("verify", "--set", "host", "--recorded", "hots", says="did you mean 'host'?")
        with open(self.path("golden/mask_topk_ids/host.h5"), "wb") as file:
            file.write(first[: len(first) // 2])
        self.expect_refusal("verify", "--set", "host", "--golden", "golden", says="mask_topk_ids/host.h5")

    def test_damaged_goldens_are_refused(self):
        self.assertEqual(self.call("record", "--set", "host", "--op", "mask_topk_ids", "--op", "hash_topk", "--tier",
                                   "smoke", "--golden", "good")[0], 0)
        file, index = "golden/mask_topk_ids/host.h5", "golden/mask_topk_ids/host.txt"

        def content(name):
            with open(self.path(name), "rb") as opened:
                return opened.read()

        h5 = content(file.replace("golden", "good"))
        flipped = bytearray(h5)
        flipped[len(h5) // 2] ^= 4
        newer = content(index.replace("golden", "good")).replace(b"schema 1", b"schema 2")
        foreign = "good/hash_topk/host."
        for damage, says in [
            ({file: h5[:-1]}, "damaged, truncated"),
            ({file: b""}, "is not an HDF5 file"),
            ({file: bytes(flipped)}, "damaged, truncated"),
            ({file: b"#!/bin/sh\n" * 100}, "is not an HDF5 file"),
            ({file: None}, "there is no such golden"),
            ({index: None}, "is missing"),
            ({index: newer}, "a newer dsv4diff recorded it"),
            ({index: b"x"}, "is not the index of a golden"),
            ({file: content(foreign + "h5"), index: content(foreign + "txt")}, "holds goldens of op 'hash_topk'"),
        ]:
            shutil.rmtree(self.path("golden"), ignore_errors=True)
            shutil.copytree(self.path("good"), self.path("golden"))
            for name, bytes_ in damage.items():
                os.remove(self.path(name))
                if bytes_ is not None:
                    with open(self.path(name), "wb") as opened:
                        opened.write(bytes_)
            with self.subTest(says=says):
                self.expect_refusal("verify", "--set", "host", "--golden", "golden", says=says)
                _, _, error = self.call("verify", "--set", "host", "--golden", "golden")
                self.assertIn("record it again with 'dsv4diff record --op mask_topk_ids --set host'", error)

    def test_recording_that_cannot_be_written_loses_nothing(self):
        ops = ["--op", "mask_topk_ids", "--op", "hash_topk", "--tier", "smoke", "--golden", "golden"]
        self.assertEqual(self.call("record", "--set", "host", *ops)[0], 0)
        with open(self.path("golden/hash_topk/host.h5"), "rb") as file:
            before = file.read()
        # Another recorder is at work on one op: the others are written, and that one is left as it is.
        shutil.rmtree(self.path("golden/mask_topk_ids"))
        os.remove(self.path("golden/hash_topk/host.txt"))
        with open(self.path("golden/hash_topk/.host.h5.new"), "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            status, output, error = self.call("record", "--set", "host", *ops)
            self.assertEqual(status, 2)
            self.assertIn("another process is writing it", error)
            self.assertIn("new: golden/mask_topk_ids/host.h5", output)
        with open(self.path("golden/hash_topk/host.h5"), "rb") as file:
            self.assertEqual(file.read(), before)

    def test_two_recorders_at_once(self):
        words = [PROGRAM, "record", "--set", "host", "--op", "*topk*", "--tier", "smoke", "--golden", "golden"]
        both = [subprocess.Popen(words, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                for _ in range(2)]
        for recorder in both:
            _, error = recorder.communicate(timeout=300)
            self.assertIn(recorder.returncode, (0, 2))
            self.assertEqual(recorder.returncode == 2, b"another process is writing it" in error, error)
        self.assertEqual(self.call("verify", "--set", "host", "--golden", "golden")[0], 0)

    def test_reproduction_names_the_golden_that_was_used(self):
        self.assertEqual(self.call("record", "--set", "host", "--op", "mask_topk_ids", "--tier", "smoke", "--golden",
                                   "my golden")[0], 0)
        self.assertEqual(self.call("verify", "--set", "reference", "--golden", "my golden", "--no-known", "--timeout",
                                   "30", "--json", "r.json")[0], 0)
        result = self.results("r.json")["runs"][0]["results"][0]
        self.assertEqual(result["reproduce"],
                         f"{PROGRAM} verify --set reference --golden 'my golden' --recorded host --timeout 30 "
                         f"--no-known --case {result['id']}")
        done = subprocess.run(result["reproduce"], shell=True, cwd=self.folder, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"agrees: 1 cases", done.stdout)
        self.expect_refusal("verify", "--golden", "my golden/mask_topk_ids/host.h5", "--recorded", "cuda", says="one file")

    def test_verify_without_goldens(self):
        os.mkdir(self.path("golden"))
        self.expect_refusal("verify", "--set", "host", "--golden", "golden", says="no golden is there")


class Refusals(CommandLineTest):
    """Every wrong call ends with status 2 and one message that says what is wrong and what was probably meant."""

    def test_calls(self):
        run = ["run", "--set", "host"]
        for words, says in [
            (["rnu"], "unknown command 'rnu', did you mean 'run'?"),
            (["x" * 100000], "unknown command"),
            (run + ["--teir", "smoke"], "unknown option '--teir', did you mean '--tier'?"),
            (run + ["--jbos=2"], "unknown option '--jbos', did you mean '--jobs'?"),
            (run + ["stray"], "unexpected argument 'stray'"),
            (run + ["--op", "topk_v2x"], "did you mean 'topk_v1'?"),
            (["run", "--set", "hosst"], "did you mean 'host'?"),
            (["run", "--set", "/nowhere/at/all"], "/nowhere/at/all"),
            (run + ["--against", "refrence"], "did you mean 'reference'?"),
            (run + ["--tier", "smok"], "did you mean 'smoke'?"),
            (run + ["--tier", "soak"], "unknown tier 'soak'"),
            (run + ["--case", "mask_topk_id/rows=5/seed=1"], "did you mean 'mask_topk_ids'?"),
            (run + ["--case", "nonsense"], "case id 'nonsense'"),
            (run + ["--case", CASE.replace("k=6,", "")], "parameter 'k' is missing"),
            (run + ["--case", CASE.replace("k=6", "k=33")], "k=33 is out of range"),
            (run + ["--case", CASE.replace("k=6", "k=06")], "k=06"),
            (run + ["--case", CASE.replace("k=6", "kk=6")], "no parameter 'kk'"),
            (run + ["--case", CASE.replace("seed=1", "seed=-1")], "'-1' is not a seed"),
            (run + ["--case", "mask_topk_ids/contract:nope/" + CASE.split("/", 1)[1]], "has no contract:nope"),
            (run + ["--case", "a/" + "b=1," * 30000 + "/seed=1"], "at most 4096 are allowed"),
            (run + ["--case", "mask_topk_ids/zzz*"], "no case of tier"),
            (run + ["--shard", "5/4"], "--shard '5/4'"),
            (run + ["--shard", "0/4"], "--shard '0/4'"),
            (run + ["--shard", "1"], "--shard '1'"),
            (run + ["--jobs", "0"], "--jobs"),
            (run + ["--jobs", "-1"], "--jobs"),
            (run + ["--jobs", "two"], "--jobs"),
            (run + ["--seed", "-1"], "--seed"),
            (run + ["--show", "-1"], "--show"),
            (run + ["--timeout", "0"], "--timeout"),
            (run + ["--timeout", "nan"], "--timeout"),
            (run + ["--memory", "-1"], "--memory"),
            (run + ["--soak", "-5"], "--soak"),
            (run + ["--soak", "1", "--case", CASE], "--soak"),
            (run + ["--soak", "1", "--tier", "full"], "--tier excludes --soak"),
            (run + ["--json"], "--json"),
            (run + ["--json", "no/such/folder/r.json"], "there is no folder"),
            (run + ["--junit", "."], "is a folder"),
            (run + ["--journal", "no/such/folder/j"], "cannot be written"),
            (run + ["--known", "no_such_file.json"], "no_such_file.json"),
            (run + ["--op", "topk*", "--case", CASE], "no case is selected"),
            (run + ["--op", ""], "no op is called ''"),
            (run + ["--case", ""], "case id ''"),
            (run + ["--set", ""], "unknown set ''"),
            (run + ["--against", ""], "unknown set ''"),
            (run + ["--tier", ""], "unknown tier ''"),
            (run + ["--shard", ""], "--shard ''"),
            (run + ["--shard", "1/99999999999999999999"], "--shard"),
            (run + ["--shard", "-1/4"], "--shard"),
            (run + ["--tier", "smoke", "--tier", "quick"], "--tier"),
            (run + ["--jobs", "99999999999999999999"], "--jobs"),
            (run + ["--jobs", "1e3"], "--jobs"),
            (run + ["--seed", "99999999999999999999"], "--seed"),
            (run + ["--seed", ""], "--seed"),
            (run + ["--show", "99999999999999999999"], "--show"),
            (run + ["--timeout", "1e400"], "--timeout"),
            (run + ["--timeout", "-1"], "--timeout"),
            (run + ["--memory", "nan"], "--memory"),
            (run + ["--memory", "inf"], "--memory"),
            (run + ["--soak", "inf"], "--soak"),
            (run + ["--json", ""], "--json: the name is empty"),
            (run + ["--junit", ""], "--junit: the name is empty"),
            (run + ["--markdown", ""], "--markdown: the name is empty"),
            (run + ["--journal", ""], "--journal: the name is empty"),
            (run + ["--known", ""], "--known: the name is empty"),
            (run + ["--known", "."], "no file that can be read"),
            (run + ["--json", "r", "--junit", "r"], "--json names the same file"),
            (run + ["--json", "r", "--markdown", "./r"], "--json names the same file"),
            (run + ["--journal", "r", "--json", "r"], "--journal names the same file"),
            (run + ["--case", CASE.replace("k=6", "k=6\n")], "is not a value of 'k'"),
            (run + ["--case", CASE.replace("k=6", "k=\u732b")], "is not a value of 'k'"),
            (run + ["--case", CASE.replace("k=6", "k=6,k=6")], "given twice"),
            (run + ["--case", CASE.replace("k=6", "k=99999999999999999999")], "'k'"),
            (run + ["--case", CASE.replace("seed=1", "seed=99999999999999999999")], "is not a seed"),
            (["run", "--set", "."], "no manifest.json"),
            (["verify", "--set", "host", "--golden", ""], "--golden: the name is empty"),
            (["verify", "--set", "host", "--golden", "nowhere"], "no such file or folder"),
            (["verify", "--set", "host", "--recorded", ""], "--recorded"),
            (["verify", "--set", "host", "--op", "topk_v2"], "did you mean 'topk_v1'?"),
            (["verify", "--set", "host", "--case", "nonsense"], "case id 'nonsense'"),
            (["verify", "--set", "host", "--case", CASE, "--case", CASE.replace("=1", "=77")], "holds such a case"),
            (["verify", "--set", "host", "--case", "topk_v1/zzz*"], "holds such a case"),
            (["verify", "--set", "host", "--shard", "5/4"], "--shard '5/4'"),
            (["record", "--set", "host", "--golden", ""], "--golden: the name is empty"),
            (["record", "--set", "host", "--golden", "/dev/null"], "/dev/null is no folder"),
            (["record", "--set", "host", "--op", "topk_v2"], "did you mean 'topk_v1'?"),
            (["ops", "no_such_op"], "no op is called 'no_such_op'"),
            (["sets", "no_such_set"], "no_such_set"),
            (["cases", "--tier", "fulll"], "did you mean 'full'?"),
            (["record"], "--set is required"),
            (["record", "--set", "host", "--tier", "x"], "unknown tier"),
            (["merge"], "files is required"),
            (["merge", "no_such_file.json"], "cannot be read"),
            (["merge", ""], "the name is empty"),
            (["merge", "."], "cannot be read"),
            (["worker", "--set", "host", "--set-label", "host"], "not by hand"),
        ]:
            with self.subTest(call=" ".join(words)[:80]):
                self.expect_refusal(*words, says=says)

    def test_nothing_to_do(self):
        status, _, error = self.call()
        self.assertEqual(status, 2)
        self.assertIn("Usage", error)

    def test_set_of_an_absent_device(self):
        if os.path.exists("/dev/nvidia0"):
            self.skipTest("a GPU is there")
        os.mkdir(self.path("gpu"))
        with open(self.path("gpu/manifest.json"), "w", encoding="utf-8") as file:
            json.dump({"schema": 1, "name": "gpu", "device": "cuda", "errors_name_arguments": False, "provenance": {},
                       "modules": {}, "ops": [], "absent": []}, file)
        self.expect_refusal("run", "--set", self.path("gpu"), says="needs a GPU")

    def test_garbage_files(self):
        for name, content in [("empty", b""), ("text", b"hello"), ("list", b"[]"), ("bytes", bytes(range(256))),
                              ("deep", b"[" * 100000)]:
            with open(self.path(name), "wb") as file:
                file.write(content)
            with self.subTest(name=name):
                self.expect_refusal("merge", name, says=name)
                self.expect_refusal("run", "--set", "host", "--known", name, says=name)


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
        self.fail("the run does not get going")

    def test_ctrl_c_keeps_and_prints_what_was_done(self):
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

    def test_soak_ends_with_its_verdict(self):
        run = self.start("run", "--set", "host", "--op", "mask_topk_ids", "--soak", "1000", "--journal", "j")
        self.wait_for_cases(5)
        run.send_signal(signal.SIGINT)
        output, error = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 0, output + error)
        self.assertIn(b"agrees:", output)

    def running(self):
        """Processes that were started in this test's folder for temporary files."""
        mark = f"TMPDIR={self.path('tmp')}".encode()
        found = []
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{process}/environ", "rb") as file:
                    if mark in file.read().split(b"\0"):
                        found.append(process)
            except OSError:
                pass  # it ended meanwhile, or is none of ours
        return found

    def test_killed_run_leaves_its_journal_and_no_worker(self):
        os.mkdir(self.path("tmp"))
        run = subprocess.Popen([PROGRAM, "run", "--set", "host", "--op", "*topk*", "--tier", "full"], cwd=self.folder,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env={**os.environ, "TMPDIR": self.path("tmp")})
        journal = self.path(f"tmp/dsv4diff-{run.pid}.journal")
        for _ in range(600):
            if os.path.exists(journal) and os.path.getsize(journal) > 0:
                break
            time.sleep(0.05)
        self.assertNotEqual(self.running(), [])
        run.kill()
        run.wait()
        for _ in range(200):
            if not self.running():
                break
            time.sleep(0.05)
        self.assertEqual(self.running(), [], "workers die with their parent")
        with open(journal, encoding="utf-8") as file:
            self.assertRegex(file.readline(), r"^start \S+\t\S+dsv4diff run --set host --case \S+\n$")


if __name__ == "__main__":
    unittest.main()
