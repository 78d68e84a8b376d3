"""Functions that compile a module when they are called, and what their arguments decide."""

import ast
import copy
import functools
from dataclasses import dataclass, field

from .package import FUNCTIONS, Module, Package, dotted

LOADER = "load_jit"  # the function of the JIT package that compiles a module; its name is made of the plain arguments
# Functions of other packages that compile. A module of TVM-FFI may spell its own name longer.
COMPILERS = {
    **{f"tvm_ffi.cpp.{name}": name for name in ("load", "load_inline", "build", "build_inline")},
    **{f"tvm_ffi.cpp.extension.{name}": name for name in ("load", "load_inline", "build", "build_inline")},
    **{f"torch.utils.cpp_extension.{name}": name for name in ("load", "load_inline")},
    "cutlass.cute.compile": "compile",
}


def called_name(node: ast.Call) -> str:
    """The last part of what is called: "mm" of torch.mm(...)."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def own_nodes(function):
    """The nodes of a function, without those of functions and classes in it."""
    todo = list(function.body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            todo += ast.iter_child_nodes(node)


@functools.cache
def calls_in(function) -> list:
    return sorted((n for n in own_nodes(function) if isinstance(n, ast.Call)), key=lambda n: (n.lineno, n.col_offset))


def parameters_of(function) -> list:
    a = function.args
    return [p.arg for p in a.posonlyargs + a.args + a.kwonlyargs]


def names_in(node) -> set:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def local_values(function) -> dict:
    """The names that a function assigns exactly once: name -> expression. In `a, b = x.shape`, a is x.shape[0]."""
    found, twice = {}, set(parameters_of(function))
    for node in own_nodes(function):
        for name, value in assignments(node):
            if name in found or value is None:
                twice.add(name)
            found[name] = value
    return {name: value for name, value in found.items() if name not in twice}


def assignments(node):
    """(name, expression) of what a statement binds; the expression is None if it is not known."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from bound(target, node.value)
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        yield from bound(node.target, node.value)
    elif isinstance(node, ast.NamedExpr):
        yield from bound(node.target, node.value)
    elif isinstance(node, (ast.AugAssign, ast.For, ast.AsyncFor)):
        yield from bound(node.target, None)
    elif isinstance(node, (ast.With, ast.AsyncWith)):
        for item in node.items:
            if item.optional_vars is not None:
                yield from bound(item.optional_vars, None)
    elif isinstance(node, (ast.Global, ast.Nonlocal)):
        yield from ((name, None) for name in node.names)


def bound(target, value):
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, (ast.Tuple, ast.List)):
        starred = any(isinstance(part, ast.Starred) for part in target.elts)
        for at, part in enumerate(target.elts):
            inner = None
            if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts) and not starred:
                inner = value.elts[at]
            elif value is not None and not starred and is_shape(value):
                inner = ast.Subscript(value, ast.Constant(at), ast.Load())
            yield from bound(part.value if isinstance(part, ast.Starred) else part, inner)


def is_new_container(value) -> bool:
    """True for an expression that makes an empty or a new container at each call."""
    return isinstance(value, (ast.Dict, ast.DictComp, ast.List, ast.ListComp, ast.Set, ast.SetComp)) or (
        isinstance(value, ast.Call) and called_name(value) in ("dict", "list", "set", "defaultdict", "OrderedDict"))  # fmt: skip


def is_shape(node) -> bool:
    """True for x.shape and x.size()."""
    if isinstance(node, ast.Call):
        return called_name(node) == "size" and not node.args and not node.keywords
    return isinstance(node, ast.Attribute) and node.attr == "shape"


class Substituted(ast.NodeTransformer):
    """Replaces local names by their values."""

    def __init__(self, values: dict, depth: int = 8):
        self.values, self.depth = values, depth

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load) and node.id in self.values and self.depth > 0:
            inner = {name: value for name, value in self.values.items() if name != node.id}
            return Substituted(inner, self.depth - 1).visit(copy.deepcopy(self.values[node.id]))
        return node


