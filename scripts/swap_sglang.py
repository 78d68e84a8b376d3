"""Puts the kernels of a kernel set into the installed sglang, in the place of its own, and takes them out again.

    import sys; sys.path.insert(0, "scripts")
    import swap_sglang

    swapped = swap_sglang.swap("build/sets/cuda")     # before or after the import of sglang
    print(swapped.listing())                          # what the set serves, and what stays upstream's, with the reason
    ...                                               # work with sglang
    print(swapped.report())                           # how often each function was called
    swapped.restore()                                 # sglang is as before

or "with swap_sglang.swap(...) as swapped:", which restores at its end. docs/sets.md describes it.

sglang gets each JIT module from a function, for instance `_jit_hash_topk_module`. These functions are replaced. A module that
they return has the set's functions where the set has them, and upstream's functions otherwise. A function is swapped only if
the set has it with the signature that the installed release calls; the rules of scripts/sglang_set/ops.py find this signature
in the release's sources. A function that is written in Python, such as `linear_bf16_fp32`, is replaced wherever it was
imported.

The set 'none' swaps nothing. `before`, if given, is called before each call of a function of a module, swapped or not.
"""
import functools
import importlib
import inspect
import json
import pathlib
import re
import sys
from dataclasses import dataclass, field

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sglang_set.ops import map_ops  # noqa: E402
from sglang_set.source import Mistake, from_folder  # noqa: E402

# Packages and modules that define getters, in old and new releases.
PACKAGES = (
    "sglang.jit_kernel.dsv4",
    "sglang.jit_kernel.deepseek_v4",
    "sglang.kernels.ops.attention.dsv4",
    "sglang.kernels.ops.moe.dsv4",
)
DTYPES = {"torch.bfloat16": "bf16", "torch.float32": "f32", "torch.int32": "i32", "torch.int64": "i64"}


def word(value):
    """The value of a compile-time parameter, as manifests write it."""
    return str(int(value)) if isinstance(value, bool) else DTYPES.get(str(value), str(value))


@dataclass
class Getter:
    """A function of sglang that returns a JIT module, and the ops that functions of the module serve.

    `functions`: the op of each function; "{ratio}" in its name stands for the compile-time parameter. `parameters`: the
    compile-time parameters in manifests, by the names of the getter's own parameters. `requires`: values that a compile-time
    parameter must have. `fixed`: compile-time parameters that follow from the getter itself. `further(function, params)`:
    compile-time parameters that follow from the function and from others. `beside`, `not_beside`: in sglang's modules with
    this getter, the functions serve other ops than elsewhere.
    """

    name: str
    functions: dict
    parameters: dict = field(default_factory=dict)
    requires: dict = field(default_factory=dict)
    fixed: dict = field(default_factory=dict)
    further: object = None
    beside: str = ""
    not_beside: str = ""

    def is_in(self, names):
        """True if a module of sglang that defines these names has this getter, with functions that serve these ops."""
        return self.name in names and self.not_beside not in names and (not self.beside or self.beside in names)

    def ops(self, function):
        """The ops that the function may serve."""
        op = self.functions[function]
        return [op.format(ratio=ratio) for ratio in ("4", "128")] if "{ratio}" in op else [op]

    def params(self, original, args, kwargs):
        """(compile-time parameters, reason): None, with the reason, if the set cannot have a function for this call."""
        bound = inspect.signature(original).bind(*args, **kwargs)
        bound.apply_defaults()
        params = dict(self.fixed)
        for name, value in bound.arguments.items():
            if name not in self.parameters:
                return None, f"this release has the parameter {name}={value}, which kernel sets do not have"
            params[self.parameters[name]] = word(value)
        for name, value in self.requires.items():
            if params.get(name, value) != value:
                return None, f"no op of the set has {name}={params[name]}"
        return params, ""



def layout_of_store(function, params):
    return {"layout": "indexer_fp4" if function == "forward_fp4" else {"512": "flashmla"}.get(params["head_dim"], "indexer")}


