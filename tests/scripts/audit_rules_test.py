"""Tests the rules of `dsv4diff audit` on small packages: what each rule finds, and what is close to it and must not be
reported."""

import textwrap
import unittest

from audit_support import HEAD, AuditCase, audit


class Rules(AuditCase):
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

    def test_names_that_were_not_checked_are_counted(self):
        text = HEAD + textwrap.dedent("""
            def given(name: str): return load_jit(name, cuda_files=["a"])
            def starred(*names): return load_jit(*names, cuda_files=["a"])
            def hidden(**more): return load_jit("a", **more)
            @cache_once
            def unknown(n: int): return load_jit("b", *parts(n), cuda_files=["b"])
            @cache_once
            def in_part(n: int): return load_jit("c", f"{n:02d}", cuda_files=["c"])
            @cache_once
            def many(a: torch.dtype, b: torch.dtype, c: torch.dtype, d: torch.dtype, e: torch.dtype, f: torch.dtype):
                return load_jit("d", *make_cpp_args(a, b, c, d, e, f), cuda_files=["d"])
            @cache_once
            def plain(n: int): return load_jit("e", str(n), cuda_files=["e"])
            """)
        report = self.report(self.package({"a.py": text}))
        self.assertEqual([t for t in report["not_checked"] if t.startswith("module names")], [
            "module names: of 7 calls of load_jit, 1 without a name, or with arguments by **, 2 with a name that the caller gives, "
            "1 with a name that could not be computed, 1 with a name of which a part was not understood, "
            "1 with more lists of arguments than the 400 that were tried"])  # fmt: skip
        plain = HEAD + "@cache_once\ndef plain(n: int): return load_jit('e', str(n), cuda_files=['e'])\n"
        report = self.report(self.package({"a.py": plain}, "plain"))
        self.assertNotIn("module names", report["verdict"])

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


if __name__ == "__main__":
    unittest.main()