def substituted(node, values: dict):
    """A copy of an expression in which local names have their values."""
    return Substituted(values).visit(copy.deepcopy(node))


def influences(function) -> dict:
    """Local name -> the names that can change its value: by assignment, by a call of its methods, or by a condition."""
    found = {}
    local = {name for node in own_nodes(function) for name, _ in assignments(node)} | set(parameters_of(function)) - {"self", "cls"}

    def walk(body, conditions):
        for node in body:
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                continue
            for name, value in assignments(node):
                from_value = names_in(value) if value is not None else names_in(node) - {name}
                found.setdefault(name, set()).update(conditions | from_value)
            call = node.value if isinstance(node, ast.Expr) else None
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):  # as in wrappers.append(...)
                owner = dotted(call.func.value).partition(".")[0]
                if owner in local:
                    found.setdefault(owner, set()).update(conditions | names_in(call) - {owner})
            test = getattr(node, "test", None) if isinstance(node, (ast.If, ast.While)) else None
            inner = conditions | (names_in(test) if test is not None else set())
            for part in ("body", "orelse", "handlers", "finalbody"):
                walk(getattr(node, part, None) or [], inner)

    walk(function.body, set())
    return found


def sources_of(names: set, flows: dict) -> set:
    """`names` and everything that can change them."""
    seen, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += flows.get(name, ())
    return seen


@dataclass
class Function:
    """A function of the package, and the calls in it that compile."""

    module: Module
    name: str  # qualified, such as "Plan.generate"
    node: ast.FunctionDef
    around: tuple  # the classes and functions that hold it
    compiles: list = field(default_factory=list)  # calls of a loader

    @property
    def place(self) -> str:
        return f"{self.module.path}:{self.node.lineno}"

    @property
    def parameters(self) -> list:
        return parameters_of(self.node)

    @functools.cached_property
    def values(self) -> dict:
        return local_values(self.node)

    @functools.cached_property
    def flows(self) -> dict:
        return influences(self.node)

    @property
    def is_cached(self) -> bool:
        """True if a decorator keeps the results. That of a function in a function begins anew at each call of the outer one."""
        if any(isinstance(node, FUNCTIONS) for node in self.around):
            return False
        return any(is_cache(decorator) for decorator in self.node.decorator_list)

    def values_at(self, call) -> dict:
        """The same, and the parameters that a statement before `call` replaces, as in `n = n or x.shape[-1]`."""
        replaced = {}
        for node in self.node.body:
            for name, value in assignments(node) if node.lineno < call.lineno else ():
                replaced[name] = value if name not in replaced else None
        sure = {n: v for n, v in replaced.items() if v is not None and n in self.parameters and self.binds(n) == 1}
        return {**self.values, **sure}

    def binds(self, name: str) -> int:
        """How often the function assigns a name."""
        return sum(found == name for node in own_nodes(self.node) for found, _ in assignments(node))

    def may_skip(self, call) -> bool:
        """True if a condition of the function decides whether the call is made."""
        for n in own_nodes(self.node):
            if isinstance(n, (ast.If, ast.Try, ast.IfExp, ast.BoolOp)) and any(part is call for part in ast.walk(n)):
                return True
            if isinstance(n, ast.If) and n.lineno < call.lineno and isinstance(n.body[-1], ast.Return):
                return True
            returns = isinstance(n, ast.Try) and any(isinstance(part, ast.Return) for part in ast.walk(n))
            if returns and n.lineno < call.lineno:
                return True
        return False

    def keeps_result(self, call) -> bool:
        """True if the function looks into a container that outlives it, and makes the call only if it found nothing."""
        return self.may_skip(call) and self.has_store

    @functools.cached_property
    def has_store(self) -> bool:
        """True if the function reads and writes a container that outlives the call."""
        nodes = list(own_nodes(self.node))
        lasting = {name for n in nodes if isinstance(n, (ast.Global, ast.Nonlocal)) for name in n.names}
        fresh = {name for n in nodes for name, value in assignments(n) if is_new_container(value)} - lasting
        stored, targets = set(), set()
        for n in nodes:
            for target in n.targets if isinstance(n, ast.Assign) else []:
                holder = target.value if isinstance(target, ast.Subscript) else target
                if isinstance(target, ast.Name) and target.id not in lasting:
                    continue
                if dotted(holder) and dotted(holder).partition(".")[0] not in fresh:
                    stored.add(dotted(holder))
                    targets.add(id(holder))
            if isinstance(n, ast.Call) and called_name(n) == "setdefault" and isinstance(n.func, ast.Attribute):
                stored.add(dotted(n.func.value))
        loads = [n for n in nodes if isinstance(n, (ast.Name, ast.Attribute)) and isinstance(n.ctx, ast.Load)]
        read = {dotted(n) for n in loads if id(n) not in targets}
        asked = [n for n in nodes if isinstance(n, ast.Call) and called_name(n) in ("hasattr", "getattr") and len(n.args) > 1]
        for n in asked:  # getattr(function, "module", None)
            if isinstance(n.args[1], ast.Constant):
                read.add(f"{dotted(n.args[0])}.{n.args[1].value}")
        return bool((stored & read) - {""})

    def naming(self, call) -> list:
        """The expressions that make the name of a module of load_jit, without local names."""
        return [substituted(argument, self.values) for argument in call.args]

    def content(self, call) -> dict:
        """The expressions that decide what a call compiles: sources, wrappers, flags."""
        return {k.arg: substituted(k.value, self.values) for k in call.keywords if k.arg}


