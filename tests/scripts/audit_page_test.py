"""Tests of the audit on sglang's releases. docs/audit.md must be what scripts/audit_page writes from their wheels, and an
edited copy of a release must differ from it in what was edited, and in nothing else."""

import json
import os
import re
import subprocess
import tempfile
import unittest
import zipfile
from pathlib import Path

ROOT = Path(os.environ.get("DSV4_SOURCE_DIR", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("DSV4_BUILD_DIR", ROOT / "build"))
PAGE = ROOT / "docs/audit.md"


def audit_page(*arguments, **environment) -> subprocess.CompletedProcess:
    return subprocess.run([ROOT / "scripts/audit_page", *map(str, arguments)], capture_output=True, text=True, timeout=500,
                          env={**os.environ, **environment})  # fmt: skip


class AuditPage(unittest.TestCase):
    def test_a_page_that_differs_fails_and_is_written_anew(self):
        for release in ("0.5.12", "0.5.13"):
            self.assertTrue(list((ROOT / ".deps/wheels").glob(f"sglang-{release}-*.whl")), "run scripts/setup: it fetches the wheels")
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "audit.md"
            right = PAGE.read_text(encoding="utf-8")
            page.write_text(right.replace("topk_transform_512_v2 gives", "topk_transform_512 gives"), encoding="utf-8")
            done = audit_page("--check", "--page", page)
            self.assertEqual(done.returncode, 1)
            self.assertIn("is out of date: run scripts/audit_page", done.stderr)
            self.assertEqual(audit_page("--page", page).returncode, 0)
            self.assertEqual(page.read_text(encoding="utf-8"), right, "docs/audit.md is out of date: run scripts/audit_page")

    def test_without_wheels_nothing_is_written(self):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "audit.md"
            page.write_text("text\n<!-- results -->\nold\n")
            done = audit_page("--page", page, DSV4_DEPS_DIR=folder)
            self.assertEqual(done.returncode, 2)
            self.assertIn("No wheel of sglang 0.5.12", done.stderr)
            self.assertEqual(page.read_text(), "text\n<!-- results -->\nold\n")

    def test_the_page_lists_every_rule(self):
        head = PAGE.read_text(encoding="utf-8").partition("<!-- results -->")[0]
        rules = set(re.findall(r'^    "([\w-]+)":', (ROOT / "scripts/jit_audit/report.py").read_text(), re.MULTILINE))
        self.assertGreater(len(rules), 10)
        self.assertEqual({rule for rule in rules if f"`{rule}`" not in head}, set())


class EditedCopy(unittest.TestCase):
    EDITS = {  # file -> (text, replacement)
        "dsv4/topk.py": [
            # Both builds of topk get one name.
            ('make_name(f"topk_v1_{topk}"),\n        *args,', 'make_name(f"topk_v2_{topk}"),'),
            ("@cache_once\ndef _jit_topk_v2_module", "def _jit_topk_v2_module"),
        ],
        "dsv4/moe.py": [('make_name("mega_moe_pre_dispatch"),\n        *args,', 'make_name("mega_moe_pre_dispatch"),')],
        "dsv4/compress.py": [("_PREFILL_PLAN_BYTES = 24", "_PREFILL_PLAN_BYTES = 16")],
        "dsv4/attn.py": [("def get_paged_mqa_logits_metadata(seq_lens: torch.Tensor,", "def get_paged_mqa_logits_metadata(more, seq_lens: torch.Tensor,")],
        "csrc/deepseek_v4/hash_topk.cuh": [("static void run(", "static void run(tvm::ffi::TensorView more, ")],
    }  # fmt: skip

    def copy(self, folder: Path) -> Path:
        with zipfile.ZipFile(next((ROOT / ".deps/wheels").glob("sglang-0.5.13-*.whl"))) as wheel:
            wheel.extractall(folder, [n for n in wheel.namelist() if n.startswith("sglang/jit_kernel/")])
        return folder / "sglang/jit_kernel"

    def audit(self, path: Path) -> dict:
        done = subprocess.run([BUILD / "dsv4diff", "audit", path, "--against", "sglang==0.5.13", "--json"], capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        report = json.loads(done.stdout)
        self.assertEqual(report["exit_status"], done.returncode)
        return report

    def test_an_unchanged_copy_and_an_edited_one(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = self.copy(Path(folder))
            report = self.audit(copy)
            self.assertEqual(report["exit_status"], 0)
            self.assertEqual([f for f in report["findings"] if not f["alike"]], [])
            for name, edits in self.EDITS.items():
                text = (copy / name).read_text()
                for old, new in edits:
                    self.assertIn(old, text)
                    text = text.replace(old, new)
                (copy / name).write_text(text)
            report = self.audit(copy)
            self.assertEqual(report["exit_status"], 1)
            found = [(f["rule"], f["text"]) for f in report["findings"] if not f["alike"]]
            for rule, wanted in (
                ("uncached-getter", "_jit_topk_v2_module calls load_jit and keeps no result"),
                ("equal-names", "_jit_topk_v1_module(topk=512) and _jit_topk_v2_module(topk=512) compile different modules"),
                ("parameter-not-in-name", "'quant_group_size' of _jit_mega_moe_pre_dispatch_module is part of cuda_wrappers"),
                ("export-changed", "constant _PREFILL_PLAN_BYTES changed: 24 before, 16 now"),
                ("export-changed", "function get_paged_mqa_logits_metadata changed: 3 parameters before, 4 now"),
                ("export-changed", "CUDA function MaskKernel::run changed: 2 parameters before, 3 now"),
            ):
                matching = [f for f in found if f[0] == rule and wanted in f[1]]
                self.assertEqual(len(matching), 1, f"{rule}: {wanted} in {found}")
                found.remove(matching[0])
            # The rules of the set builder do not map functions with another number of parameters.
            self.assertEqual({rule for rule, _ in found}, {"export-without-op"})


if __name__ == "__main__":
    unittest.main()
