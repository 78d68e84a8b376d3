"""Tests of scripts/build_sglang_set.py: it finds and edits sources, maps ops, builds sets and refuses wrong calls."""

import contextlib
import hashlib
import importlib.machinery
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

ROOT = Path(os.environ.get("DSV4_SOURCE_DIR", Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(ROOT / "scripts"))

import build_sglang_set  # noqa: E402
from sglang_set.build import SetBuilder, coverage, revision_of  # noqa: E402
from sglang_set.edits import EditFailed, edit  # noqa: E402
from sglang_set.exports import exported_functions  # noqa: E402
from sglang_set.ops import MOST_VARIANTS, Entry, Module, NotMapped, map_ops, parameter_count, template_arity, together  # noqa: E402
from sglang_set.releases import TABLE, Releases, files_of  # noqa: E402
from sglang_set.source import Mistake, Source, from_folder, from_wheel  # noqa: E402


def load_script(name: str):
    """A script whose name has no suffix, as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(ROOT / "scripts" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write(root: Path, files: dict) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


TOPK_13 = """#include <sgl_kernel/utils.cuh>
#ifndef SGL_TOPK
#endif
template <bool kUsePDL>
struct TopKKernel {
  static void transform(
      const tvm::ffi::TensorView scores,  // strided, any
      const tvm::ffi::TensorView b, const tvm::ffi::TensorView c, const tvm::ffi::TensorView d,
      const uint32_t page_size,
      const tvm::ffi::Optional<tvm::ffi::TensorView> raw) {
  }
};
"""
TOPK_12 = TOPK_13.replace("TopKKernel", "TopK512Kernel")
PACKAGE_13 = {"csrc/deepseek_v4/topk_v1.cuh": TOPK_13, "include/sgl_kernel/utils.cuh": "#include <cstdint>\n"}


class Edits(unittest.TestCase):
    def test_grid_dependency_control_becomes_calls(self):
        text, said = edit("utils.cuh", 'x; asm volatile("griddepcontrol.wait;" ::: "memory"); // griddepcontrol.wait\n'
                          'asm volatile("griddepcontrol.launch_dependents;" :::); y;')  # fmt: skip
        self.assertEqual(text, "x; ::simt::grid_dependency_wait(); // griddepcontrol.wait\n::simt::grid_dependency_launch(); y;")
        self.assertEqual(len(said), 2)

    def test_the_register_of_the_lane_becomes_the_executors_lane(self):
        text, said = edit("utils.cuh", 'uint32_t id;\nasm volatile("mov.u32 %0, %%laneid;" : "=r"(id));\nid %= 8;')
        self.assertEqual(text, "uint32_t id;\nid = ::simt::executor.lane;\nid %= 8;")
        self.assertEqual(len(said), 1)

    def test_dynamic_shared_arrays_of_every_form(self):
        for declared, bound in (
            ("extern __shared__ uint32_t s[][kA / (2 * sizeof(int))];", "dynamic_shared<uint32_t[kA / (2 * sizeof(int))]>"),
            ("extern __shared__ alignas(128) uint8_t s[];", "dynamic_shared<uint8_t>"),
            ("alignas(128) extern __shared__ uint8_t s[];", "dynamic_shared<uint8_t>"),
            ("extern __shared__ __align__(16) unsigned char s[];", "dynamic_shared<unsigned char>"),
            ("alignas(16) int a; extern __shared__ float4 s [ ] ;", "dynamic_shared<float4>"),
        ):
            text, said = edit("k.cuh", declared)
            self.assertIn(f"auto* const s = ::simt::{bound}();", text)
            self.assertNotIn("extern", text)
            self.assertEqual(len(said), 1, said)

    def test_headers_of_inline_assembly_become_the_executors(self):
        for header, own in (("cuda/ptx", "ptx.h"), ("cooperative_groups.h", "cooperative_groups.h")):
            text, said = edit("k.cuh", f"#include <{header}>\n#include <cstdint>\n")
            self.assertEqual(text, f'#include "simt/{own}"\n#include <cstdint>\n')
            self.assertEqual(len(said), 1)

    def test_the_election_of_a_lane_becomes_a_call(self):
        text, said = edit("ptx.cuh", 'asm volatile(\n"{\\n\\t"\n".reg .pred %%px;\\n\\t"\n"elect.sync _|%%px, %1;\\n\\t"\n'
                          '"@%%px mov.s32 %0, 1;\\n\\t"\n"}"\n: "+r"(pred)\n: "r"(0xFFFFFFFF));\nreturn pred;')  # fmt: skip
        self.assertEqual(text, "if (::simt::elect_sync(0xFFFFFFFF)) pred = 1;\nreturn pred;")
        self.assertEqual(len(said), 1)

    def test_alignment_moves_before_shared(self):
        self.assertEqual(edit("k.cuh", "__shared__ alignas(128) int x;")[0], "alignas(128) __shared__ int x;")

    def test_code_in_an_unknown_form_is_an_error(self):
        for text in ("extern __shared__ decltype(f()) s[];", 'asm volatile("griddepcontrol.wait; nop;" ::: "memory");',
                     'asm volatile("mov.u32 %0, %%laneid; nop;" : "=r"(id));',
                     'asm volatile("elect.sync %0|%%px, %1;" : "=r"(lane) : "r"(mask));'):  # fmt: skip
            with self.assertRaises(EditFailed):
                edit("k.cuh", text)

    def test_text_that_needs_no_edit_stays(self):
        text = "// extern __shared__ is explained here\nalignas(8) __shared__ int x;\n"
        self.assertEqual(edit("k.cuh", text), (text, []))


RING_ADDRESS = """const auto loc = [&](int64_t rid, int32_t position) {
    return static_cast<int32_t>(rid * params.ring_size + position % params.ring_size);
  };
"""
ADDRESSES = {"ring": "  if (params.compress_ratio == 128) {{ {0} = loc(rid, position){1}; }} else {{ {0} = map(position){1}; }}\n",
             "map": "  {0} = map(position){1};\n"}  # fmt: skip


def planners(prefill: str, decode: str = "") -> str:
    """A c_plan.cuh whose planners take the addresses of ratio 128 from a "ring" or from the "map"."""
    one, other = ADDRESSES[prefill], ADDRESSES[decode or prefill]
    text = "__global__ void plan_compress_prefill_kernel_1(const P params) {\n" + RING_ADDRESS
    text += "  if (valid) {\n" + one.format("plan_c.read_page_0", " / 128") + "  }\n" + one.format("plan_w.write_loc", "") + "}\n"
    text += "__global__ void plan_compress_decode_kernel(const P params) {\n" + RING_ADDRESS
    text += other.format("write_loc", "") + other.format("read_page_1", " / 128") + "}\n"
    text += "__global__ void plan_compress_prefill_legacy_kernel(const P params) {\n" + RING_ADDRESS
    text += ADDRESSES["ring"].format("write_loc", "") + "}\n"
    for function, count in (("prefill", 11), ("decode", 7), ("prefill_legacy", 7), ("decode_legacy", 3)):
        text += f"inline T plan_compress_{function}({', '.join(f'int a{i}' for i in range(count))}) {{\n}}\n"
    return text


def store(layout: str) -> str:
    """A store.cuh whose first template has this parameter besides the others."""
    body = " static void run(int a, int b, int c) {\n } };\n"
    return (f"template <typename F, typename I, uint32_t kPage, {layout} bool kPDL>\nstruct FusedStoreCacheFlashMLAKernel {{\n{body}"
            f"template <typename F, typename I, uint32_t kPage, bool kPDL>\nstruct FusedStoreCacheIndexerKernel {{\n{body}")  # fmt: skip


class Mapping(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def map(self, files, layout=""):
        write(self.root / layout, files)
        return map_ops(from_folder(self.root))

    def test_topk_of_both_layouts(self):
        modules, absent = self.map(PACKAGE_13)
        self.assertEqual([(m.name, m.defines) for m in modules],
                         [("topk_v1_k512", ["-DSGL_TOPK=512"]), ("topk_v1_k1024", ["-DSGL_TOPK=1024"])])  # fmt: skip
        self.assertNotIn("topk_v1", {record["op"] for record in absent})

    def test_one_file_for_each_k(self):
        files = {"csrc/deepseek_v4/topk.cuh": TOPK_12, "csrc/deepseek_v4/topk_1024.cuh": TOPK_12.replace("512", "1024"),
                 "include/x.h": ""}  # fmt: skip
        modules, _ = self.map(files, "python/sglang/jit_kernel")
        self.assertEqual([m.entries[0].target for m in modules],
                         ["TopK512Kernel<true>::transform", "TopK1024Kernel<true>::transform"])  # fmt: skip

    def test_an_unknown_signature_is_not_mapped(self):
        changed = TOPK_13.replace("const uint32_t page_size,", "const uint32_t page_size, const bool fresh,")
        modules, absent = self.map({**PACKAGE_13, "csrc/deepseek_v4/topk_v1.cuh": changed})
        self.assertEqual(modules, [])
        reasons = {record["op"]: record["reason"] for record in absent}
        self.assertEqual(reasons["topk_v1"], "not mapped: transform has 7 parameters; known: 6")
        self.assertEqual(reasons["fused_rope"], "not mapped: no csrc/deepseek_v4/rope.cuh")

    def test_rules_do_not_look_at_the_number_of_a_release(self):
        class Nameless(Source):
            @property
            def version(self):
                raise AssertionError("a rule has read the version")

            @version.setter
            def version(self, value):
                pass

        write(self.root, {**PACKAGE_13, "csrc/deepseek_v4/c_plan.cuh": planners("map"), "csrc/deepseek_v4/store.cuh": store("")})
        modules, _ = map_ops(Nameless(self.root, "folder", "0.5.23", "jit_kernel"))
        self.assertEqual({m.name for m in modules if "store" not in m.name}, {"topk_v1_k512", "topk_v1_k1024", "compress_plan"})

    def test_the_layout_is_named_as_the_template_names_its_type(self):
        for scope in ("", "deepseek_v4::", "other::deep::"):
            with self.subTest(scope=scope):
                modules, _ = self.map({"csrc/deepseek_v4/store.cuh": store(f"{scope}KVLayout kLayout,"), "include/a.h": ""})
                targets = {e.params["layout"] if e.params else m.params["layout"]: e.target for m in modules for e in m.entries}
                self.assertEqual(targets, {
                    "flashmla": f"FusedStoreCacheFlashMLAKernel<fp32_t, int64_t, 256, {scope}KVLayout::V4, true>::run",
                    "indexer": "FusedStoreCacheIndexerKernel<fp32_t, int64_t, 64, true>::run"})  # fmt: skip
        modules, _ = self.map({"csrc/deepseek_v4/store.cuh": store("")})
        self.assertIn("FusedStoreCacheFlashMLAKernel<bf16_t, int32_t, 1, true>::run", {e.target for m in modules for e in m.entries})
        modules, absent = self.map({"csrc/deepseek_v4/store.cuh": store("int kLayout,")})
        self.assertEqual(modules, [])
        self.assertIn("FusedStoreCacheFlashMLAKernel has 5 template parameters; known: 4, and 5 with KVLayout",
                      {record["reason"].removeprefix("not mapped: ") for record in absent})  # fmt: skip

    def behaviour(self, files: dict) -> dict:
        modules, _ = self.map({**files, "include/a.h": ""})
        return {e.op: e.behaviour for m in modules for e in m.entries}

    def test_addresses_of_ratio_128_are_recognised_in_the_text(self):
        def told(text):
            told = self.behaviour({"csrc/deepseek_v4/c_plan.cuh": text})
            self.assertEqual((told["plan_prefill_legacy"], told["plan_decode_legacy"]), ([], []))
            return told["plan_prefill"], told["plan_decode"]

        ring = ["c128_request_ring"]
        self.assertEqual(told(planners("map")), ([], []))
        self.assertEqual(told(planners("ring")), (ring, ring))
        self.assertEqual(told(planners("ring").replace("== 128)", "== 128 || params.use_req_ring)")), (ring, ring))
        self.assertEqual(told(planners("map") + "// " + RING_ADDRESS), ([], []), "a comment computes nothing")
        self.assertEqual(told(planners("ring", "map")), (ring, []), "each planner is looked at for itself")
        self.assertEqual(told(planners("map", "ring")), ([], ring))
        edited = planners("ring").replace("plan_w.write_loc = loc(rid", "plan_w.write_loc = other(rid")
        self.assertEqual(told(edited), ([], ring), "an address of another kind is another behaviour")
        edited = planners("ring").replace("position % params.ring_size", "position % 128")
        self.assertEqual(told(edited), ([], []))

    def test_the_pad_of_a_ring_is_recognised_in_the_text(self):
        pad = "const auto mtp_pad = ring_size > window_size ? ring_size - window_size + 2 : 0;\n"
        for text, told in ((pad, ["write_pad_from_ring"]), (pad.replace("+ 2", "+ 1"), []), ("// " + pad, [])):
            self.assertEqual(self.behaviour({"csrc/deepseek_v4/c_plan.cuh": text + planners("map")})["plan_prefill"], told)

    def test_what_is_added_to_a_divisor_is_recognised_in_the_text(self):
        for text, told in (
            ("w = routed_weight / routed_sum;", []),
            ("// routed_weight / (routed_sum + 1e-20f)\nw = routed_weight / routed_sum;", []),
            ("constexpr float kEps = 1e-20f;\nw = routed_weight / (routed_sum + kEps);", ["divisor_1e-20"]),
            ("constexpr float kEps = 1e-12f;\nw = routed_weight / (routed_sum + kEps);", ["divisor_1e-12"]),
            ("w = routed_weight / (routed_sum + 1e-20f);", ["divisor_1e-20"]),
            ("w = routed_weight / (routed_sum + kNowhere);", ["divisor_kNowhere"]),
        ):
            kernel = "auto act_sqrt_softplus = 0;\nstruct HashTopKKernel {\n void run(int a, int b, int c, int d, int e, int f) {\n"
            with self.subTest(text=text):
                self.assertEqual(self.behaviour({"csrc/deepseek_v4/hash_topk.cuh": kernel + text + "\n} };\n"})["hash_topk"], told)

    def test_parameters_are_counted_past_templates_and_comments(self):
        text = "inline R<a, b> plan(const map<int, pair<x, y>>& a,  // one, two\n  int b) {\n}\nplan(1, 2, 3);"
        self.assertEqual(parameter_count(text, "plan"), 2)
        self.assertEqual(template_arity("template <typename A, int B, bool C>\nstruct S {", "S"), 3)
        with self.assertRaises(NotMapped):
            parameter_count(text, "other")

    def test_closure_follows_includes(self):
        write(self.root, {**PACKAGE_13, "include/sgl_kernel/other.cuh": ""})
        self.assertEqual(from_folder(self.root).closure("csrc/deepseek_v4/topk_v1.cuh"),
                         ["csrc/deepseek_v4/topk_v1.cuh", "include/sgl_kernel/utils.cuh"])  # fmt: skip


def pack(folder: Path, version: str, files: dict, kernels: str = "sglang/jit_kernel") -> None:
    with zipfile.ZipFile(folder / f"sglang-{version}-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{kernels}/{name}", text)


class Sources(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def test_wheel_is_unpacked_once_and_again_when_it_changes(self):
        def wheel(text):
            pack(self.root, "1.2.3", {"jit_kernel/csrc/deepseek_v4/topk_v1.cuh": text, "jit_kernel/include/a.h": "",
                                      "srt/huge.py": ""}, "sglang")  # fmt: skip

        wheel("first")
        source = from_wheel("1.2.3", [self.root], self.root / "unpacked")
        self.assertEqual(source.text("csrc/deepseek_v4/topk_v1.cuh"), "first")
        self.assertFalse((self.root / "unpacked/sglang/srt").exists())
        wheel("second")
        self.assertEqual(from_wheel("1.2.3", [self.root], self.root / "unpacked").text("csrc/deepseek_v4/topk_v1.cuh"), "second")

    def test_the_version_is_what_the_checkout_tells(self):
        own = "try:\n    pass\nexcept ImportError:\n    __version__ = '0.0.0.dev0'\n    version = '7'\n"
        scm = "version: str\n__version__ = version = '0.5.14'\n__version_tuple__ = version_tuple = (0, 5, 14)\n"
        project = '[build-system]\nversion = "3"\n[project]\nname = "sglang"\nversion = "0.5.11"\n'
        for layout, beside, version in (
            ("sglang/jit_kernel", {"sglang/_version.py": scm, "sglang/version.py": own}, "0.5.14"),
            ("sglang/jit_kernel", {"sglang/version.py": "__version__ = '0.5.10'\n"}, "0.5.10"),
            ("sglang/jit_kernel", {"sglang/version.py": own}, ""),
            ("sglang/jit_kernel", {"sglang/version.py": own, "sglang-0.5.12.dist-info/METADATA": "Name: sglang\nVersion: 0.5.12\n"}, "0.5.12"),
            ("sglang/kernels/jit", {"sglang/_version.py": scm}, "0.5.14"),
            ("python/sglang/kernels/jit", {"python/sglang.egg-info/PKG-INFO": "Version: 0.5.13.dev4\n"}, "0.5.13.dev4"),
            ("python/sglang/jit_kernel", {"python/pyproject.toml": project}, "0.5.11"),
            ("python/sglang/jit_kernel", {"python/pyproject.toml": project.replace('"sglang"', '"mine"')}, ""),
            ("python/sglang/jit_kernel", {"python/pyproject.toml": '[project]\nname = "sglang"\n[tool]\nversion = "1"\n'}, ""),
            ("python/sglang/jit_kernel", {"python/sglang/_version.py": "version = '0.0.0.dev0'\n"}, ""),
            ("", {"version.py": "version = '1'\n", "../_version.py": "version = '1'\n"}, ""),
        ):  # fmt: skip
            with self.subTest(layout=layout, beside=beside), tempfile.TemporaryDirectory() as folder:
                root = Path(folder) / "copy"
                write(root / layout, PACKAGE_13)
                self.assertEqual(from_folder(write(root, beside)).version, version)

    def test_a_revision_is_told_only_of_what_git_keeps(self):
        def git(*arguments):
            subprocess.run(["git", "-C", self.root, "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
                           check=True, capture_output=True)  # fmt: skip

        source = from_folder(write(self.root, PACKAGE_13))
        self.assertEqual(revision_of(source), "")
        git("init")
        git("commit", "--allow-empty", "-m", "other")
        self.assertEqual(revision_of(source), "", "the repository around a copy says nothing about it")
        git("add", ".")
        git("commit", "-m", "sources")
        self.assertRegex(revision_of(source), "^[0-9a-f]{7,}$")
        write(self.root, {"include/sgl_kernel/utils.cuh": "// edited\n"})
        self.assertRegex(revision_of(source), "^[0-9a-f]{7,}-dirty$")

    def test_the_error_of_a_missing_version_lists_the_others(self):
        (self.root / "sglang-0.5.13-py3-none-any.whl").touch()
        for version in ("0.5.*", "../x", "-", "0.5.13/.."):
            with self.assertRaisesRegex(Mistake, "is not a release"):
                from_wheel(version, [self.root], self.root / "unpacked")
        with self.assertRaisesRegex(Mistake, r"No wheel of sglang 9\.9\.9(.|\n)*There: 0\.5\.13"):
            from_wheel("9.9.9", [self.root], self.root / "unpacked")

    def test_a_broken_wheel_and_a_wrong_folder_are_refused(self):
        (self.root / "sglang-1.0-py3-none-any.whl").write_text("no zip")
        with self.assertRaisesRegex(Mistake, "not a readable wheel"):
            from_wheel("1.0", [self.root], self.root / "unpacked")
        with self.assertRaisesRegex(Mistake, "no sglang JIT kernels"):
            from_folder(self.root)
        with self.assertRaisesRegex(Mistake, "is not a folder"):
            from_folder(self.root / "nowhere")


# Of each release: one file that all have, one that 2.0 changed, a header that is reached, and a neighbour that is not.
OLD = {"csrc/deepseek_v4/a.cuh": "#include <sgl_kernel/utils.cuh>\n", "csrc/deepseek_v4/b.cuh": "old",
       "csrc/deepseek_v4/note.md": "no source", "csrc/moe/other.cuh": "of another family",
       "include/sgl_kernel/utils.cuh": "", "include/sgl_kernel/beside.cuh": "",
       "include/elsewhere/c.cuh": "", "include/sgl_kernel/deepseek_v4/d.cuh": ""}  # fmt: skip
NEW = {**OLD, "csrc/deepseek_v4/b.cuh": "new", "csrc/deepseek_v5/e.cuh": "added"}
KEPT = ["csrc/deepseek_v4/a.cuh", "csrc/deepseek_v4/b.cuh", "include/sgl_kernel/beside.cuh",
        "include/sgl_kernel/deepseek_v4/d.cuh", "include/sgl_kernel/utils.cuh"]  # fmt: skip


class Table(unittest.TestCase):
    """Tests of upstream_sources.json: what it keeps, and which release a folder's sources belong to."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.script = load_script("upstream_sources")
        pack(self.root, "1.9", OLD)
        pack(self.root, "1.10", NEW, "sglang/kernels/jit")

    def call(self, *arguments):
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            try:
                status = self.script.main(["--wheels", str(self.root), "--table", str(self.root / "table.json"), *arguments])
            except SystemExit as leaving:
                status = leaving.code
        return status, errors.getvalue()

    def table(self) -> Releases:
        self.assertEqual(self.call("1.10", "1.9"), (0, ""))
        return Releases.load(self.root / "table.json")

    def test_the_table_keeps_the_family_and_the_folders_it_reaches(self):
        table = self.table()
        self.assertEqual(list(table.by_version), ["1.9", "1.10"], "in the order of releases, not of letters")
        self.assertEqual(sorted(table.by_version["1.9"]), KEPT)
        self.assertEqual(sorted(table.by_version["1.10"]), sorted([*KEPT, "csrc/deepseek_v5/e.cuh"]))
        self.assertEqual(table.by_version["1.9"]["csrc/deepseek_v4/b.cuh"], sha256("old"))
        own = ["csrc/deepseek_v4/a.cuh", "csrc/deepseek_v4/b.cuh", "include/sgl_kernel/deepseek_v4/d.cuh"]
        self.assertEqual(table.uncovered, {"1.9": own, "1.10": sorted([*own, "csrc/deepseek_v5/e.cuh"])})

    def test_a_file_that_an_op_includes_is_covered(self):
        pack(self.root, "2.0", {**NEW, "csrc/deepseek_v4/topk_v1.cuh": TOPK_13 + "#include <sgl_kernel/deepseek_v4/d.cuh>\n"})
        self.assertEqual(self.call("2.0"), (0, ""))
        self.assertEqual(Releases.load(self.root / "table.json").uncovered,
                         {"2.0": ["csrc/deepseek_v4/a.cuh", "csrc/deepseek_v4/b.cuh", "csrc/deepseek_v5/e.cuh"]})  # fmt: skip

    def test_a_release_is_added_without_the_others(self):
        self.table()
        before = (self.root / "table.json").read_text()
        (self.root / "sglang-1.9-py3-none-any.whl").unlink()
        self.assertEqual(self.call("1.10"), (0, ""))
        self.assertEqual((self.root / "table.json").read_text(), before)

    def test_the_check_finds_a_table_that_differs(self):
        self.table()
        self.assertEqual(self.call("--check"), (0, ""))
        text = (self.root / "table.json").read_text()
        (self.root / "table.json").write_text(text.replace(sha256("old"), sha256("odd")))
        self.assertEqual(self.call("--check"), (1, "1.9: csrc/deepseek_v4/b.cuh differs from the wheel\n"))
        (self.root / "table.json").write_text(text.replace('"csrc/deepseek_v4/b.cuh",', ""))
        status, errors = self.call("--check")
        self.assertEqual(status, 1)
        self.assertIn("1.9: the list of uncovered files differs", errors)
        (self.root / "table.json").write_text(text)
        for wheel in self.root.glob("*.whl"):
            wheel.unlink()
        status, errors = self.call("--check")
        self.assertEqual(status, 2)
        self.assertIn("nothing was compared", errors)

    def test_mistakes_exit_2(self):
        for arguments, text in (((), "name releases, or --check"), (("1.9", "--check"), "name releases, or --check"),
                                (("3.0",), "No wheel of sglang 3.0"), (("--check",), "is not a table of releases")):  # fmt: skip
            status, errors = self.call(*arguments)
            self.assertEqual(status, 2, errors)
            self.assertIn(text, errors)
        for text in ("[]", "{", '{"package": "other", "releases": {}, "uncovered": {}}',
                     '{"package": "sglang", "releases": {"1": 2}, "uncovered": {}}', '{"package": "sglang", "releases": {}}'):  # fmt: skip
            (self.root / "table.json").write_text(text)
            self.assertEqual(self.call("1.9")[0], 2, text)

    def test_the_release_of_a_copy_is_told_by_its_files(self):
        table = self.table()

        def closest(files) -> str:
            with tempfile.TemporaryDirectory() as folder:
                return table.closest(files_of(from_folder(write(Path(folder), files))))

        self.assertEqual(closest(OLD), "1.9")
        self.assertEqual(closest(NEW), "1.10")
        self.assertEqual(closest({**OLD, "csrc/deepseek_v4/a.cuh": "#include <sgl_kernel/utils.cuh>\n// edited"}), "1.9")
        self.assertEqual(closest({**NEW, "csrc/deepseek_v4/b.cuh": "edited"}), "1.10")
        self.assertEqual(closest({**OLD, "csrc/deepseek_v4/b.cuh": "edited"}), "1.9", "1.10 has a file that is missing here")
        self.assertEqual(closest({"csrc/deepseek_v4/z.cuh": "z", "include/z.h": ""}), "")

    def test_the_releases_of_a_file_are_those_with_its_path_and_bytes(self):
        table = self.table()
        self.assertEqual(table.holding("csrc/deepseek_v4/a.cuh", sha256(OLD["csrc/deepseek_v4/a.cuh"])), ["1.9", "1.10"])
        self.assertEqual(table.holding("csrc/deepseek_v4/b.cuh", sha256("new")), ["1.10"])
        self.assertEqual(table.holding("csrc/deepseek_v4/a.cuh", sha256("new")), [])

    def test_the_committed_table_is_as_the_script_writes_it(self):
        table = Releases.load()
        self.assertEqual(table.text(), TABLE.read_text())
        self.assertLessEqual({"0.5.12", "0.5.13", "0.5.14", "0.5.16", "0.5.23"}, table.by_version.keys())
        for files in table.by_version.values():
            self.assertIn("csrc/deepseek_v4/c_plan.cuh", files)
            self.assertTrue(all(re.fullmatch("[0-9a-f]{64}", digest) for digest in files.values()))

    def test_the_committed_table_agrees_with_the_wheels(self):
        wheels = Path(os.environ.get("DSV4_DEPS_DIR", ROOT / ".deps")) / "wheels"
        if not any(wheels.glob("sglang-*.whl")):
            self.skipTest(f"there is no wheel of sglang in {wheels}")
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            status = self.script.main(["--check", "--wheels", str(wheels)])
        self.assertEqual((status, errors.getvalue()), (0, ""))


class Triton(unittest.TestCase):
    """Tests of the reason why a set lacks an op that upstream writes in Triton."""

    def reason(self, files: dict) -> str:
        with tempfile.TemporaryDirectory() as folder:
            source = from_folder(write(Path(folder) / "jit_kernel", {**PACKAGE_13, **files}))
            return {record["op"]: record["reason"] for record in map_ops(source)[1]}["paged_compress_data"]

    def test_the_function_and_its_file_are_named(self):
        python = "@triton.jit\ndef kernel():\n    pass\n\ndef triton_create_paged_compress_data(*, ratio):\n    pass\n"
        for path in ("dsv4/attn.py", "deepseek_v4.py"):
            self.assertEqual(self.reason({path: python}),
                             f"upstream writes it in Triton (triton_create_paged_compress_data in {path}), so there is no CUDA "
                             "source to build")  # fmt: skip

    def test_a_release_without_the_function_is_not_mapped(self):
        self.assertEqual(self.reason({}), "not mapped: none of dsv4/attn.py, deepseek_v4.py")
        self.assertEqual(self.reason({"dsv4/attn.py": "def other():\n    pass\n"}),
                         "not mapped: dsv4/attn.py has no triton_create_paged_compress_data")  # fmt: skip


class Exports(unittest.TestCase):
    """Tests of the names of the functions that a source exports."""

    def names(self, text: str, path: str = "csrc/deepseek_v4/a.cuh") -> list:
        return exported_functions(path, text)

    def test_functions_that_take_tensors_are_exported(self):
        self.assertEqual(self.names("void f(int a) {\n}\nvoid g(tvm::ffi::TensorView a, int b) {\n}\n"), ["g"])
        self.assertEqual(self.names("auto g(\n    Optional<TensorView> a)\n    -> Tuple<Tensor, Tensor> {\n}\n"), ["g"])
        self.assertEqual(self.names("// void g(TensorView a) {}\nvoid g(TensorView a);\nint h = g(view);\n"), [])
        self.assertEqual(self.names("void _g(TensorView a) {\n}\n"), [], "an underscore marks an internal function")
        self.assertEqual(self.names("void g(TensorView a) {\n}\n", "include/sgl_kernel/deepseek_v4/a.cuh"), [])

    def test_member_functions_have_the_name_of_their_struct(self):
        self.assertEqual(self.names(TOPK_13), ["TopKKernel::transform"])
        two = "struct A {\n  static void run(TensorView a) {\n#if X\n    if (a) {\n#else\n    if (b) {\n#endif\n    }\n  }\n};\n"
        two += two.replace("struct A", "template <bool kPDL>\nstruct alignas(16) B") + "void f(TensorView a) {\n}\n"
        self.assertEqual(self.names(two), ["A::run", "B::run", "f"])
        inner = "struct A {\n  struct P {\n    int x;\n  };\n  static void run(TensorView a) {\n  }\n};\n"
        self.assertEqual(self.names(inner), ["A::run"])

    def test_a_function_of_a_namespace_has_the_name_of_its_export(self):
        text = "inline void plan(TensorView a) {\n}\n}\nconstexpr auto& plan_online = host::compress::plan;\n"
        self.assertEqual(self.names(text), ["plan_online"])

    def test_what_upstream_loads_is_found(self):
        """Upstream's own Python code names the functions that it loads."""
        wheels = Path(os.environ.get("DSV4_DEPS_DIR", ROOT / ".deps")) / "wheels"
        loads = re.compile(r'cuda_files=\["(deepseek_v4/[^"]+)"\],\s*cuda_wrappers=\[(.*?)\],\n', re.DOTALL)
        checked = 0
        for wheel in sorted(wheels.glob("sglang-*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                for name in archive.namelist():
                    if not re.fullmatch(r"sglang/jit_kernel/(deepseek_v4|dsv4/\w+)\.py", name):
                        continue
                    for file, wrappers in loads.findall(archive.read(name).decode()):
                        text = archive.read(f"sglang/jit_kernel/csrc/{file}").decode()
                        for target in re.findall(r'"([\w:]+)(?:<[^"]*>)?(?:::\w+)?"\s*\)', wrappers):
                            self.assertTrue(any(name.startswith(target) for name in self.names(text, f"csrc/{file}")),
                                            f"{wheel.name}: {file}: {target}")  # fmt: skip
                            checked += 1
        if checked == 0:
            self.skipTest(f"there is no wheel of sglang in {wheels}")
        self.assertGreater(checked, 10)


def variant(name: str, source: str = "a.cuh", **rest) -> Module:
    return Module(name, source, {"v": name}, [Entry("op", "run", f"K<{name}>::run", "op/1", 2)], **rest)


class Joining(unittest.TestCase):
    """Tests that the variants of one source become one module."""

    def test_functions_are_named_after_their_variants(self):
        (module,) = together([variant("x"), variant("y")])
        self.assertEqual((module.name, module.source), ("x_and_1_more", "a.cuh"))
        self.assertEqual([(e.function, e.params) for e in module.entries], [("x_run", {"v": "x"}), ("y_run", {"v": "y"})])

    def test_a_single_variant_keeps_its_names(self):
        (module,) = together([variant("x")])
        self.assertEqual((module.name, module.entries[0].function, module.entries[0].params), ("x", "run", {"v": "x"}))

    def test_sources_and_flags_are_not_mixed(self):
        names = [m.name for m in together([variant("x"), variant("y", "b.cuh"), variant("z", fast_math=True),
                                           variant("d", defines=["-DK=1"]), variant("h", host_flags=["@fma"])])]  # fmt: skip
        self.assertEqual(names, ["x", "y", "z", "d", "h"])

    def test_a_module_has_at_most_so_many_variants(self):
        modules = together([variant(f"x{i}") for i in range(MOST_VARIANTS + 1)])
        self.assertEqual([len(m.entries) for m in modules], [MOST_VARIANTS, 1])


class Output(unittest.TestCase):
    """Tests of which modules are built, and of which files are written into the folder of a set."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.source = from_folder(write(self.root / "package", PACKAGE_13))

    broken = None  # the variant that does not compile
    releases = Releases({})
    said = ""

    def build(self, output: Path, *ops: str) -> list:
        compiled, broken = [], self.broken

        class Compiler:
            device, version, arch = "cuda", "nobody's compiler 1", "90"

            def key(self):
                return ""

            def flags(self, module):
                return []

            def compile(self, module, wrapper, package, partial):
                compiled.append(module.name)
                partial.write_text(module.name)
                names = {v.name for v in module.variants} | {module.name}
                return f"{package}/include/a.h:1: error: it is broken" if broken in names else ""

        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            SetBuilder(self.source, Compiler(), output, self.root / "work", 1, ops or ("*",), self.releases).build()
        self.said = said.getvalue()
        return compiled

    def manifest(self) -> dict:
        return json.loads((self.root / "set/manifest.json").read_text())

    def test_the_manifest_names_every_source_and_its_releases(self):
        before = {**PACKAGE_13, "csrc/deepseek_v4/topk_v1.cuh": TOPK_13.replace("any", "some")}
        self.releases = Releases({"0.5.9": {path: sha256(text) for path, text in before.items()},
                                  "0.5.10": {path: sha256(text) for path, text in PACKAGE_13.items()}})  # fmt: skip
        self.build(self.root / "set")
        manifest = self.manifest()
        topk = {"path": "csrc/deepseek_v4/topk_v1.cuh", "sha256": sha256(TOPK_13), "releases": ["0.5.10"]}
        utils = {"path": "include/sgl_kernel/utils.cuh", "sha256": sha256("#include <cstdint>\n"),
                 "releases": ["0.5.9", "0.5.10"]}  # fmt: skip
        for module in manifest["modules"].values():
            self.assertEqual(module["sources"], [topk, utils])
        self.assertEqual(manifest["provenance"]["package"], "sglang")
        self.assertEqual(manifest["provenance"]["version"], "", "this folder tells no version")
        self.assertEqual(manifest["provenance"]["release"], "0.5.10")
        self.assertEqual(manifest["uncovered"], [])
        self.assertNotIn("no module includes", self.said)

    def test_a_function_that_no_rule_names_is_listed_though_its_file_is_mapped(self):
        more = TOPK_13 + "void select_later(tvm::ffi::TensorView scores) {\n}\n"
        write(self.root / "package", {"csrc/deepseek_v4/topk_v1.cuh": more})
        self.source = from_folder(self.root / "package")
        self.build(self.root / "set")
        self.assertEqual(self.manifest()["uncovered"], [])
        self.assertEqual(self.manifest()["uncalled"],
                         [{"path": "csrc/deepseek_v4/topk_v1.cuh", "functions": ["select_later"]}])  # fmt: skip
        self.assertEqual(self.said.splitlines()[-1], "unmapped: csrc/deepseek_v4/topk_v1.cuh: select_later")

    def test_sources_that_no_module_includes_are_named_and_changed_ones_are_a_warning(self):
        own = "void plan_c128(tvm::ffi::TensorView a) {\n}\n"
        write(self.root / "package", {"csrc/deepseek_v4/c128_v2.cuh": "edited", "csrc/deepseek_v4/c128.cuh": own,
                                      "include/sgl_kernel/deepseek_v4/unused.cuh": "new"})  # fmt: skip
        theirs = {**PACKAGE_13, "csrc/deepseek_v4/c128_v2.cuh": "theirs", "csrc/deepseek_v4/c128.cuh": own}
        self.releases = Releases({"0.5.13": {path: sha256(text) for path, text in theirs.items()}})
        self.source = from_folder(self.root / "package")
        self.build(self.root / "set")
        manifest = self.manifest()
        self.assertEqual(manifest["uncovered"], [
            {"path": "csrc/deepseek_v4/c128.cuh", "sha256": sha256(own), "releases": ["0.5.13"], "changed": False,
             "unmapped": True, "functions": ["plan_c128"]},
            {"path": "csrc/deepseek_v4/c128_v2.cuh", "sha256": sha256("edited"), "releases": [], "changed": True,
             "unmapped": True, "functions": []},
            {"path": "include/sgl_kernel/deepseek_v4/unused.cuh", "sha256": sha256("new"), "releases": [], "changed": True,
             "unmapped": True, "functions": []},
        ])  # fmt: skip
        last = [
            "set: no module includes 3 of upstream's source files: csrc/deepseek_v4/c128.cuh, csrc/deepseek_v4/c128_v2.cuh, "
            "include/sgl_kernel/deepseek_v4/unused.cuh",
            "unmapped: csrc/deepseek_v4/c128.cuh: plan_c128",
            "unmapped: csrc/deepseek_v4/c128_v2.cuh: exports no function",
            "unmapped: include/sgl_kernel/deepseek_v4/unused.cuh: exports no function",
            "WARNING: csrc/deepseek_v4/c128_v2.cuh differs from sglang 0.5.13 and NO MODULE COVERS IT",
            "WARNING: include/sgl_kernel/deepseek_v4/unused.cuh differs from sglang 0.5.13 and NO MODULE COVERS IT",
        ]
        self.assertEqual(self.said.splitlines()[-6:], last)
        self.releases = Releases({})
        self.build(self.root / "set")
        self.assertEqual(self.manifest()["provenance"]["release"], "")
        self.assertIn("WARNING: csrc/deepseek_v4/c128.cuh is of no known release of sglang and NO MODULE COVERS IT",
                      coverage(self.manifest()))  # fmt: skip

    def test_a_module_that_does_not_build_covers_nothing(self):
        self.broken = "topk_v1_k512"
        self.build(self.root / "set")
        self.assertEqual(self.manifest()["uncovered"], [], "the other module includes the source")
        text = TOPK_13.replace("SGL_TOPK", "kTopK")
        self.source = from_folder(write(self.root / "package", {
            "csrc/deepseek_v4/topk_v1.cuh": text,
            "csrc/deepseek_v4/hash_topk.cuh": "struct MaskKernel {\n static void run(int a, int b) {\n } };\n"}))  # fmt: skip
        self.broken = "mask_topk_ids"
        self.build(self.root / "set")
        (record,) = self.manifest()["uncovered"]
        self.assertEqual((record["path"], record["unmapped"]), ("csrc/deepseek_v4/hash_topk.cuh", False))
        self.assertNotIn("unmapped:", self.said, "a rule maps the file, although its module does not build")

    def test_ops_that_were_left_out_are_marked(self):
        write(self.root / "package",
              {"csrc/deepseek_v4/hash_topk.cuh": "struct MaskKernel {\n static void run(int a, int b) {\n } };\n"})  # fmt: skip
        self.source = from_folder(self.root / "package")
        self.build(self.root / "set", "mask_topk_ids")
        manifest = self.manifest()
        self.assertEqual([op["op"] for op in manifest["ops"]], ["mask_topk_ids"])
        absent = {record["op"]: record for record in manifest["absent"]}
        self.assertEqual(absent["topk_v1"], {"op": "topk_v1", "reason": "left out: --op mask_topk_ids", "left_out": True})
        self.assertNotIn("left_out", absent["fused_rope"], "this op is not in the sources")

    def test_each_glob_chooses_ops(self):
        write(self.root / "package",
              {"csrc/deepseek_v4/hash_topk.cuh": "struct MaskKernel {\n static void run(int a, int b) {\n } };\n"})  # fmt: skip
        self.source = from_folder(self.root / "package")
        self.build(self.root / "set", "mask_topk_ids", "topk_*")
        self.assertEqual({op["op"] for op in self.manifest()["ops"]}, {"mask_topk_ids", "topk_v1"})
        with self.assertRaisesRegex(Mistake, "matches --op 'fused_rope'"):
            self.build(self.root / "set", "mask_topk_ids", "fused_rope")

    def test_only_what_changed_is_built(self):
        output = self.root / "set"
        self.assertEqual(self.build(output), ["topk_v1_k512", "topk_v1_k1024"])
        self.assertEqual(self.build(output), [])
        write(self.root / "package", {"include/sgl_kernel/utils.cuh": "#include <cstddef>\n"})
        self.source = from_folder(self.root / "package")
        self.assertEqual(self.build(output), ["topk_v1_k512", "topk_v1_k1024"], "a changed header must be noticed")
        (output / "topk_v1_k512.so").unlink()
        self.assertEqual(self.build(output), ["topk_v1_k512"])
        (output / ".build-keys.json").write_text("{")
        self.assertEqual(self.build(output), ["topk_v1_k512", "topk_v1_k1024"], "without keys, both must be built")

    def test_a_variant_that_does_not_compile_is_the_only_one_missing(self):
        text = TOPK_13.replace("SGL_TOPK", "kTopK")  # one source for both values of k, without a define
        self.source = from_folder(write(self.root / "package", {"csrc/deepseek_v4/topk_v1.cuh": text}))
        self.broken = "topk_v1_k1024"
        compiled = self.build(self.root / "set")
        self.assertEqual(compiled, ["topk_v1_k512_and_1_more", "topk_v1_k512", "topk_v1_k1024"])
        manifest = json.loads((self.root / "set/manifest.json").read_text())
        self.assertEqual([o["params"] for o in manifest["ops"]], [{"k": "512"}])
        self.assertIn({"op": "topk_v1", "params": {"k": "1024"}, "reason": "does not build: include/a.h:1: error: it is broken"},
                      manifest["absent"])

    def test_a_set_that_was_not_built_by_the_script_is_left_alone(self):
        write(self.root / "host", {"manifest.json": "{}", "topk_v1.so": "theirs"})
        with self.assertRaisesRegex(Mistake, "did not build"):
            self.build(self.root / "host")
        self.assertEqual(sorted(p.name for p in (self.root / "host").iterdir()), ["manifest.json", "topk_v1.so"])


class CommandLine(unittest.TestCase):
    def call(self, *arguments):
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            try:
                status = build_sglang_set.main([str(a) for a in arguments])
            except SystemExit as leaving:
                status = leaving.code
        return status, errors.getvalue()

    def test_mistakes_exit_2_and_say_what_to_do(self):
        with tempfile.TemporaryDirectory() as folder:
            for arguments, text in (
                ((), "name either a version or --source"),
                (("0.5.13", "--source", folder), "name either a version or --source"),
                (("0.5.13", "--asan-ubsan"), "--asan-ubsan needs --host"),
                (("",), "is empty"),
                (("--source", ""), "is empty"),
                (("0.5.13", "-o", ""), "is empty"),
                (("0.5.13", "-j", "0"), "--jobs must be at least 1"),
                (("0.5.13", "--host", "--deps", folder), "Run scripts/setup --deps-only"),
            ):
                status, errors = self.call(*arguments)
                self.assertEqual(status, 2, errors)
                self.assertIn(text, errors)


if __name__ == "__main__":
    unittest.main()