PLANNERS = ("plan_prefill", "plan_decode", "plan_prefill_legacy", "plan_decode_legacy")
QUANTISER = {"quant_group_size": "group", "scale_ue8m0": "ue8m0", "swizzle": "swizzle", "apply_swiglu_limit": "clamp"}
ROTATED = {"dtype": "dtype", "head_dim": "head_dim", "rope_dim": "rope_dim"}
ROTATED_AS = {"dtype": "bf16", "head_dim": "512", "rope_dim": "64"}
COMPRESSOR = {"head_dim": "head_dim", "dtype_buffer": "buffer", "dtype_in": "dtype", "dtype_out": "output", "ratio": "ratio"}
COMPRESSED_AS = {"buffer": "f32", "dtype": "f32", "output": "f32"}
V1 = "_jit_common_module"  # a module of sglang that has this getter is about the older (V1) plans
GETTERS = (
    Getter("_jit_hash_topk_module", {"hash_topk": "hash_topk"}),
    Getter("_jit_mask_topk_module", {"run": "mask_topk_ids"}),
    Getter("_jit_fused_rope_module", {"forward": "fused_rope"}),
    Getter("_jit_topk_v1_module", {"topk_transform": "topk_v1"}, {"topk": "k"}),
    Getter("_jit_topk_module", {"topk_transform": "topk_v1"}, fixed={"k": "512"}),
    Getter("_jit_topk1024_module", {"topk_transform": "topk_v1"}, fixed={"k": "1024"}),
    Getter("_jit_topk_v2_module", {"topk_transform": "topk_v2", "topk_plan": "plan_topk_v2"}, {"topk": "k"}),
    Getter("_jit_metadata_module", {"run": "paged_mqa_logits_metadata"}),
    Getter("_jit_main_q_norm_rope_module", {"forward": "q_norm_rope"}, ROTATED, ROTATED_AS),
    Getter("_jit_main_k_norm_rope_flashmla_module", {"forward": "k_norm_rope_flashmla"}, {**ROTATED, "page_size": "page"},
           ROTATED_AS, {"layout": "flashmla"}),
    Getter("_jit_main_q_indexer_rope_hadamard_quant_module", {"forward": "q_indexer_rope_hadamard_quant"},
           {"dtype": "dtype"}, {"dtype": "bf16"}),
    Getter("_jit_main_q_indexer_rope_hadamard_fp4_quant_module", {"forward": "q_indexer_rope_hadamard_fp4_quant"},
           {"dtype": "dtype"}, {"dtype": "bf16"}),
    Getter("_jit_rmsnorm_head_module", {"run_self": "rmsnorm_head"}, {"head_dim": "head_dim", "dtype": "dtype"},
           {"dtype": "bf16"}),
    Getter("_jit_hisparse_transfer_module", {"hisparse_transfer": "hisparse_transfer"}, fixed={"destination": "linear"}),
    Getter("_jit_fused_store_module", {"run": "fused_store_cache"},
           {"name": "layout", "input_dtype": "input", "index_dtype": "index", "page_size": "page"}),
    Getter("_jit_mega_moe_pre_dispatch_module", {"run": "mega_moe_pre_dispatch"}, {"quant_group_size": "group"}),
    Getter("_jit_silu_mul_quant_varlen_module", {"run": "silu_and_mul_masked_post_quant"}, QUANTISER,
           fixed={"form": "main"}),
    Getter("_jit_silu_mul_quant_contig_module", {"run": "silu_and_mul_contig_post_quant"}, QUANTISER),
    Getter("_jit_silu_and_mul_clamp_module", {"run": "silu_and_mul_clamp"}, {"dtype": "dtype"}),
    Getter("_jit_compress_plan_module", {name: name for name in PLANNERS}),
    Getter("_jit_common_module", {"plan_compress_prefill": "plan_compress_prefill"}),
    Getter("_jit_compress_module", {"prefill": "compress_c{ratio}_prefill", "decode": "compress_c{ratio}_decode"},
           COMPRESSOR, COMPRESSED_AS, not_beside=V1),
    Getter("_jit_compress_module", {"prefill": "compress_c{ratio}_prefill_v1", "decode": "compress_c{ratio}_decode_v1"},
           COMPRESSOR, COMPRESSED_AS, beside=V1),
    Getter("_jit_compress_128_online_module",
           {"prefill": "compress_c128_online_prefill", "decode": "compress_c128_online_decode",
            "plan_prefill": "plan_prefill_online", "plan_decode": "plan_decode_online"},
           {"head_dim": "head_dim"}, not_beside=V1),
    Getter("_jit_compress_128_online_module",
           {"prefill": "compress_c128_online_prefill_v1", "decode": "compress_c128_online_decode_v1"},
           {"head_dim": "head_dim"}, beside=V1),
    Getter("_jit_compress_128_online_plan_module", {"plan_compress_online_prefill": "plan_compress_online_prefill"}),
    Getter("_jit_compress_norm_rope_module", {"forward": "compress_norm_rope_store", "forward_fp4": "compress_norm_rope_store"},
           {**ROTATED, "page_size": "page"}, {"dtype": "f32", "rope_dim": "64"}, further=layout_of_store),
)

