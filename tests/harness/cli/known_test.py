"""Tests of `known`: which known faults apply to a set that was made from these source files."""

import json
import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support import BUILD, CommandLineTest  # noqa: E402

FILE = "csrc/deepseek_v4/hash_topk.cuh"


class Known(CommandLineTest):
    def make_set(self, name, releases, package="sglang", version="0.5.13"):
        """Writes the manifest of a set with hash_topk. `releases`: those that have the bytes of its source."""
        manifest = {"schema": 1, "name": name, "device": "simt",
                    "provenance": {"package": package, "version": version, "source": "folder"},
                    "modules": {"a.so": {"sha256": "0" * 64, "source": "jit_kernel/" + FILE,
                                         "sources": [{"path": FILE, "sha256": "1" * 64, "releases": releases}]}},
                    "ops": [{"op": "hash_topk", "module": "a.so", "function": "run", "abi": "hash_topk/1", "arity": 6}]}  # fmt: skip
        os.mkdir(self.path(name))
        with open(self.path(name + "/manifest.json"), "w", encoding="utf-8") as file:
            json.dump(manifest, file)

    def known(self, *words):
        """Calls the command with --json. Returns the entries: a map from id to entry."""
        status, output, error = self.call("known", "--json", *words)
        self.assertEqual(status, 0, error)
        return {entry["id"]: entry for entry in json.loads(output)["known_faults"]}

    def applying(self, name, *words):
        return {id for id, entry in self.known("--set", "./" + name, "--op", "hash_topk", *words).items() if entry["applies"]}

    def test_lists_every_entry_in_80_columns(self):
        entries = self.known()
        for id in ("hash-empty-token", "plan-host-pad", "topk-v1-unchecked-length", "plan-c128-request-ring"):
            self.assertIn(id, entries)
        self.assertEqual(entries["hash-empty-token"]["since"], "0.5.12")
        self.assertEqual(entries["hash-empty-token"]["fixed"], "0.5.23")
        self.assertEqual(entries["hash-empty-token"]["elements"], {"weights": {"empty_token": [1, None]}})
        self.assertEqual(entries["topk-v1-unchecked-length"]["kind"], "undefined")
        status, output, _ = self.call("known")
        self.assertEqual(status, 0)
        self.assertLessEqual(max(len(line) for line in output.splitlines()), 80)
        for id, entry in entries.items():
            self.assertRegex(output, rf"(?m)^{id}$")
            # The lines are broken elsewhere than in the file.
            self.assertIn(" ".join(entry["evidence"].split()), " ".join(output.split()), id)
        self.assertRegex(output, rf"(?m)^{len(entries)} known faults$")

    def test_only_the_entries_of_an_op(self):
        entries = self.known("--op", "hash_*")
        self.assertEqual({op for entry in entries.values() for op in entry["op"]}, {"hash_topk"})
        self.assertNotEqual(len(entries), 0)

    def test_a_copy_is_told_by_its_bytes(self):
        self.make_set("release", ["0.5.12", "0.5.13", "0.5.14", "0.5.16"])
        self.make_set("copy", ["0.5.12", "0.5.13", "0.5.14", "0.5.16"], version="")
        self.make_set("later", ["0.5.12", "0.5.13", "0.5.14", "0.5.16"], version="0.9")
        self.make_set("new", ["0.5.23"], version="0.5.23")
        self.assertIn("hash-empty-token", self.applying("release"))
        self.assertNotIn("hash-added-to-sum", self.applying("release"))
        self.assertEqual(self.applying("copy"), self.applying("release"))
        self.assertEqual(self.applying("later"), self.applying("release"))
        self.assertNotIn("hash-empty-token", self.applying("new"))
        self.assertIn("hash-added-to-sum", self.applying("new"))

    def test_an_edited_file_is_named(self):
        self.make_set("edited", [])
        self.assertEqual(self.applying("edited"), set())
        status, output, _ = self.call("known", "--set", "./edited")
        self.assertEqual(status, 0)
        self.assertIn(f"hash-empty-token: {FILE} differs from sglang 0.5.13", " ".join(output.split()))
        self.assertIn("a source file was edited", " ".join(output.split()))
        self.assertLessEqual(max(len(line) for line in output.splitlines()), 80)
        entry = self.known("--set", "./edited")["hash-empty-token"]
        self.assertEqual((entry["applies"], entry["why_not"]), (False, f"{FILE} differs from sglang 0.5.13"))

    def test_an_edit_that_changes_nothing_is_no_change(self):
        # The modules of a release, with the digests of sources that somebody edited.
        release = os.path.join(BUILD, "sets", "sglang-0.5.13-host")
        shutil.copytree(release, self.path("edited"))
        with open(self.path("edited/manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
        manifest["name"] = "edited"
        manifest["provenance"]["source"] = "folder"
        for module in manifest["modules"].values():
            for source in module["sources"]:
                source.update(sha256="1" * 64, releases=[])
        with open(self.path("edited/manifest.json"), "w", encoding="utf-8") as file:
            json.dump(manifest, file)
        run = ["run", "--set", "./edited", "--op", "hash_topk", "--tier", "smoke"]
        status, output, _ = self.call(*run)
        self.assertEqual(status, 1, output)
        for other in ("--against", "--baseline"):
            status, output, error = self.call(*run, other, release)
            self.assertEqual(status, 0, output + error)
            self.assertIn("wrong on both sides alike" if other == "--against" else "alike", " ".join(output.split()))

    def test_a_set_of_another_package(self):
        self.make_set("foreign", ["0.5.13"], package="mine")
        self.assertEqual(self.known("--set", "./foreign"), {})
        self.assertEqual(self.call("known", "--set", "./foreign")[1], "No known fault applies to './foreign'.\n")
        self.assertEqual(self.known("--set", "host"), {})

    def test_mistakes(self):
        self.expect_refusal("known", "--set", "nowhere", says="unknown set 'nowhere'")
        self.expect_refusal("known", "--op", "nothing*", says="no op matches 'nothing*'")
        self.expect_refusal("known", "--known", "nowhere.json", says="nowhere.json")
        self.assertEqual(self.known("--op", "paged_compress_data"), {}, "an op without an entry")


if __name__ == "__main__":
    unittest.main()