def is_cache(decorator) -> bool:
    """True for @cache_once, @functools.cache, @lru_cache(maxsize=None) and the like."""
    if isinstance(decorator, ast.Call):
        sizes = [*decorator.args, *(k.value for k in decorator.keywords if k.arg == "maxsize")]
        keeps_none = dotted(decorator.func).endswith("lru_cache") and any(is_zero(size) for size in sizes)
        return not keeps_none and is_cache(decorator.func)
    last = dotted(decorator).rpartition(".")[2].lower()
    return any(word in last for word in ("cache", "memo", "once", "singleton"))


def is_zero(node) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0 and node.value is not False


@functools.cache
def functions_of(package: Package) -> dict:
    """(module name, qualified name) -> Function, for the modules of the package."""
    found = {}
    for module in package.modules.values():
        for name, node, around in module.functions:
            function = Function(module, name, node, around)
            function.compiles = [call for call in calls_in(node) if compiler_of(package, module, call)]
            found[module.name, name] = function
    return found


def compiler_of(package: Package, module: Module, call: ast.Call) -> str:
    """The loader that a call names: LOADER, a key of COMPILERS, or ""."""
    name = dotted(call.func)
    if not name:
        return ""
    if name.rpartition(".")[2] == LOADER:
        return LOADER
    full = module.expanded(name)
    return full if full in COMPILERS else ""


def target_of(package: Package, function: Function, call: ast.Call):
    """(module name, qualified name) of the function of the package that a call names; None if it is not known."""
    name = dotted(call.func)
    owner, _, last = name.rpartition(".")
    if owner in ("self", "cls"):
        classes = [node.name for node in function.around if isinstance(node, ast.ClassDef)]
        return (function.module.name, f"{classes[-1]}.{last}") if classes else None
    if not owner:  # a function in this one, or beside it in another function
        for depth in range(len(function.around) + 1, 0, -1):
            scope = ".".join(n.name for n in (*function.around, function.node)[:depth])
            if any(q == f"{scope}.{name}" for q, _, _ in function.module.functions):
                return function.module.name, f"{scope}.{name}"
    target = package.resolve_dotted(function.module, name) if name else None
    if target is None and owner:  # a method by the name of its class
        holder = package.resolve_dotted(function.module, owner)
        target = (holder[0], f"{holder[1]}.{last}") if holder else None
    return target
