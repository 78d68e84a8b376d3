"""Rules on the names of compiled modules: load_jit asks for a distinct name of each module.

The names are computed for chosen values of the parameters. Only an expression that is understood is computed; another one
stands for itself, so that two modules are only said to have one name if they do.
"""

import ast
import functools
import itertools
import re

from .findings import FAULT, Finding
from .getters import LOADER, Function, called_name, functions_of, names_in, sources_of
from .package import Package, dotted

MOST_POINTS = 400  # computed names of one getter
CPP_ARGUMENTS = "make_cpp_args"
HIDDEN = "without a name, or with arguments by **"
NAMED_BY_CALLER = "with a name that the caller gives"
NOT_COMPUTED = "with a name that could not be computed"
IN_PART = "with a name of which a part was not understood"
CUT = f"with more lists of arguments than the {MOST_POINTS} that were tried"
REASONS = (HIDDEN, NAMED_BY_CALLER, NOT_COMPUTED, IN_PART, CUT)
DTYPES = {"torch.bfloat16": "bf16_t", "torch.float16": "fp16_t", "torch.float32": "fp32_t"}


class Unknown(Exception):
    """The expression is not understood."""


class Dtype(str):
    """A dtype of torch."""


def loads_of(package: Package) -> list:
    """(function, call) of each call of load_jit whose arguments are all visible, and whose name the function decides."""
    return [(function, call) for function, call, why_not in sorted_loads(package) if not why_not]


def sorted_loads(package: Package):
    """(function, call, why the rules on names skip it or "") of each call of load_jit."""
    for function in functions_of(package).values():
        for call in function.compiles:
            if called_name(call) != LOADER:
                continue
            if not call.args or not all(k.arg for k in call.keywords):
                yield function, call, HIDDEN
            elif is_named_by_caller(function, call):
                yield function, call, NAMED_BY_CALLER
            else:
                yield function, call, ""


def names_not_checked(package: Package) -> list:
    """Sentences on the calls of load_jit whose names the rules did not check, or not for all chosen arguments."""
    places = {}  # reason -> calls
    for function, call, why_not in sorted_loads(package):
        if why_not:
            places.setdefault(why_not, set()).add((function.module.path, call.lineno, call.col_offset))
    for at, reasons in computed_names(package)[1].items():
        function, call = loads_of(package)[at]
        for reason in reasons:
            places.setdefault(reason, set()).add((function.module.path, call.lineno, call.col_offset))
    counted = [f"{len(places[reason])} {reason}" for reason in REASONS if reason in places]
    return [f"module names: of {len(list(sorted_loads(package)))} calls of {LOADER}, {', '.join(counted)}"] if counted else []


def is_named_by_caller(function, call) -> bool:
    """True for a helper that gets the module's name from its caller: load_jit(name, ...)."""
    first = function.naming(call)[0]
    while isinstance(first, ast.Call) and called_name(first) == "str" and len(first.args) == 1:
        first = first.args[0]
    return isinstance(first, ast.Starred) or (isinstance(first, ast.Name) and first.id in function.parameters)


def parameters_not_in_names(package: Package):
    """A parameter that decides what is compiled, but not the module's name."""
    for function, call in loads_of(package):
        used = sources_of(set().union(*(names_in(argument) for argument in call.args)), function.flows)
        for parameter in function.parameters:
            if parameter in ("self", "cls") or has_one_value(function, parameter):
                continue
            deciding = sorted(k.arg for k in call.keywords if parameter in sources_of(names_in(k.value), function.flows))
            if parameter not in used and deciding:
                yield Finding("parameter-not-in-name", FAULT, function.module.path, function.node.lineno,
                              f"'{parameter}' of {function.name} is part of {', '.join(deciding)}, but not of the module's name: "
                              "only the loader's hash of the sources keeps the modules apart",
                              [f"{function.module.path}:{call.lineno}"])  # fmt: skip


def has_one_value(function, parameter: str) -> bool:
    """True if an assertion of the function allows one value of a parameter only."""
    for node in function.node.body:
        test = node.test if isinstance(node, ast.Assert) else None
        joined = isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And)
        for part in test.values if joined else [test]:
            if isinstance(part, ast.Compare) and len(part.ops) == 1 and isinstance(part.ops[0], ast.Eq):
                sides = [part.left, *part.comparators]
                names = [s.id for s in sides if isinstance(s, ast.Name)]
                if parameter in names and any(isinstance(s, ast.Constant) for s in sides):
                    return True
    return False


def equal_names(package: Package):
    """Two parameter lists, of one getter or of two, that end in one module name for different modules."""
    return computed_names(package)[0]


