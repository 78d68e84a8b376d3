"""How a module is compiled: by nvcc for a GPU, or by the host compiler against the executor in simt."""

import concurrent.futures
import platform
import re
import shutil
import subprocess
from pathlib import Path

from .source import Mistake, digest, locked

ROOT = Path(__file__).resolve().parents[2]
RPATH = "$ORIGIN/../../lib"  # sets lie in sets/<name>/ beside lib/


def run(command: list) -> subprocess.CompletedProcess:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, errors="replace")


def first_error(output: str) -> str:
    """The line of a compiler's output that says what is wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in lines:
        if re.search(r"\berror\b|undefined reference|undefined symbol", line):
            return line
    return lines[-1] if lines else "the compiler failed and said nothing"


class Toolkit:
    """Headers and libraries that every module needs."""

    def __init__(self, deps: Path):
        self.tvm = deps / "tvm_ffi"
        if not (self.tvm / "include/tvm/ffi/function.h").is_file():
            raise Mistake(f"TVM-FFI is not at {self.tvm}.\nRun scripts/setup --deps-only, or name its folder with --deps.")
        self.cuda_include = deps / "nvidia/cu13/include"
        if not (self.cuda_include / "cuda_runtime.h").is_file():
            raise Mistake(f"The CUDA headers are not at {self.cuda_include}.\nRun scripts/setup --deps-only.")
        self.torch = deps / "torch"

    def has_torch(self) -> bool:
        return (self.torch / "lib/libtorch_cpu.so").is_file()

    def torch_includes(self) -> list:
        return ["-isystem", self.torch / "include", "-isystem", self.torch / "include/torch/csrc/api/include"]

    def torch_libraries(self) -> list:
        """What the libraries need themselves, a program finds when it loads them."""
        lib = (self.torch / "lib").resolve()
        return ["-L", lib, "-ltorch_cpu", "-lc10", "-Xlinker", "--allow-shlib-undefined", "-Xlinker", "-rpath", "-Xlinker", lib]

    def key(self) -> str:
        headers = ("include/tvm/ffi/function.h", "include/tvm/ffi/c_api.h", "include/tvm/ffi/container/tensor.h")
        return digest(*(self.tvm / h for h in headers), self.cuda_include / "cuda_runtime_api.h")


class NvccCompiler:
    device = "cuda"

    def __init__(self, toolkit: Toolkit, arch: str):
        self.toolkit, self.arch = toolkit, arch
        self.nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
        if not Path(self.nvcc).is_file():
            raise Mistake("nvcc is not in PATH: install the CUDA toolkit 13, or build a CPU set with --host.")
        found = re.fullmatch(r"(\d+)(\d)([af]?)", arch)
        if not found or int(found.group(1)) < 9:
            raise Mistake(f"--arch {arch}: expected a compute capability from 90 on, such as 90, 90a or 100.")
        self.macro = f"-DSGL_CUDA_ARCH={int(found.group(1)) * 100 + int(found.group(2)) * 10}"
        version = run([self.nvcc, "--version"]).stdout
        self.version = "nvcc " + (re.search(r"V([\d.]+)", version) or re.search(r"(\S+)", version)).group(1)

    def key(self) -> str:
        return digest(self.version, self.toolkit.key())

    def flags(self, module) -> list:
        # Upstream's own flags, in its order.
        flags = [f"-gencode=arch=compute_{self.arch},code=sm_{self.arch}", self.macro]
        flags += ["-std=c++20", "-O3", "--expt-relaxed-constexpr"]
        return flags + module.defines + (["-use_fast_math"] if module.fast_math else [])

    def compile(self, module, wrapper: Path, package: Path, output: Path) -> str:
        """Compiles and links; returns an empty text, or what went wrong."""
        command = [self.nvcc, "-shared", "-Xcompiler", "-fPIC", *self.flags(module)]
        command += ["-I", package / "include", "-I", package / "csrc", "-I", self.toolkit.tvm / "include"]
        if module.torch:  # the wrapper has no code for the GPU
            command += [*self.toolkit.torch_includes(), "-x", "c++"]
        command += [wrapper, "-o", output, "-cudart", "shared", "-L", self.toolkit.tvm / "lib", "-ltvm_ffi"]
        command += self.toolkit.torch_libraries() if module.torch else []
        command += ["-Xlinker", "-rpath", "-Xlinker", RPATH]
        done = run(command)
        return "" if done.returncode == 0 else first_error(done.stderr + done.stdout)


class HostCompiler:
    device = "simt"

    def __init__(self, toolkit: Toolkit, sanitize: bool, compiler: str):
        self.toolkit = toolkit
        self.cxx = shutil.which(compiler)
        if self.cxx is None:
            raise Mistake(f"The compiler {compiler} is not in PATH: install g++ 12 or newer, or name another with CXX.")
        self.version = "g++ " + run([self.cxx, "-dumpfullversion"]).stdout.strip()
        self.simt = ROOT / "simt"
        self.arch = "sm_90 (host executor)"
        # As the GPU does, integers wrap and any type may be read through any pointer; no product and sum are fused
        # unless a module asks for it.
        self.common = ["-std=c++20", "-O2", "-fno-strict-aliasing", "-ffp-contract=off"]
        if sanitize:
            self.common += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g1"]
        else:
            self.common += ["-fwrapv"]
        static = run([self.cxx, "-print-file-name=libboost_context.a"]).stdout.strip()
        self.boost = static if Path(static).is_file() else "-lboost_context"
        self.objects = []
        self.prelude = self.simt / "prelude.h"

    def key(self) -> str:
        return digest(self.version, self.toolkit.key(), *sorted(self.simt.iterdir()))

    def flags(self, module) -> list:
        flags = ["-DSGL_CUDA_ARCH=900", *self.common, *module.defines, *(["-DDSV4_TORCH_ON_HOST"] if module.torch else [])]
        if "@fma" in module.host_flags:
            flags += ["-ffp-contract=fast"] + (["-mfma"] if platform.machine() in ("x86_64", "AMD64") else [])
        return flags

    def _base(self) -> list:
        return [
            self.cxx, "-fPIC", "-fvisibility=hidden", "-I", ROOT, "-isystem", self.toolkit.cuda_include,
            "-isystem", self.toolkit.cuda_include / "cccl", "-isystem", self.toolkit.tvm / "include",
        ]  # fmt: skip

    def prepare(self, folder: Path, jobs: int) -> None:
        """Compiles the executor once; every module is linked with a copy of its own."""
        folder = folder / digest(self.key(), *self.common)[:16]
        folder.mkdir(parents=True, exist_ok=True)
        self.prelude = folder / "prelude.h"
        sources = sorted(self.simt.glob("*.cpp"))
        self.objects = [folder / f"{source.stem}.o" for source in sources]
        with locked(folder), concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            started = [pool.submit(self._precompile)]  # the longest comes first
            started += [pool.submit(self._compile_executor, *pair) for pair in zip(sources, self.objects)]
            for future in started:
                future.result()

    def _compile_executor(self, source: Path, target: Path) -> None:
        if target.is_file():
            return
        extra = ["-frounding-math"] if source.stem == "math" else []
        partial = target.with_suffix(".part")
        done = run([*self._base(), *self.common, *extra, "-x", "c++", "-c", source, "-o", partial])
        if done.returncode != 0:
            raise Mistake(f"The host executor does not compile: {first_error(done.stderr)}")
        partial.rename(target)

    def _precompile(self) -> None:
        """A precompiled prelude saves half of a module's time. Modules with other flags fall back to the text."""
        if self.prelude.with_suffix(".h.gch").is_file():
            return
        headers = ["simt/prelude.h", "dlpack/dlpack.h", "tvm/ffi/container/tensor.h", "tvm/ffi/container/tuple.h",
                   "tvm/ffi/extra/c_env_api.h", "tvm/ffi/function.h", "tvm/ffi/optional.h"]  # fmt: skip
        self.prelude.write_text("#pragma once\n" + "".join(f"#include <{header}>\n" for header in headers))
        partial = self.prelude.with_suffix(".part")
        flags = ["-DSGL_CUDA_ARCH=900", *self.common, "-w"]
        done = run([*self._base(), *flags, "-x", "c++-header", self.prelude, "-o", partial])
        if done.returncode != 0:
            raise Mistake(f"The host executor's prelude does not compile: {first_error(done.stderr)}")
        partial.rename(self.prelude.with_suffix(".h.gch"))

    def compile(self, module, wrapper: Path, package: Path, output: Path) -> str:
        """Compiles and links; returns an empty text, or what went wrong."""
        compiled = output.with_suffix(".o")
        command = [*self._base(), "-I", package / "include", "-I", package / "csrc", *self.flags(module), "-w"]
        command += self.toolkit.torch_includes() if module.torch else ["-include", self.prelude]
        command += ["-x", "c++", "-c", wrapper, "-o", compiled]
        done = run(command)
        if done.returncode == 0:
            command = [self.cxx, "-shared", "-o", output, compiled, *self.objects]
            command += [flag for flag in self.common if flag.startswith("-fsanitize")]
            command += [self.boost, "-L", self.toolkit.tvm / "lib", "-ltvm_ffi", f"-Wl,-rpath,{RPATH}"]
            command += self.toolkit.torch_libraries() if module.torch else []
            command += ["-Wl,-Bsymbolic", f"-Wl,--version-script={self.simt / 'module.map'}", "-Wl,-z,defs"]
            done = run(command)
        compiled.unlink(missing_ok=True)
        return "" if done.returncode == 0 else first_error(done.stderr + done.stdout)
