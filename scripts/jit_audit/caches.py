"""Rules on when a module is compiled: getters without a cache, and arguments that are lengths of tensors."""

import ast
import functools

from .findings import FAULT, NOTE, Finding
from .getters import (LOADER, Function, assignments, called_name, calls_in, functions_of, is_cache, own_nodes, parameters_of,
                      substituted, target_of)  # fmt: skip
from .package import FUNCTIONS, Package, dotted


def callers_of(package: Package, functions: dict) -> dict:
    """Function -> the functions that call it, also those of the rest of sglang."""
    found = {}
    for function in [*functions.values(), *other_callers(package)]:
        for call in calls_in(function.node):
            target = target_of(package, function, call)
            if target in functions and functions[target] is not function:
                found.setdefault(target, []).append(function)
    return found


def uncached_getters(package: Package):
    """A function that reaches the compiler without a cache: each call of it compiles or loads the module again."""
    functions = functions_of(package)
    callers = callers_of(package, functions)
    kept, given = wrapped_by_a_cache(package), handed_on(package)
    for key, function in sorted(functions.items()):
        if function.name.rpartition(".")[2] == LOADER:
            continue
        calls = [call for call in function.compiles if not function.keeps_result(call)]
        if not calls or is_protected(package, function) or key in kept:
            continue
        # A helper that only cached functions call is theirs.
        path = open_path(package, key, functions, callers, kept)
        if path is None:
            continue
        reached = f"; {' calls '.join(f.name for f in path[:-1])} calls it" if len(path) > 1 else ""
        if key in given:
            reached += f"; it is given to {given[key]}, which may keep the result"
        yield Finding("uncached-getter", NOTE if key in given else FAULT, function.module.path, function.node.lineno,
                      f"{function.name} calls {dotted(calls[0].func)} and keeps no result{reached}: each call reaches the compiler",
                      [f"{function.module.path}:{calls[0].lineno}", *(f.place for f in path[:-1])])  # fmt: skip


def is_protected(package: Package, function) -> bool:
    """True if a decorator of a function keeps its results: by its name, or by what a decorator of the package does."""
    return function.is_cached or any(
        keeps_results(package, function.module, dotted(d.func if isinstance(d, ast.Call) else d))
        for d in function.node.decorator_list if not any(isinstance(n, FUNCTIONS) for n in function.around)
    )  # fmt: skip


def keeps_results(package: Package, module, decorator: str) -> bool:
    """True if a function in the decorator stores into a variable of the decorator."""
    target = package.resolve_dotted(module, decorator) if decorator else None
    node = package.definition(target)[1] if target else None
    inner = [n for n in ast.walk(node) if isinstance(n, FUNCTIONS) and n is not node] if isinstance(node, FUNCTIONS) else []
    for function in inner:
        own = {name for n in own_nodes(function) for name, _ in assignments(n)} | set(parameters_of(function))
        for n in own_nodes(function):
            if isinstance(n, ast.Nonlocal):
                return True
            for t in n.targets if isinstance(n, ast.Assign) else []:
                if isinstance(t, (ast.Subscript, ast.Attribute)) and dotted(t.value).partition(".")[0] not in own:
                    return True
    return False


def open_path(package, key, functions, callers, kept):
    """The functions from one that nobody's cache protects to `key`; None if a cache protects each way.

    A function that no function of the package calls may be called by anybody, unless a module calls it when it is imported.
    """
    at_import = called_at_import(package)
    todo, seen = [(key, [functions[key]])], {key}  # each with the functions from it to `key`
    while todo:
        here, path = todo.pop(0)
        around = [c for c in callers.get(here, []) if (c.module.name, c.name) not in seen]
        inner = any(isinstance(n, FUNCTIONS) for n in path[0].around)
        if not callers.get(here) and not inner and here not in at_import:
            return path
        for caller in around:
            name = (caller.module.name, caller.name)
            seen.add(name)
            keeps = any(caller.keeps_result(call) for call in calls_in(caller.node) if called_name(call) == path[0].node.name)
            if not is_protected(package, caller) and name not in kept and not keeps:
                todo.append((name, [caller, *path]))
    return None


@functools.cache
def called_at_import(package: Package) -> set:
    """The functions that a module calls outside of any function: once."""
    found = set()
    for module in package.modules.values():
        todo = list(module.tree.body)
        while todo:
            node = todo.pop()
            if isinstance(node, FUNCTIONS):
                continue
            if isinstance(node, ast.Call) and dotted(node.func):
                found.add(package.resolve_dotted(module, dotted(node.func)))
            todo += ast.iter_child_nodes(node)
    return found


def wrapped_by_a_cache(package: Package) -> set:
    """The functions that a module wraps without a decorator: get = cache_once(build)."""
    return {target for target, call in handed(package) if is_cache(call.func)}


def handed_on(package: Package) -> dict:
    """The functions that are an argument of a call, and the name of what is called: it may call them once only."""
    return {target: dotted(call.func) for target, call in handed(package) if dotted(call.func)}


def handed(package: Package):
    for module in package.modules.values():
        for call in (n for n in module.nodes if isinstance(n, ast.Call)):
            for argument in (*call.args, *(k.value for k in call.keywords)):
                target = package.resolve_dotted(module, dotted(argument)) if dotted(argument) else None
                if target and package.definition(target)[1] is not None:
                    yield target, call


# --- compile-time arguments from lengths -----------------------------------------------------------------------------

FIRST, INNER, ALL = "first dimension", "inner dimension", "all elements"


