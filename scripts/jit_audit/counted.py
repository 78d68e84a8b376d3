#!/usr/bin/env python3
"""The child process of count.py: imports modules of the JIT package with a counter in place of every compiler.

    counted.py REQUEST ANSWER      both are JSON files; count.py describes them

Modules that this Python does not have, and the rest of sglang, are replaced by stand-ins. A stand-in accepts every call.
"""

import ast
import functools
import importlib
import importlib.abc
import importlib.machinery
import inspect
import itertools
import json
import sys
import types
import typing

COMPILED = []  # one entry for each call of a compiler
STANDINS = set()  # top-level packages that were replaced


class Anything:
    """A value that accepts every use. As a decorator it returns what it decorates."""

    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        if len(args) == 1 and not kwargs:
            if inspect.isclass(args[0]) or isinstance(args[0], Decorated):
                return args[0]
            if inspect.isfunction(args[0]):
                return Decorated(args[0])
        return Anything()

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        value = Anything()
        self.__dict__[name] = value
        return value

    def __mro_entries__(self, bases):
        return ()

    def __getitem__(self, key):
        return Anything()

    def __setitem__(self, key, value):
        pass

    def __contains__(self, key):
        return False

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0

    def __bool__(self):
        return False

    def __index__(self):
        return 0

    def __enter__(self):
        return self

    def __exit__(self, *args):
        return False

    def arithmetic(self, *args):
        return Anything()

    def compared(self, other):
        return False

    __int__, __float__ = __index__, lambda self: 0.0
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = arithmetic
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = __invert__ = arithmetic
    __or__ = __ror__ = __and__ = __rand__ = __lshift__ = __rshift__ = __matmul__ = arithmetic
    __lt__ = __le__ = __gt__ = __ge__ = compared


class Decorated(Anything):
    """A function under a decorator of a stand-in. It can be called, and has all attributes that a decorator may add."""

    def __init__(self, function):
        functools.update_wrapper(self, function)

    def __call__(self, *args, **kwargs):
        return self.__wrapped__(*args, **kwargs)

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)


class StandIn(types.ModuleType):
    """A module whose names are all Anything."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        value = Anything()
        setattr(self, name, value)
        return value


def counter(kind: str):
    def compile_nothing(*args, **kwargs):
        name = kwargs.get("name", args[0] if args else "")
        COMPILED.append(f"{kind} {name}" if isinstance(name, str) else kind)
        return Anything()

    return compile_nothing


class dtype:  # noqa: N801, torch's own name
    """A dtype of the stand-in of torch."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"torch.{self.name}"


