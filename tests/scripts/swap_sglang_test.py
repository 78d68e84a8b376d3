"""Tests of scripts/swap_sglang.py and scripts/swap_kernels.py with a small package that stands for sglang, and modules that stand for kernels."""

import ast
import contextlib
import importlib
import io
import json
import os
import re
import sys
import tempfile
import types
import unittest
import zipfile
from pathlib import Path

ROOT = Path(os.environ.get("DSV4_SOURCE_DIR", Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(ROOT / "scripts"))

import swap_kernels  # noqa: E402
import swap_sglang  # noqa: E402
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
NEW = COMPRESS + """
def _jit_compress_norm_rope_module(dtype, head_dim, rope_dim, page_size):
    return Upstream("store", ["forward", "forward_fp4"])
def store(function, *how): return getattr(_jit_compress_norm_rope_module(*how), function)(1)
"""
OLD = COMPRESS + """
def _jit_common_module():
    return Upstream("common", ["plan_compress_prefill"])
"""
GEMM = """
import torch
def linear_bf16_fp32(x, y):
    return ("upstream", torch.mm(x, y.t(), out_dtype=torch.float32))
"""
# A tensor with what the swapped function asks, and torch with what upstream's and the swapped function call.
TORCH = """
float32 = "torch.float32"
class Tensor:
    def __init__(self, rows, columns, dtype="torch.bfloat16", strides=None, is_cuda=True):
        self.shape, self.dtype, self.is_cuda, self.device = (rows, columns), dtype, is_cuda, "cuda:0"
        self.strides = strides or (columns, 1)
    def size(self, dim): return self.shape[dim]
    def stride(self, dim): return self.strides[dim]
    def dim(self): return len(self.shape)
    def is_contiguous(self): return self.strides == (self.shape[1], 1)
    def t(self): return self
def mm(x, y, out_dtype): return "mm"
def empty(rows, columns, dtype, device): return Tensor(rows, columns, dtype)
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
    "csrc/deepseek_v4/c4.cuh": "template <int H, typename T, typename U, bool D>\nstruct FlashCompress4Kernel {\n"
    "static void run_decode(int a, int b, int c, int d, int e, int f, int g) {}\n"
    "static void run_prefill(int a, int b, int c, int d, int e, int f, int g, int h) {}\n};\n",
    "csrc/deepseek_v4/fused_norm_rope_v2.cuh": "template <typename T, int H, int R, int P, bool D>\nstruct FusedNormRopeKernel {\n"
    "static void forward(int a, int b, int c, int d, int e, const int32_t* out_loc, int g, int h, int i) {}\n};\n",
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
        self.write("torch.py", TORCH)
        for name, text in {"moe": MOE, "attn": STORE.replace("{more}", store_more), "compress": NEW,
                           "compress_old": OLD, "gemm": GEMM, "other": "raise RuntimeError('has no getter')"}.items():
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
        swapped = swap_sglang.swap(self.kernel_set(entry("mask_topk_ids", "run")))
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
        swapped = swap_sglang.swap(self.kernel_set(
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
        swapped = swap_sglang.swap(self.kernel_set(entry("compress_c4_decode", "decode", {"head_dim": "128|512"})))
        compress = self.module("compress")
        for head_dim, by in ((128, "decode"), (512, "decode"), (256, "upstream"), (12, "upstream")):
            self.assertIn(by, compress.decode(1, head_dim, jit.f32, jit.f32, 4)[:3])
        self.assertIn("the set does not have the variant head_dim=256", swapped.report())

    def test_a_parameter_that_sets_do_not_have_stays_upstreams(self):
        self.package(store_more=", layout")
        jit = importlib.import_module("sglang.jit")
        swapped = swap_sglang.swap(self.kernel_set(entry("fused_store_cache", "f", {"layout": "flashmla"})))
        attn = self.module("attn")
        got = attn.store(1, name="flashmla", input_dtype=jit.f32, index_dtype=jit.i32, page_size=64, layout="V4")
        self.assertEqual(got[0], "upstream")
        self.assertIn("this release has the parameter layout=V4", swapped.report())

    def test_the_compressor_is_swapped_for_ratio_4_and_never_the_older_one(self):
        jit = importlib.import_module("sglang.jit")
        swap_sglang.swap(self.kernel_set(entry("compress_c4_decode", "decode", {"dtype": "f32"})))
        new, old = self.module("compress"), self.module("compress_old")
        self.assertEqual(new.decode(1, 512, jit.f32, jit.f32, 4)[0], "ours")
        self.assertEqual(new.decode(1, 512, jit.f32, jit.f32, 128)[0], "upstream")
        self.assertEqual(new.decode(1, 512, jit.bf16, jit.f32, 4)[0], "upstream")
        self.assertEqual(old.decode(1, 512, jit.f32, jit.f32, 4)[0], "upstream")

    def test_the_older_compressor_is_another_op(self):
        jit = importlib.import_module("sglang.jit")
        swapped = swap_sglang.swap(self.kernel_set(entry("compress_c4_decode_v1", "decode_v1")))
        new, old = self.module("compress"), self.module("compress_old")
        self.assertEqual(old.decode(1, 512, jit.f32, jit.f32, 4)[2], "decode_v1")
        self.assertEqual(new.decode(1, 512, jit.f32, jit.f32, 4)[0], "upstream")
        self.assertIn("_jit_compress_module.decode: compress_c4_decode_v1: 1 variant in the set", swapped.listing())
        self.assertIn("_jit_compress_module.decode: compress_c4_decode: stays upstream's: the set does not", swapped.listing())
        swapped.restore()
        self.assertEqual(old.decode(1, 512, jit.f32, jit.f32, 4)[0], "upstream")

    def test_the_layout_of_stored_entries_follows_from_head_dim_and_function(self):
        jit = importlib.import_module("sglang.jit")
        layouts = ("flashmla", "indexer", "indexer_fp4")
        swap_sglang.swap(self.kernel_set(*(entry("compress_norm_rope_store", x, {"layout": x, "page": "64"}) for x in layouts)))
        store = self.module("compress").store
        self.assertEqual(store("forward", jit.f32, 512, 64, 64)[2], "flashmla")
        self.assertEqual(store("forward", jit.f32, 128, 64, 64)[2], "indexer")
        self.assertEqual(store("forward_fp4", jit.f32, 128, 64, 64)[2], "indexer_fp4")
        self.assertEqual(store("forward", jit.bf16, 512, 64, 64)[0], "upstream")
        self.assertEqual(store("forward", jit.f32, 512, 64, 2)[0], "upstream")

    def test_another_signature_stays_upstreams(self):
        swapped = swap_sglang.swap(self.kernel_set(entry("mask_topk_ids", "run", abi=2)))
        self.assertEqual(self.module("moe").mask(7)[0], "upstream")
        self.assertIn("does not have the signature mask_topk_ids/1", swapped.report())

    def test_undo_gives_every_function_back(self):
        moe, gemm = self.module("moe"), self.module("gemm")
        originals = (moe._jit_mask_topk_module, moe._jit_hash_topk_module, gemm.linear_bf16_fp32)
        user = types.ModuleType("user")
        user.linear = gemm.linear_bf16_fp32  # as "from ... import linear_bf16_fp32 as linear"
        sys.modules["user"] = user
        with swap_sglang.swap(self.kernel_set(entry("mask_topk_ids", "run"), entry("linear_bf16_fp32", "run"))) as swapped:
            self.assertIsNot(moe._jit_mask_topk_module, originals[0])
            self.assertIsNot(gemm.linear_bf16_fp32, originals[2])
            self.assertIs(user.linear, gemm.linear_bf16_fp32)
            late = types.ModuleType("late")  # imported while the kernels are swapped
            late.linear_bf16_fp32 = gemm.linear_bf16_fp32
            sys.modules["late"] = late
            self.assertEqual(moe.mask(7)[0], "ours")
        self.assertEqual((moe._jit_mask_topk_module, moe._jit_hash_topk_module, gemm.linear_bf16_fp32), originals)
        self.assertIs(user.linear, originals[2])
        self.assertIs(late.linear_bf16_fp32, originals[2])
        self.assertEqual(moe.mask(7)[0], "upstream")
        swapped.restore()  # a second time does nothing
        self.assertEqual(moe.mask(7)[0], "upstream")
        with swap_sglang.swap(self.root / "set"):
            self.assertEqual(moe.mask(7)[0], "ours")

    def test_a_function_in_python_is_swapped_for_calls_that_the_op_takes(self):
        swapped = swap_sglang.swap(self.kernel_set(entry("linear_bf16_fp32", "run")))
        tensor, linear = importlib.import_module("torch").Tensor, self.module("gemm").linear_bf16_fp32
        z = linear(tensor(3, 8), tensor(5, 8))
        self.assertEqual((z.shape, z.dtype), ((3, 5), "torch.float32"))
        self.assertEqual(linear(x=tensor(3, 8, strides=(1, 4)), y=tensor(5, 8, strides=(9, 1))).shape, (3, 5))
        self.assertNotIn("stayed upstream's: linear_bf16_fp32", swapped.report())
        for other in (tensor(5, 8, "torch.float32"), tensor(5, 8, is_cuda=False), tensor(5, 8, strides=(0, 1)),
                      tensor(5, 8, strides=(16, 2))):  # fmt: skip
            self.assertEqual(linear(tensor(3, 8), other), ("upstream", "mm"))
        self.assertIn("swapped by 'ours': linear_bf16_fp32, called 2 times", swapped.report())
        self.assertIn("stayed upstream's: linear_bf16_fp32: some calls, whose arguments the op does not take", swapped.report())

    def test_a_function_in_python_stays_if_the_set_lacks_it(self):
        original = self.module("gemm").linear_bf16_fp32
        swapped = swap_sglang.swap(self.kernel_set(entry("mask_topk_ids", "run")))
        self.assertIs(self.module("gemm").linear_bf16_fp32, original)
        self.assertIn("stayed upstream's: linear_bf16_fp32: the set does not have this op", swapped.report())
        swapped.restore()
        queued = []
        swap_sglang.swap("none", lambda: queued.append(1))
        self.assertEqual((self.module("gemm").linear_bf16_fp32(*2 * [importlib.import_module("torch").Tensor(1, 1)]), queued),
                         (("upstream", "mm"), [1]))  # fmt: skip

    def test_the_listing_names_modules_that_no_op_serves(self):
        self.write("sglang/jit_kernel/dsv4/attn.py", STORE.replace("{more}", "") +
                   "def _jit_new_module():\n    pass\ndef _jit_norm_rope_module():\n    pass\n")  # fmt: skip
        listing = swap_sglang.swap(self.kernel_set(entry("mask_topk_ids", "run", abi=2))).listing()
        self.assertIn("_jit_new_module: stays upstream's: no op is a function of this module", listing)
        self.assertIn("_jit_norm_rope_module: stays upstream's: its function has three modes", listing)
        self.assertIn("mask_topk_ids: stays upstream's: the set does not have the signature mask_topk_ids/1", listing)
        self.assertIn("linear_bf16_fp32: linear_bf16_fp32: stays upstream's: the set does not have this op", listing)

    def test_an_older_release_names_its_getters_otherwise(self):
        self.write("sglang/jit_kernel/dsv4/topk.py", "from sglang.jit import Upstream\n" + "".join(
            f"def _jit_topk{name}_module():\n    return Upstream('topk{name}', ['topk_transform'])\n" for name in ("", "1024")))
        for k in (512, 1024):
            self.write(f"sglang/jit_kernel/csrc/deepseek_v4/topk{'' if k == 512 else '_1024'}.cuh",
                       f"struct TopK{k}Kernel {{\nstatic void transform(int a, int b, int c, int d, int e, int f) {{}}\n}};\n")
        swap_sglang.swap(self.kernel_set(entry("topk_v1", "k512", {"k": "512"})))
        topk = self.module("topk")
        self.assertEqual(topk._jit_topk_module().topk_transform(1)[2], "k512")
        self.assertEqual(topk._jit_topk1024_module().topk_transform(1)[0], "upstream")

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
        swap_sglang.swap(self.kernel_set(entry("mask_topk_ids", "run")), lambda: queued.append(1))
        moe = self.module("moe")
        self.assertEqual((moe.mask(7)[0], moe.hash(7)[0], len(queued)), ("ours", "upstream", 2))

    def test_nothing_is_swapped_for_the_set_none(self):
        swapped = swap_sglang.swap("none")
        self.assertEqual(self.module("moe").mask(7)[0], "upstream")
        self.assertIn("nothing is swapped", swapped.report())

    def test_list_says_what_can_be_swapped(self):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(swap_kernels.main([str(self.kernel_set(entry("mask_topk_ids", "run"))), "--list"]), 0)
        self.assertIn("_jit_mask_topk_module.run: mask_topk_ids: 1 variant in the set", said.getvalue())
        self.assertIn("_jit_hash_topk_module.hash_topk: hash_topk: stays upstream's: the set does not have this op", said.getvalue())
        self.assertIn("_jit_topk_v1_module: not in this release", said.getvalue())

    def test_wrong_calls_are_refused(self):
        with self.assertRaisesRegex(Mistake, "is not a kernel set"):
            swap_sglang.swap(self.root / "nothing")
        with self.assertRaisesRegex(Mistake, "the device of this set is 'simt'"):
            swap_sglang.swap(self.kernel_set(device="simt"))
        with contextlib.redirect_stderr(io.StringIO()) as said, self.assertRaises(SystemExit) as end:
            swap_kernels.main([str(self.kernel_set())])
        self.assertEqual(end.exception.code, 2)
        self.assertIn("name a program after --", said.getvalue())
        self.write("sglang/jit_kernel/dsv4/__init__.py", "import a_package_that_is_missing\n")
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(swap_kernels.main([str(self.kernel_set()), "--list"]), 2)
        self.assertIn("needs the Python package 'a_package_that_is_missing'", said.getvalue())


class Releases(unittest.TestCase):
    """The getters of both releases are those that the module knows. Only their text is read: sglang needs a GPU."""

    def test_every_getter_has_the_known_parameters_and_functions(self):
        found, self.exported = set(), {id(getter): set() for getter in swap_sglang.GETTERS}
        for release in ("0.5.12", "0.5.13"):
            for wheel in (ROOT / ".deps/wheels").glob(f"sglang-{release}-*.whl"):
                found |= self.check(wheel)
        self.assertEqual({g.name for g in swap_sglang.GETTERS} - found, set(), "no release has these getters")
        for g in swap_sglang.GETTERS:
            self.assertEqual(set(g.functions) - self.exported[id(g)], set(), f"{g.name}: no release has these functions")
        self.assertEqual({d.name for d in swap_sglang.DIRECT} - found, set(), "no release has these functions")
        self.assertEqual(set(swap_sglang.STAYING) - found, set(), "no release has these getters")

    def check(self, wheel):
        names = set()
        with zipfile.ZipFile(wheel) as archive:
            texts = [archive.read(name).decode() for name in archive.namelist()
                     if re.fullmatch(r"sglang/jit_kernel/(deepseek_v4|dsv4/\w+)\.py", name)]  # fmt: skip
        for tree in map(ast.parse, texts):
            functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
            names |= set(functions)
            for getter in swap_sglang.GETTERS:
                if not getter.is_in(functions):
                    continue
                node = functions[getter.name]
                where = f"{wheel.name}: {getter.name}"
                self.assertEqual({a.arg for a in node.args.args} - set(getter.parameters), set(), where)
                self.exported[id(getter)] |= {pair.elts[0].value for pair in ast.walk(node)
                                              if isinstance(pair, ast.Tuple) and isinstance(pair.elts[0], ast.Constant)}  # fmt: skip
        return names


class _AnyFunction:
    """A module in which every name is a function."""

    def __init__(self, name):
        self.name = name

    def __getitem__(self, function):
        return lambda *args: ("ours", self.name, function, args)


if __name__ == "__main__":
    unittest.main()
