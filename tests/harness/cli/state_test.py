"""Tests of kernels that keep a state between calls, of workers that are killed from outside, and of limits."""

import json
import os
import shlex
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hostile_set_test import build, case  # noqa: E402
from support import CASE, PROGRAM, QUICK_RUN, CommandLineTest  # noqa: E402


def flat(text):
    """Joins the lines of a report, which are broken at the width of a terminal."""
    return " ".join(text.split())


class StatefulSet(CommandLineTest):
    def setUp(self):
        super().setUp()
        self.set = self.path("hostile set")
        build(self.set)

    def sweep(self, rows, *options, env=None):
        words = [word for r in rows for word in ("--case", case(r))]
        status, output, error = self.call("run", "--set", self.set, *words, "--json", "r.json", *options, env=env)
        results = self.results("r.json")["runs"][0]["results"]
        return status, {r["id"]: r for r in results}, output + error

    def pasted(self, output):
        """Runs each command that the report prints to reproduce a case. Returns the exit statuses."""
        commands = [line.split("reproduce: ", 1)[1] for line in output.splitlines() if "reproduce: " in line]
        return [subprocess.run(command, shell=True, cwd=self.folder, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, check=False).returncode for command in commands]

    def test_state_frozen_at_the_first_call(self):
        status, results, output = self.sweep([*range(300, 320), 201, 205, 210], "--jobs", "1")
        self.assertEqual(status, 1)
        for rows in (201, 205, 210):
            result = results[case(rows)]
            self.assertEqual((result["verdict"], result["confirmed"]), ("failed", "sequence"), result)
            self.assertEqual(shlex.split(result["reproduce"]).count("--sequence"), 2)
            self.assertEqual(self.call("run", "--set", self.set, "--case", case(rows))[0], 0, "alone it agrees")
        # The three cases are of one kind, so the report tells one of them.
        self.assertEqual(output.count("depends on earlier calls"), 1)
        self.assertEqual(self.pasted(output), [1], output)
        again = [subprocess.run(results[case(rows)]["reproduce"], shell=True, cwd=self.folder, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, check=False).returncode for rows in (201, 205, 210)]  # fmt: skip
        self.assertEqual(again, [1, 1, 1])

    def test_state_that_breaks_from_the_eleventh_call_on(self):
        status, results, output = self.sweep([*range(300, 320), 221], "--jobs", "1")
        self.assertEqual(status, 1)
        result = results[case(221)]
        self.assertEqual((result["verdict"], result["confirmed"]), ("failed", "sequence"), result)
        self.assertEqual(shlex.split(result["reproduce"]).count("--sequence"), 11)
        self.assertEqual(self.pasted(output), [1], output)

    def test_a_failure_that_does_not_come_back(self):
        status, results, output = self.sweep([10, 11, 240], "--jobs", "1", env={"HOSTILE_MARK": self.path("mark")})
        self.assertEqual(status, 1)
        self.assertEqual((results[case(240)]["verdict"], results[case(240)]["confirmed"]), ("failed", "not_again"))
        self.assertIn("failed once, not again", output)
        self.assertEqual(self.pasted(output), [], "no command reproduces it")

    def test_every_printed_command_differs(self):
        status, _, output = self.sweep([*range(300, 312), 108, 102, 104, 201, 222], "--jobs", "2", "--timeout", "20")
        self.assertEqual(status, 1)
        statuses = self.pasted(output)
        self.assertEqual(set(statuses), {1}, output)
        self.assertGreaterEqual(len(statuses), 3)

    def test_sequence(self):
        words = [word for r in [*range(300, 310), 220] for word in ("--sequence", case(r))]
        status, output, error = self.call("run", "--set", self.set, *words)
        self.assertEqual(status, 1, output + error)
        self.assertIn("1 worker", error)
        self.assertEqual(self.call("run", "--set", self.set, *words[2:])[0], 0)
        status, output, _ = self.call("run", "--set", self.set, "--sequence", case(10), "--sequence", case(102),
                                      "--sequence", case(11))
        self.assertEqual(status, 1)
        self.assertIn("1 skipped: the process of the sequence had ended before", flat(output))
        for more in (["--case", CASE], ["--op", "topk_v1"], ["--shard", "1/2"]):
            self.expect_refusal("run", "--set", self.set, "--sequence", case(10), *more, says="--sequence")
        self.expect_refusal("run", "--set", self.set, "--sequence", "nonsense", says="case id 'nonsense'")
        self.expect_refusal("run", "--set", self.set, "--sequence", case(10), "--soak", "1", says="--sequence")

    def test_a_worker_that_is_killed_once_costs_nothing(self):
        status, results, output = self.sweep([10, 112, 11], "--jobs", "1", env={"HOSTILE_MARK": self.path("mark")})
        self.assertEqual(status, 0, output)
        self.assertRegex(results[case(112)]["note"], "was killed by SIGKILL.*a second try")
        self.assertRegex(flat(output), "1 agrees: its worker process was killed by SIGKILL")

    def test_a_worker_that_is_always_killed_gives_status_2(self):
        status, results, output = self.sweep([10, 110, 11], "--jobs", "1")
        self.assertEqual(status, 2, output)
        self.assertIn("SIGKILL", results[case(110)]["reason"])
        self.assertRegex(flat(output), "the environment is wrong.*SIGKILL.*twice")
        self.assertEqual(results[case(11)]["verdict"], "passed")

    def limited(self, limit, *words, env=None):
        line = f"ulimit {limit} && exec " + shlex.join([PROGRAM, *words])
        done = subprocess.run(["bash", "-c", line], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
                              env={**os.environ, **(env or {})}, timeout=300, check=False)
        return done.returncode, (done.stdout + done.stderr).decode()

    def test_limit_on_cpu_time(self):
        # Case ids differ by seed, so each of the cases takes 0.7 s. One worker runs two of them at most.
        words = [word for seed in range(1, 7) for word in ("--case", case(111).replace("seed=1", f"seed={seed}"))]
        status, output = self.limited("-t 2", "run", "--set", self.set, "--jobs", "1", *words)
        self.assertEqual(status, 0, output)
        self.assertRegex(flat(output), r"agrees: its worker process was killed by SIG(KILL|XCPU).*'ulimit -t' allows 2 s")
        status, output = self.limited("-t 2", "run", "--set", self.set, "--jobs", "1", "--case", case(103))
        self.assertEqual(status, 2, output)
        self.assertRegex(flat(output), r"environment is wrong.*'ulimit -t' allows 2 s, twice")

    def test_limit_on_the_stack(self):
        status, output = self.limited("-s 64", *QUICK_RUN)
        self.assertEqual(status, 2, output)
        self.assertIn("the limit on the stack, in KiB, is 64 ('ulimit -s')", output)

    def test_limit_on_open_files(self):
        status, output = self.limited("-n 20", *QUICK_RUN)
        self.assertEqual(status, 2, output)
        self.assertIn("the limit on open files is 20 ('ulimit -n')", output)

    def test_limit_on_the_size_of_files(self):
        for words, says in [(["--tier", "quick"], r"the journal \S*"), (["--journal", "j"], "--journal j"),
                            (["--json", "r.json", "--journal", "/dev/null"], "r.json")]:
            status, output = self.limited("-f 1", *QUICK_RUN[:-2], *words)
            self.assertEqual(status, 2, output)
            self.assertRegex(output, says + r": cannot be written: File too large .*'ulimit -f'")
            self.assertRegex(output, r"(?m)^agrees: \d+ cases", "the results are printed")

    def test_a_folder_for_temporary_files_that_cannot_be_written(self):
        status, output, error = self.call(*QUICK_RUN, env={"TMPDIR": self.path("nowhere")})
        self.assertEqual((status, output), (2, ""))
        self.assertRegex(error, "the journal .*cannot be written: No such file.*--journal.*TMPDIR")


