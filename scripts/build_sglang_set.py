#!/usr/bin/env python3
"""Builds a kernel set from sglang's own CUDA sources. A build for the CPU edits a copy of them.

    scripts/build_sglang_set.py 0.5.13 --host          sglang-0.5.13-host: runs on any CPU
    scripts/build_sglang_set.py 0.5.13 --arch 90       sglang-0.5.13: runs on a GPU
    scripts/build_sglang_set.py --source ~/sglang --host -o my-change-host

The sources come from a wheel (scripts/setup downloads the known ones into .deps/wheels) or from a folder: a checkout of
sglang or an edited copy of the package. The modules and the manifest.json are written to build/sets/<name>/. Only modules
that changed are built again.

Exit status: 0 built, 1 a module did not build, 2 the command or the environment is wrong.
"""

import argparse
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from sglang_set.build import SetBuilder  # noqa: E402
from sglang_set.compilers import ROOT, HostCompiler, NvccCompiler, Toolkit  # noqa: E402
from sglang_set.source import Mistake, from_folder, from_wheel  # noqa: E402


def named(text: str) -> str:
    """Refuses an empty argument: it is usually a variable that a script forgot to set."""
    if not text:
        raise argparse.ArgumentTypeError("is empty")
    return text


def folder(text: str) -> Path:
    return Path(named(text))


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", nargs="?", type=named, help="release of sglang to build from its wheel, such as 0.5.13")
    parser.add_argument("--source", type=folder, metavar="DIR", help="build from this checkout or copy of the package instead")
    parser.add_argument("--host", action="store_true", help="build for the CPU, by the host compiler")
    parser.add_argument("--arch", default="90", help="compute capability to build for, such as 90 or 100 (default 90)")
    parser.add_argument("-o", "--output", type=named, metavar="SET", help="name of the set, or a folder")
    parser.add_argument("--op", action="append", metavar="GLOB",
                        help="only these ops; the manifest lists the others as absent; may be repeated")
    parser.add_argument("--build-dir", type=Path, default=ROOT / "build", help="folder that holds sets/ (default build/)")
    parser.add_argument("--deps", type=Path, default=Path(os.environ.get("DSV4_DEPS_DIR", ROOT / ".deps")),
                        help="folder that scripts/setup filled (default .deps, or $DSV4_DEPS_DIR)")  # fmt: skip
    parser.add_argument("--wheels", type=Path, help="folder of wheels (default wheels/ in the folder of --deps)")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="modules built at a time (default 2)")
    parser.add_argument("--keep-going", action="store_true", help="exit 0 even if modules do not build")
    parser.add_argument("--asan-ubsan", action="store_true", help="with --host: AddressSanitizer and UBSan")
    args = parser.parse_args(arguments)
    if (args.version is None) == (args.source is None):
        parser.error("name either a version or --source DIR")
    if args.asan_ubsan and not args.host:
        parser.error("--asan-ubsan needs --host")
    if args.jobs < 1:
        parser.error("--jobs must be at least 1")
    return args


def main(arguments=None) -> int:
    args = parse(arguments)
    try:
        toolkit = Toolkit(args.deps)
        if args.host:
            compiler = HostCompiler(toolkit, args.asan_ubsan, os.environ.get("CXX", "g++"))
        else:
            compiler = NvccCompiler(toolkit, args.arch)
        work = args.build_dir / "sglang"
        if args.source is not None:
            source = from_folder(args.source.resolve())
            name = "sglang-source"
        else:
            wheels = [args.wheels] if args.wheels else [args.deps / "wheels"]
            source = from_wheel(args.version, wheels, work / f"wheel-{args.version}")
            name = f"sglang-{args.version}"
        name += ("-host" if args.host else "") + ("-asan" if args.asan_ubsan else "")
        output = Path(args.output) if args.output and "/" in args.output else args.build_dir / "sets" / (args.output or name)
        builder = SetBuilder(source, compiler, output.resolve(), (work / output.name).resolve(), args.jobs, args.op or ["*"])
        failed = builder.build()
    except (Mistake, OSError) as mistake:  # OSError: a folder that cannot be written, a full disk
        print(f"build_sglang_set.py: {mistake}", file=sys.stderr)
        return 2
    if failed:
        print(f"{failed} modules did not build.", file=sys.stderr)
    return 1 if failed and not args.keep_going else 0


if __name__ == "__main__":
    sys.exit(main())