@functools.cache
def computed_names(package: Package) -> tuple:
    """(the findings of `equal_names`, index in `loads_of` -> the set of reasons why names of this call were not checked)."""
    findings, gaps = [], {}
    loads = loads_of(package)
    in_names = set().union(*(numbers_in(argument) for _, call in loads for argument in call.args))
    numbers = [*sorted(in_names), *sorted(set().union(*(numbers_in(function.node) for function, _ in loads)) - in_names)]
    points, reported = {}, set()
    for at, (function, call) in enumerate(loads):
        used = sources_of(set().union(*(names_in(argument) for argument in call.args)), function.flows)
        choices, is_cut = choices_of(function, numbers)
        reasons = gaps.setdefault(at, {CUT} if is_cut else set())
        for values in values_of(choices):
            machine = Machine(package, function, values)
            if not machine.allowed():
                continue
            name, content = machine.name(call), machine.content(call)
            if name is None:
                reasons.add(NOT_COMPUTED)
                continue
            if "‹" in name:
                reasons.add(IN_PART)
            named = {key: value for key, value in values.items() if key in used}  # others have a rule of their own
            for other, other_named, other_content in points.setdefault(name, []):
                pair = (other, at)
                same_list = other == at and other_named == named
                if same_list or pair in reported or without_symbols(content) == without_symbols(other_content):
                    continue
                reported.add(pair)
                first, second = loads[other][0], function
                text = f"{first.name}({listed(other_named)}) and {second.name}({listed(named)}) compile different modules"
                findings.append(Finding("equal-names", FAULT, first.module.path, first.node.lineno,
                                        f"{text} of the one name '{shown_name(name)}'",
                                        [] if other == at else [second.place]))  # fmt: skip
            points[name].append((at, named, content))
    return findings, gaps


def listed(values: dict) -> str:
    return ", ".join(f"{name}={value if isinstance(value, Dtype) else repr(value)}" for name, value in values.items())


def shown_name(name: str) -> str:
    return re.sub("\x01[^›]*", "", name).replace("‹", "<").replace("›", ">")


def without_symbols(content: tuple) -> tuple:
    return tuple((key, re.sub("‹[^‹›]*›", "‹›", value)) for key, value in content)


def numbers_in(node) -> set:
    """The numbers in a getter or an expression, also those in its texts: arguments with which two names may meet."""
    found = set()
    for n in ast.walk(node):
        if isinstance(n, ast.Constant) and isinstance(n.value, str):
            found |= {int(run) for run in re.findall(r"\d{1,6}", n.value)}
        elif isinstance(n, ast.Constant) and isinstance(n.value, int) and not isinstance(n.value, bool):
            found.add(n.value)
    return found


def choices_of(function, numbers: list) -> tuple:
    """(parameter -> chosen values, whether values were left out to have at most MOST_POINTS lists of arguments)."""
    a = function.node.args
    parameters = [p for p in a.posonlyargs + a.args + a.kwonlyargs if p.arg not in ("self", "cls")]
    first = [1, 11, 64, 65, *sorted(numbers_in(function.node) - {1, 11, 64, 65})]
    integers = [*first, *(n for n in numbers if n not in first)]
    choices = [chosen(p.annotation, integers) for p in parameters]
    is_cut = points(choices) > MOST_POINTS
    while points(choices) > MOST_POINTS:  # shortens the longest list
        longest = max(choices, key=len)
        longest.pop()
    return dict(zip([p.arg for p in parameters], choices)), is_cut


def values_of(choices: dict):
    """Chosen lists of arguments: each is a dict of parameter -> value."""
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values))


def points(choices: list) -> int:
    count = 1
    for choice in choices:
        count *= len(choice)
    return count


def chosen(annotation, integers: list) -> list:
    text = ast.unparse(annotation) if annotation is not None else ""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        text = annotation.value
    if isinstance(annotation, ast.Subscript) and dotted(annotation.value).endswith("Literal"):
        elements = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        return [e.value for e in elements if isinstance(e, ast.Constant)] or ["x", "y"]
    if text == "int":
        return list(integers)
    if text == "bool":
        return [True, False]
    if text.endswith("dtype"):
        return [Dtype(name) for name in DTYPES]
    return ["x", "y"]  # a string, or an argument of another kind that stands for itself


