"""Tests `dsv4diff audit` on small packages: changes between versions, counted compilations, and bad input."""

import json
import os
import subprocess
import textwrap
import unittest
import zipfile

from audit_support import BUILD, HEAD, UTILS, AuditCase, audit


class Audit(AuditCase):
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

    def test_an_equal_fault_of_another_file_counts_unless_the_file_moved(self):
        cached = HEAD + "@cache_once\ndef get():\n    return load_jit('a', cuda_files=['a'])\n"
        fault = cached.replace("@cache_once\n", "")
        old = self.package({"a.py": fault, "b.py": "X = 1\n"}, "old")
        mended = self.report(self.package({"a.py": cached, "b.py": fault}, "mended"), "--against", old, status=1)
        self.assertEqual([(f["path"], f["alike"]) for f in mended["findings"] if f["level"] == "fault"],
                         [("sglang/jit_kernel/b.py", False)])  # fmt: skip
        self.assertIn("1 fault that", mended["verdict"])
        self.report(self.package({"n/a.py": fault, "b.py": "X = 1\n"}, "moved"), "--against", old, status=0)
        # One file with the fault stands for one file only.
        self.report(self.package({"n/a.py": fault, "n/c.py": fault}, "twice"), "--against", old, status=1)
        # The file that kept the fault is the one that had it, also if another one comes before it.
        kept = self.report(self.package({"_.py": fault, "a.py": fault}, "kept"), "--against", old, status=1)
        self.assertEqual([(f["path"].rpartition("/")[2], f["alike"]) for f in kept["findings"] if f["level"] == "fault"],
                         [("_.py", False), ("a.py", True)])  # fmt: skip

    def test_count_and_against_do_not_go_together(self):
        top = self.package({"a.py": HEAD})
        done = audit(top, "--count", "--against", top)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("--count does not go with --against", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)

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
