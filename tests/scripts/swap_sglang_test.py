"""Tests of scripts/swap_kernels.py with a small package that stands for sglang, and modules that stand for kernels."""

import contextlib
import importlib
import io
import json
import os
import sys
import tempfile
import types
import unittest
from pathlib import Path

ROOT = Path(os.environ.get("DSV4_SOURCE_DIR", Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(ROOT / "scripts"))

import swap_kernels  # noqa: E402
from sglang_set.source import Mistake  # noqa: E402

JIT = """
class Upstream:
    made = []
    def __init__(self, name, functions):
        Upstream.made.append(name)
        for function in functions:
            setattr(self, function, lambda *args, f=function: ("upstream", name, f, args))
class DType(str):
    pass
f32, bf16, i32, i64 = (DType("torch." + n) for n in ("float32", "bfloat16", "int32", "int64"))
"""
MOE = """
from sglang.jit import Upstream
def _jit_mask_topk_module():
    return Upstream("mask", ["run"])
def _jit_hash_topk_module():
    return Upstream("hash", ["hash_topk"])
def mask(ids): return _jit_mask_topk_module().run(ids)
def hash(ids): return _jit_hash_topk_module().hash_topk(ids)
"""
STORE = """
from sglang.jit import Upstream
def _jit_fused_store_module(name, input_dtype, index_dtype, page_size{more}):
    return Upstream("store", ["run"])
def store(x, **how): return _jit_fused_store_module(**how).run(x)
"""
COMPRESS = """
from sglang.jit import Upstream
def _jit_compress_module(head_dim, dtype_in, dtype_out, ratio):
    return Upstream("compress", ["decode", "prefill"])
def decode(x, *how): return _jit_compress_module(*how).decode(x)
"""
OLD = COMPRESS + """
def _jit_common_module():
    return Upstream("common", ["plan_compress_prefill"])
"""
KERNELS = {
    "csrc/deepseek_v4/hash_topk.cuh": "void act_sqrt_softplus();\nstruct HashTopKKernel {\n"
    "static void run(int a, int b, int c, int d, int e, int f) {}\n};\n"
    "struct MaskKernel {\nstatic void run(int a, int b) {}\n};\n",
    "csrc/deepseek_v4/store.cuh": "".join(
        f"template <typename T, typename I, int P, bool D>\nstruct FusedStoreCache{name}Kernel {{\n"
        "static void run(int a, int b, int c) {}\n};\n" for name in ("FlashMLA", "Indexer")),
    "csrc/deepseek_v4/c4_v2.cuh": "template <int H, typename T, typename U, bool D>\nstruct FlashCompress4Kernel {\n"
    "static void run_decode(int a, int b, int c, int d, int e) {}\n"
    "static void run_prefill(int a, int b, int c, int d, int e, int f) {}\n};\n",
    "include/a.cuh": "",
}


def entry(op, function, params=None, abi=1):
    return {"op": op, "function": function, "module": f"{op}.so", "abi": f"{op}/{abi}", "arity": 1, "params": params or {}}


class SwapTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.before = set(sys.modules)
        self.addCleanup(lambda: [sys.modules.pop(name) for name in set(sys.modules) - self.before])
        self.addCleanup(sys.path.remove, str(self.root))
        sys.path.insert(0, str(self.root))
        importlib.invalidate_caches()
        loaded = self.loaded = []

        def load_module(path):
            loaded.append(Path(path).name)
            return _AnyFunction(Path(path).stem)

        sys.modules["tvm_ffi"] = types.SimpleNamespace(load_module=load_module)
        self.package()

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def package(self, store_more=""):
        for name in ("sglang", "sglang/jit_kernel", "sglang/jit_kernel/dsv4"):
            self.write(f"{name}/__init__.py", "")
        self.write("sglang/jit.py", JIT)
        for name, text in {"moe": MOE, "attn": STORE.replace("{more}", store_more), "compress": COMPRESS,
                           "compress_old": OLD, "other": "raise RuntimeError('has no getter')"}.items():
            self.write(f"sglang/jit_kernel/dsv4/{name}.py", text)
        for name, text in KERNELS.items():
            self.write(f"sglang/jit_kernel/{name}", text)

    def kernel_set(self, *entries, device="cuda"):
        self.write("set/manifest.json", json.dumps({"name": "ours", "device": device, "ops": list(entries)}))
        return self.root / "set"

    def module(self, name):
        return importlib.import_module(f"sglang.jit_kernel.dsv4.{name}")

    def upstream_made(self):
        return importlib.import_module("sglang.jit").Upstream.made

    def test_what_the_set_has_is_swapped_and_the_rest_stays(self):
        swapped = swap_kernels.swap(self.kernel_set(entry("mask_topk_ids", "run")))
        moe = self.module("moe")
        self.assertEqual(moe.mask(7), ("ours", "mask_topk_ids", "run", (7,)))
        self.assertEqual(moe.mask(8), ("ours", "mask_topk_ids", "run", (8,)))
        self.assertEqual(self.upstream_made(), [])
        self.assertEqual(moe.hash(7), ("upstream", "hash", "hash_topk", (7,)))
        self.assertIn("swapped by 'ours': _jit_mask_topk_module().run, called 2 times", swapped.report())
        self.assertIn("stayed upstream's: _jit_hash_topk_module().hash_topk: the set does not have this op", swapped.report())
        self.assertIn("not in this release: _jit_compress_plan_module", swapped.report())
        self.assertEqual(self.loaded, ["mask_topk_ids.so"])
        swapped.restore()
        self.assertEqual(moe.mask(7)[0], "upstream")

    def test_the_variant_is_found_by_the_getters_arguments(self):
        jit = importlib.import_module("sglang.jit")
        swapped = swap_kernels.swap(self.kernel_set(
            entry("fused_store_cache", "flashmla_p64", {"layout": "flashmla", "page": "64"}),
            entry("fused_store_cache", "flashmla_bf16", {"layout": "indexer", "page": "64", "input": "bf16"})))
        attn = self.module("attn")
        how = {"name": "flashmla", "input_dtype": jit.f32, "index_dtype": jit.i32, "page_size": 64}
        self.assertEqual(attn.store(1, **how)[2], "flashmla_p64")
        self.assertEqual(attn.store(1, **{**how, "name": "indexer", "input_dtype": jit.bf16})[2], "flashmla_bf16")
        self.assertEqual(attn.store(1, **{**how, "page_size": 256})[0], "upstream")
        self.assertEqual(attn.store(1, **{**how, "name": "indexer"})[0], "upstream")
        self.assertIn("the set does not have the variant layout=flashmla input=f32 index=i32 page=256", swapped.report())

    def test_a_value_that_the_function_does_not_serve_stays_upstreams(self):
        jit = importlib.import_module("sglang.jit")
        swapped = swap_kernels.swap(self.kernel_set(entry("compress_c4_decode", "decode", {"head_dim": "128|512"})))
        compress = self.module("compress")
        for head_dim, by in ((128, "decode"), (512, "decode"), (256, "upstream"), (12, "upstream")):
            self.assertIn(by, compress.decode(1, head_dim, jit.f32, jit.f32, 4)[:3])
        self.assertIn("the set does not have the variant head_dim=256", swapped.report())

    def test_a_parameter_that_sets_do_not_have_stays_upstreams(self):
        self.package(store_more=", layout")
        jit = importlib.import_module("sglang.jit")
        swapped = swap_kernels.swap(self.kernel_set(entry("fused_store_cache", "f", {"layout": "flashmla"})))
        attn = self.module("attn")
        got = attn.store(1, name="flashmla", input_dtype=jit.f32, index_dtype=jit.i32, page_size=64, layout="V4")
        self.assertEqual(got[0], "upstream")
        self.assertIn("this release has the parameter layout=V4", swapped.report())

    def test_the_compressor_is_swapped_for_ratio_4_and_never_the_older_one(self):
        jit = importlib.import_module("sglang.jit")
        swap_kernels.swap(self.kernel_set(entry("compress_c4_decode", "decode", {"dtype": "f32"})))
        new, old = self.module("compress"), self.module("compress_old")
        self.assertEqual(new.decode(1, 512, jit.f32, jit.f32, 4)[0], "ours")
        self.assertEqual(new.decode(1, 512, jit.f32, jit.f32, 128)[0], "upstream")
        self.assertEqual(new.decode(1, 512, jit.bf16, jit.f32, 4)[0], "upstream")
        self.assertEqual(old.decode(1, 512, jit.f32, jit.f32, 4)[0], "upstream")

    def test_another_signature_stays_upstreams(self):
        swapped = swap_kernels.swap(self.kernel_set(entry("mask_topk_ids", "run", abi=2)))
        self.assertEqual(self.module("moe").mask(7)[0], "upstream")
        self.assertIn("does not have the signature mask_topk_ids/1", swapped.report())

    def test_a_program_runs_with_the_swapped_kernels(self):
        folder = self.kernel_set(entry("mask_topk_ids", "run"))
        self.write("program.py", "import sys\nfrom sglang.jit_kernel.dsv4 import moe\n"
                                 "assert moe.mask(1)[0] == 'ours'\nsys.exit(int(sys.argv[1]))\n")
        for args, status in ((["program.py", "5"], 5), (["-m", "program", "0"], 0)):
            args[0] = str(self.root / args[0]) if args[0].endswith(".py") else args[0]
            with contextlib.redirect_stderr(io.StringIO()) as said:
                self.assertEqual(swap_kernels.main([str(folder), "--", *args]), status)
            self.assertIn("called 1 times", said.getvalue())

    def test_work_is_queued_before_each_call_swapped_or_not(self):
        queued = []
        swap_kernels.swap(self.kernel_set(entry("mask_topk_ids", "run")), lambda: queued.append(1))
        moe = self.module("moe")
        self.assertEqual((moe.mask(7)[0], moe.hash(7)[0], len(queued)), ("ours", "upstream", 2))

    def test_nothing_is_swapped_for_the_set_none(self):
        swapped = swap_kernels.swap("none")
        self.assertEqual(self.module("moe").mask(7)[0], "upstream")
        self.assertIn("nothing is swapped", swapped.report())

    def test_list_says_what_can_be_swapped(self):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(swap_kernels.main([str(self.kernel_set(entry("mask_topk_ids", "run"))), "--list"]), 0)
        self.assertIn("_jit_mask_topk_module.run: mask_topk_ids: 1 variants in the set", said.getvalue())
        self.assertIn("_jit_hash_topk_module.hash_topk: hash_topk: stays upstream", said.getvalue())
        self.assertIn("_jit_topk_v1_module.topk_transform: topk_v1: not in this release", said.getvalue())

    def test_wrong_calls_are_refused(self):
        with self.assertRaisesRegex(Mistake, "is not a kernel set"):
            swap_kernels.swap(self.root / "nothing")
        with self.assertRaisesRegex(Mistake, "the device of this set is 'simt'"):
            swap_kernels.swap(self.kernel_set(device="simt"))
        with contextlib.redirect_stderr(io.StringIO()) as said, self.assertRaises(SystemExit) as end:
            swap_kernels.main([str(self.kernel_set())])
        self.assertEqual(end.exception.code, 2)
        self.assertIn("name a program after --", said.getvalue())
        self.write("sglang/jit_kernel/dsv4/__init__.py", "import a_package_that_is_missing\n")
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(swap_kernels.main([str(self.kernel_set()), "--list"]), 2)
        self.assertIn("needs the Python package 'a_package_that_is_missing'", said.getvalue())


class _AnyFunction:
    """A module in which every name is a function."""

    def __init__(self, name):
        self.name = name

    def __getitem__(self, function):
        return lambda *args: ("ours", self.name, function, args)


if __name__ == "__main__":
    unittest.main()
