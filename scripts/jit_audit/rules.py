"""All rules, and what each of them needs."""

from pathlib import Path

from .caches import lengths_as_arguments, uncached_getters
from .changes import changed_exports, exports_without_op
from .definitions import several_definitions, several_routes, unreadable_files
from .findings import FAULT
from .getters import functions_of
from .names import equal_names, names_not_checked, parameters_not_in_names
from .package import Package
from .torch_overloads import Torch, missing_overloads

RULES = (unreadable_files, uncached_getters, parameters_not_in_names, equal_names, lengths_as_arguments, several_definitions,
         several_routes)  # fmt: skip


def audit(package: Package, include: Path) -> tuple:
    """(findings, what was not checked). `include` is the folder of LibTorch's headers."""
    findings = [finding for rule in RULES for finding in rule(package)]
    not_checked = [*package.notes, *names_not_checked(package)]
    torch = Torch(include)
    if torch.is_there:
        findings += missing_overloads(package, torch)
    else:
        not_checked.append(f"overloads of torch: there are no headers of LibTorch in {include} (scripts/setup unpacks them)")
    if package.sources:
        findings += exports_without_op(package)
    else:
        not_checked.append("CUDA exports: the package has no CUDA sources (csrc/ and include/)")
    if not any(function.compiles for function in functions_of(package).values()):
        not_checked.append("getters: no function calls load_jit or another compiler, so the rules on getters had nothing to read")
    return findings, not_checked


def compared(new: Package, findings: list, old: Package, include: Path) -> tuple:
    """(findings with those that the old version has alike marked, what was not checked of the old version)."""
    before, not_checked = audit(old, include)
    mark_alike(findings, before, new.paths)
    changes = list(changed_exports(old, new))
    if (old.sources is None) != (new.sources is None):
        changes = [change for change in changes if " CUDA function " not in f" {change.text}"]
        not_checked.append("changes of CUDA functions: one of the versions has no CUDA sources")
    return findings + changes, [f"{old.label}: {text}" for text in not_checked]


def mark_alike(findings: list, before: list, paths: set) -> None:
    """Marks each finding that the old version has too: in the same file, or in a file that is not among `paths`, those of
    the new version, so that its code may have moved. Each of the old findings `before` stands for one new finding."""
    known = list(before)
    for may_match in (lambda old, new: old.path == new.path, lambda old, new: old.path not in paths):
        for finding in findings:
            if finding.alike:
                continue
            match = next((old for old in known if old.identity == finding.identity and may_match(old, finding)), None)
            if match is not None:
                known.remove(match)
                finding.alike = True


def new_faults(findings: list) -> list:
    return [finding for finding in findings if finding.level == FAULT and not finding.alike]