# Getters of modules that a set must not serve although an op is one of their functions.
STAYING = {
    "_jit_norm_rope_module": "its function has three modes, and each of them is an op of its own",
}
GETTER = re.compile(r"^def (_jit_\w+_module)\(", re.MULTILINE)


@dataclass
class Direct:
    """A Python function of sglang that an op computes.

    `serves(*args)`: true if the op can take this call; other calls stay upstream's. `call(function, *args)` makes it.
    """

    name: str
    op: str
    serves: object
    call: object


def by_rows_or_columns(t):
    return t.is_contiguous() or (t.stride(1) == 1 and t.stride(0) >= t.size(1)) or (t.stride(0) == 1 and t.stride(1) >= t.size(0))


def linear_is_served(x, y):
    return all(str(t.dtype) == "torch.bfloat16" and t.is_cuda and t.dim() == 2 and by_rows_or_columns(t) for t in (x, y))


def call_linear(function, x, y):
    import torch

    z = torch.empty(x.size(0), y.size(0), dtype=torch.float32, device=x.device)
    function(x, y, z)
    return z


DIRECT = (Direct("linear_bf16_fp32", "linear_bf16_fp32", linear_is_served, call_linear),)


class Set:
    """The functions of a kernel set."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        try:
            self.manifest = json.loads((self.folder / "manifest.json").read_text())
        except (OSError, ValueError) as error:
            raise Mistake(f"{self.folder} is not a kernel set: {error}") from error
        if self.manifest.get("device") != "cuda":
            raise Mistake(f"{self.folder}: sglang passes tensors on a GPU, but the device of this set is "
                          f"'{self.manifest.get('device')}'. Choose a set such as build/sets/cuda.")
        self.modules = {}

    def find(self, op, abi, params):
        """(function, reason): the function, or None and why the set has none."""
        entries = [e for e in self.manifest["ops"] if e["op"] == op and not e.get("aux")]
        if not entries:
            return None, "the set does not have this op"
        entries = [e for e in entries if e["abi"] == abi]
        if not entries:
            return None, f"the set does not have the signature {abi}, which this release calls"
        for e in entries:
            if all(name not in params or params[name] in values.split("|") for name, values in e.get("params", {}).items()):
                return self.load(e["module"], e["function"]), ""
        return None, "the set does not have the variant " + " ".join(f"{k}={v}" for k, v in params.items())

    def load(self, module, function):
        if module not in self.modules:
            import tvm_ffi

            self.modules[module] = tvm_ffi.load_module(str((self.folder / module).resolve()))
        return self.modules[module][function]


class NoSet:
    """Stands for a set that has no op, so that every function stays upstream's."""

    manifest = {"name": "none", "ops": []}

    def find(self, op, abi, params):
        return None, "nothing is swapped"


