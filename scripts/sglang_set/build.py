"""Builds the modules of a set and writes its manifest; what has not changed is kept."""

import concurrent.futures
import fnmatch
import hashlib
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

from .edits import EditFailed, edit
from .exports import exported_functions, without_op
from .ops import join, map_ops, together
from .releases import PACKAGE, Releases, files_of
from .source import Mistake, Source, digest
from .torch_calls import WRAPPER as TORCH_WRAPPER

KEYS = ".build-keys.json"  # per module: what it was built from

WRAPPER = """// Generated: exports the functions of {source}.
#include "{include}"

#include <tvm/ffi/function.h>
{using}
{exports}"""

EXPORT = """static_assert(::tvm::ffi::detail::FunctionInfo<std::decay_t<decltype({target})>>::num_args == {arity},
              "{function} has another number of parameters than {abi}");
TVM_FFI_DLL_EXPORT_TYPED_FUNC({function}, ({target}));
"""


def wrapper_text(source: Source, module) -> str:
    exports = "".join(
        EXPORT.format(target=f"({e.target})", function=e.function, arity=e.arity, abi=e.abi) for e in module.entries
    )
    if module.torch:
        return TORCH_WRAPPER.format(source=module.source, body=module.torch, exports=exports)
    using = "using namespace sglang;\n" if re.search(r"^namespace sglang\b", source.text(module.source), re.MULTILINE) else ""
    include = module.source.removeprefix("csrc/")
    return WRAPPER.format(source=module.source, include=include, using=using, exports=exports)


