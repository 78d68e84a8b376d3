"""Tests `dsv4diff audit` on small packages: what each rule finds, and what is close to it and must not be reported."""

import json
import os
import subprocess
import tempfile
import textwrap
import unittest
import zipfile
from pathlib import Path

ROOT = Path(os.environ.get("DSV4_SOURCE_DIR", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("DSV4_BUILD_DIR", ROOT / "build"))

UTILS = """
import functools
import torch

def cache_once(fn):
    known = {}
    @functools.wraps(fn)
    def wrapper(*args, **kwargs):
        key = (args, tuple(sorted(kwargs.items())))
        if key not in known:
            known[key] = fn(*args, **kwargs)
        return known[key]
    return wrapper

def make_name(name):
    return f"dpsk_v4_{name}"

def make_cpp_args(*args):
    return [str(a).lower() for a in args]

def load_jit(*args, cuda_files=None, cuda_wrappers=None, extra_cuda_cflags=None):
    from tvm_ffi.cpp import load_inline
    return load_inline("sgl_kernel_jit_" + "_".join(str(a) for a in args), cuda_sources=cuda_files)
"""
HEAD = "from sglang.jit_kernel.utils import cache_once, load_jit, make_cpp_args, make_name\nimport torch\n"


def audit(*arguments, **environment) -> subprocess.CompletedProcess:
    return subprocess.run([BUILD / "dsv4diff", "audit", *map(str, arguments)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})  # fmt: skip


class Audit(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def package(self, files: dict, name="package") -> Path:
        """A folder with a package sglang. `files` are below sglang/jit_kernel, or below sglang/ if they begin with "/"."""
        top = self.folder / name
        for path, text in {"utils.py": UTILS, **files}.items():
            file = top / "sglang" / (path[1:] if path.startswith("/") else f"jit_kernel/{path}")
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(text, bytes):
                file.write_bytes(text)
            else:
                file.write_text(textwrap.dedent(text))
        return top

    def report(self, path, *more, status=None) -> dict:
        done = audit(path, "--json", *more)
        self.assertEqual(done.stderr, "")
        report = json.loads(done.stdout)
        self.assertEqual(report["exit_status"], done.returncode)
        if status is not None:
            self.assertEqual(done.returncode, status, done.stdout)
        return report

    def findings(self, files: dict, rule: str, status=None, *more) -> list:
        """(place, text) of a rule's findings."""
        report = self.report(self.package(files), *more, status=status)
        return [(f"{f['path'].removeprefix('sglang/jit_kernel/')}:{f['line']}", f["text"]) for f in report["findings"] if f["rule"] == rule]

    # --- caches ---

    def test_a_getter_without_a_cache(self):
        found = self.findings({"a.py": HEAD + "def get(n: int):\n    return load_jit('a', str(n), cuda_files=['a.cuh'])\n"},
                              "uncached-getter", 1)  # fmt: skip
        self.assertEqual(found, [("a.py:3", "get calls load_jit and keeps no result: each call reaches the compiler")])

    def test_an_uncached_way_beside_a_cached_one(self):
        text = HEAD + (
            "def build(n):\n    return load_jit('a', str(n), cuda_files=['a.cuh'])\n"
            "@cache_once\ndef cached(n):\n    return build(n)\n"
            "def run(n):\n    return build(n).run()\n"
        )
        found = self.findings({"a.py": text}, "uncached-getter", 1)
        self.assertEqual([place for place, _ in found], ["a.py:3"])
        self.assertIn("run calls it", found[0][1])

    def test_an_uncached_way_from_the_rest_of_sglang(self):
        text = HEAD + "def build(n):\n    return load_jit('a', str(n), cuda_files=['a.cuh'])\n@cache_once\ndef cached(n):\n    return build(n)\n"
        self.assertEqual(self.findings({"a.py": text}, "uncached-getter", 0), [])
        use = "from sglang.jit_kernel.a import build\nclass Layer:\n    def forward(self, n):\n        return build(n)\n"
        found = self.findings({"a.py": text, "/srt/use.py": use}, "uncached-getter", 1)
        self.assertEqual(len(found), 1)
        self.assertIn("Layer.forward calls it", found[0][1])

    def test_a_cache_in_a_function_begins_anew(self):
        text = HEAD + "def get():\n    @cache_once\n    def build():\n        return load_jit('a', cuda_files=['a'])\n    return build()\n"
        self.assertEqual([place for place, _ in self.findings({"a.py": text}, "uncached-getter", 1)], ["a.py:5"])

    def test_lru_cache_of_size_zero_keeps_nothing(self):
        text = HEAD + "import functools\n@functools.lru_cache(maxsize=0)\ndef get():\n    return load_jit('a', cuda_files=['a'])\n"
        self.assertEqual(len(self.findings({"a.py": text}, "uncached-getter", 1)), 1)

    def test_a_container_that_is_made_anew_keeps_nothing(self):
        text = HEAD + "def get(n):\n    kept = {}\n    if n not in kept:\n        kept[n] = load_jit('a', str(n), cuda_files=['a'])\n    return kept[n]\n"
        self.assertEqual(len(self.findings({"a.py": text}, "uncached-getter", 1)), 1)

    def test_caches_that_must_not_be_reported(self):
        text = HEAD + textwrap.dedent("""
            import functools
            KEPT = {}
            module = load_jit("at_import", cuda_files=["a"])
            one = None

            @functools.lru_cache(maxsize=None)
            def a(): return load_jit("a", cuda_files=["a"])
            @functools.cache
            def b(): return load_jit("b", cuda_files=["a"])
            def c(n):
                if n not in KEPT:
                    KEPT[n] = load_jit("c", str(n), cuda_files=["a"])
                return KEPT[n]
            def d():
                global one
                if one is None:
                    one = load_jit("d", cuda_files=["a"])
                return one
            def e(n):
                if n in KEPT:
                    return KEPT[n]
                built = load_jit("e", str(n), cuda_files=["a"])
                KEPT[n] = built
                return built
            def f(n):
                try:
                    return KEPT[n]
                except KeyError:
                    KEPT[n] = load_jit("f", str(n), cuda_files=["a"])
                    return KEPT[n]
            class G:
                def get(self):
                    if self.module is None:
                        self.module = load_jit("g", cuda_files=["a"])
                    return self.module
            def helper(n): return load_jit("h", str(n), cuda_files=["a"])
            @cache_once
            def h(n): return helper(n)
            def raw(): return load_jit("i", cuda_files=["a"])
            i = cache_once(raw)
            def lazily(fn):
                box = {}
                def call():
                    if "x" not in box:
                        box["x"] = fn()
                    return box["x"]
                return call
            @lazily
            def k(): return load_jit("k", cuda_files=["a"])
            def at_import(): return load_jit("l", cuda_files=["a"])
            imported = at_import()
            def all_kept(): return KEPT
            def j(n):
                kept = all_kept()
                if n not in kept:
                    kept[n] = load_jit("j", str(n), cuda_files=["a"])
                return kept[n]
            """)
        self.assertEqual(self.findings({"a.py": text}, "uncached-getter", 0), [])

    def test_a_function_that_is_handed_on_is_a_note(self):
        text = HEAD + "from other import lazily\ndef first():\n    load_jit('a', cuda_files=['a'])\nlazily('x', first)\n"
        found = self.findings({"a.py": text}, "uncached-getter", 0)
        self.assertEqual(len(found), 1)
        self.assertIn("it is given to lazily, which may keep the result", found[0][1])

    # --- lengths ---

    def test_a_length_as_a_compile_time_argument(self):
        getter = "@cache_once\ndef get(n: int):\n    return load_jit('a', str(n), cuda_files=['a'])\n"
        text = HEAD + getter + (
            "def direct(x):\n    get(x.shape[0])\n"
            "def by_names(x):\n    B, D = x.shape\n    d = D * 2\n    get(n=d)\n"
            "def by_default(x, n=None):\n    n = n or x.size(-1)\n    get(n)\n"
            "def through(n):\n    get(n)\n"
            "def elements(x):\n    get(int(x.numel()))\n"
        )  # fmt: skip
        found = self.findings({"a.py": text, "/srt/use.py": "from sglang.jit_kernel.a import through\ndef use(x):\n    through(len(x))\n"},
                              "length-as-argument", 0)  # fmt: skip
        self.assertEqual(found, [
            ("a.py:7", "direct gives get 'n' from x.shape[0] (first dimension): each new value compiles a module"),
            ("a.py:11", "by_names gives get 'n' from x.shape[1] (inner dimension): each new value compiles a module"),
            ("a.py:14", "by_default gives get 'n' from x.size(-1) (inner dimension): each new value compiles a module"),
            ("a.py:18", "elements gives get 'n' from x.numel() (all elements): each new value compiles a module"),
            ("sglang/srt/use.py:3", "use gives through 'n' from len(x) (first dimension), which reaches get: each new value compiles a module"),
        ])  # fmt: skip

    def test_a_limited_length_says_so(self):
        text = HEAD + "@cache_once\ndef get(n: int):\n    assert n in (512, 1024)\n    return load_jit('a', str(n), cuda_files=['a'])\ndef use(x):\n    get(x.shape[1])\n"
        self.assertIn("(inner dimension, limited by an assertion)", self.findings({"a.py": text}, "length-as-argument")[0][1])

    def test_what_is_no_length(self):
        text = HEAD + textwrap.dedent("""
            @cache_once
            def get(n, dtype=None): return load_jit("a", str(n), str(dtype), cuda_files=["a"])
            def condition(x): get(x.shape[0] > 8)
            def of_a_tensor(x): get(x.view(x.shape[0], -1)); get(x[: x.shape[0]]); get(torch.empty(x.shape[0]))
            def truth(x): get(bool(x.shape[0])); get(not x.numel())
            def of_a_dtype(x): get(4, x.view(x.shape[0], -1).dtype)
            def another_function(x): print(x.shape[0]); get(4)
            def chosen(x): get(4 if x.shape[0] > 8 else 8)
            def twice(x):
                n = x.shape[0]
                n = 4
                get(n)
            """)
        self.assertEqual(self.findings({"a.py": text}, "length-as-argument", 0), [])

    # --- names of modules ---

    def test_a_parameter_that_the_name_lacks(self):
        text = HEAD + (
            "@cache_once\ndef get(n: int, flag: bool):\n    args = make_cpp_args(n)\n"
            "    wrappers = [('run', f'K<{args}>::run')]\n    if flag:\n        wrappers.append(('more', 'K::more'))\n"
            "    return load_jit(make_name('a'), *args, cuda_files=['a.cuh'], cuda_wrappers=wrappers)\n"
        )
        found = self.findings({"a.py": text}, "parameter-not-in-name", 1)
        self.assertEqual([place for place, _ in found], ["a.py:4"])
        self.assertIn("'flag' of get is part of cuda_wrappers, but not of the module's name", found[0][1])

    def test_a_parameter_that_decides_nothing_may_be_absent_from_the_name(self):
        text = HEAD + (
            "@cache_once\ndef get(n: int, why: str):\n    print(why)\n    torch.cuda.set_device(why)\n    if why == 'x':\n        raise ValueError(why)\n"
            "    return load_jit('a', f'{n}', cuda_files=[f'{n}.cuh'], extra_cuda_cflags=[torch.version.cuda])\n"
        )
        self.assertEqual(self.findings({"a.py": text}, "parameter-not-in-name", 0), [])

    def test_a_parameter_with_one_value_and_a_helper_that_is_given_the_name(self):
        text = HEAD + (
            "@cache_once\ndef get(d: int):\n    assert d == 512\n    return load_jit('a', cuda_files=[f'{d}.cuh'])\n"
            "def build(name: str, file: str):\n    return load_jit(name, cuda_files=[file])\n"
            "@cache_once\ndef b():\n    return build('b', 'b.cuh')\n"
            "class C:\n    @cache_once\n    def get(self):\n        return load_jit('c', cuda_files=[self.file])\n"
        )
        report = self.report(self.package({"a.py": text}), status=0)
        self.assertEqual([f["text"] for f in report["findings"]], [])

    def test_a_decorator_of_the_package_that_keeps_nothing(self):
        text = HEAD + "def logged(fn):\n    def call():\n        result = fn()\n        return result\n    return call\n@logged\ndef get(): return load_jit('a', cuda_files=['a'])\n"
        self.assertEqual(len(self.findings({"a.py": text}, "uncached-getter", 1)), 1)

    def test_two_lists_of_one_getter_with_one_name(self):
        text = HEAD + "@cache_once\ndef get(a: int, b: int):\n    return load_jit(make_name(f'x{a}{b}'), cuda_files=['x'], extra_cuda_cflags=[f'-DA={a}', f'-DB={b}'])\n"
        found = self.findings({"a.py": text}, "equal-names", 1)
        self.assertEqual(found, [("a.py:4", "get(a=1, b=11) and get(a=11, b=1) compile different modules of the one name 'dpsk_v4_x111'")])

    def test_two_getters_with_one_name(self):
        text = HEAD + (
            "@cache_once\ndef get(k: int):\n    return load_jit(make_name(f'topk{k}'), cuda_files=['topk.cuh'], extra_cuda_cflags=[f'-DK={k}'])\n"
            "@cache_once\ndef wide():\n    return load_jit(make_name('topk1024'), cuda_files=['wide.cuh'])\n"
        )
        found = self.findings({"a.py": text}, "equal-names", 1)
        self.assertEqual(found, [("a.py:4", "get(k=1024) and wide() compile different modules of the one name 'dpsk_v4_topk1024'")])

    def test_a_name_that_loses_a_part_of_its_parameter(self):
        text = HEAD + "@cache_once\ndef get(n: int):\n    return load_jit('x', str(n // 64), cuda_files=['x'], extra_cuda_cflags=[f'-DN={n}'])\n"
        self.assertIn("get(n=1) and get(n=11) compile different modules of the one name 'x_0'", self.findings({"a.py": text}, "equal-names", 1)[0][1])

    def test_names_that_are_distinct_or_of_one_module(self):
        text = HEAD + textwrap.dedent("""
            from typing import Literal
            @cache_once
            def separated(a: int, b: int):
                return load_jit(make_name("x"), str(a), str(b), cuda_files=["x"], extra_cuda_cflags=[f"-DA={a}{b}"])
            @cache_once
            def layout(name: Literal["flashmla", "indexer"], dtype: torch.dtype):
                args = make_cpp_args(dtype, pdl())
                kind = "FlashMLA" if name == "flashmla" else "Indexer"
                return load_jit(make_name("store_" + name), *args, cuda_files=["s.cuh"], cuda_wrappers=[("run", f"{kind}<{args}>")])
            @cache_once
            def refused(k: int):
                assert k in (512,), "only 512"
                return load_jit(make_name(f"topk{k}"), cuda_files=["topk.cuh"])
            @cache_once
            def wide(): return load_jit(make_name("topk1024"), cuda_files=["wide.cuh"])
            @cache_once
            def same_module(): return load_jit(make_name("topk1024"), cuda_files=["wide.cuh"])
            @cache_once
            def ratio(r: Literal[4, 128], d: int): return load_jit(make_name(f"c_{r}"), str(d), cuda_files=[f"c{r}.cuh"])
            @cache_once
            def first(n: int):
                suffix = "a"
                suffix += str(n)
                return load_jit(make_name("y" + suffix), cuda_files=["first.cuh"])
            @cache_once
            def second(n: int):
                suffix = "b"
                suffix += str(n)
                return load_jit(make_name("y" + suffix), cuda_files=["second.cuh"])
            @cache_once
            def online(d: int): return load_jit(make_name("c_128_online"), str(d), cuda_files=["online.cuh"])
            """)
        self.assertEqual(self.findings({"a.py": text}, "equal-names", 0), [])

    # --- definitions and routes ---

    def test_definitions_of_one_name(self):
        files = {
            "a.py": "SIZE = 16\ndef same(x, n=2):\n    'Doc.'\n    total = x * n\n    return total\ndef sized(): return SIZE\ndef other(x): return x\n",
            "b.py": "SIZE = 24\ndef same(x: int, n: int = 2) -> int:\n    y = x * n\n    return y\ndef sized(): return SIZE\ndef other(x, y): return x\n",
            "c.py": "def alone(): pass\ndef main(): pass\n",
            "d.py": "def main(): return 1\n",
        }
        found = self.findings(files, "several-definitions", 0)
        self.assertEqual([text for _, text in found], [
            "other is defined in 2 modules; they do not agree: other parameters, 1 and 2",
            "same is defined in 2 modules; they agree",
            "sized is defined in 2 modules; they do not agree: the same text, but SIZE differs between the modules",
        ])  # fmt: skip

    def test_classes_of_one_name(self):
        files = {
            "a.py": "class Plan:\n    ratio: int\n    @staticmethod\n    def make(a, b): return a\n    def ok(self): return True\n",
            "b.py": "class Plan:\n    ratio: int\n    @staticmethod\n    def make(a, c): return a\n    def ok(self): return False\n",
        }
        self.assertEqual([text for _, text in self.findings(files, "several-definitions")],
                         ["Plan is defined in 2 modules; they do not agree: other parameters of make, another body of ok"])  # fmt: skip

    def test_parameters_are_part_of_a_definition_but_local_names_are_not(self):
        files = {"a.py": "def f(x):\n    for i in x:\n        print(i)\n", "b.py": "def f(x):\n    for j in x:\n        print(j)\n",
                 "c.py": "def f(y):\n    for i in y:\n        print(i)\n"}  # fmt: skip
        found = self.findings(files, "several-definitions")
        self.assertEqual(found[0][1], "f is defined in 3 modules; they do not agree: other parameters, 1 and 1")

    def test_routes_of_one_symbol(self):
        files = {
            "new/__init__.py": "from .topk import plan\nfrom .topk import other\n", "new/topk.py": "def plan(): pass\ndef other(): pass\n",
            "old.py": "def other(): pass\n",
            "/srt/a.py": "from sglang.jit_kernel.new import plan, other\n",
            "/srt/b.py": "def f():\n    from sglang.jit_kernel.new.topk import plan as p\n",
            "/srt/c.py": "import sglang.jit_kernel.old as old\nold.other()\n",
            "/srt/d.py": "from sglang.jit_kernel.new import other\n",
        }  # fmt: skip
        self.assertEqual(self.findings(files, "several-routes", 0), [
            ("sglang/srt/a.py:1", "other is imported from sglang.jit_kernel.new and from sglang.jit_kernel.old; these are 2 definitions"),
            ("sglang/srt/a.py:1", "plan is imported from sglang.jit_kernel.new and from sglang.jit_kernel.new.topk; all mean that of sglang.jit_kernel.new.topk"),
        ])  # fmt: skip

    def test_one_route_from_many_places(self):
        files = {"new/__init__.py": "from .topk import *\n", "new/topk.py": "def plan(): pass\n",
                 "/srt/a.py": "from sglang.jit_kernel.new import plan\n", "/srt/b.py": "from sglang.jit_kernel.new import plan\n",
                 "/srt/c.py": "from elsewhere import plan\n"}  # fmt: skip
        self.assertEqual(self.findings(files, "several-routes", 0), [])

    # --- torch ---

    def test_overloads_that_torch_lacks(self):
        text = HEAD + textwrap.dedent("""
            def f(x, y, options):
                torch.mm(x, y, out_dtype=torch.float32)
                torch.mm(x, y, out_type=torch.float32)
                torch.mm(x, y, out=x)
                torch.mm(input=x, mat2=y)
                torch.mm(x, y, **options)
                torch.sum(x, dim=1, keepdim=True, dtype=torch.float32)
                torch.sum(x, axis=1)
                torch.empty((2, 3), dtype=torch.int32, device="cuda", requires_grad=False)
                torch.arange(4, dtype=torch.int32, out=x)
                torch.einsum("ij,jk->ik", x, y)
                torch.nonzero(x, as_tuple=True)
                x.mm(y, out_dtype=torch.float32)
            """)
        report = self.report(self.package({"a.py": text}), status=1)
        found = [(f["level"], f["line"], f["text"]) for f in report["findings"] if f["rule"] == "missing-overload"]
        self.assertEqual([(level, line) for level, line, _ in found], [("note", 5), ("fault", 6)])
        self.assertRegex(found[0][2], r"torch\.mm with 'out_dtype': torch 2\.[\d.]+ has this overload on a GPU, but not on a CPU")
        self.assertIn("declares no overload with these arguments", found[1][2])

    def test_without_libtorch_the_last_line_says_so(self):
        done = audit(self.package({"a.py": "import torch\ntorch.mm(1, 2, out_dtype=3)\n"}), DSV4_DEPS_DIR=str(self.folder))
        self.assertEqual(done.returncode, 0)
        self.assertRegex(" ".join(done.stdout.split()), "NOT CHECKED: .*; overloads of torch: there are no headers")

    # --- changes ---

    def test_changes_between_versions(self):
        old = self.package({"a.py": "SIZE = 16\nKEPT = 1\ndef f(x): pass\ndef gone(): pass\ndef moved(a): pass\n"
                                    "class P:\n    def make(self, a): pass\n", "n/__init__.py": "from ..a import f\n__all__ = ['f']\n"}, "old")  # fmt: skip
        new = self.package({"a.py": "KEPT = 1\nSIZE = 24\ndef f(x, y=None): pass\ndef added(): pass\n_private = 3\nclass P:\n    def make(self, a, b): pass\n",
                            "b.py": "def moved(a): pass\nalias = moved\n", "n/__init__.py": "from ..b import moved\n__all__ = ['moved']\n"}, "new")  # fmt: skip
        found = {f["text"] for f in self.report(new, "--against", old, status=0)["findings"] if f["rule"].startswith("export-")}
        self.assertEqual(found, {
            "constant SIZE changed: 16 before, 24 now", "function f changed: 1 parameter before, 1 to 2 now",
            "function P.make changed: 2 parameters before, 3 now", "function added is new in a, with 0 parameters",
            "constant _private is new in a: 3", "function moved moved, from a to b", "function gone of a is gone, with 0 parameters",
            "function alias is new in b, with 1 parameter", "re-export f of n is gone", "re-export moved is new in n",
        })  # fmt: skip

    def test_a_version_against_itself(self):
        package = self.package({"a.py": HEAD + "def get():\n    return load_jit('a', cuda_files=['a'])\n"})
        copy = self.package({"a.py": HEAD + "\n\n\ndef get():\n    return load_jit('a', cuda_files=['a'])\n"}, "copy")
        report = self.report(package, "--against", copy, status=0)
        self.assertEqual([(f["rule"], f["alike"]) for f in report["findings"]], [("uncached-getter", True)])
        self.assertIn("1 fault, 0 notes; 0 faults that", report["verdict"])

    def test_a_new_fault_counts(self):
        old = self.package({"a.py": HEAD + "@cache_once\ndef get():\n    return load_jit('a', cuda_files=['a'])\n"}, "old")
        new = self.package({"a.py": HEAD + "def get():\n    return load_jit('a', cuda_files=['a'])\n"}, "new")
        self.assertIn("1 fault that", self.report(new, "--against", old, status=1)["verdict"])
        self.report(old, "--against", new, status=0)

    # --- counting ---

    def counts(self, text: str, status: int) -> dict:
        report = self.report(self.package({"a.py": HEAD + textwrap.dedent(text)}), "--count", status=status)
        self.assertEqual(report["counts"]["failure"], "")
        return {r["function"]: r for r in report["counts"]["results"]}, report

    def test_counted_compilations(self):
        results, report = self.counts("""
            from typing import Literal
            @cache_once
            def good(n: int, dtype: torch.dtype, kind: Literal["a", "b"]): return load_jit("good", str(n), kind, cuda_files=[str(dtype)])
            def bad(n: int): return load_jit("bad", str(n), cuda_files=["a"])
            @cache_once
            def picky(n: int):
                assert n in (64,), "only 64"
                return load_jit("picky", cuda_files=[str(n)])
            @cache_once
            def never(n: int):
                assert n < 0, "negative only"
                return load_jit("never", cuda_files=[str(n)])
            @cache_once
            def broken_cache(n: int): return load_jit("a", cuda_files=[str(n)])
            class C:
                @cache_once
                def get(self): return load_jit("c", cuda_files=["a"])
            """, 1)  # fmt: skip
        self.assertEqual(len(results["good"]["first"]), 1)
        self.assertEqual(results["good"]["again"], [])
        self.assertEqual(len(results["bad"]["again"]), 1)
        self.assertEqual(results["picky"]["arguments"], "64")
        self.assertIn("accepted none of the arguments that were tried: AssertionError: negative only", results["never"]["reason"])
        self.assertIn("method", results["C.get"]["reason"])
        self.assertEqual([f["text"] for f in report["findings"] if f["rule"] == "compiled-again"],
                         ["bad(512) compiled 1 more at its second call with the same arguments"])  # fmt: skip
        self.assertIn("NOT CHECKED: ", report["verdict"])
        self.assertIn("compilations of 2 functions", report["verdict"])

    def test_the_counter_sees_a_cache_that_does_not_work(self):
        """The decorator is called cache_once, but keeps nothing. Only the counter can see it."""
        top = self.package({"utils.py": UTILS.replace("known[key] = fn(*args, **kwargs)\n        return known[key]", "known[key] = 0\n        return fn(*args, **kwargs)"),
                            "a.py": HEAD + "@cache_once\ndef get(n: int):\n    return load_jit('a', str(n), cuda_files=['a'])\n"})  # fmt: skip
        self.report(top, status=0)
        self.assertEqual([f["rule"] for f in self.report(top, "--count", status=1)["findings"]], ["compiled-again"])

    def test_an_installed_torch_is_used_but_its_compiler_is_not(self):
        installed = self.folder / "installed"
        for path, text in {"torch/__init__.py": "class dtype:\n    pass\nfloat16, bfloat16, float32 = dtype(), dtype(), dtype()\n",
                           "torch/utils/__init__.py": "", "torch/utils/cpp_extension.py": "def load_inline(**k):\n    raise OSError('compiled')\n"}.items():
            (installed / path).parent.mkdir(parents=True, exist_ok=True)
            (installed / path).write_text(text)
        top = self.package({"a.py": HEAD + "@cache_once\ndef get(t: torch.dtype):\n    import torch.utils.cpp_extension\n"
                                           "    assert type(t).__module__ == 'torch' and len(vars(torch.dtype)) < 9\n"
                                           "    return torch.utils.cpp_extension.load_inline(name='a')\n"})  # fmt: skip
        done = audit(top, "--count", "--json", PYTHONPATH=str(installed))
        counts = json.loads(done.stdout)["counts"]
        self.assertEqual((done.returncode, counts["stand_ins"]), (0, ["cutlass", "tvm_ffi"]))
        self.assertEqual(counts["results"][0]["first"], ["torch.utils.cpp_extension.load_inline a"])
        self.assertEqual(counts["results"][0]["again"], [])

    def test_a_module_that_cannot_be_imported_is_not_counted_silently(self):
        results, report = self.counts("raise OSError('no device')\n@cache_once\ndef get(): return load_jit('a', cuda_files=['a'])\n", 0)
        self.assertIn("its module cannot be imported: OSError: no device", results["get"]["reason"])
        self.assertIn("compilations of 1 function", report["verdict"])

    def test_a_package_that_ends_the_process(self):
        top = self.package({"a.py": HEAD + "import os\nos._exit(3)\ndef get(): return load_jit('a', cuda_files=['a'])\n"})
        report = self.report(top, "--count")
        self.assertIn("ended with status 3", report["counts"]["failure"])
        self.assertRegex(report["verdict"], "NOT CHECKED: .*; compilations: the process")

    # --- input ---

    def test_files_that_cannot_be_parsed(self):
        deep = "x = " + "(" * 3000 + ")" * 3000
        long = "def f(x):\n    return get(" + "x + " * 2000 + "x)\n"
        files = {"a.py": "def f(:\n", "b.py": b"x = '\xff'\n", "c.py": b"x\0y", "d.py": deep, "e.py": "", "f.py": long}
        report = self.report(self.package(files), status=1)
        self.assertEqual([(f["rule"], f["path"].rpartition("/")[2]) for f in report["findings"]],
                         [("unreadable", name) for name in ("a.py", "b.py", "c.py", "d.py", "f.py")])  # fmt: skip
        self.assertIn("Python 3", report["findings"][0]["text"])

    def test_a_file_that_names_its_encoding(self):
        report = self.report(self.package({"a.py": "# -*- coding: latin-1 -*-\nNAME = '\xe9'\n".encode("latin-1")}), status=0)
        self.assertEqual(report["findings"], [])

    def test_hostile_names_are_shown_in_one_line(self):
        top = self.package({"a\n\x1b[31mfault b.py": "def f(:\n", b"\xff.py".decode("utf-8", "surrogateescape"): "def f(:\n"})
        done = audit(top)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertNotIn("\x1b", done.stdout)
        self.assertIn("a\\n\\x1b[31mfault b.py:1", done.stdout)
        self.report(top, status=1)

    def test_what_names_no_package(self):
        empty = self.folder / "empty"
        empty.mkdir()
        (self.folder / "text.txt").write_text("x")
        (self.folder / "broken.whl").write_bytes(b"PK\x03\x04 no")
        with zipfile.ZipFile(self.folder / "other.whl", "w") as archive:
            archive.writestr("other/a.py", "")
        for name, said in {"empty": "holds no Python files of sglang's JIT kernels", "missing": "does not exist",
                           "text.txt": "neither a folder nor a wheel", "broken.whl": "not a readable wheel",
                           "other.whl": "holds no Python files of sglang's JIT kernels"}.items():  # fmt: skip
            with self.subTest(name=name):
                done = audit(self.folder / name)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(said, done.stderr)
                self.assertEqual(done.stderr.count("Traceback"), 0)
        for version in ("9.9.9", "../../etc", ""):
            done = audit(f"sglang=={version}", "--wheels", empty)
            self.assertEqual(done.returncode, 2)
        missing = audit("sglang==9.9.9", "--wheels", empty).stderr
        self.assertIn("pip download", missing)
        self.assertEqual(missing.count("\n"), 1)
        self.assertLess(len(audit("A" * 5000).stderr), 1200)
        self.assertEqual(audit().returncode, 2)
        self.assertEqual(audit("").returncode, 2)

    def test_a_wheel_and_every_folder_of_a_package_give_the_same(self):
        top = self.package({"a.py": HEAD + "def get():\n    return load_jit('a', cuda_files=['a'])\n", "tests/t.py": "def get(): load_jit()\n"})
        wheel = self.folder / "sglang-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for file in top.rglob("*.py"):
                archive.write(file, file.relative_to(top))
        checkout = self.folder / "checkout"
        checkout.mkdir()
        (checkout / "python").symlink_to(top)
        (self.folder / "kept elsewhere").mkdir()
        os.symlink(top / "sglang/jit_kernel", self.folder / "kept elsewhere" / "jit_kernel")
        wanted = self.report(top)["findings"]
        self.assertEqual(len(wanted), 1)
        for path in (wheel, checkout, top / "sglang", top / "sglang/jit_kernel", self.folder / "kept elsewhere/jit_kernel"):
            with self.subTest(path=path):
                self.assertEqual(self.report(path)["findings"], wanted)
                self.assertEqual(len([f for f in self.report(path, "--count")["findings"] if f["rule"] == "compiled-again"]), 1)

    def test_links_in_a_circle_end(self):
        top = self.package({"a.py": "def f(:\n"})
        os.symlink(top, top / "sglang/jit_kernel/again")
        (top / "sglang/elsewhere").mkdir()
        (top / "sglang/jit_kernel").rename(self.folder / "kept")
        os.symlink(self.folder / "kept", top / "sglang/jit_kernel")
        self.assertEqual(len(self.report(top, status=1)["findings"]), 1)

    def test_sums_of_many_terms_are_read(self):
        terms = HEAD + "@cache_once\ndef get(n: int):\n    return load_jit('a', str(n), cuda_files=['a'])\ndef f(x):\n    get(" + "1 + " * 300 + "x.shape[0])\n"
        self.assertEqual(len(self.findings({"a.py": terms}, "length-as-argument", 0)), 1)

    def test_a_folder_of_the_newer_layout(self):
        top = self.folder / "newer"
        for path, text in {"jit/utils.py": UTILS, "ops/topk.py": "from sglang.kernels.jit.utils import load_jit\ndef get(): return load_jit('a', cuda_files=['a'])\n"}.items():
            file = top / "sglang/kernels" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        for path in (top, top / "sglang/kernels"):
            self.assertEqual([f["path"] for f in self.report(path, status=1)["findings"]], ["sglang/kernels/ops/topk.py"])

    def test_a_package_without_getters_says_so(self):
        report = self.report(self.package({"utils.py": "", "a.py": "def f(): pass\n"}), status=0)
        self.assertIn("getters: no function calls load_jit", report["verdict"])

    def test_text_fits_into_80_columns(self):
        done = audit(self.package({"a.py": HEAD + "def get(n: int):\n    return load_jit('a', str(n), cuda_files=['a.cuh'])\n"}), COLUMNS="80")
        self.assertEqual([line for line in done.stdout.splitlines() if len(line) > 80], [])
        self.assertIn("fault  sglang/jit_kernel/a.py:3", done.stdout)

    def test_nothing_of_the_package_runs_without_count(self):
        mark = self.folder / "ran"
        self.report(self.package({"a.py": f"open({str(mark)!r}, 'w')\n", "__init__.py": f"open({str(mark)!r}, 'w')\n"}), status=0)
        self.assertFalse(mark.exists())

    def test_a_closed_output_is_no_crash(self):
        top = self.package({})
        with open("/dev/full", "w") as full:
            done = subprocess.run([BUILD / "dsv4diff", "audit", top], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main()
