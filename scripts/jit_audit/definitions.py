"""Rules on names: one name that several modules define, and one symbol that is imported by several routes."""

import ast
import copy

from .findings import FAULT, NOTE, Finding
from .getters import assignments, own_nodes
from .package import FUNCTIONS, Package


def unreadable_files(package: Package):
    for path, line, text in package.unreadable:
        yield Finding("unreadable", FAULT, path, line, f"{text}. No rule was applied to it")


def several_definitions(package: Package):
    """One name that several modules define, and whether the definitions still agree."""
    by_name = {}
    for module in package.modules.values():
        for name in module.definitions:
            if not (name.startswith("__") and name.endswith("__")) and name != "main":
                by_name.setdefault(name, []).append(module.name)
    comparison = Comparison(package)
    for name, modules in sorted(by_name.items()):
        if len(modules) < 2:
            continue
        groups = []  # modules whose definitions agree
        for module in modules:
            for group in groups:
                if comparison.agree((group[0], name), (module, name)):
                    group.append(module)
                    break
            else:
                groups.append([module])
        found = [package.modules[m] for group in groups for m in group]
        places = [f"{m.path}:{m.definitions[name].lineno}" for m in found]
        path, _, line = places[0].rpartition(":")
        if len(groups) == 1:
            how = "they agree"
        else:
            how = "they do not agree: " + comparison.difference((groups[0][0], name), (groups[1][0], name))
            if len(groups) > 2:
                how += f", and {len(groups) - 2} more"
        text = f"{name} is defined in {len(modules)} modules; {how}"
        yield Finding("several-definitions", NOTE, path, int(line), text, places[1:])


class Comparison:
    """Compares definitions without their docstrings, annotations and the names of their local variables.

    A name from outside the definition counts by what it stands for: equal texts do not agree if one of their constants
    has another value, or if they call functions that do not agree.
    """

    def __init__(self, package: Package):
        self.package, self.known = package, {}

    def agree(self, a: tuple, b: tuple) -> bool:
        if a == b:
            return True
        key = tuple(sorted((a, b)))
        if key not in self.known:
            self.known[key] = True  # of definitions that call each other; replaced below
            self.known[key] = self.compare(a, b)
        return self.known[key]

    def compare(self, a: tuple, b: tuple) -> bool:
        nodes = [self.package.definition(target)[1] for target in (a, b)]
        if None in nodes:  # constants
            texts = [self.package.modules[m].constants.get(name, ("", 0))[0] for m, name in (a, b)]
            return nodes == [None, None] and texts[0] == texts[1]
        plain = [normal(node) for node in nodes]
        if plain[0] != plain[1]:
            return False
        return all(self.same_meaning(name, a[0], b[0]) for name in free_names(nodes[0]))

    def same_meaning(self, name: str, module_a: str, module_b: str) -> bool:
        targets = [self.package.resolve(module, name) for module in (module_a, module_b)]
        if None in targets:
            outside = [self.package.modules[module].expanded(name) for module in (module_a, module_b)]
            return targets == [None, None] and outside[0] == outside[1]
        return self.agree(*targets)

    def difference(self, a: tuple, b: tuple) -> str:
        """Says how the definitions differ, in few words."""
        (module_a, node_a), (module_b, node_b) = self.package.definition(a), self.package.definition(b)
        if type(node_a) is not type(node_b):
            return "one is a class, the other a function"
        if isinstance(node_a, ast.ClassDef):
            return self.class_difference(node_a, node_b)
        if signature(node_a) != signature(node_b):
            return f"other parameters, {arity(node_a)} and {arity(node_b)}"
        if normal(node_a) != normal(node_b):
            return "the same parameters, another body"
        other = sorted(n for n in free_names(node_a) if not self.same_meaning(n, a[0], b[0]))
        return f"the same text, but {', '.join(other)} differ{'s' if len(other) == 1 else ''} between the modules"

    @staticmethod
    def class_difference(a, b) -> str:
        members = [{n.name: n for n in node.body if isinstance(n, FUNCTIONS)} for node in (a, b)]
        fields = [[ast.unparse(n.target) for n in node.body if isinstance(n, ast.AnnAssign)] for node in (a, b)]
        both = [name for name in members[0] if name in members[1]]
        parts = []
        if fields[0] != fields[1]:
            parts.append("other fields")
        if members[0].keys() != members[1].keys():
            parts.append("other methods")
        other = [name for name in both if signature(members[0][name]) != signature(members[1][name])]
        body = [name for name in both if name not in other and normal(members[0][name]) != normal(members[1][name])]
        if other:
            parts.append(f"other parameters of {', '.join(other)}")
        if body:
            parts.append(f"another body of {', '.join(body)}")
        return ", ".join(parts) or "other statements in the class"


def signature(node) -> str:
    """The parameters of a function, without annotations."""
    arguments = copy.deepcopy(node.args)
    for part in ast.walk(arguments):
        if isinstance(part, ast.arg):
            part.annotation = part.type_comment = None
    return ast.unparse(arguments)


