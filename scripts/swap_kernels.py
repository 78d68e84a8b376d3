#!/usr/bin/env python3
"""Runs a Python program with the kernels of a kernel set in the place of sglang's own.

    scripts/swap_kernels.py build/sets/cuda --list
    scripts/swap_kernels.py build/sets/cuda -- -m pytest --pyargs sglang.jit_kernel.tests.deepseek_v4.test_c4_v2
    scripts/swap_kernels.py none --busy 200 -- -m pytest ...      upstream's kernels, behind 200 us of work on the GPU

scripts/swap_sglang.py swaps the functions, and says how; a program may also import it. At its end, this script prints how
often each swapped function was called, and what stayed upstream's, with the reason. With --list it prints only what can be
swapped.

With --busy, each call is preceded by work that keeps the stream busy for so long. So kernels wait for the GPU side by
side, as in production, and a kernel that reads too early gets old data. The set 'none' swaps nothing.

The program needs what sglang itself needs: a GPU, torch, tvm_ffi and, for modules that stay upstream's, nvcc. sglang's own
tests also need pytest, triton and sgl_kernel.

Exit status: that of the program; 0 with --list; 2 if the command or the environment is wrong.
"""
import argparse
import pathlib
import runpy
import sys

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

    `parameters`: the compile-time parameters in manifests, by the names of the getter's own parameters. `requires`: values
    that a compile-time parameter must have. `not_beside`: a module that also has this getter is about another op.
    """

    name: str
    functions: dict
    parameters: dict = field(default_factory=dict)
    requires: dict = field(default_factory=dict)
    not_beside: str = ""

    def params(self, original, args, kwargs):
        """(compile-time parameters, reason): None, with the reason, if the set cannot have a function for this call."""
        bound = inspect.signature(original).bind(*args, **kwargs)
        bound.apply_defaults()
        params = {}
        for name, value in bound.arguments.items():
            if name not in self.parameters:
                return None, f"this release has the parameter {name}={value}, which kernel sets do not have"
            params[self.parameters[name]] = word(value)
        for name, value in self.requires.items():
            if params.get(name, value) != value:
                return None, f"no op of the set has {name}={params[name]}"
        return params, ""


PLANNERS = ("plan_prefill", "plan_decode", "plan_prefill_legacy", "plan_decode_legacy")
QUANTISER = {"quant_group_size": "group", "scale_ue8m0": "ue8m0", "swizzle": "swizzle", "apply_swiglu_limit": "clamp"}
GETTERS = (
    Getter("_jit_hash_topk_module", {"hash_topk": "hash_topk"}),
    Getter("_jit_mask_topk_module", {"run": "mask_topk_ids"}),
    Getter("_jit_fused_rope_module", {"forward": "fused_rope"}),
    Getter("_jit_main_q_indexer_rope_hadamard_quant_module", {"forward": "q_indexer_rope_hadamard_quant"},
           {"dtype": "dtype"}, {"dtype": "bf16"}),
    Getter("_jit_main_q_indexer_rope_hadamard_fp4_quant_module", {"forward": "q_indexer_rope_hadamard_fp4_quant"},
           {"dtype": "dtype"}, {"dtype": "bf16"}),
    Getter("_jit_topk_v1_module", {"topk_transform": "topk_v1"}, {"topk": "k"}),
    Getter("_jit_fused_store_module", {"run": "fused_store_cache"},
           {"name": "layout", "input_dtype": "input", "index_dtype": "index", "page_size": "page"}),
    Getter("_jit_mega_moe_pre_dispatch_module", {"run": "mega_moe_pre_dispatch"}, {"quant_group_size": "group"}),
    Getter("_jit_silu_mul_quant_varlen_module", {"run": "silu_and_mul_masked_post_quant"}, QUANTISER),
    Getter("_jit_silu_mul_quant_contig_module", {"run": "silu_and_mul_contig_post_quant"}, QUANTISER),
    Getter("_jit_silu_and_mul_clamp_module", {"run": "silu_and_mul_clamp"}, {"dtype": "dtype"}),
    Getter("_jit_compress_plan_module", {name: name for name in PLANNERS}),
    Getter("_jit_common_module", {"plan_compress_prefill": "plan_compress_prefill"}),
    # The compressor of the older (V1) plans has a getter of the same name, in the module of the V1 planner.
    Getter("_jit_compress_module", {"prefill": "compress_c4_prefill", "decode": "compress_c4_decode"},
           {"head_dim": "head_dim", "dtype_buffer": "buffer", "dtype_in": "dtype", "dtype_out": "output", "ratio": "ratio"},
           {"ratio": "4", "buffer": "f32", "dtype": "f32", "output": "f32"}, not_beside="_jit_common_module"),
)


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
from sglang_set.source import Mistake  # noqa: E402
from swap_sglang import swap  # noqa: E402


def busy_stream(microseconds):
    """A function that queues work on torch's current stream."""
    import torch

    cycles, start, end = 20_000_000, torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    for _ in range(2):  # the first time, the GPU may still run at a low clock rate
        start.record()
        torch.cuda._sleep(cycles)
        end.record()
        torch.cuda.synchronize()
    cycles = int(microseconds * cycles / (1000 * start.elapsed_time(end)))
    return lambda: torch.cuda._sleep(cycles)


def main(argv):
    command, program = (argv[: argv.index("--")], argv[argv.index("--") + 1:]) if "--" in argv else (argv, [])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", metavar="SET", help="folder of a kernel set for GPUs, such as build/sets/cuda, or 'none'")
    parser.add_argument("--busy", metavar="US", type=int, default=0, help="microseconds of work before each call")
    parser.add_argument("--list", action="store_true", help="print what can be swapped, and run nothing")
    args = parser.parse_args(command)
    if not args.list and not program:
        parser.error("name a program after --, for instance: -- -m pytest FILE, or use --list")
    try:
        swapped = swap(args.set, busy_stream(args.busy) if args.busy > 0 else None)
    except (Mistake, ImportError) as error:
        print(f"swap_kernels.py: {error}", file=sys.stderr)
        return 2
    if args.list:
        print(swapped.listing())
        swapped.restore()
        return 0
    status = 0
    try:
        if program[0] == "-m":
            if len(program) < 2:
                parser.error("-m needs the name of a module")
            sys.argv = program[1:]
            runpy.run_module(program[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = program
            runpy.run_path(program[0], run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        print(swapped.report(), file=sys.stderr)
        swapped.restore()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
