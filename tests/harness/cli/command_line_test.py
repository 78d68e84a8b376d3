"""Tests of the command line as a user calls it. They test the lists that it prints and the calls that it refuses."""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support import BUILD, CASE, CommandLineTest  # noqa: E402


class Lists(CommandLineTest):
    def test_help_and_version(self):
        status, output, _ = self.call("--help")
        self.assertEqual(status, 0)
        for command in ["run", "record", "verify", "merge", "report", "ops", "sets", "cases", "known"]:
            self.assertRegex(output, rf"(?m)^  {command} ")
        self.assertNotIn("worker", output)
        status, output, _ = self.call("--version")
        self.assertEqual((status, output.split()[0]), (0, "dsv4diff"))
        for command in ["run", "record", "verify", "merge", "report", "ops", "sets", "cases", "known"]:
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
        for name in ops:
            self.assertGreater(len(ops[name]["outputs"]), 0, name)
            self.assertTrue(all(o["tolerances"] for o in ops[name]["outputs"]), name)
        self.assertTrue({s["name"]: s["derived"] for s in op["scenarios"]}["relation:repeat"])
        for columns in (80, 300):
            table = self.call("ops", env={"COLUMNS": str(columns)})[1]
            self.assertLessEqual(max(map(len, table.splitlines())), columns)
            for name in ops:
                self.assertRegex(table, rf"(?m)^{name} ")

    def test_the_page_of_an_op(self):
        op = json.loads(self.call("ops", "hash_topk", "--json")[1])[0]
        status, page, _ = self.call("ops", "hash_topk", env={"COLUMNS": "80"})
        self.assertEqual(status, 0)
        self.assertLessEqual(max(map(len, page.splitlines())), 80)
        words = " ".join(page.split())
        for named in op["params"] + op["arguments"] + op["scenarios"] + op["outputs"]:
            self.assertIn(named["name"], words)
        for output in op["outputs"]:
            for tolerance in output["tolerances"]:
                self.assertIn(" ".join(tolerance.split()), words)
        for check in op["without"]:
            self.assertIn(check, words)

    def test_every_function_takes_as_many_arguments_as_its_op_says(self):
        arities = {op["name"]: op["arity"] for op in json.loads(self.call("ops", "--json")[1])}
        self.assertIn("hisparse_transfer/1, 4 arguments", " ".join(self.call("ops", "hisparse_transfer")[1].split()))
        with open(os.path.join(BUILD, "sets/host/manifest.json"), encoding="utf-8") as f:
            functions = [f for f in json.load(f)["ops"] if not f.get("aux")]
        self.assertEqual({f["op"] for f in functions}, set(arities))
        for function in functions:
            self.assertEqual(function["arity"], arities[function["op"]], function)

    def test_colours(self):
        for words, colored in ((["--color", "always"], True), (["--color", "never"], False), ([], False)):
            for command in (["ops"], ["run", "--set", "host", "--case", CASE]):
                self.assertEqual("\x1b[" in self.call(*command, *words)[1], colored, words)
        self.expect_refusal("ops", "--color", "blue", says="--color")

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