def arity(node) -> str:
    a = node.args
    names = [p.arg for p in a.posonlyargs + a.args + a.kwonlyargs]
    needed = len(names) - len(a.defaults) - sum(default is not None for default in a.kw_defaults)
    more = "".join(star for star, part in (("*", a.vararg), ("**", a.kwarg)) if part)
    return f"{len(names) if needed == len(names) else f'{needed} to {len(names)}'}{' and ' + more if more else ''}"


def local_names(function) -> tuple:
    """The parameters of a function, and the names that it binds, in the order of the text."""
    a = function.args
    names = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if p is not None]
    nodes = sorted((n for n in own_nodes(function) if hasattr(n, "lineno")), key=lambda n: (n.lineno, n.col_offset))
    outer = {name for n in nodes if isinstance(n, (ast.Global, ast.Nonlocal)) for name in n.names}
    return names, [name for n in nodes for name, _ in assignments(n) if name not in names and name not in outer]


class Plain(ast.NodeTransformer):
    """Removes docstrings and annotations, and gives local variables numbers. Parameters keep their names: a caller may
    use them."""

    def __init__(self, numbers: dict):
        self.numbers = numbers

    def visit_Name(self, node):
        return ast.Name(self.numbers.get(node.id, node.id), ast.Load())

    def visit_AnnAssign(self, node):
        if node.value is None:
            return ast.Pass()
        return ast.Assign([self.visit(node.target)], self.visit(node.value))

    def visit_arg(self, node):
        return ast.arg(node.arg)

    def function(self, node):
        _, local = local_names(node)
        inner = Plain({**self.numbers, **{name: f"<{at}>" for at, name in enumerate(dict.fromkeys(local))}})
        body = [inner.visit(n) for n in without_docstring(node.body)]
        decorators = [self.visit(d) for d in node.decorator_list]
        return type(node)(node.name, self.visit(node.args), body, decorators, None, None)

    visit_FunctionDef = visit_AsyncFunctionDef = function

    def visit_ClassDef(self, node):
        # The fields of a class are part of what it is, with their types.
        body = [n if isinstance(n, ast.AnnAssign) else self.visit(n) for n in without_docstring(node.body)]
        return ast.ClassDef(node.name, node.bases, node.keywords, body, node.decorator_list)


def without_docstring(body: list) -> list:
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:]
    return body


def normal(node) -> str:
    return ast.dump(Plain({}).visit(copy.deepcopy(node)))


def free_names(node) -> set:
    """The names that a definition takes from its module."""
    functions = [n for n in ast.walk(node) if isinstance(n, FUNCTIONS)]
    own = {node.name} | {name for f in functions for names in local_names(f) for name in names}
    skipped = set()
    for part in ast.walk(node):  # annotations decide nothing
        for name in ("annotation", "returns"):
            if getattr(part, name, None) is not None:
                skipped |= {id(n) for n in ast.walk(getattr(part, name))}
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and id(n) not in skipped} - own


# --- routes ------------------------------------------------------------------------------------------------------------


def several_routes(package: Package):
    """A symbol that sglang imports from more than one module: one definition by several routes, or several definitions."""
    routes = {}  # name -> (module of the import -> (target, places))
    for module in [*package.callers.values(), *package.modules.values()]:
        for source, original, line in imported(package, module):
            target = package.resolve(source, original)
            # A package that names its own parts is where the second route comes from, not a use of it.
            if target and not is_beside(module, target[0]):
                routes.setdefault(original, {}).setdefault(source, (target, []))[1].append(f"{module.path}:{line}")
    for name, by_route in sorted(routes.items()):
        if len(by_route) < 2:
            continue
        targets = {target for target, _ in by_route.values()}
        places = [place for _, (_, found) in sorted(by_route.items()) for place in sorted(found)]
        path, _, line = places[0].rpartition(":")
        what = f"all mean that of {targets.pop()[0]}" if len(targets) == 1 else f"these are {len(targets)} definitions"
        text = f"{name} is imported from {' and from '.join(sorted(by_route))}; {what}"
        yield Finding("several-routes", NOTE, path, int(line), text, places[1:])


def imported(package: Package, module):
    """(module, name, line) of the names of the JIT package that a file imports, or takes from a module that it imports."""
    modules = {}
    for local, source, original, line in module.imports:
        if original and f"{source}.{original}" in package.modules:
            modules[local] = f"{source}.{original}"
        elif original:
            yield source, original, line
        elif source in package.modules:
            modules[local] = source
    for node in module.nodes if modules else ():
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield modules[node.value.id], node.attr, node.lineno


def is_beside(module, target: str) -> bool:
    """True if a file is in the folder of the module that defines a symbol, or is a package above it."""
    here = module.name if module.is_package else module.name.rpartition(".")[0]
    return target.rpartition(".")[0] == here or (module.is_package and target.startswith(here + "."))
