"""The data of the page: what the files in js/ need of the results, in a compact form.

Texts that occur often (reasons, names, commands) are stored once, in `strings`; elsewhere their index stands. Fields
with the usual value (0, "", false) are left out. js/data.js reads this form.
"""

import re

from report_page.results import VERDICTS, ReportError

NOT_COVERED = (
    "source_files",
    "functions",
    "ops_not_in_set",
    "ops_not_in_other_set",
    "ops_without_golden",
    "cases_without_golden",
)
SHARES = 20  # buckets of `errors.share`; one more bucket counts what is above the bound
KEPT_BITS = ("compared", "other", "outside", "ulp")


class Strings:
    """Texts that are stored once."""

    def __init__(self):
        self.list, self.index = [], {}

    def add(self, text):
        if text not in self.index:
            self.index[text] = len(self.list)
            self.list.append(text)
        return self.index[text]


def compact(fields):
    """The fields without those that have the usual value: 0, "", false or none."""
    return {key: value for key, value in fields.items() if value not in (0, "", None)}


def element(part):
    at = part.list("at")
    if not all(type(n) is int for n in at):
        raise ReportError(f"{part.where}.at is not a list of coordinates")
    return {
        "at": at,
        "got": part.text("got"),
        "want": part.text("want"),
        "error": part.number("error"),
        "bound": part.number("bound"),
    }


def places(part):
    grid, runs = part.counts("grid", 2), part.counts("runs")
    if len(runs) % 2 or max(grid) > 64 or sum(runs[1::2]) != grid[0] * grid[1]:
        raise ReportError(f"{part.where}.runs does not fill the grid")
    return {"shape": part.counts("shape"), "cell": part.counts("cell", 2), "grid": grid, "runs": runs}


def errors(part):
    buckets = part.list("ulp")
    for pair in buckets:
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(n) is int for n in pair) and pair[1] >= 0):
            raise ReportError(f"{part.where}.ulp is not a list of [bucket, count]")
        if abs(pair[0]) & (abs(pair[0]) - 1) or abs(pair[0]) > 1 << 62:
            raise ReportError(f"{part.where}.ulp has a bucket that is neither 0 nor a power of two")
    share = part.list("share", [])
    if share and not (len(share) == SHARES + 1 and all(type(n) is int and n >= 0 for n in share)):
        raise ReportError(f"{part.where}.share is not a list of {SHARES + 1} counts")
    means = ("mean_ulp", "mean_ulp_away", "mean_share", "mean_share_away")
    elements = part.count("elements")
    return {
        "elements": elements,
        "not_finite": part.count("not_finite", 0),
        "same": part.count("same", 0),
        "bounded": part.count("bounded", elements),
        "ulp": buckets,
        "share": share,
        **{key: part.number(key, 0) for key in means},
    }


def output(part, strings):
    texts = {key: strings.add(part.text(key)) for key in ("name", "tolerance", "reason")}
    kept = {
        "compared": part.count("compared"),
        "different": part.count("different"),
        "violations": part.count("violations"),
        "certified": part.count("certified", 0),
        "tightness": part.number("tightness"),
        "excused": part.count("excused", 0),
        "excused_by": part.text("excused_by", ""),
    }
    for key, make in (("first", element), ("worst", element), ("places", places), ("errors", errors)):
        if part.has(key):
            kept[key] = make(part.object(key))
    if part.has("bits"):
        bits = part.object("bits")
        kept["bits"] = {**{key: bits.count(key) for key in KEPT_BITS}, "share": bits.number("share")}
    if part.has("recorded_tightness"):
        kept["recorded"] = part.number("recorded_tightness")
    return {**texts, **compact(kept)}


def case(part, strings):
    name, verdict = part.text("id"), part.text("verdict")
    findings = [[strings.add(f.text("check")), f.text("detail")] for f in part.parts("findings", [])]
    kept = compact(
        {
            "seconds": part.number("seconds", 0),
            "change": part.text("change", ""),
            "note": part.text("note", ""),
            "confirmed": "" if verdict == "passed" else part.text("confirmed", ""),
            "cause": part.text("cause", ""),
            "known_fault": part.text("known_fault", ""),
            "not_excused": part.text("not_excused", ""),
        }
    )
    if findings:
        kept["findings"] = findings
    if part.has("told"):
        kept["told"] = part.texts("told")
    # Most commands differ in the id only.
    return {
        "id": name,
        "verdict": VERDICTS.index(verdict),
        "reason": strings.add(part.text("reason")),
        "command": strings.add(part.text("reproduce").replace(name, "\0") if name else part.text("reproduce")),
        "outputs": [output(o, strings) for o in part.parts("outputs")],
        **kept,
    }


