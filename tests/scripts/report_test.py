#!/usr/bin/env python3
"""`dsv4diff report`: which files it reads, what it refuses, and the size of its page. The browser is another test."""

import base64
import gzip
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from random import Random

import report_samples as samples

BUILD = os.environ["DSV4_BUILD_DIR"]
SCRIPTS = pathlib.Path(os.environ["DSV4_SOURCE_DIR"]) / "scripts"
PROGRAM = os.path.join(BUILD, "dsv4diff")
CASES = [samples.case(1), samples.case(2, verdict="failed"), samples.case(3, "beta", "unsupported")]


def runs(counts):
    """The counts of cells as runs of one cell."""
    return [n for count in counts for n in (count, 1)]


def page_data(page):
    """The data that the page holds."""
    text = re.search(r'<script type="text/plain" id="data">([^<]*)</script>', page).group(1)
    return json.loads(gzip.decompress(base64.b64decode(text)))


class Report(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="dsv4diff test ")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def write(self, name, value):
        (self.folder / name).write_text(value if isinstance(value, str) else json.dumps(value))
        return name

    def call(self, *words):
        done = subprocess.run([PROGRAM, *words], cwd=self.folder, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def page(self, *files):
        status, _, error = self.call("report", *files, "-o", "page.html")
        self.assertEqual(status, 0, error)
        return (self.folder / "page.html").read_text()

    def refuses(self, value, says, *more):
        """Expects one message with `says`, status 2, and that the page of an earlier call is still there."""
        (self.folder / "page.html").write_text("old")
        status, output, error = self.call("report", self.write("r.json", value), *more, "-o", "page.html")
        self.assertEqual((status, output), (2, ""), error)
        self.assertEqual(len(error.strip().splitlines()), 1, error)
        self.assertIn(says, error)
        self.assertEqual((self.folder / "page.html").read_text(), "old")
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["page.html", "r.json"])

    def test_the_results_of_a_real_run_are_on_the_page(self):
        status, _, error = self.call(
            "run", "--set", "host", "--op", "mask_topk_ids", "--tier", "smoke", "--json", "r.json"
        )
        self.assertEqual(status, 0, error)
        page = self.page("r.json")
        results = json.loads((self.folder / "r.json").read_text())
        self.assertIn(html.escape(results["verdict"]), page)
        data = page_data(page)
        self.assertEqual([c["id"] for c in data["runs"][0]["cases"]], [r["id"] for r in results["runs"][0]["results"]])

    def test_the_verdict_and_what_was_not_covered_are_plain_html(self):
        not_covered = {
            "source_files": ["a.cuh"],
            "ops_not_in_set": ["gamma"],
            "functions": [],
            "ops_not_in_other_set": [],
            "ops_without_golden": [],
            "cases_without_golden": [],
        }
        page = self.page(self.write("r.json", samples.results(CASES, not_covered=not_covered)))
        top = page[: page.index('<script type="text/plain"')]
        for text in [
            "differs: 3 cases",
            "NOT COVERED",
            "<code>a.cuh</code>",
            "<code>gamma</code>",
            "cases unsupported (1)",
        ]:
            self.assertIn(text, top)

    def test_only_a_whole_run_without_a_difference_agrees(self):
        passed = [samples.case(1)]
        for more, word in [
            ({}, "agrees"),
            ({"exit_status": 1}, "differs"),
            ({"failure": "no worker starts"}, "not complete"),
            ({"exit_status": 130, "signal": 2}, "not complete"),
            ({"exit_status": 2}, "not complete"),
        ]:
            page = self.page(self.write("r.json", samples.results(passed, **more)))
            self.assertRegex(
                page, f'class="headline"><span class="badge [a-z]+"><span aria-hidden="true">.</span> {word}<', more
            )
        only_skipped = self.write("s.json", samples.results([samples.case(1, verdict="skipped")]))
        self.assertRegex(self.page(only_skipped), 'class="headline"><span class="badge incomplete">')
        self.assertIn(
            "7 of its shards are not in this file",
            self.page(self.write("p.json", samples.results(passed, shards=["3/8"]))),
        )
        self.assertNotIn(
            "of its shards", self.page(self.write("p.json", samples.results(passed, shards=["2/2", "1/2"])))
        )
        differs = self.write("d.json", samples.results(CASES))
        part = self.write("p.json", samples.results([samples.case(1)], shards=["3/8"]))
        # A part does not agree, and does not claim that nothing was left out. The parts of another sweep do not help.
        for other in [
            [],
            [self.write("q.json", samples.results(passed, shards=["1/2"]))],
            [self.write("zero.json", samples.results(passed, shards=["0/0"]))],
            [self.write("s8.json", samples.results(passed, shards=[f"{i}/8" for i in (1, 2, 4, 5, 6, 7)]))],
            [
                self.write(
                    "seed.json",
                    samples.results(passed, shards=[f"{i}/8" for i in (1, 2, 4, 5, 6, 7, 8)], options={"seed": "2"}),
                )
            ],
        ]:
            page = self.page(part, *other)
            self.assertRegex(page, 'class="headline"><span class="badge incomplete"><span aria-hidden="true">!<')
            self.assertNotIn('class="badge agrees"', page)
            self.assertNotIn("Nothing that the run knows of was left out", page)
            self.assertIn("of them are in no file of this page", page)
        rest = self.write("rest.json", samples.results(passed, shards=[f"{i}/8" for i in (1, 2, 4, 5, 6, 7, 8)]))
        page = self.page(part, rest)
        self.assertRegex(page, 'class="headline"><span class="badge agrees">')
        self.assertIn("The other files of this page have them", page)
        self.assertNotIn("Nothing that the run knows of was left out", page)
        self.assertIn("Nothing that the run knows of was left out", self.page("r.json"))
        self.assertRegex(self.page("r.json", differs), 'class="headline"><span class="badge differs">')

    def test_no_network_is_needed_or_allowed(self):
        page = self.page(self.write("r.json", samples.results(CASES)), self.write("b.json", samples.bench()))
        self.assertIn("default-src 'none'", page)
        for attribute in re.findall(r'<[^>]*\s(?:src|href|action)="([^"]*)"', page[: page.index("<script>")]):
            self.assertTrue(attribute.startswith("#"), attribute)

    def test_hostile_text_cannot_leave_its_place(self):
        cases = [
            samples.case(i, verdict="failed", id=f"op{text}/k={text}/seed=1", reason=text, reproduce=text)
            for i, text in enumerate(samples.HOSTILE)
        ]
        for text in samples.HOSTILE:
            more = {
                "name": text,
                "set": text,
                "warnings": [text],
                "verdict": text,
                "edited_faults": {text: text},
                "provenance": {text: text},
                "options": {text: text},
                "known_faults": {text: {"cases": 1, "shown": 1, "kind": text}},
            }
            page = self.page(self.write("r.json", samples.results(cases, **more)))
            top = page[: page.index('<script type="text/plain"')]
            self.assertNotRegex(top, r"<img|<b>|hacked'</script>|[\x00\x1b\u202e]")
            self.assertEqual([c["id"] for c in page_data(page)["runs"][0]["cases"]], [c["id"] for c in cases])

    def test_a_page_of_10000_cases_is_under_8_mib(self):
        random = Random(1)
        for verdict in ("passed", "failed"):
            cases = [samples.case(i, f"op{i % 40}", verdict) for i in range(10000)]
            for c in cases:  # every map is another one, so that gzip cannot make one of all
                for o in c["outputs"]:
                    if "places" in o:
                        o["places"]["runs"] = runs(random.choices(range(4), k=256))
                    o["errors"]["ulp"] = [[1 << k, n] for k, n in enumerate(random.choices(range(100000), k=12))]
                    o["tightness"] += random.random() / 2
            page = self.page(self.write("r.json", samples.results(cases)))
            self.assertLess(len(page.encode()), 8 * 2**20)
            self.assertEqual(len(page_data(page)["runs"][0]["cases"]), 10000)

    def test_maps_that_do_not_fit_are_left_out_and_counted(self):
        cases = [samples.case(i, "alpha", "failed") for i in range(1000)]
        random = Random(1)
        for c in cases:
            c["outputs"][0]["places"] = {
                "shape": [64, 64],
                "cell": [1, 1],
                "grid": [64, 64],
                "runs": runs(random.choices(range(1000), k=4096)),
            }
        self.write("r.json", samples.results(cases))
        status, _, error = self.call("report", "r.json", "-o", "page.html")
        self.assertEqual(status, 0, error)
        self.assertRegex(error, r"9\d\d maps of differing elements were left out")
        page = (self.folder / "page.html").read_text()
        self.assertLess(len(page.encode()), 8 * 2**20)
        data = page_data(page)
        kept = sum("places" in o for c in data["runs"][0]["cases"] for o in c["outputs"])
        self.assertEqual(kept + data["dropped_places"], 1000)
        self.assertGreater(kept, 0)

    def test_the_same_results_give_the_same_page(self):
        self.write("r.json", samples.results(CASES))
        self.assertEqual(self.page("r.json"), self.page("r.json"))

    def test_files_that_are_not_results_are_refused(self):
        good = samples.results(CASES)
        self.refuses("", "r.json: is not complete JSON")
        self.refuses(json.dumps(good)[:-200], "r.json: is not complete JSON")
        self.refuses("[" * 100000, "r.json: is n")
        self.refuses("[]", "r.json: the file is not an object")
        self.refuses("{}", "is not a results file of dsv4diff")
        self.refuses({**good, "schema": 1}, "its schema is 1, but this version of dsv4diff reads schema 2")
        self.refuses({**good, "schema": True}, "its schema is true")
        self.refuses({**good, "schema": 2.0}, "its schema is 2.0")
        self.refuses({**samples.bench(), "schema": 2}, "reads schema 1 of 'bench'")
        self.refuses({**good, "unfinished": True, "exit_status": None}, "did not finish")
        self.refuses({"command": "bench", "unfinished": True}, "did not finish")
        self.refuses({**good, "runs": 3}, "the file.runs is not a list")

    def test_results_that_contradict_their_counts_are_refused(self):
        good = samples.results(CASES)
        del good["runs"][0]["results"][1]
        self.refuses(good, "counts 1 results with the verdict 'failed', but the file holds 0; the file was edited")
        self.refuses({**samples.results(CASES), "exit_status": 0}, "its exit status is 0, but 1 cases differ")

    def test_a_wrong_field_is_named(self):
        def spoiled(*path, value):
            whole = json.loads(json.dumps(samples.results(CASES)))
            place = whole["runs"][0]["results"]
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
            return whole

        self.refuses(spoiled(0, "id", value=5), "runs[0].results[0].id is not text")
        self.refuses(spoiled(0, "verdict", value="fine"), "'fine' is not a verdict")
        self.refuses(
            spoiled(1, "outputs", 0, "compared", value="many"), "results[1].outputs[0].compared is not a whole number"
        )
        self.refuses(spoiled(1, "outputs", 0, "violations", value=-1), "violations is below 0")
        self.refuses(spoiled(1, "outputs", 0, "first", "at", value=["<b>"]), "first.at is not a list of coordinates")
        self.refuses(spoiled(1, "outputs", 0, "places", "runs", value=[1, 1]), "places.runs does not fill the grid")
        self.refuses(
            spoiled(1, "outputs", 0, "places", "runs", value=[1, 10**15]), "places.runs does not fill the grid"
        )
        self.refuses(
            spoiled(1, "outputs", 0, "errors", "ulp", value=[[1]]), "errors.ulp is not a list of [bucket, count]"
        )
        self.refuses(spoiled(1, "outputs", 0, "errors", "ulp", value=[[3, 1]]), "neither 0 nor a power of two")
        self.refuses(spoiled(1, "outputs", 0, "errors", "share", value=[1]), "errors.share is not a list of 21 counts")

    def test_wrong_paths_are_refused(self):
        self.write("r.json", samples.results(CASES))
        for words, says in [
            (["r.json"], "--output"),
            (["-o", "page.html"], "RESULTS"),
            (["none.json", "-o", "page.html"], "none.json: cannot be read"),
            ([".", "-o", "page.html"], "cannot be read"),
            (["r.json", "-o", "no/page.html"], "there is no folder no"),
            (["r.json", "-o", "."], "is a folder"),
            (["r.json", "-o", "./r.json"], "also a results file"),
            (["", "-o", "page.html"], "empty"),
        ]:
            status, output, error = self.call("report", *words)
            self.assertEqual((status, output), (2, ""), words)
            self.assertIn(says, error, words)
        self.assertEqual([p.name for p in self.folder.iterdir()], ["r.json"])

    def test_without_plotly_the_message_names_what_is_there(self):
        self.write("r.json", samples.results(CASES))
        for installed in (False, True):
            home = self.folder / f"home {installed}"
            shutil.copytree(SCRIPTS / "report_page", home / "scripts" / "report_page")
            shutil.copy(SCRIPTS / "report.py", home / "scripts")
            (home / "scripts" / "report_page" / "plotly.min.js").unlink(missing_ok=True)
            if not installed:
                (home / "scripts" / "setup").write_text("")
            done = subprocess.run(
                [sys.executable, "-B", home / "scripts" / "report.py", "--output", "page.html", "--", "r.json"],
                cwd=self.folder,
                capture_output=True,
                text=True,
            )
            self.assertEqual(done.returncode, 2, done.stderr)
            place = "scripts/report_page/plotly.min.js" if installed else ".deps/plotly/package_data/plotly.min.js"
            self.assertIn(f"there is no {home / place}; run scripts/setup --deps-only", done.stderr)
            self.assertEqual("install again" in done.stderr, installed)

    def test_the_page_can_go_to_a_pipe(self):
        self.write("r.json", samples.results(CASES))
        status, output, _ = self.call("report", "r.json", "-o", "/dev/stdout")
        self.assertEqual(status, 0)
        self.assertTrue(output.startswith("<!DOCTYPE html>") and output.endswith("</html>\n"))

    def test_a_full_disk_is_an_error(self):
        self.write("r.json", samples.results(CASES))
        status, _, error = self.call("report", "r.json", "-o", "/dev/full")
        self.assertEqual(status, 2, error)
        self.assertIn("No space left on device", error)


if __name__ == "__main__":
    sys.exit(unittest.main())
