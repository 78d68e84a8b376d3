#!/usr/bin/env python3
"""The program behind `dsv4diff audit`, which explains it in its --help. docs/audit.md describes each rule.

Exit status: 0 no fault, 1 a fault (with --against: one that the other version lacks), 2 the command or the environment is
wrong.
"""

import argparse
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from jit_audit.package import package_of, shown  # noqa: E402
from jit_audit.report import json_report, text_report  # noqa: E402
from jit_audit.rules import audit, compared, new_faults  # noqa: E402
from sglang_set.source import Mistake  # noqa: E402

DEPS = Path(os.environ.get("DSV4_DEPS_DIR") or Path(__file__).resolve().parents[1] / ".deps")

LONGEST = 1000  # characters of a message; a path in it may have any length


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="dsv4diff audit", description=__doc__.splitlines()[0])
    parser.add_argument("package", help="sglang==X.Y.Z, a wheel, a checkout or an unpacked package")
    parser.add_argument("--against", default="", metavar="PACKAGE", help="also list what changed since this version")
    parser.add_argument("--count", action="store_true", help="import the package, call each getter twice, count compilations")
    parser.add_argument("--wheels", type=Path, default=DEPS / "wheels", help="folder with the wheels of sglang")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    args = parser.parse_args(arguments)
    sys.setrecursionlimit(20_000)  # some functions call themselves several times for each level of nesting
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # removes the temporary folder
    try:
        if args.count and args.against:
            raise Mistake("--count does not go with --against, because compilations of the other version are not counted. "
                          "Run audit twice, once with each of them")  # fmt: skip
        with tempfile.TemporaryDirectory() as work:
            package = package_of(args.package, [args.wheels], Path(work))
            include = DEPS / "torch/include"
            findings, not_checked = audit(package, include)
            if args.against:
                old = package_of(args.against, [args.wheels], Path(work))
                findings, more = compared(package, findings, old, include)
                not_checked += more
            counts = None
            if args.count:
                from jit_audit.count import count

                counts = count(args.package, [args.wheels], package, Path(work))
                findings += counts.findings(package)
                not_checked += counts.not_counted_lines()
            status = 1 if new_faults(findings) else 0
            against = old.label if args.against else ""
            if args.json:
                print(json_report(package, findings, not_checked, against, counts, status), end="")
            else:
                print(text_report(package, findings, not_checked, against, counts), end="")
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except (Mistake, OSError) as mistake:
        text = str(mistake).replace("\n", " ")
        print(f"dsv4diff audit: {shown(text if len(text) <= LONGEST else text[:LONGEST] + '...')}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(at.filename).name}:{at.lineno}"
        print(f"dsv4diff audit: internal error: {where}: {type(error).__name__}: {shown(str(error))}. This is a fault of dsv4diff, "
              "not of the package", file=sys.stderr)  # fmt: skip
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
