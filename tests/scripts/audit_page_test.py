"""docs/audit.md must be what scripts/audit_page writes from the wheels of both releases. A page that differs must fail."""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(os.environ.get("DSV4_SOURCE_DIR", Path(__file__).resolve().parents[2]))
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


if __name__ == "__main__":
    unittest.main()