class Refusals(CommandLineTest):
    """Every wrong call ends with status 2 and one message. It says what is wrong and what the user probably meant."""

    def test_wrong_calls(self):
        run = ["run", "--set", "host"]
        for words, says in [
            (["rnu"], "unknown command 'rnu', did you mean 'run'?"),
            (["x" * 100000], "unknown command"),
            (run + ["--teir", "smoke"], "unknown option '--teir', did you mean '--tier'?"),
            (run + ["--jbos=2"], "unknown option '--jbos', did you mean '--jobs'?"),
            (run + ["stray"], "unexpected argument 'stray'"),
            (run + ["--op", "topk_v2x"], "did you mean 'topk_v2'?"),
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
            (run + ["--jobs", "0x10"], "'0x10' is not a number from 1 to 1024"),
            (run + ["--jobs", "010"], "'010' is not a number from 1 to 1024"),
            (run + ["--jobs", "1025"], "'1025' is not a number from 1 to 1024"),
            (run + ["--seed", "010"], "'010' is not a number"),
            (run + ["--timeout", "0x10"], "'0x10' is not a number"),
            (run + ["--memory", "0x1p0"], "'0x1p0' is neither"),
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
            (run + ["--memory", "0.2"], "neither 0 nor a number from 0.25"),
            (run + ["--memory", "inf"], "--memory"),
            (run + ["--soak", "inf"], "--soak"),
            (run + ["--json", ""], "--json: the name is empty"),
            (run + ["--junit", ""], "--junit: the name is empty"),
            (run + ["--markdown", ""], "--markdown: the name is empty"),
            (run + ["--journal", ""], "--journal: the name is empty"),
            (run + ["--known", ""], "--known: the name is empty"),
            (run + ["--known", "."], "is not a readable file"),
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
            (["verify", "--set", "host", "--op", "topk_v1x"], "did you mean 'topk_v1'?"),
            (["verify", "--set", "host", "--case", "nonsense"], "case id 'nonsense'"),
            (["verify", "--set", "host", "--case", CASE, "--case", CASE.replace("=1", "=77")], "have no such case"),
            (["verify", "--set", "host", "--case", "topk_v1/zzz*"], "have no such case"),
            (["verify", "--set", "host", "--shard", "5/4"], "--shard '5/4'"),
            (["record", "--set", "host", "--golden", ""], "--golden: the name is empty"),
            (["record", "--set", "host", "--golden", "/dev/null"], "/dev/null is not a folder"),
            (["record", "--set", "host", "--op", "topk_v1x"], "did you mean 'topk_v1'?"),
            (["ops", "no_such_op"], "no op is called 'no_such_op'"),
            (["sets", "no_such_set"], "no_such_set"),
            (["cases", "--tier", "fulll"], "did you mean 'full'?"),
            (["record"], "--set is required"),
            (["record", "--set", "host", "--tier", "x"], "unknown tier"),
            (["merge"], "files is required"),
            (["merge", "no_such_file.json"], "cannot be read"),
            (["merge", ""], "the name is empty"),
            (["merge", "."], "cannot be read"),
            (["worker", "--set", "host", "--set-label", "host"], "only by the other commands"),
            (["bench", "--set", "host"], "does not run on a GPU"),
            (["bench", "--shape", "no such text"], "there is no such shape"),
            (["bench", "--op", "topk_v2000"], "no op is called"),
            (["bench", "--samples", "1"], "--samples"),
        ]:
            with self.subTest(call=" ".join(words)[:80]):
                self.expect_refusal(*words, says=says)

    def test_long_names_are_not_echoed_in_full(self):
        run = ["run", "--set", "host"]
        verify = ["verify", "--set", "host"]
        name = "x" * 100000
        for words in [["run", "--set", name], run + ["--op", name], run + ["--case", name], run + ["--case", name + "*"],
                      run + ["--case", f"{CASE.rsplit('/', 1)[0]},{name}=1/seed=1"], run + ["--tier", name],
                      run + ["--shard", name], run + ["--jobs", name], run + ["--json", name],
                      run + ["--json", name + "/x"], run + ["--journal", name], run + ["--known", name],
                      run + ["--against", name], run + ["--" + name], run + [name], run + ["--exclude", name],
                      run + ["--last-failed", name], run + ["--resume", name], run + ["--sequence", name],
                      run + ["--case", CASE, "--dump", name], verify + ["--op", name], verify + ["--golden", name],
                      verify + ["--recorded", name], verify + ["--case", name], ["ops", name], ["sets", name],
                      ["merge", name], ["bench", "--op", name], ["bench", "--set", name], ["record", "--set", name],
                      ["record", "--set", "host", "--golden", name]]:
            with self.subTest(call=" ".join(words)[:60]):
                status, output, error = self.call(*words)
                self.assertEqual((status, output), (2, ""))
                self.assertLess(len(error), 1000, error[:300])
                self.assertEqual(len(error.strip().splitlines()), 1)

    def test_call_without_a_command(self):
        status, _, error = self.call()
        self.assertEqual(status, 2)
        self.assertIn("Usage", error)

    def test_set_of_an_absent_device(self):
        if os.path.exists("/dev/nvidia0"):
            self.skipTest("this machine has a GPU")
        os.mkdir(self.path("gpu"))
        with open(self.path("gpu/manifest.json"), "w", encoding="utf-8") as file:
            json.dump({"schema": 1, "name": "gpu", "device": "cuda", "errors_name_arguments": False, "provenance": {},
                       "modules": {}, "ops": [], "absent": []}, file)
        self.expect_refusal("run", "--set", self.path("gpu"), says="needs a GPU")

    def test_malformed_files(self):
        for name, content in [("empty", b""), ("text", b"hello"), ("list", b"[]"), ("bytes", bytes(range(256))),
                              ("deep", b"[" * 100000)]:
            with open(self.path(name), "wb") as file:
                file.write(content)
            with self.subTest(name=name):
                self.expect_refusal("merge", name, says=name)
                self.expect_refusal("run", "--set", "host", "--known", name, says=name)


if __name__ == "__main__":
    unittest.main()
