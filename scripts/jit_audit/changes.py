"""What changed between two versions: exported names, parameters, constants and the functions that CUDA sources export."""

import ast
import re
from dataclasses import dataclass

from sglang_set.exports import exported_functions, without_op
from sglang_set.ops import NotMapped, map_ops, parameter_count

from .definitions import arity, signature
from .findings import NOTE, Finding
from .getters import functions_of
from .package import FUNCTIONS, Package


@dataclass
class Export:
    """A name of a module. `what` is compared; `count` is the number of parameters of a function."""

    kind: str  # "function", "class", "constant", "re-export", "CUDA function"
    path: str
    line: int
    what: str
    count: str = ""


def exports_of(package: Package) -> dict:
    """(module relative to the package, name) -> Export. A name that begins with "_" counts if it makes a module or is a
    constant."""
    getters = {key for key, function in functions_of(package).items() if function.compiles}
    found = {}
    for module in package.modules.values():
        short = module.name.removeprefix(package.kernel_name).removeprefix(".")
        for name, node in module.definitions.items():
            if name.startswith("_") and (module.name, name) not in getters:
                continue
            if isinstance(node, ast.ClassDef):
                found[short, name] = Export("class", module.path, node.lineno, class_text(node))
                for method in node.body:
                    if isinstance(method, FUNCTIONS) and not method.name.startswith("_"):
                        key = short, f"{name}.{method.name}"
                        found[key] = Export("function", module.path, method.lineno, signature(method), arity(method))
            else:
                found[short, name] = Export("function", module.path, node.lineno, signature(node), arity(node))
        for name, (text, line) in module.constants.items():
            found[short, name] = Export("constant", module.path, line, text)
        for name, original in module.aliases.items():
            if (short, original) in found and not name.startswith("_"):
                found[short, name] = found[short, original]
        for name in module.exported or ():
            target = package.resolve(module.name, name)
            if target and target[0] != module.name:
                relative = target[0].removeprefix(package.kernel_name).removeprefix(".")
                found[short, name] = Export("re-export", module.path, 1, f"{relative}.{target[1]}")
    for path, name, count, line in cuda_exports(package):
        found[path, name] = Export("CUDA function", package.source_path(path), line, count, count)
    return found


def class_text(node) -> str:
    """The fields and the bases of a class."""
    fields = [ast.unparse(n.target) for n in node.body if isinstance(n, ast.AnnAssign)]
    return ", ".join(fields) + (" of " + ", ".join(map(ast.unparse, node.bases)) if node.bases else "")


def cuda_exports(package: Package):
    """(path, function, number of parameters, line) of the functions that the DSv4 family's sources export."""
    source = package.sources
    for path in source.dsv4_files() if source else ():
        text = source.text(path)
        for name in exported_functions(path, text):
            function = name.rpartition("::")[2]
            at, line = position(text, name)
            try:
                count = str(parameter_count(text[at:], function))
            except NotMapped:
                count = ""  # an alias of a function of another namespace
            yield path, name, count, line


def position(text: str, name: str) -> tuple:
    """(offset, line) at which a source begins to define a function such as "TopKKernel::transform"."""
    owner, _, function = name.rpartition("::")
    struct = re.search(rf"\b(?:struct|class)\s+{re.escape(owner)}\b[^;]*?\{{", text) if owner else None
    at = struct.start() if struct else 0
    found = re.compile(rf"\b{re.escape(function)}\b\s*[(=]").search(text, at)
    return at, text.count("\n", 0, found.start() if found else at) + 1


def exports_without_op(package: Package):
    """CUDA functions of the DSv4 family that no op of this tool tests, by the rules of scripts/sglang_set/ops.py."""
    source = package.sources
    unmapped, uncalled = without_op(source, map_ops(source)[0])
    names = [(path, exported_functions(path, source.text(path))) for path in unmapped]
    for path, functions in names + [(record["path"], record["functions"]) for record in uncalled]:
        for function in functions:
            yield Finding("export-without-op", NOTE, package.source_path(path), position(source.text(path), function)[1],
                          f"no op calls the CUDA function {function}")  # fmt: skip


def changed_exports(old: Package, new: Package):
    before, after = exports_of(old), exports_of(new)
    gone = {key: export for key, export in before.items() if key not in after}
    added = {key: export for key, export in after.items() if key not in before}
    moved = moves(gone, added)
    for key, export in sorted(after.items()):
        was = before.get(key) or moved.get(key, (None, None))[1]
        where = f"{export.kind} {key[1]}"
        place = f", from {moved[key][0][0] or 'the package'} to {key[0] or 'the package'}" if key in moved else ""
        if was is None:
            yield change("export-added", export, f"{where} is new in {key[0] or 'the package'}{described(export)}")
        elif was.what != export.what:
            yield change("export-changed", export, f"{where} changed: {shift(was, export)}{'; it moved' + place if place else ''}",
                         [f"{was.path}:{was.line}"])  # fmt: skip
        elif place:
            yield change("export-moved", export, f"{where} moved{place}", [f"{was.path}:{was.line}"])
    taken = {source for source, _ in moved.values()}
    for key, export in sorted(gone.items()):
        if key not in taken:
            yield change("export-gone", export, f"{export.kind} {key[1]} of {key[0] or 'the package'} is gone{described(export)}")


def moves(gone: dict, added: dict) -> dict:
    """Key of an added export -> (key, export) of the gone one that it was, if name and kind leave no doubt."""
    found = {}
    for key, export in added.items():
        olds = [k for k, e in gone.items() if k[1] == key[1] and e.kind == export.kind]
        news = [k for k, e in added.items() if k[1] == key[1] and e.kind == export.kind]
        if len(olds) == len(news) == 1:
            found[key] = (olds[0], gone[olds[0]])
    return found


def described(export: Export) -> str:
    if export.kind == "constant":
        return f": {short(export.what)}"
    return f", with {parameters(export.count)}" if export.count else ""


def parameters(count: str) -> str:
    return "1 parameter" if count == "1" else f"{count or 'an unknown number of'} parameters"


def shift(was: Export, now: Export) -> str:
    if was.kind == "constant":
        return f"{short(was.what)} before, {short(now.what)} now"
    if was.count != now.count:
        return f"{parameters(was.count)} before, {now.count or 'an unknown number'} now"
    return f"({short(was.what)}) before, ({short(now.what)}) now"


def short(text: str) -> str:
    return text if len(text) <= 160 else text[:157] + "..."


def change(rule: str, export: Export, text: str, also=()) -> Finding:
    return Finding(rule, NOTE, export.path, export.line, text, list(also))