class SetBuilder:
    def __init__(self, source: Source, compiler, output: Path, work: Path, jobs: int, ops=("*",), releases=None):
        self.source, self.compiler, self.output, self.work = source, compiler, output, work
        self.jobs, self.ops = jobs, ops  # ops: globs
        self.releases = releases if releases is not None else Releases.load()
        self.host = compiler.device == "simt"
        # The host build compiles an edited copy, nvcc the sources as they are.
        self.package = work / "source" if self.host else source.root
        self.edits = {}  # per file: what was edited, or the EditFailed

    def edited_copy(self, path: str) -> None:
        """Copies one file of the package, with the edits of the host build."""
        if path in self.edits:
            return
        try:
            text, sentences = edit(path, self.source.text(path))
        except EditFailed as error:
            text, sentences = self.source.text(path), error
        self.edits[path] = sentences
        target = self.package / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_file() or target.read_text() != text:
            target.write_text(text)

    def module_edits(self, closure: list) -> list:
        sentences = []
        for path in closure if self.host else ():
            self.edited_copy(path)
            if isinstance(self.edits[path], EditFailed):
                raise self.edits[path]
            sentences += self.edits[path]
        return sentences

    def build(self) -> int:
        """Builds what is out of date and writes the manifest. Returns how many modules failed."""
        variants, absent = map_ops(self.source)
        self.unmapped, self.uncalled = without_op(self.source, variants)
        for record in absent:
            print(f"absent  {record['op']}: {record['reason']}", flush=True)
        for v in [v for v in variants if v.torch and not self.compiler.toolkit.has_torch()]:
            variants.remove(v)
            reason = f"it calls LibTorch, which is not at {self.compiler.toolkit.torch}: run scripts/setup --deps-only"
            absent += [{"op": e.op, "reason": reason} for e in v.entries]
        mapped = {e.op for v in variants for e in v.entries}
        chosen = {glob: fnmatch.filter(mapped, glob) for glob in self.ops}
        for glob, found in chosen.items():
            if not found:
                raise Mistake(f"There is nothing to build: no op could be mapped that matches --op '{glob}'.")
        wanted = {op for found in chosen.values() for op in found}
        left_out = [v for v in variants if not any(e.op in wanted for e in v.entries)]
        variants = [v for v in variants if v not in left_out]
        for op in sorted({e.op for v in left_out for e in v.entries} - {e.op for v in variants for e in v.entries}):
            absent.append({"op": op, "reason": f"left out: --op {' --op '.join(self.ops)}", "left_out": True})
        modules = together(variants)
        keys_file = self.output / KEYS
        # The key file is written first and kept up with every module, so that an interrupted build goes on where it was.
        # A folder without it, such as a set that something else built, must not be filled or cleared of old modules.
        if self.output.is_dir() and any(self.output.iterdir()) and not keys_file.is_file():
            raise Mistake(f"{self.output} holds something that this script did not build: name another set with -o.")
        self.output.mkdir(parents=True, exist_ok=True)
        if self.host:
            self.compiler.prepare(self.work.parent / "executor", self.jobs)
        (self.work / "wrappers").mkdir(parents=True, exist_ok=True)
        old_keys = read_keys(keys_file)
        write_whole(keys_file, json.dumps(old_keys, indent=1))
        common_key = self.compiler.key()

        records, keys, ops, failed, pending = {}, {}, [], 0, {}
        started = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:

            def start(module):
                """Gives a module to the pool, or records why it cannot be built."""
                closure = self.source.closure(module.source)
                try:
                    sentences = self.module_edits(closure)
                except EditFailed as error:
                    nonlocal failed
                    failed += self.give_up(module, str(error), absent)
                    return
                text, flags = wrapper_text(self.source, module), self.compiler.flags(module)
                contents = [self.package / path for path in closure]
                key = digest(common_key, text, *flags, *closure, *contents)
                pending[pool.submit(self.build_module, module, text, key, old_keys)] = (module, flags, sentences, key)

            for module in modules:
                start(module)
            done = 0
            while pending:
                for future in concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED).done:
                    module, flags, sentences, key = pending.pop(future)
                    error, took = future.result()
                    if error and len(module.variants) > 1:
                        # One variant that does not compile must not take the others with it.
                        print(f"        {module.name} does not build; its variants are tried one by one", flush=True)
                        for variant in module.variants:
                            start(join([variant], variant.name))
                        continue
                    done += 1
                    if error:
                        failed += self.give_up(module, error, absent)
                        continue
                    state = "kept" if took is None else f"built in {took:.1f} s"
                    print(f"[{done:2}/{done + len(pending)}] {module.name}.so  {state}", flush=True)
                    file = f"{module.name}.so"
                    keys[file] = key
                    write_whole(keys_file, json.dumps(old_keys | keys, indent=1))
                    records[file] = {
                        "sha256": digest_of_file(self.output / file),
                        "source": f"{self.source.name_in_package}/{module.source}",
                        "source_sha256": self.source.sha256(module.source),
                        "flags": flags,
                        "edits": sentences,
                        "sources": [self.source_record(path) for path in self.source.closure(module.source)],
                    }
                    ops += [{"op": e.op, "params": e.params, "module": file, "function": e.function, "abi": e.abi,
                             "arity": e.arity, "behaviour": e.behaviour} for e in module.entries]  # fmt: skip
        ops.sort(key=lambda o: (o["op"], sorted(o["params"].items())))
        manifest = self.manifest(dict(sorted(records.items())), ops, absent)
        write_whole(self.output / "manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
        write_whole(keys_file, json.dumps(keys, indent=1))
        for stale in self.output.glob("*.so"):
            if stale.name not in records:
                stale.unlink()
        print(f"{self.output}: {len(records)} modules, {len({o['op'] for o in ops})} ops, {len(absent)} absent, "
              f"{time.monotonic() - started:.0f} s")  # fmt: skip
        for line in coverage(manifest):
            print(line)
        return failed

    def give_up(self, module, error: str, absent: list) -> int:
        print(f"FAILED  {module.name}: {error}", flush=True)
        for e in module.entries:
            absent.append({"op": e.op, "params": e.params, "reason": f"does not build: {error}"})
        return 1

    def build_module(self, module, text: str, key: str, old_keys: dict) -> tuple:
        """(error text, seconds); None seconds if the module was up to date."""
        file = self.output / f"{module.name}.so"
        if old_keys.get(file.name) == key and file.is_file():
            return "", None
        wrapper = self.work / "wrappers" / f"{module.name}.cu"
        wrapper.write_text(text)
        started = time.monotonic()
        partial = self.work / f"{module.name}.so"
        error = self.compiler.compile(module, wrapper, self.package, partial).replace(f"{self.package}/", "")
        if not error:
            shutil.move(partial, file)
        return error, time.monotonic() - started

    def source_record(self, path: str) -> dict:
        """What the manifest says about a source file. Its digest is that of the file before any edit of the build."""
        sha256 = self.source.sha256(path)
        return {"path": path, "sha256": sha256, "releases": self.releases.holding(path, sha256)}

    def manifest(self, modules: dict, ops: list, absent: list) -> dict:
        release = self.releases.closest(files_of(self.source))
        provenance = {"package": PACKAGE, "version": self.source.version, "release": release, "source": self.source.origin,
                      "compiler": self.compiler.version, "arch": arch_name(self.compiler.arch)}  # fmt: skip
        revision = revision_of(self.source) if self.source.origin == "folder" else ""
        if revision:
            provenance["revision"] = revision
        built = (module["source"].removeprefix(f"{self.source.name_in_package}/") for module in modules.values())
        uncovered = [self.source_record(path) for path in self.source.uncovered(built)]
        for record in uncovered:
            record["changed"] = release not in record["releases"]
            # A file may be mapped and yet uncovered: its op was left out, or its module does not build.
            record["unmapped"] = record["path"] in self.unmapped
            record["functions"] = exported_functions(record["path"], self.source.text(record["path"]))
        return {"schema": 1, "name": self.output.name, "device": self.compiler.device, "provenance": provenance,
                "modules": modules, "ops": ops, "absent": absent, "uncovered": uncovered,
                "uncalled": self.uncalled}  # fmt: skip


def coverage(manifest: dict) -> list:
    """Lines on the sources that no module includes, as `dsv4diff sets` prints them (harness/sets/coverage.cpp)."""
    uncovered, name, release = manifest["uncovered"], manifest["name"], manifest["provenance"]["release"]
    paths = ", ".join(record["path"] for record in uncovered)
    lines = [f"{name}: no module includes {len(uncovered)} of upstream's source files: {paths}"] if uncovered else []
    lines += [f"unmapped: {record['path']}: {', '.join(record['functions']) or 'exports no function'}"
              for record in uncovered if record["unmapped"]]  # fmt: skip
    lines += [f"unmapped: {record['path']}: {', '.join(record['functions'])}" for record in manifest["uncalled"]]
    differs = f"differs from {PACKAGE} {release}" if release else f"is of no known release of {PACKAGE}"
    lines += [f"WARNING: {record['path']} {differs} and NO MODULE COVERS IT" for record in uncovered if record["changed"]]
    return lines


def read_keys(path: Path) -> dict:
    """Returns what the modules of a set were built from. If the file cannot be read, everything is built again."""
    try:
        keys = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return keys if isinstance(keys, dict) else {}


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that a reader sees the old one or the new one, never a part."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text)
    partial.rename(path)


def digest_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def arch_name(arch: str) -> str:
    return arch if arch.startswith("sm_") else f"sm_{arch}"


def revision_of(source: Source) -> str:
    """Git's name of a checkout, with "-dirty" if it was edited. Empty if git does not keep the sources."""

    def git(*arguments) -> str:
        try:
            done = subprocess.run(["git", "-C", str(source.root), *arguments], capture_output=True, text=True)
        except OSError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    # A copy may lie in a folder of another checkout, which says nothing about it.
    return git("describe", "--always", "--dirty") if git("ls-files", "--", "csrc") else ""
