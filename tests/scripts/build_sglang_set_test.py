"""Tests of scripts/build_sglang_set.py: it finds and edits sources, maps ops, builds sets and refuses wrong calls."""

import contextlib
import io
import json
import os
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

ROOT = Path(os.environ.get("DSV4_SOURCE_DIR", Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(ROOT / "scripts"))

import build_sglang_set  # noqa: E402
from sglang_set.build import SetBuilder  # noqa: E402
from sglang_set.edits import EditFailed, edit  # noqa: E402
from sglang_set.ops import MOST_VARIANTS, Entry, Module, NotMapped, map_ops, parameter_count, template_arity, together  # noqa: E402
from sglang_set.source import Mistake, from_folder, from_wheel  # noqa: E402


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

    def test_dynamic_shared_arrays_of_every_form(self):
        for declared, bound in (
            ("extern __shared__ uint32_t s[][kA / (2 * sizeof(int))];", "dynamic_shared<uint32_t[kA / (2 * sizeof(int))]>"),
            ("extern __shared__ alignas(128) uint8_t s[];", "dynamic_shared<uint8_t>"),
            ("extern __shared__ __align__(16) unsigned char s[];", "dynamic_shared<unsigned char>"),
            ("alignas(16) int a; extern __shared__ float4 s [ ] ;", "dynamic_shared<float4>"),
        ):
            text, said = edit("k.cuh", declared)
            self.assertIn(f"auto* const s = ::simt::{bound}();", text)
            self.assertNotIn("extern", text)
            self.assertEqual(len(said), 1, said)

    def test_alignment_moves_before_shared(self):
        self.assertEqual(edit("k.cuh", "__shared__ alignas(128) int x;")[0], "alignas(128) __shared__ int x;")

    def test_code_in_an_unknown_form_is_an_error(self):
        for text in ("extern __shared__ decltype(f()) s[];", 'asm volatile("griddepcontrol.wait; nop;" ::: "memory");'):
            with self.assertRaises(EditFailed):
                edit("k.cuh", text)

    def test_text_that_needs_no_edit_stays(self):
        text = "// extern __shared__ is explained here\nalignas(8) __shared__ int x;\n"
        self.assertEqual(edit("k.cuh", text), (text, []))


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


class Sources(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def test_wheel_is_unpacked_once_and_again_when_it_changes(self):
        def pack(text):
            with zipfile.ZipFile(self.root / "sglang-1.2.3-py3-none-any.whl", "w") as archive:
                archive.writestr("sglang/jit_kernel/csrc/deepseek_v4/topk_v1.cuh", text)
                archive.writestr("sglang/jit_kernel/include/a.h", "")
                archive.writestr("sglang/srt/huge.py", "")

        pack("first")
        source = from_wheel("1.2.3", [self.root], self.root / "unpacked")
        self.assertEqual(source.text("csrc/deepseek_v4/topk_v1.cuh"), "first")
        self.assertFalse((self.root / "unpacked/sglang/srt").exists())
        pack("second")
        self.assertEqual(from_wheel("1.2.3", [self.root], self.root / "unpacked").text("csrc/deepseek_v4/topk_v1.cuh"), "second")

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

    def build(self, output: Path) -> list:
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
                return "it is broken" if broken in names else ""

        with contextlib.redirect_stdout(io.StringIO()):
            SetBuilder(self.source, Compiler(), output, self.root / "work", 1).build()
        return compiled

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
        self.assertIn({"op": "topk_v1", "params": {"k": "1024"}, "reason": "does not build: it is broken"},
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
