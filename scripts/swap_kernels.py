#!/usr/bin/env python3
"""Runs a Python program with the kernels of a kernel set in the place of sglang's own.

    scripts/swap_kernels.py build/sets/cuda --list
    scripts/swap_kernels.py build/sets/cuda -- -m pytest --pyargs sglang.jit_kernel.tests.deepseek_v4.test_c4_v2
    scripts/swap_kernels.py none --busy 200 -- -m pytest ...      upstream's kernels, behind 200 us of work on the GPU

scripts/swap_sglang.py swaps the functions, and says how; a program may also import it. At its end, this script prints how
often each swapped function was called, and what stayed upstream's, with the reason. With --list it prints only what can be
swapped.

With --busy, each call is preceded by work that keeps the stream busy for so long. So kernels wait for the GPU side by
side, as in production, and a kernel that reads too early gets old data. The set 'none' swaps nothing.

The program needs what sglang itself needs: a GPU, torch, tvm_ffi and, for modules that stay upstream's, nvcc. sglang's own
tests also need pytest, triton and sgl_kernel.

Exit status: that of the program; 0 with --list; 2 if the command or the environment is wrong.
"""
import argparse
import pathlib
import runpy
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sglang_set.source import Mistake  # noqa: E402
from swap_sglang import swap  # noqa: E402


def busy_stream(microseconds):
    """A function that queues work on torch's current stream."""
    import torch

    cycles, start, end = 20_000_000, torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    for _ in range(2):  # the first time, the GPU may still run at a low clock rate
        start.record()
        torch.cuda._sleep(cycles)
        end.record()
        torch.cuda.synchronize()
    cycles = int(microseconds * cycles / (1000 * start.elapsed_time(end)))
    return lambda: torch.cuda._sleep(cycles)


def main(argv):
    command, program = (argv[: argv.index("--")], argv[argv.index("--") + 1:]) if "--" in argv else (argv, [])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", metavar="SET", help="folder of a kernel set for GPUs, such as build/sets/cuda, or 'none'")
    parser.add_argument("--busy", metavar="US", type=int, default=0, help="microseconds of work before each call")
    parser.add_argument("--list", action="store_true", help="print what can be swapped, and run nothing")
    args = parser.parse_args(command)
    if not args.list and not program:
        parser.error("name a program after --, for instance: -- -m pytest FILE, or use --list")
    try:
        swapped = swap(args.set, busy_stream(args.busy) if args.busy > 0 else None)
    except (Mistake, ImportError) as error:
        print(f"swap_kernels.py: {error}", file=sys.stderr)
        return 2
    if args.list:
        print(swapped.listing())
        swapped.restore()
        return 0
    status = 0
    try:
        if program[0] == "-m":
            if len(program) < 2:
                parser.error("-m needs the name of a module")
            sys.argv = program[1:]
            runpy.run_module(program[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = program
            runpy.run_path(program[0], run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        print(swapped.report(), file=sys.stderr)
        swapped.restore()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
