"""dsv4diff drift, end to end: copies of a set, a set with one changed rounding, results files, and misuse."""

import json
import os
import re
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support import BUILD, CASE, QUICK_RUN, SOURCE, CommandLineTest  # noqa: E402

sys.path.insert(0, os.path.join(SOURCE, "scripts"))
import build_mutant  # noqa: E402

HOST = os.path.join(BUILD, "sets", "host")

# The entry of the C4 compressor is a quotient, which is rounded to the nearest float. Here it is truncated.
TRUNCATED = {
    "name": "drift_truncated", "op": "compress_c4_decode", "file": "kernels/compress/c4_window.cuh",
    "find": "out.v[c] = __fdividef(sum, weights);",
    "replace": "out.v[c] = [](double q) { const float f = static_cast<float>(q); "
               "return fabs(static_cast<double>(f)) > fabs(q) ? nextafterf(f, 0.0f) : f; }"
               "(static_cast<double>(sum) / weights);",
    "fault": "the entry is truncated instead of rounded to the nearest float",
}  # fmt: skip

# The eight products of the window are added from the last to the first.
REVERSED = {
    "name": "drift_reversed", "op": "compress_c4_decode", "file": "kernels/compress/c4_window.cuh",
    "find": "      for (int i = 0; i < kWindow; ++i) {\n        const float weight",
    "replace": "      for (int i = kWindow - 1; i >= 0; --i) {\n        const float weight",
    "fault": "the order of addition is reversed, which is right",
}  # fmt: skip