class Machine:
    """Computes expressions of a getter for one list of arguments."""

    def __init__(self, package: Package, function, values: dict, depth: int = 0):
        self.package, self.function, self.values, self.depth = package, function, values, depth

    def allowed(self) -> bool:
        """False if an assertion of the getter refuses the arguments."""
        for node in self.function.node.body:
            if isinstance(node, ast.Assert):
                try:
                    if not self.value(node.test):
                        return False
                except Unknown:
                    pass
        return True

    def name(self, call):
        """The name of the module, without what load_jit adds to each name; None if a part of it is not known."""
        parts = []
        for argument in call.args:
            if isinstance(argument, ast.Starred):
                try:
                    value = self.value(argument.value)
                except Unknown:
                    return None
                if not isinstance(value, list):
                    return None
                parts += value
            else:
                parts.append(self.text(argument))
        return "_".join(map(str, parts))

    def content(self, call) -> tuple:
        return tuple(sorted((k.arg, self.deep(k.value)) for k in call.keywords))

    def deep(self, node) -> str:
        """A list or tuple with the texts of its elements, or the text of another expression."""
        node = self.local(node)
        if isinstance(node, (ast.List, ast.Tuple)):
            return "[" + ", ".join(self.deep(part) for part in node.elts) + "]"
        return self.text(node)

    def local(self, node):
        seen = 0
        while isinstance(node, ast.Name) and node.id in self.function.values and seen < 8:
            node, seen = self.function.values[node.id], seen + 1
        return node

    def text(self, node) -> str:
        try:
            value = self.value(node)
            return ", ".join(value) if isinstance(value, list) else str(value)
        except Unknown:
            return self.symbol(node)

    def symbol(self, node) -> str:
        """An expression that is not understood, with the values of the parameters in it, and with what its names mean.

        Symbols of two getters are equal only if their names mean the same. A local variable is its function's own.
        """
        names = sorted(names_in(node))
        used = {name: self.values[name] for name in names if name in self.values}
        meanings = [self.meaning(name) for name in names if name not in self.values]
        text = re.sub("[‹›\x01]", "", f"{ast.unparse(node)} {used}" if used else ast.unparse(node))
        return f"‹{text}\x01{re.sub('[‹›]', '', str(meanings))}›"

    def meaning(self, name: str) -> tuple:
        if name in self.function.flows:
            return self.function.place, name
        module = self.function.module
        outside = module.expanded(name)
        return self.package.resolve(module.name, name) or (outside if outside != name else module.name, name)

    def value(self, node):
        """The value of an expression. Throws Unknown."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            if node.id in self.values:
                return self.values[node.id]
            if node.id in self.function.values:
                return self.value(self.local(node))
            target = self.package.resolve(self.function.module.name, node.id)
            module, definition = self.package.definition(target) if target else (None, None)
            if target and definition is None:
                return ast.literal_eval(module.constants[target[1]][0])
        if isinstance(node, ast.JoinedStr):
            return "".join(self.formatted(part) for part in node.values)
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            return self.compared(node)
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            return [self.value(part) for part in node.elts]
        if isinstance(node, ast.IfExp):
            return self.value(node.body if self.value(node.test) else node.orelse)
        if isinstance(node, ast.BinOp):
            return self.operated(node)
        if isinstance(node, ast.Call):
            return self.called(node)
        raise Unknown

    def formatted(self, part) -> str:
        if isinstance(part, ast.Constant):
            return str(part.value)
        if part.format_spec is not None or part.conversion != -1:
            raise Unknown
        return self.text(part.value)

    def compared(self, node) -> bool:
        left, right, op = self.value(node.left), self.value(node.comparators[0]), node.ops[0]
        if isinstance(op, (ast.In, ast.NotIn)) and isinstance(right, (list, str)):
            return (left in right) == isinstance(op, ast.In)
        if isinstance(op, (ast.Eq, ast.NotEq)):
            return (left == right) == isinstance(op, ast.Eq)
        raise Unknown

    def operated(self, node):
        left, right = self.value(node.left), self.value(node.right)
        numbers = isinstance(left, int) and isinstance(right, int)
        if isinstance(node.op, ast.Add) and (numbers or (isinstance(left, str) and isinstance(right, str))):
            return left + right
        if numbers and isinstance(node.op, (ast.FloorDiv, ast.Mod)) and right != 0:
            return left // right if isinstance(node.op, ast.FloorDiv) else left % right
        if numbers and isinstance(node.op, ast.Mult):
            return left * right
        raise Unknown

    def called(self, node):
        name = called_name(node)
        if name == CPP_ARGUMENTS and not node.keywords and not any(isinstance(a, ast.Starred) for a in node.args):
            return [self.cpp(argument) for argument in node.args]
        if isinstance(node.func, ast.Name) and name in ("str", "int", "bool") and len(node.args) == 1:
            value = self.value(node.args[0])
            if name != "int" or isinstance(value, int):
                return {"str": str, "int": int, "bool": bool}[name](value)
        return self.inlined(node)

    def cpp(self, argument) -> str:
        """An argument as make_cpp_args writes it."""
        try:
            value = self.value(argument)
        except Unknown:
            return self.symbol(argument)
        if isinstance(value, Dtype):
            return DTYPES[value]
        return str(value).lower() if isinstance(value, bool) else str(value)

    def inlined(self, node):
        """The value of a function of the package that only returns an expression, such as make_name."""
        target = self.package.resolve(self.function.module.name, getattr(node.func, "id", "")) if self.depth < 4 else None
        module, definition = self.package.definition(target) if target else (None, None)
        body = getattr(definition, "body", [])
        body = [n for n in body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]  # a docstring
        if len(body) != 1 or not isinstance(body[0], ast.Return) or body[0].value is None or definition.decorator_list:
            raise Unknown
        a = definition.args
        names = [p.arg for p in a.posonlyargs + a.args]
        defaults = dict(zip(reversed(names), reversed(a.defaults)))
        passed = {**dict(zip(names, node.args)), **{k.arg: k.value for k in node.keywords}}
        if a.vararg or a.kwarg or a.kwonlyargs or len(node.args) > len(names) or any(n not in names for n in passed):
            raise Unknown
        values = {}
        for name in names:
            if name not in passed and name not in defaults:
                raise Unknown
            values[name] = self.value(passed.get(name, defaults.get(name)))
        inner = Function(module, definition.name, definition, ())
        return Machine(self.package, inner, values, self.depth + 1).value(body[0].value)


