"""The top of the page as plain HTML: the verdict of each file, and what was not covered."""

from collections import Counter

from report_page.results import DIFFERENCES, VERDICTS
from report_page.text import escaped

MOST_NAMES = 30  # of a list; the rest is counted
LABELS = {
    "source_files": "source files that no module of the set includes",
    "functions": "functions of upstream that no op calls",
    "ops_not_in_set": "ops that the set lacks",
    "ops_not_in_other_set": "ops that the other side lacks",
    "ops_without_golden": "ops without a golden",
    "cases_without_golden": "cases without a golden",
}
# For each state: its sign, and the word for it. A state is never shown by its colour alone.
STATES = {
    "agrees": ("✓", "agrees"),
    "differs": ("✗", "differs"),
    "incomplete": ("!", "not complete"),
    "measured": ("i", "measured"),
}


def state_of(file, missing=0):
    """The state of a results file. Only a run that ended by itself, without a difference, agrees. If `missing` shards of
    its sweep are in no file of the page, it is not complete."""
    if file["command"] == "bench":
        return "measured"
    if any(file["counts"][verdict] for verdict in DIFFERENCES):
        return "differs"
    if file["exit_status"] == 1:  # for instance, --require-all and a golden is missing
        return "differs"
    ran = any(file["counts"][verdict] for verdict in ("passed", "known"))
    whole = file["exit_status"] == 0 and not file["failure"] and not file["signal"]
    return "agrees" if ran and whole and not missing else "incomplete"


def missing_shards(shards):
    """How many shards of the sweep are missing; `shards` is for instance ["1/8", "3/8"]."""
    parts = [tuple(map(int, shard.split("/"))) for shard in shards]
    total = max([1, *(total for _, total in parts)])
    return total - len({part for part, of in parts if of == total and 1 <= part <= total})


def sweep_of(file, number, data):
    """What the files of one sweep have in common: the command, its options, the number of shards, and the sets with their
    provenance. A file of another sweep cannot fill a gap of this one."""
    total = max((int(shard.split("/")[1]) for shard in file["shards"]), default=1)
    runs = sorted(
        (run["set"], run["name"], run["against"], run["baseline"], run["device"], sorted(run["provenance"].items()))
        for run in data["runs"]
        if run["file"] == number
    )
    return repr((file["command"], file["version"], total, sorted(file["options"].items()), runs))


def missing_everywhere(data):
    """For each file, how many shards of its sweep are in no file of the page; 0 for a benchmark."""
    sweeps = [
        None if file["command"] == "bench" else sweep_of(file, i, data) for i, file in enumerate(data["files"])
    ]
    shards = {}
    for sweep, file in zip(sweeps, data["files"]):
        if sweep is not None:
            shards.setdefault(sweep, []).extend(file["shards"])
    return [0 if sweep is None else missing_shards(shards[sweep]) for sweep in sweeps]


def headline(states):
    """The state of the whole page: the worst of its files."""
    for state in ("differs", "incomplete", "agrees", "measured"):
        if state in states:
            return state
    return "incomplete"


def badge(state, tag="span", extra=""):
    sign, word = STATES[state]
    return f'<{tag} class="badge {state}"><span aria-hidden="true">{sign}</span> {word}{extra}</{tag}>'


def names(values):
    shown = ", ".join(f"<code>{escaped(v)}</code>" for v in values[:MOST_NAMES])
    return shown + (f" and {len(values) - MOST_NAMES} more" if len(values) > MOST_NAMES else "")


def gaps_of(run, strings):
    """Sentences, as HTML, on what this run could not try."""
    gaps = []
    for key, label in LABELS.items():
        values = run["not_covered"][key]
        if values:
            gaps.append(f"{label} ({len(values)}): {names(values)}")
    for verdict in ("unsupported", "skipped"):
        cases = [c for c in run["cases"] if VERDICTS[c["verdict"]] == verdict]
        if cases:
            reasons = Counter(strings[c["reason"]] for c in cases).most_common()
            shown = "".join(f"<li>{count} × {escaped(text)}</li>" for text, count in reasons[:MOST_NAMES])
            rest = f"<li>{len(reasons) - MOST_NAMES} more reasons</li>" if len(reasons) > MOST_NAMES else ""
            gaps.append(f"<details><summary>cases {verdict} ({len(cases)})</summary><ul>{shown}{rest}</ul></details>")
    return gaps