class PartsOfARun(CommandLineTest):
    """The options that run a part of the cases."""

    def ids(self, name):
        return [r["id"] for r in self.results(name)["runs"][0]["results"]]

    def setUp(self):
        super().setUp()
        self.set = self.path("hostile set")

    def test_exclude(self):
        whole = self.call("cases", "--tier", "smoke")[1].split()
        less = self.call("cases", "--tier", "smoke", "--exclude", "topk*", "--exclude", "*/contract:*")[1].split()
        self.assertEqual(less, [i for i in whole if not i.startswith("topk") and "/contract:" not in i])
        self.expect_refusal("cases", "--exclude", "no_such_op", says="--exclude 'no_such_op'")
        self.expect_refusal("verify", "--set", "host", "--op", "mask_topk_ids", "--exclude", "no_such_op",
                            says="--exclude 'no_such_op'")

    def test_last_failed(self):
        build(self.set)
        run = ["run", "--set", self.set]
        words = [word for r in (10, 108, 105) for word in ("--case", case(r))]
        self.assertEqual(self.call(*run, *words, "--json", "r.json")[0], 1)
        self.assertEqual(self.call(*run, "--last-failed", "r.json", "--json", "again.json")[0], 1)
        self.assertEqual(self.ids("again.json"), sorted([case(105), case(108)]))
        self.expect_refusal(*run, "--last-failed", "r.json", "--json", "r.json", says="names the same file")
        self.expect_refusal(*run, "--last-failed", "r.json", "--case", CASE, says="--last-failed")
        self.expect_refusal(*run, "--last-failed", "no_such_file", says="no_such_file: cannot be read")
        self.assertEqual(self.call(*QUICK_RUN, "--json", "good.json")[0], 0)
        self.expect_refusal(*run, "--last-failed", "good.json", says="no case differs in these results")
        with open(self.path("good.json"), encoding="utf-8") as file:
            killed = json.load(file)
        killed["unfinished"] = True
        with open(self.path("killed.json"), "w", encoding="utf-8") as file:
            json.dump(killed, file)
        self.expect_refusal(*run, "--last-failed", "killed.json", says="did not finish")

    def test_fail_fast(self):
        build(self.set)
        words = [word for r in [108, *range(10, 70)] for word in ("--case", case(r))]
        status, output, _ = self.call("run", "--set", self.set, *words, "--fail-fast", "--jobs", "1", "--json", "r.json")
        self.assertEqual(status, 1)
        self.assertIn("--fail-fast ended the run after the first difference", flat(output))
        self.assertLess(len(self.ids("r.json")), 61)

    def test_resume(self):
        build(self.set)
        run = ["run", "--set", self.set, "--jobs", "1"]
        words = [word for r in (10, 11, 108, 12) for word in ("--case", case(r))]
        self.assertEqual(self.call(*run, *words, "--journal", "whole")[0], 1)
        with open(self.path("whole"), encoding="utf-8") as file:
            lines = file.readlines()
        # The run was killed while its third case ran and while it wrote a line.
        cut = [line for line in lines if case(12) not in line and case(11) not in line]
        with open(self.path("j"), "w", encoding="utf-8") as file:
            file.writelines(cut)
            file.write(f"start {case(11)}\tdsv4di")
        status, output, error = self.call(*run, *words, "--resume", "j", "--journal", "j", "--json", "r.json")
        self.assertEqual(status, 1, output + error)
        self.assertIn("1 verdicts come from journal j", flat(output))
        results = {r["id"]: r for r in self.results("r.json")["runs"][0]["results"]}
        self.assertEqual(len(results), 4)
        self.assertEqual(results[case(10)]["reason"], "verdict from journal j")
        self.assertEqual(results[case(11)]["reason"], "")
        self.assertEqual(len(results[case(108)]["outputs"]), 1, "a case that differed runs again")
        self.assertIn("3 verdicts come from journal j", flat(self.call(*run, *words, "--resume", "j")[1]))
        before = Path(self.path("j")).read_bytes()
        self.expect_refusal("run", "--set", "host", "--case", CASE, "--resume", "j", "--journal", "j",
                            says="not of 'run --set host'")  # fmt: skip
        self.assertEqual(Path(self.path("j")).read_bytes(), before, "a refused run leaves the journal as it was")
        self.expect_refusal(*run, "--sequence", case(10), "--resume", "j", says="--sequence")
        self.expect_refusal(*run, *words, "--resume", "r.json", says="is not a line of a journal")
        with open(os.path.join(self.set, "manifest.json"), "a", encoding="utf-8") as file:
            file.write("\n")
        self.expect_refusal(*run, *words, "--resume", "j", says="changed after")

    def test_verbose(self):
        output = self.call(*QUICK_RUN, "-v")[1]
        self.assertIn(f"passed {CASE}", output)
        self.assertRegex(output, r"  output \w+: \d+ elements, exact, same bits")
        self.assertNotIn("passed mask", self.call(*QUICK_RUN)[1])


