"""Compares docs/upstream.md with the wheels of sglang's releases and with the op definitions."""

import ast
import json
import os
import re
import subprocess
import unittest
import zipfile
from pathlib import Path

ROOT = Path(os.environ.get("DSV4_SOURCE_DIR", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("DSV4_BUILD_DIR", ROOT / "build"))
RELEASES = ("0.5.12", "0.5.13")
UNPAIRED = "not yet paired"
ROW = re.compile(r"^\| `([\w.]+)` \| (\S+) \| (\S+) \| ([^|]+) \|$", re.MULTILINE)

# Functions that users of sglang know. Each must have a row.
WANTED = """
_jit_common_module _jit_compress_module _jit_compress_128_online_plan_module _jit_compress_128_online_module
_jit_norm_rope_module _jit_topk_v1_module _jit_topk_v2_module _jit_hash_topk_module _jit_mask_topk_module
_jit_fused_rope_module _jit_main_q_norm_rope_module _jit_main_k_norm_rope_flashmla_module
_jit_main_q_indexer_rope_hadamard_quant_module _jit_mega_moe_pre_dispatch_module _jit_silu_mul_quant_varlen_module
_jit_metadata_module _jit_fused_store_module CompressorPrefillPlan.generate mask_topk_ids hash_topk fused_store_cache
fused_q_norm_rope topk_transform_512 topk_transform_512_v2 plan_topk_v2 get_paged_mqa_logits_metadata linear_bf16_fp32
""".split()


def defined_in(text: str) -> set:
    """The functions of a Python file, and its methods as "Class.method"."""
    names = set()
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
    return names


def functions_of(release: str) -> dict:
    """File below sglang/jit_kernel -> the functions that it defines. Only the files of the DSv4 kernels."""
    wheels = sorted((ROOT / ".deps/wheels").glob(f"sglang-{release}-*.whl"))
    if not wheels:
        raise AssertionError(f"no wheel of sglang {release} in .deps/wheels: run scripts/setup")
    with zipfile.ZipFile(wheels[0]) as wheel:
        found = {name.removeprefix("sglang/jit_kernel/"): wheel.read(name).decode() for name in wheel.namelist()
                 if re.fullmatch(r"sglang/jit_kernel/(deepseek_v4|hisparse|dsv4/\w+)\.py", name)}  # fmt: skip
    return {path: defined_in(text) for path, text in found.items()}


def dsv4diff(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run([BUILD / "dsv4diff", *arguments], capture_output=True, text=True, timeout=120)


class UpstreamPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        page = (ROOT / "docs/upstream.md").read_text(encoding="utf-8")
        cls.rows = [tuple(cell.strip("`") for cell in row[:3]) + (row[3],) for row in ROW.findall(page)]
        # Every line of a table is a row, a heading or a rule, so that no malformed row is passed over.
        lines = [line for line in page.splitlines() if line.startswith("|") and not line.startswith(("| function", "|---"))]
        assert len(lines) == len(cls.rows), "a row of docs/upstream.md is malformed"
        cls.releases = [functions_of(release) for release in RELEASES]
        listed = dsv4diff("ops", "--json")
        assert listed.returncode == 0, listed.stderr
        cls.ops = {op["name"]: op["symbols"] for op in json.loads(listed.stdout)}

    def test_every_function_is_in_the_named_file_of_each_release(self):
        for symbol, *files, _ in self.rows:
            for release, file, functions in zip(RELEASES, files, self.releases):
                with self.subTest(symbol=symbol, release=release):
                    if file == "–":
                        self.assertEqual([f for f, names in functions.items() if symbol in names], [])
                    else:
                        self.assertIn(symbol, functions.get(file, set()), f"{file} does not define it")

    def test_a_function_of_several_files_has_a_row_for_each(self):
        for symbol in {row[0] for row in self.rows}:
            for at, release in enumerate(RELEASES):
                files = {row[1 + at] for row in self.rows if row[0] == symbol} - {"–"}
                found = {f for f, names in self.releases[at].items() if symbol in names}
                self.assertEqual(files, found, f"{symbol} in {release}")

    def test_every_op_exists_and_names_the_function(self):
        for symbol, _, _, cell in self.rows:
            if cell == UNPAIRED:
                continue
            ops = re.findall(r"`(\w+)`", cell)
            self.assertTrue(ops, f"{symbol}: '{cell}' names no op")
            for op in ops:
                self.assertIn(op, self.ops, f"{symbol}: no op is called {op}")
                self.assertIn(symbol, self.ops[op], f"'.upstream' of the op {op} lacks {symbol}")

    def test_every_name_of_an_op_definition_has_a_row_with_this_op(self):
        pairs = {(symbol, op) for symbol, _, _, cell in self.rows for op in re.findall(r"`(\w+)`", cell)}
        for op, symbols in self.ops.items():
            for symbol in symbols:
                self.assertIn((symbol, op), pairs, "docs/upstream.md has no such row")

    def test_every_wanted_function_has_a_row(self):
        self.assertEqual([symbol for symbol in WANTED if symbol not in {row[0] for row in self.rows}], [])

    def test_ops_finds_an_op_by_its_functions(self):
        for symbol, _, _, cell in self.rows:
            if symbol in WANTED and cell != UNPAIRED:
                done = dsv4diff("ops", "--symbol", symbol)
                self.assertEqual(done.returncode, 0, done.stderr)
                for op in re.findall(r"`(\w+)`", cell):
                    self.assertIn(op, done.stdout)
                self.assertIn(symbol, done.stdout)

    def test_an_unknown_function_is_refused_with_a_suggestion(self):
        done = dsv4diff("ops", "--symbol", "_jit_hash_topk_modul")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no op is behind sglang's '_jit_hash_topk_modul'", done.stderr)
        self.assertIn("_jit_hash_topk_module", done.stderr)
        self.assertIn("docs/upstream.md", done.stderr)


if __name__ == "__main__":
    unittest.main()