def run_html(run, strings, is_part):
    gaps = gaps_of(run, strings)
    said = [escaped(text) for text in run["warnings"]]
    said += [
        f"known fault <code>{escaped(fault)}</code>: {shown} of {cases} cases for which it may show do so"
        for fault, (cases, shown) in run["known_faults"].items()
    ]
    said += [
        f"known fault <code>{escaped(fault)}</code> explains nothing: {escaped(text)}"
        for fault, text in run["edited_faults"].items()
    ]
    title = f"{escaped(run['name'])} against {escaped(run['against'])}"
    if run["baseline"]:
        title += f", baseline {escaped(run['baseline'])}"
    facts = ", ".join(f"{escaped(key)} {escaped(value)}" for key, value in run["provenance"].items())
    html = f'<h4>{title}</h4><p class="facts">device {escaped(run["device"])}{", " + facts if facts else ""}</p>'
    if gaps:
        html += f'<p class="gaps">NOT COVERED</p><ul>{"".join(f"<li>{gap}</li>" for gap in gaps)}</ul>'
    elif not is_part:
        html += "<p>Nothing that the run knows of was left out.</p>"
    if said:
        html += f"<ul>{''.join(f'<li>{text}</li>' for text in said)}</ul>"
    return html


def file_html(number, file, data, missing):
    state = state_of(file, missing)
    html = f'<article class="file"><h3>{badge(state)} <span class="path">{escaped(file["path"])}</span></h3>'
    if file["command"] == "bench":
        return (
            html
            + '<p>Times of kernel sets (<a href="#bench">Benchmark</a>). They say nothing about right or wrong.</p>'
            + "</article>"
        )
    html += f'<p class="verdict">{escaped(file["verdict"])}</p>'
    if file["failure"]:
        html += f'<p class="notice">The run ended early: {escaped(file["failure"])}</p>'
    lacking = missing_shards(file["shards"])
    if lacking:
        others = f"{missing} of them are in no file of this page" if missing else "The other files of this page have them"
        html += (
            '<p class="notice">NOT COVERED: this is only a part of the sweep. '
            f"{lacking} of its shards are not in this file. {others}.</p>"
        )
    if file["signal"]:
        html += f'<p class="notice">Signal {file["signal"]} interrupted the run.</p>'
    counts = "".join(
        f'<li><span class="v-{v}">{file["counts"][v]}</span> {v}</li>' for v in VERDICTS if file["counts"][v]
    )
    options = ", ".join(f"{escaped(k)}={escaped(v)}" for k, v in file["options"].items() if v)
    html += f'<ul class="counts" aria-label="Cases by verdict">{counts}</ul>'
    html += f'<p class="facts">{escaped(file["command"])}: {options}</p>'
    for run in data["runs"]:
        if run["file"] == number:
            html += run_html(run, data["strings"], lacking > 0)
    return html + "</article>"


def html_of(data):
    """The section "Verdict". All texts of the results are escaped."""
    missing = missing_everywhere(data)
    states = [state_of(file, lack) for file, lack in zip(data["files"], missing)]
    count = f"{len(states)} results file" + ("s" if len(states) != 1 else "")
    files = "".join(file_html(i, file, data, missing[i]) for i, file in enumerate(data["files"]))
    tally = ", ".join(f"{STATES[state][1]} {n}" for state, n in Counter(states).items()) if len(states) > 1 else ""
    return (
        f'<section id="verdict" aria-labelledby="verdict-title"><h2 id="verdict-title">Verdict</h2>'
        f'<p class="headline">{badge(headline(states))} {count}{": " + tally if tally else ""}</p>{files}</section>'
    )
