"""Tests of a kernel set that crashes, hangs or gives wrong results. A fault may affect only its own case."""

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support import BUILD, SOURCE, CommandLineTest  # noqa: E402


def cache(name):
    """Returns the value of a variable in the build's CMake cache, or "" if the cache does not have it."""
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
        for line in file:
            if line.startswith(name + ":"):
                return line.split("=", 1)[1].strip()
    return ""


def case(rows):
    return f"mask_topk_ids/rows={rows},k=6,gap=0,real=3,count=host_i32/seed=1"


@functools.cache
def compiled(sanitize, wrong_rows):
    """Compiles the hostile kernel once for all tests. Returns the folder, which lives as long as this process."""
    scratch = tempfile.TemporaryDirectory(prefix="dsv4diff hostile ")
    folder = scratch.name
    module = os.path.join(folder, "mask_topk_ids.so")
    with open(os.path.join(SOURCE, "tests/harness/cli/hostile_kernel.cc"), encoding="utf-8") as file:
        source = file.read()
    with open(os.path.join(folder, "kernel.cc"), "w", encoding="utf-8") as file:
        file.write(source.replace("case 108:", f"case {wrong_rows}:"))
    subprocess.run([cache("CMAKE_CXX_COMPILER"), "-std=c++20", "-O1", "-w", "-shared", "-fPIC", "-fno-gnu-unique",
                    *([f"-fsanitize={sanitize}"] if sanitize else []),
                    "-I", SOURCE, "-isystem", os.path.join(cache("DSV4_DEPS_DIR"), "tvm_ffi/include"),
                    os.path.join(folder, "kernel.cc"), "-o", module,
                    "-L", os.path.join(BUILD, "lib"), "-ltvm_ffi"], check=True)
    return scratch


