"""docs/known-faults.md names every entry of known_faults.json, and no other."""

import fnmatch
import json
import os
import re
import unittest
from pathlib import Path

ROOT = Path(os.environ.get("DSV4_SOURCE_DIR", Path(__file__).resolve().parents[2]))


def without_suffix(entry: str) -> str:
    """Further entries for a fault end like this, as the page says."""
    return re.sub(r"-(scenarios|rollback|far)$", "", entry)


class KnownFaultsPage(unittest.TestCase):
    def setUp(self):
        self.ids = [e["id"] for e in json.loads((ROOT / "known_faults.json").read_text())["known_faults"]]
        page = (ROOT / "docs/known-faults.md").read_text()
        rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
        self.named = [name for row in rows for name in re.findall(r"`([a-z0-9*-]+)`", row)]

    def is_named(self, entry):
        return any(fnmatch.fnmatch(name, pattern) for name in (entry, without_suffix(entry)) for pattern in self.named)

    def test_every_entry_is_named(self):
        self.assertGreater(len(self.ids), 60)
        self.assertEqual([entry for entry in self.ids if not self.is_named(entry)], [])

    def test_every_name_is_an_entry(self):
        hyphened = [name for name in self.named if "-" in name]
        self.assertEqual([name for name in hyphened if not fnmatch.filter(self.ids, name)], [])


if __name__ == "__main__":
    unittest.main()