class SetsThatAreTheSame(CommandLineTest):
    def test_a_set_compared_with_itself_is_told(self):
        run = ["run", "--op", "mask_topk_ids", "--tier", "smoke"]
        output = self.call(*run, "--set", "host", "--against", "host")[1]
        self.assertRegex(flat(output), r"host was compared with itself.* agrees: \d+ cases")
        self.assertNotIn("itself", self.call(*run, "--set", "host")[1])

    def test_copies_and_equal_names_are_told(self):
        folder = os.path.join(os.path.dirname(PROGRAM), "sets/host")
        subprocess.run(["cp", "-r", folder, self.path("copy")], check=True)
        run = ["run", "--op", "mask_topk_ids", "--tier", "smoke", "--set", self.path("copy"), "--against", "host"]
        output = flat(self.call(*run)[1])
        self.assertRegex(output, "/copy and .* have the same modules")
        self.assertRegex(output, "/copy and .* have the same name in their manifests, 'host'")
        manifest = self.path("copy/manifest.json")
        with open(manifest, encoding="utf-8") as file:
            text = json.load(file)
        text["name"] = "copy"
        with open(manifest, "w", encoding="utf-8") as file:
            json.dump(text, file)
        self.assertNotIn("the same name", flat(self.call(*run)[1]))