def torch_standin(module):
    """What getters ask torch: dtypes, and the version of a machine with an NVIDIA GPU of compute capability 10.0."""
    module.dtype = dtype
    aliases = {"float": "float32", "half": "float16", "double": "float64", "int": "int32", "long": "int64", "short": "int16"}
    for name in ("float32", "float16", "bfloat16", "float64", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e8m0fnu",
                 "float4_e2m1fn_x2", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"):  # fmt: skip
        setattr(module, name, dtype(name))
    for name, meaning in aliases.items():
        setattr(module, name, getattr(module, meaning))
    module.version = types.SimpleNamespace(hip=None, cuda="13.0")
    module.cuda = StandIn("torch.cuda")
    module.cuda.is_available = lambda: True
    module.cuda.current_device = lambda: 0
    module.cuda.get_device_capability = lambda *args: (10, 0)
    module.Tensor, module.Size, module.device = (type(name, (), {}) for name in ("Tensor", "Size", "device"))


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives stand-ins for the rest of sglang, for TVM-FFI, and, as the last finder, for what is not installed."""

    def __init__(self, kernel_name: str, last: bool):
        self.kernel_name, self.last = kernel_name, last

    def find_spec(self, fullname, path=None, target=None):
        top = fullname.partition(".")[0]
        ours = fullname == self.kernel_name or fullname.startswith(self.kernel_name + ".")
        if self.last:
            wanted = not ours and top not in sys.stdlib_module_names
        else:
            rest = top == "sglang" and not ours and not self.kernel_name.startswith(fullname + ".")
            wanted = rest or top == "tvm_ffi" or (top in STANDINS and "." in fullname)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True) if wanted else None

    def create_module(self, spec):
        module = StandIn(spec.name)
        if spec.name.partition(".")[0] != "sglang":
            STANDINS.add(spec.name.partition(".")[0])
        if spec.name == "torch":
            torch_standin(module)
        return module

    def exec_module(self, module):
        put_counters(module)


def put_counters(module):
    """Replaces the compilers of a module, real or not."""
    for name in COMPILERS.get(module.__name__, ()):
        setattr(module, name, counter(f"{module.__name__}.{name}"))


COMPILERS = {}  # module -> its functions that compile


def prepare(request: dict):
    for full in request["compilers"]:
        owner, _, name = full.rpartition(".")
        COMPILERS.setdefault(owner, []).append(name)
    sys.path.insert(0, request["root"])
    sys.meta_path.insert(0, Finder(request["kernel_name"], last=False))
    sys.meta_path.append(Finder(request["kernel_name"], last=True))
    parts = request["kernel_name"].split(".")
    for depth in range(1, len(parts)):  # the packages above the kernels would import all of sglang
        name = ".".join(parts[:depth])
        module = types.ModuleType(name)
        module.__path__ = [f"{request['root']}/{'/'.join(parts[:depth])}"]
        sys.modules[name] = module
    for owner in COMPILERS:
        try:
            put_counters(importlib.import_module(owner))
        except Exception:  # noqa: BLE001, an installed package that cannot be imported; a getter that needs it says so
            continue


def arguments_for(function, torch) -> list:
    """Lists of arguments to try, by the annotations of the parameters."""
    choices = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        annotation = parameter.annotation
        text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
        if typing.get_origin(annotation) is typing.Literal:
            values = list(typing.get_args(annotation))
        elif text.removeprefix("typing.").startswith("Literal["):
            values = list(ast.literal_eval(text[text.index("["):]))
        elif text == "bool":
            values = [False, True]
        elif text == "int":
            values = [512, 128, 64, 1024, 16, 4, 1]
        elif text in ("torch.dtype", "dtype"):
            values = [torch.bfloat16, torch.float16, torch.float32]
        elif parameter.default is not parameter.empty:
            values = [parameter.default]
        elif text == "str":
            values = ["x"]
        else:
            values = [8]
        choices.append((parameter.name, parameter.kind, values))
    return choices


def calls(choices: list):
    """(positional, keyword) arguments: first choices first, at most a few hundred."""
    for values in itertools.islice(itertools.product(*(values for _, _, values in choices)), 400):
        yield ([v for v, (_, kind, _) in zip(values, choices) if kind is not inspect.Parameter.KEYWORD_ONLY],
               {name: v for v, (name, kind, _) in zip(values, choices) if kind is inspect.Parameter.KEYWORD_ONLY})  # fmt: skip


def counted(module_name: str, function_name: str) -> dict:
    try:
        module = importlib.import_module(module_name)
    except BaseException as error:  # noqa: BLE001, the package's code may raise anything
        return {"reason": f"its module cannot be imported: {said(error)}"}
    function = getattr(module, function_name, None)
    if not callable(function):
        return {"reason": "the module has no such function after the import"}
    problem = None
    try:
        choices = arguments_for(function, importlib.import_module("torch"))
    except BaseException as error:  # noqa: BLE001
        return {"reason": f"its parameters cannot be read: {said(error)}"}
    for positional, keywords in calls(choices):
        before = len(COMPILED)
        try:
            function(*positional, **keywords)
            first = COMPILED[before:]
            function(*positional, **keywords)
        except BaseException as error:  # noqa: BLE001
            problem = problem or error
            continue
        again = COMPILED[before + len(first):]
        shown = ", ".join([*map(repr, positional), *(f"{k}={v!r}" for k, v in keywords.items())])
        if not first:
            return {"reason": f"the first call, with ({shown}), compiled nothing"}
        return {"arguments": shown, "first": first, "again": again}
    return {"reason": f"it accepted none of the arguments that were tried: {said(problem)}"}


def said(error) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def main():
    request = json.loads(open(sys.argv[1], encoding="utf-8").read())
    prepare(request)
    results = [counted(module, function) for module, function in request["getters"]]
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump({"results": results, "standins": sorted(STANDINS)}, file)


if __name__ == "__main__":
    main()
