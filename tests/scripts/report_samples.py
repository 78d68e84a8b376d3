"""Results files for the tests of `dsv4diff report`, as the program writes them (docs/commands.md, "Results file")."""

import copy

HOSTILE = [
    "</script><script>document.title='hacked'</script>",
    "<img src=x onerror=\"document.title='hacked'\">",
    "a\"b'c`d&amp;<b>e</b>",
    "line\nend\ttab\x00nul\x1b[31m",
    "right\u202eleft",
    "\ud800",
    "@DATA@ @SCRIPT@ ${1+1} %{x}",
]
VERDICTS = ("passed", "failed", "known", "error", "unsupported", "skipped", "mistrusted")


def output(name="out", **more):
    return {
        "name": name,
        "tolerance": "bound",
        "reason": "rounding",
        "compared": 512,
        "different": 10,
        "violations": 0,
        "certified": 0,
        "tightness": 0.25,
        "trivial": False,
        **more,
    }


def errors(elements=512, above=0):
    share = [elements - above - 12, 8, 4] + [0] * 17 + [above]
    return {
        "elements": elements,
        "same": elements - 40,
        "not_finite": 0,
        "bounded": elements,
        "ulp": [[-2, 3], [-1, 20], [0, elements - 40], [1, 15], [4, 2]],
        "share": share,
        "mean_ulp": -0.02,
        "mean_ulp_away": 0.01,
        "mean_share": -0.003,
        "mean_share_away": 0.001,
        "largest_share": 0.12,
    }


def failing_output(name="out"):
    first = {"at": [1, 5], "got": "1.5 (0x3fc00000)", "want": "1 (0x3f800000)", "error": 0.5, "bound": 0.25}
    worst = {"at": [3, 127], "got": "nan (0x7fc00000)", "want": "1 (0x3f800000)", "error": "nan", "bound": 0.25}
    places = {"shape": [4, 128], "cell": [1, 2], "grid": [4, 64], "runs": [0, 66, 1, 1, 0, 188, 1, 1]}
    return output(name, violations=2, tightness=2.0, first=first, worst=worst, places=places, errors=errors(above=1))


def case(number, op="alpha", verdict="passed", **more):
    name = f"{op}/rows={1 << number % 8},fill={'gauss' if number % 2 else 'ties'}/seed={number}"
    outputs = {"passed": [output(errors=errors())], "failed": [failing_output()]}.get(verdict, [])
    return {
        "id": name,
        "op": op,
        "set": "sets/new",
        "set_name": "new",
        "against": "reference",
        "verdict": verdict,
        "reason": "" if verdict == "passed" else f"reason of {verdict}",
        "known_fault": "",
        "outputs": outputs,
        "findings": [],
        "cause": "",
        "change": "",
        "seconds": 0.01,
        "reproduce": f"dsv4diff run --set sets/new --case {name}",
        "note": "",
        "confirmed": "alone",
        **more,
    }


def counts(cases):
    return {verdict: sum(c["verdict"] == verdict for c in cases) for verdict in VERDICTS}


def results(cases, **more):
    """A results file with one run. `more` replaces fields of the run, or of the file if the file has them."""
    differs = sum(counts(cases)[verdict] for verdict in ("failed", "error", "mistrusted")) > 0
    file = {
        "schema": 2,
        "tool": {"name": "dsv4diff", "version": "0.1.0"},
        "command": "run",
        "shards": ["1/1"],
        "options": {"tier": "quick", "seed": "1"},
        "jobs": 2,
        "wall_seconds": 1.5,
        "signal": 0,
        "open_ended": False,
        "failure": "",
        "unfinished": False,
        "require_all": False,
        "exit_status": 1 if differs else 0,
        "verdict": f"{'differs' if differs else 'agrees'}: {len(cases)} cases",
        "counts": counts(cases),
    }
    run = {
        "set": "sets/new",
        "against": "reference",
        "name": "new",
        "device": "simt",
        "baseline": "",
        "ops": {},
        "provenance": {"package": "sglang"},
        "wall_seconds": 1.5,
        "counts": counts(cases),
        "known_faults": {},
        "edited_faults": {},
        "warnings": [],
        "bits": [],
        "not_covered": {},
        "results": cases,
    }
    for key, value in more.items():
        (file if key in file else run)[key] = value
    return copy.deepcopy({**file, "runs": [run]})


def timing(us):
    return {"median_us": us, "p10_us": 0.9 * us, "p90_us": 1.2 * us}


def bench():
    def times(name, us, **more):
        return {"set": name, "cold": timing(us), "warm": timing(us / 2), "share_of_copy": 0.5, **more}

    shapes = [
        {
            "op": op,
            "shape": f"rows={rows}",
            "bytes": 1e6,
            "flops": 1e6,
            "clock": "graph",
            "sets": [times("cuda", 10), times("old", 10 * ratio, ratio=ratio)],
        }
        for op, rows, ratio in [("alpha", 64, 2.0), ("alpha", 4096, 0.5), ("beta", 8, 1.25)]
    ]
    shapes.append(
        {
            "op": "gamma",
            "shape": "rows=1",
            "bytes": 1.0,
            "flops": 0.0,
            "clock": "graph",
            "sets": [times("cuda", 1), {"set": "old", "not_timed": "the set has no function"}],
        }
    )
    return {
        "schema": 1,
        "tool": {"name": "dsv4diff", "version": "0.1.0"},
        "command": "bench",
        "machine": {"gpu": "NVIDIA H200"},
        "copy_bytes_per_second": 4e12,
        "sets": [{"name": "cuda", "provenance": {}}, {"name": "old", "provenance": {}}],
        "shapes": shapes,
    }