class Dumps(CommandLineTest):
    def read(self, path):
        """Reads a .npy file as numpy does. Returns (dtype, shape, bytes)."""
        with open(path, "rb") as file:
            data = file.read()
        self.assertEqual(data[:8], b"\x93NUMPY\x01\x00")
        size = int.from_bytes(data[8:10], "little")
        header = eval(data[10 : 10 + size].decode())  # a dictionary of literals, as in numpy's format
        return header["descr"], header["shape"], data[10 + size :]

    def test_a_case(self):
        op = "silu_and_mul_masked_post_quant"
        bounded = next(i for i in self.call("cases", "--op", op, "--tier", "smoke")[1].split() if i.count("/") == 2)
        for number, wanted in enumerate((CASE, bounded)):
            folder = self.path(f"dump{number}")
            status, output, error = self.call("run", "--set", "host", "--case", wanted, "--dump", folder)
            self.assertEqual(status, 0, output + error)
            (case_folder,) = os.listdir(folder)
            self.assertEqual(case_folder, wanted.replace("/", "__")[:200])
            case_folder = os.path.join(folder, case_folder)
            with open(os.path.join(case_folder, "dump.json"), encoding="utf-8") as file:
                contents = json.load(file)
            self.assertEqual(contents["case"], wanted)
            self.assertEqual({f["file"] for f in contents["files"]} | {"dump.json"}, set(os.listdir(case_folder)))
            widths = {"1": 1, "2": 2, "4": 4, "8": 8}
            for entry in contents["files"]:
                descr, shape, data = self.read(os.path.join(case_folder, entry["file"]))
                self.assertEqual((descr, list(shape)), (entry["stored_as"], entry["shape"]))
                count = 1
                for n in shape:
                    count *= n
                self.assertEqual(len(data), count * widths[descr[-1]])
            sides = {f.get("side") for f in contents["files"]}
            self.assertLessEqual({"subject", "against"}, sides)
            compared = {(f["name"], f["what"]): f for f in contents["files"] if "comparison" in f}
            name = next(n for n, what in compared if what == "got")
            got, want = (self.read(os.path.join(case_folder, compared[name, what]["file"])) for what in ("got", "want"))
            if wanted == CASE:
                self.assertEqual(got, want, "the op is exact")
            else:
                self.assertTrue({what for _, what in compared} & {"bound", "low"}, "the op has bounds")

    def test_a_sequence_and_a_crash(self):
        hostile = self.path("hostile set")
        build(hostile)
        self.call("run", "--set", hostile, "--sequence", case(10), "--sequence", case(102), "--dump", "d")
        self.assertEqual(sorted(os.listdir(self.path("d"))), sorted(case(r).replace("/", "__") for r in (10, 102)))
        files = os.listdir(self.path("d/" + case(102).replace("/", "__")))
        self.assertIn("call1-subject-mask_topk_ids-before-topk_ids.npy", files, "the inputs of a crash are kept")

    def test_refusals(self):
        run = ["run", "--set", "host"]
        self.expect_refusal(*run, "--dump", "d", says="--dump writes every tensor of a case, so it needs --case")
        self.assertEqual(self.call(*run, "--case", CASE, "--dump", "d")[0], 0)
        self.expect_refusal(*run, "--case", CASE, "--dump", "d", says="the folder is not empty")
        self.expect_refusal(*run, "--set", "reference", "--case", CASE, "--dump", "e", says="--dump writes the files of")
        self.expect_refusal(*run, "--case", CASE, "--dump", "/proc/d", says="--dump /proc/d")


if __name__ == "__main__":
    unittest.main()