class Drift(CommandLineTest):
    def copy_of_host(self, name="copy"):
        folder = self.path(name)
        shutil.copytree(HOST, folder)
        return folder

    def test_a_truncated_output_is_found_and_named(self):
        mutant = str(build_mutant.build_mutant(TRUNCATED))
        # No element is outside its tolerance, so a run does not see the change.
        calls = "compress_c4_decode/head_dim*"
        status, out, error = self.call("run", "--set", mutant, "--op", "compress_c4_decode", "--case", calls)
        self.assertEqual(status, 0, out + error)
        status, out, error = self.call("drift", HOST, mutant, "--op", "compress_c4_*", "--op", "hash_topk", "--json", "d.json")
        self.assertEqual(status, 1, out + error)
        self.assertIn("compress_c4_decode kv_output: shift toward zero", out)
        self.assertIn("shift in 1 of 5 outputs", out)
        self.assertTrue(all(len(line) <= 80 or "/" in line for line in out.splitlines()), out)
        shifted = [o for o in self.results("d.json")["pairs"][0]["outputs"] if o["conclusion"] == "shift"]
        self.assertEqual([(o["op"], o["output"]) for o in shifted], [("compress_c4_decode", "kv_output")])
        output = shifted[0]
        self.assertEqual(output["direction"], "toward zero")
        self.assertLess(output["tests"]["away"]["net"], -0.99)
        self.assertLess(output["same_bits"], output["compared"])
        self.assertEqual(output["a"]["elements"], sum(n for _, n in output["a"]["ulp"]))
        self.assertEqual(output["b"]["bounded"], sum(output["b"]["share"]))
        self.assertIn(output["b"]["largest_case"].split("/")[0], "compress_c4_decode")
        # Results files tell the same, with a weaker test.
        for name, folder in (("old.json", HOST), ("new.json", mutant)):
            status, out, error = self.call("run", "--set", folder, "--op", "compress_c4_decode", "--case", calls, "--errors",
                                           "--own-seeds", "--json", name)  # fmt: skip
            self.assertEqual(status, 0, out + error)
        status, out, error = self.call("drift", "old.json", "new.json")
        self.assertEqual(status, 1, out + error)
        self.assertIn("compress_c4_decode kv_output: shift toward zero", out)
        self.assertNotIn("the seed of another case", out)
        # The cases of a tier have the same seed, so their data repeat, and the test is not valid.
        self.call("run", "--set", HOST, "--op", "compress_c4_decode", "--tier", "smoke", "--errors", "--json", "shared.json")
        shutil.copy(self.path("shared.json"), self.path("again.json"))
        status, out, error = self.call("drift", "shared.json", "again.json")
        self.assertIn("the seed of another case", " ".join(out.split()))
        status, out, error = self.call("drift", "old.json", HOST, "--op", "compress_c4_decode")
        self.assertEqual(status, 0, out + error)
        self.assertIn("the same statistics in every case", out)
        status, out, error = self.call("drift", HOST, self.copy_of_host(), mutant, "--case", calls)
        self.assertEqual(status, 1, out + error)
        self.assertEqual(len(re.findall(r"^from ", out, re.MULTILINE)), 2, out)
        self.assertEqual(out.count("shift toward zero"), 1, out)

    def test_another_order_of_addition_is_no_shift(self):
        mutant = str(build_mutant.build_mutant(REVERSED))
        status, out, error = self.call("drift", HOST, mutant, "--op", "compress_c4_decode", "--json", "d.json")
        self.assertEqual(status, 0, out + error)
        output = self.results("d.json")["pairs"][0]["outputs"][0]
        self.assertEqual(output["conclusion"], "no shift")
        self.assertLess(output["same_bits"], 0.9 * output["compared"])
        # A truncation is found behind the other order.
        truncated = str(build_mutant.build_mutant(TRUNCATED))
        status, out, error = self.call("drift", mutant, truncated, "--op", "compress_c4_decode")
        self.assertEqual(status, 1, out + error)
        self.assertIn("shift toward zero", out)

    def test_a_copy_of_a_set_has_no_drift(self):
        copy = self.copy_of_host()
        status, out, error = self.call("drift", HOST, copy, "--tier", "smoke", "--json", "d.json")
        self.assertEqual(status, 0, out + error)
        outputs = self.results("d.json")["pairs"][0]["outputs"]
        self.assertGreater(len(outputs), 20)
        for output in outputs:
            self.assertEqual(output["conclusion"], "same", output)
            self.assertEqual(output["same_bits"], output["compared"])
        self.assertIn("outputs have the same bits in every case", out)
        self.assertIn("exact outputs: their bits are fixed", out)
        self.assertIn("contracts, relations and sequences", out)
        self.assertIn("the same modules", error)

    def test_a_set_without_an_op_says_so(self):
        copy = self.copy_of_host()
        path = os.path.join(copy, "manifest.json")
        with open(path, encoding="utf-8") as file:
            manifest = json.load(file)
        manifest["ops"] = [o for o in manifest["ops"] if o["op"] != "hash_topk"]
        with open(path, "w", encoding="utf-8") as file:
            json.dump(manifest, file)
        status, out, error = self.call("drift", HOST, copy, "--tier", "smoke")
        self.assertEqual(status, 0, out + error)
        self.assertIn("lacks: hash_topk", " ".join(out.split()))
        self.assertNotIn("hash_topk/", out)
        status, out, error = self.call("drift", HOST, copy, "--tier", "smoke", "--op", "hash_topk")
        self.assertEqual(status, 2, out + error)
        self.assertIn("nothing was compared", out)

    def test_misuse(self):
        self.expect_refusal("drift", "host", says="sides")
        self.expect_refusal("drift", "host", "host", says="given twice")
        self.expect_refusal("drift", "host", "no-such-set", says="no-such-set")
        self.expect_refusal("drift", "host", "", says="empty")
        self.expect_refusal("drift", "host", "reference", "--case", CASE.replace("/rows", "/contract:ids_dtype/rows"),
                            says="contract")  # fmt: skip
        self.expect_refusal("drift", "host", "reference", "--json", "no/folder/x.json", says="--json")
        with open(self.path("text.json"), "w", encoding="utf-8") as file:
            file.write("{")
        self.expect_refusal("drift", "host", "text.json", says="not complete JSON")
        self.call(*QUICK_RUN, "--json", "plain.json")
        self.expect_refusal("drift", "plain.json", "host", says="--errors")
        self.expect_refusal("run", "--errors", "--against", "host", says="--against")

    def test_a_results_file_keeps_the_statistics(self):
        status, out, error = self.call("run", "--set", "host", "--op", "hash_topk", "--tier", "smoke", "--errors", "--json",
                                       "r.json")  # fmt: skip
        self.assertEqual(status, 0, out + error)
        results = self.results("r.json")["runs"][0]["results"]
        found = 0
        for result in results:
            for output in result["outputs"]:
                scenario = ":" in result["id"].split("/")[1]
                self.assertEqual("errors" in output, output["tolerance"] in ("bound", "interval") and not scenario, result["id"])
                if "errors" not in output:
                    continue
                found += 1
                errors = output["errors"]
                self.assertEqual(errors["elements"], sum(n for _, n in errors["ulp"]))
                self.assertEqual(len(errors["share"]), 21)
                self.assertEqual(errors["bounded"], sum(errors["share"]))
                self.assertLessEqual(errors["same"], errors["elements"])
        self.assertGreater(found, 1)
        # Without the option, nothing is added.
        self.call("run", "--set", "host", "--op", "hash_topk", "--tier", "smoke", "--json", "p.json")
        plain = [o for r in self.results("p.json")["runs"][0]["results"] for o in r["outputs"]]
        self.assertFalse([o for o in plain if "errors" in o])
        self.call("merge", "r.json", "--json", "m.json")
        self.assertEqual(self.results("m.json")["runs"][0]["results"], results)


if __name__ == "__main__":
    unittest.main()
