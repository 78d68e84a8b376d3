"""Tests of `record` and `verify` as a user calls them.

They include damaged goldens, and two recorders that run at the same time.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support import BUILD, PROGRAM, CommandLineTest  # noqa: E402


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
        # Without --golden, `verify` reads the goldens that come with the tool.
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

    def recorded(self, name="golden/mask_topk_ids/host"):
        """Returns the bytes of the two files of a golden: the HDF5 file and its text index."""
        files = []
        for suffix in (".h5", ".txt"):
            with open(self.path(name + suffix), "rb") as file:
                files.append(file.read())
        return files

    def test_recording_a_lower_tier_removes_cases_only_with_prune(self):
        record = ["record", "--set", "host", "--op", "mask_topk_ids", "--golden", "golden", "--tier"]
        status, output, error = self.call(*record, "smoke")
        self.assertEqual(status, 0, output + error)
        smoke = self.recorded()
        few = int(re.search(r"^mask_topk_ids: (\d+) cases, new: ", output).group(1))
        status, output, error = self.call(*record, "quick")
        self.assertEqual(status, 0, output + error)
        quick = self.recorded()
        many, more = map(int, re.search(r"^mask_topk_ids: (\d+) cases, (\d+) added, 0 changed, 0 removed: golden/",
                                        output).groups())
        self.assertEqual(many, few + more)
        self.assertGreater(more, 0)
        self.expect_refusal(*record, "smoke", says=f"--tier smoke would remove {more} cases of higher tiers from "
                            "golden/mask_topk_ids/host.h5; record with --tier quick, or use --prune to remove them; "
                            "nothing is written")
        self.assertEqual(self.recorded(), quick)
        # If the golden of one op would lose cases, the goldens of the other ops are not written either.
        self.expect_refusal("record", "--set", "host", "--op", "*topk*", "--golden", "golden", "--tier", "smoke",
                            says=f"would remove {more} cases")
        self.assertEqual(os.listdir(self.path("golden")), ["mask_topk_ids"])
        status, output, error = self.call(*record, "smoke", "--prune")
        self.assertEqual(status, 0, output + error)
        self.assertIn(f"mask_topk_ids: {few} cases, 0 added, 0 changed, {more} removed: golden/", output)
        self.assertEqual(self.recorded(), smoke)

    def test_recording_says_that_the_old_golden_could_not_be_read(self):
        record = ["record", "--set", "host", "--op", "mask_topk_ids", "--golden", "golden", "--tier", "smoke"]
        self.assertEqual(self.call(*record)[0], 0)
        good = self.recorded()
        with open(self.path("golden/mask_topk_ids/host.h5"), "wb") as file:
            file.write(good[0][:-1])
        status, output, error = self.call(*record)
        self.assertEqual(status, 0, output + error)
        self.assertRegex(output, r"cases, replaced one that could not be read \(golden/mask_topk_ids/host.h5: .*"
                                 r"damaged, truncated")
        self.assertEqual(self.recorded(), good)

    def test_cases_that_the_set_now_lacks_are_removed_only_with_prune(self):
        # Records a copy of the set 'host', then changes the copy so that it implements only k=512.
        record = ["record", "--op", "topk_v1", "--golden", "golden", "--tier", "smoke", "--set"]
        shutil.copytree(os.path.join(BUILD, "sets", "host"), self.path("host"), symlinks=True)
        status, output, error = self.call(*record, "./host")
        self.assertEqual(status, 0, output + error)
        before = self.recorded("golden/topk_v1/host")
        with open(self.path("host/manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
        for entry in manifest["ops"]:
            if entry["op"] == "topk_v1":
                entry["params"] = {"k": "512"}
        with open(self.path("host/manifest.json"), "w", encoding="utf-8") as file:
            json.dump(manifest, file)
        status, output, error = self.call(*record, "./host")
        self.assertEqual(status, 1, output + error)
        self.assertRegex(output, r"(?m)^topk_v1: not recorded, because the set cannot run \d+ cases? of its golden "
                                 r"\(topk_v1/k=1024,.*\); --prune removes them$")
        self.assertEqual(self.recorded("golden/topk_v1/host"), before)
        status, output, error = self.call(*record, "./host", "--prune")
        self.assertEqual(status, 0, output + error)
        self.assertRegex(output, r"(?m)^topk_v1: \d+ cases, 0 added, 0 changed, \d+ removed: golden/")
        self.assertNotEqual(self.recorded("golden/topk_v1/host"), before)

    def test_a_dry_run_says_what_would_change_and_writes_nothing(self):
        record = ["record", "--set", "host", "--op", "mask_topk_ids", "--tier", "smoke", "--golden", "golden"]
        status, output, error = self.call(*record, "--dry-run")
        self.assertEqual(status, 0, output + error)
        self.assertRegex(output, r"^mask_topk_ids: \d+ cases, new: golden/mask_topk_ids/host.h5\n"
                                 r"--dry-run: nothing was written\n$")
        self.assertFalse(os.path.exists(self.path("golden")))
        self.assertEqual(self.call(*record)[0], 0)
        before = self.recorded()
        status, output, _ = self.call(*record[:6], "quick", *record[7:], "--dry-run")
        self.assertEqual(status, 0)
        self.assertRegex(output, r"cases, \d+ added, 0 changed, 0 removed: golden/")
        self.assertEqual(self.recorded(), before)

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

    def test_golden_that_cannot_be_written_stays_as_it_is(self):
        ops = ["--op", "mask_topk_ids", "--op", "hash_topk", "--tier", "smoke", "--golden", "golden"]
        self.assertEqual(self.call("record", "--set", "host", *ops)[0], 0)
        with open(self.path("golden/hash_topk/host.h5"), "rb") as file:
            before = file.read()
        # This test locks the golden of hash_topk, as another process does while it writes the golden. The goldens of
        # the other ops must be written, and the golden of hash_topk must not change.
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
        self.assertIn(b"agrees: 1 case (", done.stdout)
        self.expect_refusal("verify", "--golden", "my golden/mask_topk_ids/host.h5", "--recorded", "cuda", says="one file")

    def test_what_has_no_golden_is_counted(self):
        self.call("record", "--set", "host", "--op", "mask_topk_ids", "--op", "fused_store_cache", "--tier", "smoke",
                  "--golden", "golden")
        ops = ["--op", "mask_topk_ids", "--op", "fused_store_cache"]
        verify = ["verify", "--set", "host", "--golden", "golden", "--json", "r.json", "--junit", "r.xml"]

        def gaps():
            return self.results("r.json")["runs"][0]["not_covered"]
        # The smoke tier was recorded, but the quick tier has more cases.
        status, output, error = self.call(*verify, *ops)
        self.assertEqual(status, 0, output + error)
        self.assertRegex(output.replace("\n ", ""), r"same bits in (\d+) of \1 cases; NOT COVERED: \d+ cases without a golden")
        self.assertEqual(set(gaps()), {"cases_without_golden"})
        missing = gaps()["cases_without_golden"]
        self.assertTrue(all(c.startswith(("mask_topk_ids/", "fused_store_cache/")) for c in missing))
        self.assertEqual(self.call(*verify, *ops, "--require-all")[0], 1)
        # What --exclude leaves out needs no golden.
        self.call(*verify, *ops, "--exclude", "fused_store_cache")
        self.assertEqual(gaps()["cases_without_golden"], [c for c in missing if c.startswith("mask_topk_ids/")])
        # The other ops of the set have no golden at all.
        status, output, _ = self.call(*verify)
        self.assertEqual(status, 0)
        self.assertIn("topk_v1", gaps()["ops_without_golden"])
        self.assertNotIn("fused_store_cache", gaps()["ops_without_golden"])
        self.call(*verify, "--exclude", "topk_v1")
        self.assertNotIn("topk_v1", gaps()["ops_without_golden"])
        # One file, and one case, are asked for and no more.
        self.call("verify", "--set", "host", "--golden", "golden/fused_store_cache/host.h5", "--json", "r.json")
        self.assertEqual({c.split("/")[0] for c in gaps()["cases_without_golden"]}, {"fused_store_cache"})
        case = self.results("r.json")["runs"][0]["results"][0]["id"]
        self.assertEqual(self.call(*verify, "--case", case, "--require-all")[0], 0)
        self.assertEqual(gaps(), {})
        # Each shard counts its own missing cases, so that all shards together count each of them once.
        parts = []
        for k in (1, 2):
            self.call(*verify, *ops, "--shard", f"{k}/2", "--require-all")
            parts += gaps()["cases_without_golden"]
            os.rename(self.path("r.json"), self.path(f"{k}.json"))
        self.assertEqual(sorted(parts), missing)
        status, output, error = self.call("merge", "1.json", "2.json", "--json", "r.json")
        self.assertEqual(status, 1, output + error)
        self.assertEqual(gaps()["cases_without_golden"], missing)
        # With the quick tier recorded, nothing is missing.
        self.call("record", "--set", "host", "--op", "mask_topk_ids", "--op", "fused_store_cache", "--golden", "golden")
        status, output, error = self.call(*verify, *ops, "--require-all")
        self.assertEqual(status, 0, output + error)
        self.assertNotIn("NOT COVERED", output)
        self.assertIn("no bit differs in ", output)

    def test_a_set_is_expected_to_have_its_own_goldens(self):
        # The reference has goldens of hash_topk, so that `host` could be compared. But its own are gone.
        for name, op in (("host", "mask_topk_ids"), ("reference", "mask_topk_ids"), ("reference", "hash_topk")):
            self.assertEqual(self.call("record", "--set", name, "--op", op, "--golden", "golden")[0], 0)
        ops = ["--op", "mask_topk_ids", "--op", "hash_topk", "--golden", "golden", "--json", "r.json", "--require-all"]
        self.assertEqual(self.call("verify", "--set", "host", *ops)[0], 1)
        self.assertEqual(self.results("r.json")["runs"][0]["not_covered"], {"ops_without_golden": ["hash_topk"]})
        self.assertEqual(self.call("verify", "--set", "host", "--recorded", "reference", *ops)[0], 0)

    def test_verify_without_goldens(self):
        os.mkdir(self.path("golden"))
        self.expect_refusal("verify", "--set", "host", "--golden", "golden", says="there are no goldens")


if __name__ == "__main__":
    unittest.main()
