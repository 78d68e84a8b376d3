#!/usr/bin/env python3
"""Makes one HTML page from results files. `dsv4diff report` runs it.

    report.py --output FILE -- RESULTS...

Exit status: 0 the page was written, 2 a file or the environment is wrong. Then the output file stays as it was.
"""

import argparse
import os
import stat
import sys
import tempfile
import traceback

from report_page import page, results
from report_page.text import visible


def write_whole(path, content):
    """Replaces the file in one step. Pipes and devices, such as /dev/stdout, are written to directly."""
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        with open(path, "wb") as file:
            file.write(content)
        return
    target = os.path.realpath(path)
    handle, temporary = tempfile.mkstemp(prefix=os.path.basename(target) + ".", dir=os.path.dirname(target))
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def make(files, output):
    """Reads the results, and writes the page. Returns a sentence that says what was written."""
    content, notes = page.make([results.read(path) for path in files])
    try:
        write_whole(output, content)
    except OSError as error:
        raise results.ReportError(f"{output}: cannot be written: {error.strerror}") from error
    return [f"wrote {output} ({len(content) / 2**20:.1f} MiB)"] + notes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, help="the page to write")
    parser.add_argument("results", nargs="+", help="results files that --json wrote")
    options = parser.parse_args()
    try:
        said = make(options.results, options.output)
    except results.ReportError as error:
        sys.stderr.write(f"dsv4diff report: {visible(str(error))}\n")
        return 2
    except MemoryError:
        sys.stderr.write("dsv4diff report: there is not enough memory for these results; give fewer files\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception:  # Python would exit with 1, which says that something differs
        traceback.print_exc()
        sys.stderr.write("dsv4diff report: internal error (above); no page was written. Please report it\n")
        return 2
    for line in said:
        # The page itself may go to standard output.
        sys.stderr.write(visible(line) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