def lengths_as_arguments(package: Package):
    """A compile-time argument that a caller takes from a length of a tensor: each new value compiles a module."""
    functions = functions_of(package)
    # (module, function) -> parameter -> the getter's parameter that it becomes
    fixed = {key: {p: (f, p) for p in f.parameters} for key, f in functions.items() if f.compiles and f.name != LOADER}
    others = other_callers(package)
    everyone = list(functions.values()) + others
    reported, changed = {}, True
    while changed:
        changed = False
        for function in everyone:
            own = (function.module.name, function.name)
            for call in calls_in(function.node):
                target = target_of(package, function, call)
                if target not in fixed or target == own:
                    continue
                for parameter, value in passed(functions[target].node, call):
                    if parameter not in fixed[target]:
                        continue
                    whole = substituted(value, function.values)
                    if isinstance(whole, ast.Name) and whole.id in function.parameters and own in functions:
                        if whole.id not in fixed.setdefault(own, {}):
                            fixed[own][whole.id] = fixed[target][parameter]
                            changed = True
                    length, dimension, derived = length_in(whole)
                    if not length:
                        length, dimension, derived = length_in(substituted(value, function.values_at(call)))
                    if length:
                        reported.setdefault((function.place, call.lineno, call.col_offset), {})[parameter] = (
                            function, call, functions[target], fixed[target][parameter], length, dimension, derived)  # fmt: skip
    for at in sorted(reported, key=lambda key: (key[0].rpartition(":")[0], key[1:])):
        yield length_finding(list(reported[at].items()))


def length_finding(found: list) -> Finding:
    function, call, target, (getter, _), *_ = found[0][1]
    parts = []
    for parameter, (_, _, _, (_, deeper), length, dimension, derived) in found:
        limit = limited(getter.node, deeper, getter.values) or limited(target.node, parameter, target.values) or limited(
            function.node, length, function.values)  # fmt: skip
        how, more = "computed from" if derived else "from", ", limited by an assertion" if limit else ""
        parts.append(f"'{parameter}' {how} {length} ({dimension}{more})")
    through = "" if target is getter else f", which reaches {getter.name}"
    return Finding("length-as-argument", NOTE, function.module.path, call.lineno,
                   f"{function.name} gives {target.name} {', '.join(parts)}{through}: each new value compiles a module",
                   [getter.place])  # fmt: skip


def other_callers(package: Package) -> list:
    return [Function(module, name, node, around) for module in package.callers.values() for name, node, around in module.functions]


def passed(function, call) -> list:
    """(parameter, expression) of a call. What a star passes is not known."""
    names = [p.arg for p in function.args.posonlyargs + function.args.args]
    if names and names[0] in ("self", "cls"):
        names = names[1:]
    found = []
    for name, value in zip(names, call.args):
        if isinstance(value, ast.Starred):
            break
        found.append((name, value))
    return found + [(k.arg, k.value) for k in call.keywords if k.arg]


def length_in(node) -> tuple:
    """(text, dimension, derived) of the part of an expression that is a length of a tensor; ("", "", False) if none is.

    A condition on a length has two values only, so it does not count. Nor does a length that shapes a tensor, as in
    x.view(n, -1). `derived`: a function computes the argument from it.
    """
    if isinstance(node, ast.Subscript) and is_shape_of(node.value):
        return ast.unparse(node), dimension_of(node.slice), False
    if isinstance(node, ast.Call):
        name = called_name(node)
        if name == "size" and isinstance(node.func, ast.Attribute) and len(node.args) == 1 and not node.keywords:
            return ast.unparse(node), dimension_of(node.args[0]), False
        if (name == "numel" and isinstance(node.func, ast.Attribute) and not node.args) or (
                isinstance(node.func, ast.Name) and name == "len" and len(node.args) == 1):  # fmt: skip
            return ast.unparse(node), FIRST if name == "len" else ALL, False
    for child in parts_of(node):
        text, dimension, derived = length_in(child)
        if text:
            return text, dimension, derived or (isinstance(node, ast.Call) and called_name(node) != "int")
    return "", "", False


def parts_of(node) -> list:
    """The parts of an expression from which its number comes."""
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    if isinstance(node, ast.UnaryOp):
        return [] if isinstance(node.op, ast.Not) else [node.operand]
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.BoolOp):  # n or x.shape[0]
        return node.values
    if isinstance(node, (ast.Tuple, ast.List)):
        return node.elts
    if isinstance(node, (ast.NamedExpr, ast.FormattedValue)):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return [part for part in node.values if isinstance(part, ast.FormattedValue)]
    if isinstance(node, ast.Call):
        plain = isinstance(node.func, ast.Name) and node.func.id not in ("bool", "isinstance", "any", "all")
        if plain or dotted(node.func).partition(".")[0] in ("math", "triton", "np", "numpy"):
            return [*node.args, *(k.value for k in node.keywords)]
    return []


def is_shape_of(node) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "shape") or (
        isinstance(node, ast.Call) and called_name(node) == "size" and not node.args)  # fmt: skip


def dimension_of(index) -> str:
    return FIRST if isinstance(index, ast.Constant) and index.value == 0 else INNER


def limited(function, name: str, values: dict) -> bool:
    """True if an assertion in a function allows only listed values of an expression."""
    for node in function.body:  # an assertion in a branch does not hold for all calls
        test = node.test if isinstance(node, ast.Assert) else None
        if isinstance(node, ast.If) and node.body and isinstance(node.body[0], ast.Raise):
            test = node.test
        for part in ast.walk(test) if test is not None else ():
            wanted = (ast.In, ast.Eq) if isinstance(node, ast.Assert) else (ast.NotIn, ast.NotEq)
            if isinstance(part, ast.Compare) and len(part.ops) == 1 and isinstance(part.ops[0], wanted):
                sides = {ast.unparse(substituted(side, values)) for side in (part.left, *part.comparators)}
                if name in sides or name in {ast.unparse(side) for side in (part.left, *part.comparators)}:
                    return True
    return False
