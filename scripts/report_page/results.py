"""Reads results files, and checks every field that the page uses.

The page must not show a verdict that the file does not support. So a file is refused if a field is missing or has
another type, if the run did not finish, or if the counts contradict the results.
"""

import dataclasses
import json
import math
import os

RESULTS_SCHEMA = 2  # of run, verify and merge
BENCH_SCHEMA = 1
LARGEST_FILE = 4 << 30  # bytes
VERDICTS = ("passed", "failed", "known", "error", "unsupported", "skipped", "mistrusted")
DIFFERENCES = ("failed", "error", "mistrusted")
WORDS = {"nan", "inf", "-inf"}  # how JSON of dsv4diff writes these numbers
REQUIRED = object()


class ReportError(Exception):
    """A file or the environment is wrong. The text says what is wrong, where, and what to do."""


class Part:
    """An object of a results file, with checked access to its fields. `where` names it in messages."""

    def __init__(self, value, where):
        if not isinstance(value, dict):
            raise ReportError(f"{where} is not an object")
        self.value, self.where = value, where

    def has(self, key):
        return key in self.value

    def get(self, key, kind, default=REQUIRED):
        """The field `key`, which must have the type `kind`. Without a default, it must be there."""
        value = self.value.get(key, default)
        if value is REQUIRED:
            raise ReportError(f"{self.where}.{key} is missing")
        if key not in self.value:
            return value
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ReportError(f"{self.where}.{key} is not {NAMES[kind]}")
        return value

    def text(self, key, default=REQUIRED):
        return self.get(key, str, default)

    def flag(self, key):
        return self.get(key, bool)

    def count(self, key, default=REQUIRED):
        value = self.get(key, int, default)
        if value < 0:
            raise ReportError(f"{self.where}.{key} is below 0")
        return value

    def number(self, key, default=REQUIRED):
        """A number; NaN and infinities are words."""
        value = self.value.get(key)
        return value if isinstance(value, str) and value in WORDS else finite(self.get(key, (int, float), default))

    def object(self, key, default=REQUIRED):
        return Part(self.get(key, dict, default), f"{self.where}.{key}")

    def list(self, key, default=REQUIRED):
        return self.get(key, list, default)

    def parts(self, key, default=REQUIRED):
        return [Part(value, f"{self.where}.{key}[{i}]") for i, value in enumerate(self.list(key, default))]

    def texts(self, key):
        """A list of strings; empty if it is missing."""
        return self.only_texts(key, self.list(key, []))

    def text_map(self, key):
        """An object whose values are strings; empty if it is missing."""
        value = self.get(key, dict, {})
        self.only_texts(key, value.values())
        return value

    def only_texts(self, key, items):
        if not all(isinstance(item, str) for item in items):
            raise ReportError(f"{self.where}.{key} has something that is not text")
        return items

    def counts(self, key, width=None):
        """A list of whole numbers from 0 on; with `width`, of this length."""
        value = self.list(key)
        if not all(type(n) is int and n >= 0 for n in value) or (width is not None and len(value) != width):
            raise ReportError(f"{self.where}.{key} is not a list of {'' if width is None else f'{width} '}counts")
        return value


NAMES = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    (int, float): "a number",
    dict: "an object",
    list: "a list",
}


def finite(value):
    """`value`, or the word for it if it is NaN or infinite."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


@dataclasses.dataclass
class Results:
    path: str
    root: Part

    @property
    def is_bench(self):
        return self.root.value.get("command") == "bench"


def load(path):
    """The JSON of the file."""
    try:
        if os.path.isfile(path) and os.path.getsize(path) > LARGEST_FILE:
            raise ReportError(f"{path}: {os.path.getsize(path)} bytes are too large for a results file")
        with open(path, "rb") as file:
            text = file.read()
    except OSError as error:
        raise ReportError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ReportError(f"{path}: is nested too deeply for a results file") from error
    except ValueError as error:  # also a UnicodeDecodeError
        raise ReportError(f"{path}: is not complete JSON; it must be a file that --json wrote ({error})") from error


def check_counts(counts, results, whose):
    for verdict in VERDICTS:
        counted, found = counts.count(verdict), sum(1 for r in results if r.value.get("verdict") == verdict)
        if counted != found:
            raise ReportError(
                f"{whose} counts {counted} results with the verdict '{verdict}', but the file holds "
                f"{found}; the file was edited"
            )


def check(root):
    """Throws ReportError if this is not the results file of a whole run, or of a whole benchmark."""
    if not root.has("command") or (not root.has("schema") and root.value.get("unfinished") is not True):
        raise ReportError("is not a results file of dsv4diff: it has no 'command' or no 'schema'")
    if root.value.get("unfinished") is True:
        raise ReportError("the run that writes this file did not finish; wait for it, or run it again")
    command, schema = root.text("command"), root.value["schema"]
    wanted = BENCH_SCHEMA if command == "bench" else RESULTS_SCHEMA
    if type(schema) is not int or schema != wanted:
        raise ReportError(
            f"its schema is {json.dumps(schema)[:50]}, but this version of dsv4diff reads schema {wanted} "
            f"of '{command[:50]}'; write it again with this version"
        )
    if command == "bench":
        root.list("shapes")
        return
    everything = []
    for run in root.parts("runs"):
        results = run.parts("results")
        for result in results:
            if result.text("verdict") not in VERDICTS:
                raise ReportError(f"{result.where}.verdict: '{result.text('verdict')[:50]}' is not a verdict")
        check_counts(run.object("counts"), results, f"set '{run.text('set')}'")
        everything += results
    check_counts(root.object("counts"), everything, "the report")
    differing = sum(root.object("counts").count(verdict) for verdict in DIFFERENCES)
    if root.get("exit_status", int) == 0 and differing:
        raise ReportError(f"its exit status is 0, but {differing} cases differ; the file was edited")


def read(path):
    """The checked results file. Throws ReportError, with the path in the message."""
    value = load(path)
    try:
        root = Part(value, "the file")
        check(root)
    except ReportError as error:
        raise ReportError(f"{path}: {error}") from error
    return Results(path, root)
