"""Counts compilations: a child process imports the package, with a counter in place of every compiler, and calls each
getter twice with the same arguments. The second call must compile nothing.

Request of the child: {"root", "kernel_name", "compilers", "getters": [[module, function], ...]}. Answer: {"results":
[{"first", "again", "arguments"} or {"reason"}, ...], "standins": [package, ...]}, in the order of the getters.
"""

import json
import os
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import dataclass
from pathlib import Path

from sglang_set.source import Mistake, find_wheel

from .caches import handed_on
from .findings import FAULT, NOTE, Finding
from .getters import COMPILERS, LOADER, functions_of
from .package import Package, plural, shown

TIMEOUT = 300  # seconds for all getters


@dataclass
class Counts:
    """`counted` has (function, answer of the child); `standins` the packages that were replaced."""

    counted: list
    standins: list
    failure: str = ""  # why nothing was counted

    def findings(self, package: Package) -> list:
        """A function that is given to another one may be called once only, so its second compilation is a note."""
        given = handed_on(package)
        found = []
        for f, answer in self.counted:
            if answer.get("again"):
                level = NOTE if (f.module.name, f.name) in given else FAULT
                call = f"{f.name}({answer['arguments']})"
                text = f"{call} compiled {len(answer['again'])} more at its second call with the same arguments"
                found.append(Finding("compiled-again", level, f.module.path, f.node.lineno, text))
        return found

    def skipped(self) -> list:
        return [(f, answer["reason"]) for f, answer in self.counted if "reason" in answer]

    def once(self) -> list:
        return [f for f, answer in self.counted if "reason" not in answer and not answer["again"]]

    def not_counted_lines(self) -> list:
        lines = [f"compilations: {self.failure}"] if self.failure else []
        if self.skipped():
            lines.append(f"compilations of {plural(len(self.skipped()), 'function')} (the reasons are above)")
        return lines

    def text(self, width: int) -> list:
        lines = [f"Counted compilations ({plural(len(self.counted), 'function')})"]
        once = plural(len(self.once()), "function")
        said = [f"{once} compiled at the first call, and nothing at the second call with the same arguments."]
        if self.standins:
            said.append(f"Replaced by stand-ins, beside the rest of sglang: {', '.join(self.standins)}.")
        for text in said:
            lines += textwrap.wrap(shown(text), width, initial_indent="  ", subsequent_indent="  ")
        for function, reason in self.skipped():
            lines.append(f"  not counted  {shown(function.place)}")
            lines += textwrap.wrap(shown(f"{function.name}: {reason}"), width, initial_indent="    ", subsequent_indent="    ")
        return lines

    def as_json(self) -> dict:
        results = [{"module": f.module.name, "function": f.name, "path": f.module.path, "line": f.node.lineno, **answer}
                   for f, answer in self.counted]  # fmt: skip
        return {"failure": self.failure, "stand_ins": self.standins, "results": results}


def count(text: str, wheels: list, package: Package, work: Path, installed: bool = True) -> Counts:
    """`installed`: use the packages of this Python, such as torch. Otherwise stand-ins replace all of them."""
    getters = [f for f in functions_of(package).values() if f.compiles and f.name.rpartition(".")[2] != LOADER]
    callable_ones = [f for f in getters if not f.around]
    request = {"root": str(importable(text, wheels, package, work / "import")), "kernel_name": package.kernel_name,
               "compilers": sorted(COMPILERS), "getters": [[f.module.name, f.name] for f in callable_ones]}  # fmt: skip
    home = work / "home"  # the package must not find or write the caches of the user
    home.mkdir(parents=True, exist_ok=True)
    (work / "request.json").write_text(json.dumps(request))
    environment = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home), "CUDA_VISIBLE_DEVICES": ""}
    python = [sys.executable, "-B", *([] if installed else ["-S", "-E", "-s"])]
    command = [*python, str(Path(__file__).with_name("counted.py")), str(work / "request.json"), str(work / "answer.json")]
    try:
        done = subprocess.run(command, cwd=home, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)
        answer = json.loads((work / "answer.json").read_text())
    except subprocess.TimeoutExpired:
        return Counts([], [], f"the import of the package took more than {TIMEOUT} s")
    except (OSError, ValueError):
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it printed nothing"])[-1]
        return Counts([], [], f"the process that imports the package ended with status {done.returncode}: {last[:300]}")
    reason = "it is a method or a function in a function, which needs an object to call it"
    inner = [(f, {"reason": reason}) for f in getters if f.around]
    return Counts(list(zip(callable_ones, answer["results"])) + inner, answer["standins"])


def importable(text: str, wheels: list, package: Package, folder: Path) -> Path:
    """A folder that holds sglang/, from which the package can be imported."""
    path = Path(text)
    name, equals, version = text.partition("==")
    if not path.is_dir():
        wheel = find_wheel(version.strip(), wheels) if equals and name.strip() == "sglang" else path
        prefix = package.kernel_name.replace(".", "/") + "/"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [n for n in archive.namelist() if n.startswith(prefix)])
        return folder
    if package.folder is None:
        raise Mistake(f"{text} has no folder that can be imported.")
    top = folder / Path(*package.kernel_name.split(".")[:-1])
    top.mkdir(parents=True)
    (top / package.kernel_name.rpartition(".")[2]).symlink_to(package.folder.resolve(), target_is_directory=True)
    return folder