def build(folder, sanitize=cache("DSV4_SANITIZE"), wrong_rows=108):
    """Makes a kernel set of the hostile kernel in `folder`. `sanitize` names sanitizers, or is empty. With `wrong_rows`
    rows, an id is wrong."""
    os.makedirs(folder)
    module = os.path.join(folder, "mask_topk_ids.so")
    shutil.copy(os.path.join(compiled(sanitize, wrong_rows).name, "mask_topk_ids.so"), module)
    with open(module, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    with open(os.path.join(folder, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump({"schema": 1, "name": "hostile", "device": "cpu", "errors_name_arguments": False,
                   "provenance": {"package": "hostile", "version": "1"},
                   "modules": {"mask_topk_ids.so": {"sha256": digest, "source": "hostile_kernel.cc", "flags": [],
                                                    "edits": []}},
                   "ops": [{"op": "mask_topk_ids", "params": {}, "module": "mask_topk_ids.so", "function": "run",
                            "abi": "mask_topk_ids/1", "arity": 2}],
                   "absent": [{"op": "topk_v1", "reason": "nobody wrote it"}]}, file)


class HostileSet(CommandLineTest):
    def setUp(self):
        super().setUp()
        self.set = self.path("hostile set")
        build(self.set)

    def sweep(self, rows, *options):
        words = [word for r in rows for word in ("--case", case(r))]
        status, output, error = self.call("run", "--set", self.set, *words, "--json", "r.json", *options)
        results = self.results("r.json")["runs"][0]["results"]
        self.assertEqual({r["id"] for r in results}, {case(r) for r in rows})
        return status, {r["id"]: r for r in results}, output, error

    def test_each_fault_costs_its_own_case(self):
        faults = {101: "SIGSEGV", 102: "SIGABRT", 103: "time-out", 104: "exited with status 0",
                  105: "thrown by the kernel", 106: "SIGABRT|SIGSEGV", 107: "out of memory|refused.*alloc"}
        if "address" in cache("DSV4_SANITIZE"):
            for rows in (101, 106, 107):  # with the sanitizer, the messages differ and memory is not limited
                faults.pop(rows)
        good = [*range(10, 40), 109]
        for jobs in ("1", "2"):
            status, results, output, _ = self.sweep([*good, *faults, 108], "--timeout", "5", "--memory", "0.5",
                                                    "--jobs", jobs, "--show", "20")
            self.assertEqual(status, 1)
            for rows in good:
                self.assertEqual(results[case(rows)]["verdict"], "passed", results[case(rows)])
            for rows, reason in faults.items():
                self.assertEqual(results[case(rows)]["verdict"], "error", results[case(rows)])
                self.assertRegex(results[case(rows)]["reason"], reason)
                if rows != 106:  # may be of the same kind as another crash
                    self.assertIn(f"error {case(rows)}", output)
            self.assertEqual(results[case(108)]["verdict"], "failed")
            first = results[case(108)]["outputs"][0]["first"]
            self.assertEqual(first["at"], [0, 0])
            if 101 in faults:
                reason = results[case(101)]["reason"]
                self.assertIn("last words", reason)
                self.assertIn("in function 'run' of set 'hostile' (op 'mask_topk_ids'): a write to 0x0", reason)
                self.assertIn("AddressSanitizer names the line, if the set is built with it", reason)

    def test_results_say_where_a_case_differs_and_a_page_can_be_made_of_them(self):
        _, results, _, _ = self.sweep([20, 105, 108])
        self.assertEqual(results[case(108)]["outputs"][0]["places"],
                         {"shape": [108, 6], "cell": [2, 1], "grid": [54, 6], "runs": [1, 1, 0, 54 * 6 - 1]})
        self.assertNotIn("places", results[case(20)]["outputs"][0])
        status, _, error = self.call("report", "r.json", "-o", "page.html")
        self.assertEqual(status, 0, error)
        self.assertGreater(os.path.getsize(self.path("page.html")), 1 << 20)

    def compare(self, rows, *options):
        """Returns the exit status, the results by number of rows, and the output on one line."""
        words = [word for r in rows for word in ("--case", case(r))]
        status, output, error = self.call("run", *words, "--timeout", "5", "--memory", "0.5", "--json", "r.json", *options)
        self.assertIn(status, (0, 1), output + error)
        results = {r["id"]: r for r in self.results("r.json")["runs"][0]["results"]}
        return status, {r: results[case(r)] for r in rows}, " ".join(output.split())

    def test_an_unchanged_copy_does_not_differ(self):
        shutil.copytree(self.set, self.path("copy"))
        rows = [10, 102, 103, 104, 105, 108]
        status, results, output = self.compare(rows, "--set", "./copy", "--against", self.set)
        self.assertEqual(status, 0, output)
        for r in (102, 103, 104, 105):  # these crash, hang, exit and throw
            self.assertEqual((results[r]["verdict"], results[r]["change"]), ("passed", "alike"), results[r])
            self.assertRegex(results[r]["reason"], "^both sides alike: ")
        for r in (10, 108):  # 108 rows give a wrong result, and both sides give the same one
            self.assertEqual((results[r]["verdict"], results[r]["change"]), ("passed", ""), results[r])
        self.assertIn("same bits in 2 of 2 cases; 4 cases are wrong on both sides alike", output)

    def test_a_crash_names_its_side(self):
        status, results, _ = self.compare([102], "--set", self.set, "--against", "host")
        self.assertEqual((status, results[102]["verdict"]), (1, "error"))
        self.assertRegex(results[102]["reason"], f"^'{self.set}' and not 'host': the worker process was killed by SIGABRT")
        status, results, _ = self.compare([102], "--set", "host", "--against", self.set)
        self.assertEqual((status, results[102]["verdict"]), (1, "error"))
        self.assertRegex(results[102]["reason"], f"^'{self.set}' and not 'host': the worker process was killed by SIGABRT")

    def test_only_what_is_new_since_the_baseline_differs(self):
        shutil.copytree(self.set, self.path("copy"))
        rows = [10, 102, 108]
        status, results, output = self.compare(rows, "--set", "./copy", "--baseline", self.set)
        self.assertEqual(status, 0, output)
        self.assertEqual([results[r]["change"] for r in rows], ["", "alike", "alike"])
        self.assertIn("2 cases are wrong on both sides alike", output)
        status, results, output = self.compare(rows, "--set", self.set, "--baseline", "host")
        self.assertEqual(status, 1, output)
        self.assertEqual([results[r]["change"] for r in rows], ["", "new", "new"])
        self.assertIn("2 cases are newly wrong", output)
        again = results[108]["reproduce"]
        self.assertIn("--baseline host", again)
        done = subprocess.run(again, shell=True, cwd=self.folder, capture_output=True, check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        status, results, output = self.compare(rows, "--set", "host", "--baseline", self.set)
        self.assertEqual(status, 0, output)
        self.assertEqual([results[r]["change"] for r in rows], ["", "mended", "mended"])
        self.assertIn("2 cases are mended", output)

    def test_sources_in_no_module_stand_in_the_last_lines(self):
        def change(manifest):
            manifest["provenance"].update(package="sglang", release="0.5.13")
            manifest["uncovered"] = [
                {"path": f"csrc/{name}.cuh", "sha256": "0" * 64, "releases": [], "changed": changed}
                for name, changed in (("same", False), ("edited", True))]
        self.change_manifest(change)
        status, _, output = self.compare([10], "--set", self.set)
        self.assertEqual(status, 0)
        self.assertIn(f"{self.set}: not covered: 2 source files in no module: csrc/edited.cuh, csrc/same.cuh", output)
        self.assertIn("WARNING: csrc/edited.cuh differs from sglang 0.5.13 and NO MODULE COVERS IT", output)
        self.assertRegex(output, r"agrees: 1 case \(.*\); NOT COVERED: 2 source files in no module$")

    def test_exact_needs_the_bits_of_a_kernel_set(self):
        self.expect_refusal("run", "--set", self.set, "--case", case(10), "--exact", says="--exact demands the bits of")
        self.expect_refusal("run", "--set", self.set, "--case", case(10), "--baseline", "host", "--against", "host",
                            says="excludes")
        status, _, output = self.compare([10], "--set", "host", "--against", self.set, "--exact")
        self.assertEqual(status, 0, output)

    def test_reproduction_command_gives_the_same_result(self):
        _, results, _, _ = self.sweep([108])
        command = results[case(108)]["reproduce"]
        self.assertIn(f"--set '{self.set}'", command)
        done = subprocess.run(command, shell=True, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"failed {case(108)}".encode(), done.stdout)

    def test_altered_module_gives_status_2(self):
        with open(os.path.join(self.set, "mask_topk_ids.so"), "ab") as file:
            file.write(b"x")
        words = [word for rows in range(10, 40) for word in ("--case", case(rows))]
        self.expect_refusal("run", "--set", self.set, *words, says="the module's SHA-256 is")
        self.expect_refusal("run", "--set", "host", "--against", self.set, *words, says="the module's SHA-256 is")
        self.expect_refusal("record", "--set", self.set, "--golden", self.path("g"), "--op", "mask_topk_ids",
                            says="the module's SHA-256 is")
        # A set that was altered is of no importance to the ops that do not need the altered module.
        self.assertIn("unsupported", self.call("run", "--set", self.set, "--op", "topk_v1", "--tier", "smoke")[1])

    def test_a_module_that_is_a_pipe_is_refused(self):
        module = os.path.join(self.set, "mask_topk_ids.so")
        os.remove(module)
        os.mkfifo(module)
        self.expect_refusal("run", "--set", self.set, "--case", case(10), says="is not a regular file")
        os.remove(module)
        self.expect_refusal("run", "--set", self.set, "--case", case(10), says="the module file is missing")

    def test_set_with_another_sanitizer_is_one_error(self):
        plain = not cache("DSV4_SANITIZE")
        other = self.path("other set")
        build(other, "address" if plain else "")
        words = [word for rows in (10, 11) for word in ("--case", case(rows))]
        says = ["built with AddressSanitizer (module mask_topk_ids.so)", "scripts/setup --with-sanitizers"] if plain else [
            "built without a sanitizer", "--asan-ubsan"]
        for text in says:
            self.expect_refusal("run", "--set", other, *words, says=text)
            self.expect_refusal("run", "--set", self.set, "--against", other, *words, says=text)

    def change_manifest(self, change):
        path = os.path.join(self.set, "manifest.json")
        with open(path, encoding="utf-8") as file:
            manifest = json.load(file)
        change(manifest)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(manifest, file)

    def test_wrong_manifest_is_refused(self):
        with open(os.path.join(self.set, "manifest.json"), encoding="utf-8") as file:
            good = file.read()
        for damage, says in [
            (lambda m: m.update(schema=2), "schema 2 is newer than this tool"),
            (lambda m: m.update(schema=(1 << 32) + 1), "is newer than this tool"),
            (lambda m: m.update(schema="1"), "'schema' is not an integer"),
            (lambda m: m.update(name=""), "'name' of the manifest is empty"),
            (lambda m: m.update(device="tpu"), "device 'tpu' is not"),
            (lambda m: m.pop("modules"), "has no field 'modules'"),
            (lambda m: m["ops"][0].update(module="../x.so"), "is missing from 'modules'"),
            (lambda m: m["modules"].update({"../x.so": {"sha256": "0"}}), "is not a file name in the set's folder"),
            (lambda m: m["ops"][0].update(arity=-1), "'arity' of ops[0]"),
        ]:
            self.change_manifest(damage)
            with self.subTest(says=says):
                self.expect_refusal("run", "--set", self.set, "--case", case(10), says=says)
            with open(os.path.join(self.set, "manifest.json"), "w", encoding="utf-8") as file:
                file.write(good)
        for text in ("", "{", "[]", "null", good[: len(good) // 2]):
            with open(os.path.join(self.set, "manifest.json"), "w", encoding="utf-8") as file:
                file.write(text)
            self.expect_refusal("run", "--set", self.set, "--case", case(10), says="manifest.json")
        os.remove(os.path.join(self.set, "manifest.json"))
        self.expect_refusal("run", "--set", self.set, "--case", case(10), says="has no manifest.json")

    def test_entry_that_does_not_fit_its_module_gives_status_2(self):
        manifest = os.path.join(self.set, "manifest.json")
        shutil.copy(manifest, self.path("good.json"))

        def restore():
            shutil.copy(self.path("good.json"), manifest)

        for damage, says in [
            (lambda m: m["ops"][0].update(function="nope"), "function 'nope' of mask_topk_ids.so: the module exports no"),
            (lambda m: m["ops"][0].update(arity=3), "takes 3 arguments, but the op passes 2"),
        ]:
            self.change_manifest(damage)
            status, _, output, _ = self.sweep([10, 11, 12])
            self.assertEqual(status, 2)
            self.assertRegex(" ".join(output.split()), r"set 'hostile', op 'mask_topk_ids', function '\w+'")
            self.assertEqual(" ".join(output.split()).count(says), 2, "once for all cases, and in the last line")
            self.assertIn("cases like this: 3 of 3 cases of mask_topk_ids", output)
            restore()
        self.change_manifest(lambda m: m["ops"][0].update(abi="mask_topk_ids/9"))
        status, results, output, _ = self.sweep([10])
        self.assertEqual((status, results[case(10)]["verdict"]), (2, "unsupported"))
        self.assertIn("variant 'mask_topk_ids/9' is unknown to this tool", " ".join(output.split()))

    def test_op_that_the_set_lacks_is_unsupported(self):
        status, output, _ = self.call("run", "--set", self.set, "--op", "topk_v1", "--tier", "smoke")
        self.assertEqual(status, 2)
        self.assertIn("nothing was tested", output)
        self.assertIn("unsupported", output)
        self.assertIn("hostile lacks topk_v1: nobody wrote it", self.call("sets", self.set)[1])

    def test_ops_that_the_set_lacks_are_left_out_unless_asked_for(self):
        status, output, error = self.call("run", "--set", self.set, "--tier", "smoke", "--json", "r.json")
        self.assertEqual(status, 1, "it checks no argument, so contracts fail: " + output + error)
        run = self.results("r.json")["runs"][0]
        self.assertEqual({r["op"] for r in run["results"]}, {"mask_topk_ids"})
        lacking = run["not_covered"]["ops_not_in_set"]
        self.assertIn("topk_v1", lacking)
        self.assertNotIn("mask_topk_ids", lacking)
        self.assertIn(f"NOT COVERED: {len(lacking)} ops that the set lacks", " ".join(output.split()))
        _, output, _ = self.call("run", "--set", self.set, "--op", "*topk*", "--tier", "smoke", "--json", "r.json")
        self.assertNotIn("ops_not_in_set", self.results("r.json")["runs"][0]["not_covered"])
        self.assertRegex(" ".join(output.split()), r"NOT COVERED: .*cases unsupported")
        self.call("run", "--set", "host", "--against", self.set, "--tier", "smoke", "--json", "r.json")
        self.assertEqual(self.results("r.json")["runs"][0]["not_covered"]["ops_not_in_other_set"], lacking)

    def test_recording_does_not_turn_passed_cases_into_failed_ones_without_consent(self):
        build(self.path("broken"), wrong_rows=5)
        record = ["record", "--op", "mask_topk_ids", "--tier", "smoke", "--golden", "golden", "--set"]
        status, output, error = self.call(*record, self.set)
        self.assertEqual(status, 0, output + error)
        files = ["golden/mask_topk_ids/hostile.h5", "golden/mask_topk_ids/hostile.txt"]

        def content():
            texts = []
            for name in files:
                with open(self.path(name), "rb") as file:
                    texts.append(file.read())
            return texts
        before = content()
        for more in ([], ["--dry-run"], ["--dry-run", "--accept-failures"]):
            status, output, error = self.call(*record, "./broken", *more)
            self.assertEqual(status, 1, output + error)
            self.assertEqual(content(), before)
            self.assertLess(len(output.splitlines()), 41)
            self.assertRegex(output, r"(?m)^failed mask_topk_ids/rows=5,")
            self.assertRegex(output, r"topk_ids of mask_topk_ids/rows=5,")
            self.assertEqual("not recorded, because " in output, "--accept-failures" not in more, output)
        self.assertRegex(" ".join(output.split()), r"1 of \d+ elements have other bits, at most \d+ ulp")
        status, output, error = self.call(*record, "./broken", "--accept-failures")
        self.assertEqual(status, 1, "the outputs differ from the reference: " + output + error)
        self.assertNotEqual(content(), before)
        self.assertIn(b" failed t=", content()[1])
        # Now they are recorded as failed, so they change nothing more.
        self.assertIn("unchanged", self.call(*record, "./broken")[1])

    def test_sources_that_no_module_covers_are_listed(self):
        def change(manifest):
            manifest["provenance"]["release"] = "0.9"
            manifest["absent"] = [{"op": "topk_v1", "params": {"k": "512"}, "reason": "it is broken"},
                                  {"op": "hash_topk", "reason": "left out: --op mask*", "left_out": True}]
            manifest["uncovered"] = [{"path": f"csrc/{name}.cuh", "sha256": "0" * 64, "releases": releases, "changed": not releases}
                                     for name, releases in (("a", ["0.9"]), ("b", []))]  # fmt: skip
            manifest["uncovered"][0].update(unmapped=True, functions=["AKernel::run", "plan"])
            manifest["uncalled"] = [{"path": "csrc/c.cuh", "functions": ["CKernel::plan"]}]

        self.change_manifest(change)
        output = self.call("sets", self.set)[1]
        self.assertIn("hostile lacks topk_v1 k=512: it is broken\n", output)
        self.assertIn("hostile: no module includes 2 of upstream's source files: csrc/a.cuh, csrc/b.cuh\n"
                      "unmapped: csrc/a.cuh: AKernel::run, plan\n"
                      "unmapped: csrc/c.cuh: CKernel::plan\n"
                      "WARNING: csrc/b.cuh differs from hostile 0.9 and NO MODULE COVERS IT\n", output)  # fmt: skip
        (told,) = json.loads(self.call("sets", "--json", self.set)[1])
        self.assertEqual([(f["path"], f["releases"], f["changed"]) for f in told["uncovered"]],
                         [("csrc/a.cuh", ["0.9"], False), ("csrc/b.cuh", [], True)])  # fmt: skip
        self.assertEqual([(f["unmapped"], f["functions"]) for f in told["uncovered"]],
                         [(True, ["AKernel::run", "plan"]), (False, [])])  # fmt: skip
        self.assertEqual(told["uncalled"], [{"path": "csrc/c.cuh", "functions": ["CKernel::plan"]}])
        self.assertIn("1 function of upstream that no op calls", self.call("run", "--set", self.set, "--tier", "smoke")[1])
        absent = {record["op"]: record for record in told["absent"]}
        self.assertEqual(absent["topk_v1"]["params"], {"k": "512"})
        self.assertEqual([absent[op]["left_out"] for op in ("topk_v1", "hash_topk")], [False, True])


if __name__ == "__main__":
    unittest.main()