class Swapped:
    """What was swapped. `calls` counts the calls of each swapped function, `stayed` says why others were not.

    `before`: called before each call of a function of a module, swapped or not.
    """

    def __init__(self, kernels, abis, absent, before=None):
        self.kernels, self.abis, self.absent, self.before = kernels, abis, absent, before
        self.getters = []  # (module, getter, original)
        self.direct = []  # (replacement, original)
        self.unknown = []  # names of getters that no op serves
        self.calls, self.stayed = {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.restore()

    def find(self, getter, original, function, args, kwargs):
        op = getter.functions.get(function)
        params, why_not = getter.params(original, args, kwargs)
        if op is not None and params is not None:
            op = op.format(**params)
            params |= getter.further(function, params) if getter.further else {}
        where = f"{getter.name}({', '.join(map(word, [*args, *kwargs.values()]))}).{function}"
        if op is None or params is None:
            found, why = None, why_not or "no op is this function"
        elif op not in self.abis:
            found, why = None, self.absent.get(op, "this release does not have the op")
        else:
            found, why = self.kernels.find(op, self.abis[op], params)
        if found is None:
            self.stayed[where] = why
            return None
        self.calls.setdefault(where, 0)

        def call(*arguments):
            self.calls[where] += 1
            return found(*arguments)

        return call

    def replace(self, direct, original):
        """Puts the set's function into the place of `original`, if the set has it."""
        if direct.op not in self.abis:
            found, why = None, self.absent.get(direct.op, "this release does not have the op")
        else:
            found, why = self.kernels.find(direct.op, self.abis[direct.op], {})
        if found is None and self.before is None:
            self.stayed[direct.name] = why
            return
        if found is not None:
            self.calls[direct.name] = 0

        @functools.wraps(original)
        def replacement(*args, **kwargs):
            bound = inspect.signature(original).bind(*args, **kwargs).arguments.values()
            if self.before:
                self.before()
            if found is None or not direct.serves(*bound):
                self.stayed[direct.name] = why or "some calls, whose arguments the op does not take"
                return original(*args, **kwargs)
            self.calls[direct.name] += 1
            return direct.call(found, *bound)

        self.direct.append((replacement, original))
        exchange(original, replacement)

    def restore(self):
        """Undoes the swap. Modules and functions that a caller has kept stay swapped."""
        for module, getter, original in self.getters:
            setattr(module, getter.name, original)
        for replacement, original in self.direct:
            exchange(replacement, original)
        self.getters, self.direct = [], []

    def listing(self):
        """What the set serves, and why the rest stays upstream's."""
        present = [getter for _, getter, _ in self.getters]
        lines = []
        for getter in GETTERS:
            if getter in present:
                lines += [self.line(f"{getter.name}.{function}", op) for function in getter.functions for op in getter.ops(function)]
            elif getter.name not in {g.name for g in present}:
                lines.append(f"{getter.name}: not in this release")
        lines += [self.line(direct.name, direct.op) for direct in DIRECT]
        lines += [f"{name}: stays upstream's: {STAYING.get(name, 'no op is a function of this module')}" for name in self.unknown]
        return "\n".join(lines)

    def line(self, where, op):
        if op not in self.abis:
            return f"{where}: {op}: stays upstream's: {self.absent.get(op, 'this release does not have the op')}"
        entries = [e for e in self.kernels.manifest["ops"] if e["op"] == op and not e.get("aux")]
        if not entries:
            return f"{where}: {op}: stays upstream's: the set does not have this op"
        entries = [e for e in entries if e["abi"] == self.abis[op]]
        if not entries:
            return f"{where}: {op}: stays upstream's: the set does not have the signature {self.abis[op]}"
        return f"{where}: {op}: {len(entries)} {'variant' if len(entries) == 1 else 'variants'} in the set"

    def report(self):
        name = self.kernels.manifest["name"]
        lines = [f"swapped by '{name}': {where}, called {n} times" for where, n in sorted(self.calls.items())]
        lines += [f"stayed upstream's: {where}: {why}" for where, why in sorted(self.stayed.items())]
        absent = {g.name for g in GETTERS} - {getter.name for _, getter, _ in self.getters}
        lines += [f"not in this release: {name}" for name in sorted(absent)]
        return "\n".join(lines)


def exchange(old, new):
    """Gives `new` to every loaded module that has `old`, under the same name."""
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", None)
        for name in [name for name, value in names.items() if value is old] if isinstance(names, dict) else ():
            setattr(module, name, new)


class SwappedModule:
    """Stands for the module that a getter returns. Upstream's module is made only if one of its functions is used."""

    def __init__(self, swapped, getter, original, args, kwargs):
        self._swapped, self._getter, self._original = swapped, getter, original
        self._args, self._kwargs, self._functions = args, kwargs, {}

    def __getattr__(self, function):
        if function not in self._functions:
            found = self._swapped.find(self._getter, self._original, function, self._args, self._kwargs)
            found = found or getattr(self._original(*self._args, **self._kwargs), function)
            self._functions[function] = self._behind(found) if self._swapped.before else found
        return self._functions[function]

    def _behind(self, function):
        def call(*args):
            self._swapped.before()
            return function(*args)

        return call


def replacement(swapped, getter, original):
    made = {}

    def get(*args, **kwargs):
        key = (args, tuple(kwargs.items()))
        if key not in made:
            made[key] = SwappedModule(swapped, getter, original, args, kwargs)
        return made[key]

    get.__name__ = getter.name
    return get


def sglang_modules():
    """The modules of the installed sglang that define JIT getters."""
    modules = []

    def add(name):
        try:
            modules.append(importlib.import_module(name))
        except ModuleNotFoundError as error:
            if error.name is None or not (name + ".").startswith(error.name + "."):
                raise Mistake(f"{name} needs the Python package '{error.name}', which is not installed") from error

    for package in PACKAGES:
        add(package)
    for package in list(modules):
        for path in map(pathlib.Path, getattr(package, "__path__", [])):
            for file in sorted(path.glob("*.py")):
                if file.stem != "__init__" and (GETTER.search(text := file.read_text()) or any(
                    f"def {direct.name}(" in text for direct in DIRECT)):  # fmt: skip
                    add(f"{package.__name__}.{file.stem}")
    if not modules:
        raise Mistake("the Python package sglang, with its JIT kernels, is not installed")
    return modules


def swap(folder, before=None):
    """Swaps the functions in the installed sglang. Returns a Swapped. `before`: see there."""
    kernels = NoSet() if folder == "none" else Set(folder)
    modules = sglang_modules()
    source = from_folder(pathlib.Path(inspect.getfile(importlib.import_module("sglang"))).parent)
    variants, absent = map_ops(source)
    abis = {e.op: e.abi for v in variants for e in v.entries}
    swapped = Swapped(kernels, abis, {a["op"]: a["reason"] for a in absent}, before)
    served = {getter.name for getter in GETTERS}
    for getter in GETTERS:
        for module in modules:
            original = module.__dict__.get(getter.name)
            # A wrapper calls the getter in its own module, so a name that was imported from there does not matter.
            if getter.is_in(module.__dict__) and original.__module__ == module.__name__:
                swapped.getters.append((module, getter, original))
    for module, getter, original in swapped.getters:
        setattr(module, getter.name, replacement(swapped, getter, original))
    for module in modules:
        own = [name for name, value in module.__dict__.items() if getattr(value, "__module__", "") == module.__name__]
        swapped.unknown += [name for name in own if GETTER.match(f"def {name}(") and name not in served]
        for direct in DIRECT:
            if direct.name in own:
                swapped.replace(direct, module.__dict__[direct.name])
    swapped.unknown.sort()
    return swapped
