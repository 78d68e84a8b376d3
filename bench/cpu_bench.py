#!/usr/bin/env python3
"""Measures the speed and the memory of dsv4diff on this machine's CPU, and prints each figure beside its goal.

    bench/cpu_bench.py [--set host] [--build build] [--repeat 3]

Every time is the median of --repeat runs of a whole process. For a ratio, the two commands alternate, so that a slow phase of the
machine affects both. Peak memory counts the parent process and its workers. Exit status: 0 all figures were measured (goals may be
missed), 2 a command failed.
"""
import argparse
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(command, allow=(0,)):
    """Runs one process and returns its wall time in seconds. If the process fails, its output is printed."""
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode not in allow:
        print(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout[-2000:]}", file=sys.stderr)
        raise SystemExit(2)
    return seconds


def tree_memory(pid):
    """Returns the resident bytes of a process and its descendants. A shared page counts once for each process."""
    total = 0
    todo = [pid]
    while todo:
        p = todo.pop()
        try:
            with open(f"/proc/{p}/statm", encoding="ascii") as f:
                total += int(f.read().split()[1]) * resource.getpagesize()
            with open(f"/proc/{p}/task/{p}/children", encoding="ascii") as f:
                todo += [int(c) for c in f.read().split()]
        except (FileNotFoundError, ProcessLookupError, IndexError):
            pass
    return total


def peak_memory(command):
    """Runs a command and returns the largest resident memory of its process tree in bytes, sampled every 20 ms."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    done = threading.Event()

    def sample():
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, tree_memory(child.pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    child.wait()
    done.set()
    sampler.join()
    return peak


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", default="host")
    parser.add_argument("--build", default=str(ROOT / "build"))
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    tool = str(pathlib.Path(options.build) / "dsv4diff")
    os.chdir(ROOT)
    rows = []

    def median(command, **kwargs):
        return statistics.median(run(command, **kwargs) for _ in range(options.repeat))

    def note(what, value, goal, good):
        rows.append((what, value, goal, "yes" if good else "NO"))

    ops = median([tool, "ops"])
    note("dsv4diff ops", f"{ops:.3f} s", "under 0.2 s", ops < 0.2)
    sweep = [tool, "run", "--set", options.set]
    smoke = median(sweep + ["--tier", "smoke"])
    note("run --tier smoke", f"{smoke:.1f} s", "under 30 s", smoke < 30)

    one, two = [], []
    with tempfile.TemporaryDirectory() as folder:
        result = os.path.join(folder, "quick.json")
        for _ in range(options.repeat):
            two.append(run(sweep + ["--tier", "quick", "--jobs", "2", "--json", result]))
            one.append(run(sweep + ["--tier", "quick", "--jobs", "1"]))
        with open(result, encoding="utf-8") as f:
            cases = json.load(f)["counts"]["cases"]
    quick = statistics.median(two)
    note("run --tier quick, 2 jobs", f"{quick:.1f} s", "under 240 s", quick < 240)
    note("rate over quick, 2 jobs", f"{cases / quick:.0f} cases/s ({cases} cases)", "at least 100 cases/s", cases / quick >= 100)
    speedup = statistics.median(a / b for a, b in zip(one, two))
    note("2 jobs against 1", f"{speedup:.2f} times", "at least 1.8 times", speedup >= 1.8)
    peak = peak_memory(sweep + ["--tier", "quick", "--jobs", "2"])
    note("peak memory over quick", f"{peak / 2**30:.2f} GiB", "under 4 GiB", peak < 4 * 2**30)

    golden_bench = pathlib.Path(options.build) / "golden_bench"
    if golden_bench.exists():
        print(subprocess.run([golden_bench, ROOT / "golden"], text=True, stdout=subprocess.PIPE, check=True).stdout)
    if not shutil.which("h5diff"):
        print("h5diff is not installed (hdf5-tools): the comparison with it is left out", file=sys.stderr)

    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
