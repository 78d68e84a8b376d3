"""How an audit is printed: for a terminal, or as JSON."""

import json
import shutil
import textwrap

from .findings import FAULT, NOTE
from .getters import functions_of
from .package import Package, plural, shown
from .rules import new_faults

HEADINGS = {
    "unreadable": "Files that could not be read",
    "uncached-getter": "Functions that reach the compiler without a cache",
    "compiled-again": "Getters that compiled again",
    "parameter-not-in-name": "Parameters that the module's name lacks",
    "equal-names": "Different modules of one name",
    "missing-overload": "Overloads that torch lacks",
    "length-as-argument": "Compile-time arguments from lengths",
    "several-definitions": "One name, several definitions",
    "several-routes": "One symbol, several routes",
    "export-without-op": "CUDA functions of the DSv4 family without an op",
    "export-changed": "Exports that changed",
    "export-moved": "Exports that moved",
    "export-added": "Exports that are new",
    "export-gone": "Exports that are gone (places in the other version)",
}


def scope(package: Package) -> str:
    getters = sum(bool(function.compiles) for function in functions_of(package).values())
    callers = len(package.callers)
    return (f"{package.label}: {plural(len(package.modules), 'module')} of {package.kernel_name}, {plural(getters, 'function')} that "
            f"compile{'s' if getters == 1 else ''}, and {plural(callers, 'module')} of the rest of sglang that "
            f"name{'s' if callers == 1 else ''} the package")  # fmt: skip


def verdict(findings: list, not_checked: list, against: str) -> str:
    faults, notes = [sum(f.level == level for f in findings) for level in (FAULT, NOTE)]
    text = f"{plural(faults, 'fault')}, {plural(notes, 'note')}"
    if against:
        text += f"; {plural(len(new_faults(findings)), 'fault')} that {against} lacks"
    if not_checked:
        text += "; NOT CHECKED: " + "; ".join(not_checked)
    return text


def text_report(package: Package, findings: list, not_checked: list, against: str, counts) -> str:
    width = max(40, shutil.get_terminal_size((80, 24)).columns)
    lines = textwrap.wrap(scope(package), width, subsequent_indent="  ")
    for rule, heading in HEADINGS.items():
        found = [f for f in findings if f.rule == rule]
        if not found:
            continue
        lines += ["", f"{heading} ({len(found)})"]
        for f in found:
            alike = " (as before)" if f.alike else ""
            lines += [f"  {f.level}{alike}  {shown(f.path)}:{f.line}"]
            lines += textwrap.wrap(shown(f.text), width, initial_indent="    ", subsequent_indent="    ", break_long_words=False,
                                   break_on_hyphens=False)  # fmt: skip
            lines += [f"      also {shown(place)}" for place in f.also]
    if counts is not None:
        lines += ["", *counts.text(width)]
    last = shown(verdict(findings, not_checked, against))
    lines += ["", *textwrap.wrap(last, width, subsequent_indent="  ", break_on_hyphens=False)]
    return "\n".join(lines) + "\n"


def json_report(package: Package, findings: list, not_checked: list, against: str, counts, status: int) -> str:
    report = {"schema": 1, "package": package.label, "against": against, "modules": sorted(package.modules),
              "callers": len(package.callers), "exit_status": status, "verdict": verdict(findings, not_checked, against),
              "not_checked": not_checked, "findings": [f.as_json() for f in findings]}  # fmt: skip
    if counts is not None:
        report["counts"] = counts.as_json()
    return json.dumps(report, indent=1, ensure_ascii=True) + "\n"