def run_data(part, number, strings):
    not_covered = part.object("not_covered", {})
    return {
        "file": number,
        "set": part.text("set"),
        "name": part.text("name"),
        "against": part.text("against"),
        "baseline": part.text("baseline", ""),
        "device": part.text("device", ""),
        "provenance": part.text_map("provenance"),
        "warnings": part.texts("warnings"),
        "edited_faults": part.text_map("edited_faults"),
        "not_covered": {key: not_covered.texts(key) for key in NOT_COVERED},
        "known_faults": known_faults(part.object("known_faults", {})),
        "counts": counts(part.object("counts")),
        "cases": [case(c, strings) for c in part.parts("results")],
    }


def known_faults(part):
    """For each known fault, the number of cases for which its conditions hold, and of those in which it shows."""
    faults = {fault: part.object(fault) for fault in part.value}
    return {fault: [use.count("cases"), use.count("shown")] for fault, use in faults.items()}


def counts(part):
    return {verdict: part.count(verdict) for verdict in VERDICTS}


def shards(part):
    """Shards such as "1/8"."""
    given = part.texts("shards")
    if not all(re.fullmatch(r"[0-9]{1,6}/[0-9]{1,6}", shard) for shard in given):
        raise ReportError(f"{part.where}.shards has something that is not K/N")
    return given


def file_data(results):
    root = results.root
    known = {"path": results.path, "command": root.text("command"), "version": root.object("tool").text("version")}
    if results.is_bench:
        return {**known, "options": {}}
    return {
        **known,
        "options": root.text_map("options"),
        "verdict": root.text("verdict"),
        "failure": root.text("failure"),
        "signal": root.count("signal"),
        "exit_status": root.get("exit_status", int),
        "shards": shards(root),
        "counts": counts(root.object("counts")),
    }


def timing(part):
    return [part.number("median_us"), part.number("p10_us"), part.number("p90_us")]


def set_times(part):
    if part.has("not_timed"):
        return {"set": part.text("set"), "not_timed": part.text("not_timed")}
    times = {
        "set": part.text("set"),
        "cold": timing(part.object("cold")),
        "warm": timing(part.object("warm")),
        "share_of_copy": part.number("share_of_copy"),
    }
    return {**times, "ratio": part.number("ratio")} if part.has("ratio") else times


def bench_data(root, number):
    shapes = [
        {
            "op": s.text("op"),
            "shape": s.text("shape"),
            "bytes": s.number("bytes"),
            "flops": s.number("flops"),
            "sets": [set_times(t) for t in s.parts("sets")],
        }
        for s in root.parts("shapes")
    ]
    sets = [{"name": s.text("name"), "provenance": s.text_map("provenance")} for s in root.parts("sets")]
    return {
        "file": number,
        "machine": root.text_map("machine"),
        "sets": sets,
        "shapes": shapes,
        "copy_bytes_per_second": root.number("copy_bytes_per_second"),
    }


def page_data(files):
    """The data of all files, in their order."""
    strings = Strings()
    data = {"verdicts": VERDICTS, "strings": strings.list, "files": [], "runs": [], "benches": [], "dropped_places": 0}
    for number, results in enumerate(files):
        try:
            data["files"].append(file_data(results))
            if results.is_bench:
                data["benches"].append(bench_data(results.root, number))
            else:
                data["runs"] += [run_data(run, number, strings) for run in results.root.parts("runs")]
        except ReportError as error:
            raise ReportError(f"{results.path}: {error}") from error
    return data


def drop_places(data, kept):
    """Keeps the maps of the first `kept` cases of each op in each run that have one. Returns how many it removed."""
    dropped = 0
    for run in data["runs"]:
        seen = {}
        for c in run["cases"]:
            with_map = [o for o in c["outputs"] if "places" in o]
            if not with_map:
                continue
            op = c["id"].split("/")[0]
            seen[op] = seen.get(op, 0) + 1
            if seen[op] > kept:
                dropped += len(with_map)
                for o in with_map:
                    del o["places"]
                    o["dropped"] = 1
    return dropped
