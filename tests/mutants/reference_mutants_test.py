#!/usr/bin/env python3
"""Checks that the tests of the references catch each mutant of reference_mutants.json. No kernel runs in these tests.

    tests/mutants/reference_mutants_test.py [NAME...]

Every reference must have a mutant. The table names the tests that failed on each mutant.
"""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import build_mutant  # noqa: E402

SECONDS = 120  # a mutant may loop for ever; then its test ends by the time limit, which also counts as caught


class NotCaught(Exception):
    """The mutant was not caught. The text says why."""


def tests_of_references(build):
    """Full name -> whether the test is in tests/reference/, for every test of the program."""
    listing = build / "reference_mutants_listing.json"
    subprocess.run([str(build / "dsv4_tests"), "--gtest_list_tests", f"--gtest_output=json:{listing}"],
                   capture_output=True, check=True)
    return {f"{suite['name']}.{test['name']}": "tests/reference/" in test["file"]
            for suite in json.loads(listing.read_text())["testsuites"] for test in suite["testsuite"]}


def failed_tests(report):
    return [f"{suite['name']}.{test['name']}" for suite in json.loads(report.read_text())["testsuites"]
            for test in suite["testsuite"] if test.get("failures")]


def caught_by(mutant, in_reference_tests):
    """Builds the mutant, runs its tests, and returns the names of those that failed."""
    folder = build_mutant.build_mutant(mutant)
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    command = [str(folder / "dsv4_tests"), f"--gtest_filter={mutant['tests']}", f"--gtest_output=json:{report}"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return [f"no end after {SECONDS} s"]
    if result.returncode < 0:
        return [f"signal {-result.returncode}"]
    if not report.is_file():
        raise NotCaught(f"the test program ended with status {result.returncode}\n{result.stdout}{result.stderr}")
    run = [f"{s['name']}.{t['name']}" for s in json.loads(report.read_text())["testsuites"] for t in s["testsuite"]]
    foreign = [name for name in run if not in_reference_tests.get(name)]
    if not run or foreign:
        raise NotCaught(f"its filter '{mutant['tests']}' selects " +
                        (f"tests outside tests/reference/: {', '.join(foreign)}" if foreign else "no test"))
    failed = failed_tests(report)
    if not failed:
        raise NotCaught(f"all {len(run)} tests of '{mutant['tests']}' pass")
    return failed


def verdict_of(mutant, in_reference_tests):
    try:
        return None, caught_by(mutant, in_reference_tests)
    except build_mutant.BuildError as error:
        return f"could not be built: {error}", []
    except NotCaught as error:
        return str(error), []


def main(names):
    catalogue = build_mutant.load_catalogue(build_mutant.REFERENCES)
    unknown = [n for n in names if n not in catalogue]
    if unknown:
        print(f"no such mutant: {', '.join(unknown)}")
        return 2
    failures = 0
    if not names:
        references = {p.stem for p in (ROOT / "reference").glob("*/*.cpp")}
        for op in sorted(references - {m["op"] for m in catalogue.values()}):
            print(f"FAILED  reference '{op}' has no mutant in tests/mutants/reference_mutants.json")
            failures += 1
    chosen = [catalogue[n] for n in names or catalogue]
    in_reference_tests = tests_of_references(build_mutant.build_folder())
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("DSV4_JOBS", 2))) as pool:
        outcomes = pool.map(lambda m: verdict_of(m, in_reference_tests), chosen)
        for mutant, (problem, failed) in zip(chosen, outcomes):
            if problem is None:
                more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
                print(f"caught  {mutant['name']}: {mutant['fault']} ({failed[0]}{more})", flush=True)
            else:
                print(f"FAILED  {mutant['name']}: {problem}", flush=True)
                failures += 1
    print(f"{len(chosen)} mutants of references, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
