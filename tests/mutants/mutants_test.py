#!/usr/bin/env python3
"""Checks that the smoke tier of its op catches each mutant of mutants.json, for the reason that mutants.json states. If a
mutant has a "case", a case of the quick tier that matches it must catch the mutant, because no cheaper case can.

    tests/mutants/mutants_test.py [NAME...]

Every op with an in-tree kernel must have a mutant.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import build_mutant  # noqa: E402


def try_mutant(mutant):
    """Returns None if the mutant is caught for the stated reason, else a text that says what went wrong."""
    try:
        folder = build_mutant.build_mutant(mutant)
    except build_mutant.BuildError as error:
        return f"could not be built: {error}"
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    build = build_mutant.build_folder()
    cases = ["--tier", "quick", "--case", mutant["case"]] if "case" in mutant else ["--tier", "smoke"]
    command = [str(build / "dsv4diff"), "run", "--set", str(folder), "--op", mutant["op"], *cases,
               "--jobs", "1", "--no-known", "--json", str(report)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if result.returncode != 1:
        return f"the exit status is {result.returncode}, but must be 1\n{result.stdout}{result.stderr}"
    bad = [r for r in results_of(json.loads(report.read_text())) if r["verdict"] in ("failed", "error")]
    problem = missing(mutant["expect"], bad)
    for scenario, expect in mutant.get("also", {}).items():
        problem = problem or missing(expect, [r for r in bad if f"/{scenario}/" in r["id"]], f" of {scenario}")
    return problem


def missing(expect, results, where=""):
    """Returns None if at least one result has a reason that matches `expect`, else a text that lists the reasons."""
    # A mutant that writes to a wrong address crashes at once, or damages the heap: that depends on where its memory lies.
    expect = expect.replace("SIGSEGV", "(SIGSEGV|SIGBUS|SIGABRT .*the heap is damaged)")
    reasons = [f"{r['verdict']}: {r['reason']}" for r in results]
    if any(re.search(expect, reason) for reason in reasons):
        return None
    return f"no reason{where} matches '{expect}'; the reasons are\n  " + "\n  ".join(reasons[:20])


def results_of(report):
    """Returns all case results in a report, at any depth of its JSON."""
    if isinstance(report, list):
        return [r for part in report for r in results_of(part)]
    if isinstance(report, dict):
        return [report] if "verdict" in report and "reason" in report else results_of(list(report.values()))
    return []


def main(names):
    catalogue = build_mutant.load_catalogue(build_mutant.KERNELS)
    unknown = [n for n in names if n not in catalogue]
    if unknown:
        print(f"no such mutant: {', '.join(unknown)}")
        return 2
    failures = 0
    if not names:
        kernels = {p.stem for p in (ROOT / "kernels").glob("*/*.cu")}
        for op in sorted(kernels - {m["op"] for m in catalogue.values()}):
            print(f"FAILED  op '{op}' has no mutant in tests/mutants/mutants.json")
            failures += 1
    chosen = [catalogue[n] for n in names or catalogue]
    jobs = int(os.environ.get("DSV4_JOBS", 2))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for mutant, problem in zip(chosen, pool.map(try_mutant, chosen)):
            print(f"{'caught' if problem is None else 'FAILED':7} {mutant['name']}: {problem or mutant['fault']}",
                  flush=True)
            failures += problem is not None
    print(f"{len(chosen)} mutants, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
