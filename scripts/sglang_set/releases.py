"""The table of upstream's releases: which source file has which bytes in which release.

`upstream_sources.json` is written by scripts/upstream_sources from upstream's wheels. It holds digests only. With it, a
set tells which of its sources are a release's own, even if they come from a checkout or a copy that names no version.
It also names the files of each release that no op covers; docs/ops.md lists them.
"""

import json
import re
from pathlib import Path

from .ops import map_ops
from .source import Mistake, Source

PACKAGE = "sglang"
TABLE = Path(__file__).resolve().parents[2] / "upstream_sources.json"


def in_order(version: str) -> list:
    """A key that sorts 0.5.9 before 0.5.13."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"[.+!]|(?<=\d)(?=[a-z])", version)]


class Releases:
    """The table. `by_version` maps a release to its files, and each file to its digest; `uncovered` maps it to a list of
    the files that no op covers."""

    def __init__(self, by_version: dict, uncovered: dict | None = None):
        self.by_version = {v: by_version[v] for v in sorted(by_version, key=in_order)}
        self.uncovered = {v: (uncovered or {}).get(v, []) for v in self.by_version}

    @classmethod
    def load(cls, path: Path = TABLE) -> "Releases":
        try:
            table = json.loads(path.read_text())
            if table["package"] != PACKAGE:
                raise ValueError(f"it is a table of {table['package']}")
            uncovered = {version: list(files) for version, files in table["uncovered"].items()}
            return cls({version: dict(files) for version, files in table["releases"].items()}, uncovered)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Mistake(f"{path} is not a table of releases ({error!r}): restore it, or write it by scripts/upstream_sources.")

    def text(self) -> str:
        releases = {version: dict(sorted(files.items())) for version, files in self.by_version.items()}
        table = {"package": PACKAGE, "releases": releases, "uncovered": self.uncovered}
        return json.dumps(table, indent=1) + "\n"

    def holding(self, path: str, sha256: str) -> list:
        """The releases in which `path` has these bytes."""
        return [version for version, files in self.by_version.items() if files.get(path) == sha256]

    def closest(self, files: dict) -> str:
        """The release whose files agree with most of `files` (path -> digest); empty if no file agrees with any.

        Of equals, the one of which fewest files are missing or different here, and then the newest.
        """
        best, best_score = "", (0, 0)
        for version, theirs in self.by_version.items():
            same = sum(theirs.get(path) == sha256 for path, sha256 in files.items())
            score = (same, same - len(theirs))
            if same > 0 and (not best or score >= best_score):
                best, best_score = version, score
        return best


def files_of(source: Source) -> dict:
    """Path -> digest of the files that the table keeps of a release.

    These are all files of the DSv4 family, and all files of each folder under include/ from which they include one: an
    edited copy may include a neighbour that the release itself does not use.
    """
    own = source.dsv4_files()
    # Some ops are mapped to a file outside the family, such as a Python file.
    reached = {path for file in [*own, *(module.source for module in map_ops(source)[0])] for path in source.closure(file)}
    folders = {Path(path).parent for path in reached if path.startswith("include/")}
    beside = {f"{folder.as_posix()}/{file.name}" for folder in folders for file in (source.root / folder).iterdir() if file.is_file()}
    return {path: source.sha256(path) for path in sorted(reached | beside)}


def uncovered_files(source: Source) -> list:
    """The files of the DSv4 family that no op covers, whatever is built."""
    return source.uncovered(module.source for module in map_ops(source)[0])
