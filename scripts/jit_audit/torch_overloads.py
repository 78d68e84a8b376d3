"""Rule on calls of torch: overloads that the torch of this checkout does not have, or has for a GPU only.

The declarations come from the headers of LibTorch that scripts/setup unpacks, so that no list of functions is kept here.
"""

import ast
import re
from pathlib import Path

from .findings import FAULT, NOTE, Finding
from .package import Package, dotted

SCHEMA = re.compile(r'schema_str = "\w+(?:\.\w+)?\(([^"]*)\) -> ')
VERSION = re.compile(r"#define TORCH_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)")
# Names of Python's interface for arguments of the schemas, and arguments that only Python's interface has.
ALIASES = {"input": "self", "axis": "dim", "keepdims": "keepdim", "x": "self", "a": "self", "x1": "self", "x2": "other"}
PYTHON_ONLY = {"requires_grad"}
# torch defines these functions in Python (torch/functional.py), with parameters of their own.
IN_PYTHON = set(
    "align_tensors atleast_1d atleast_2d atleast_3d block_diag broadcast_shapes broadcast_tensors cartesian_prod cdist "
    "chain_matmul einsum istft lu meshgrid norm pca_lowrank split stft svd_lowrank tensordot unique unique_consecutive "
    "unravel_index tensor as_tensor compile from_file nonzero".split()
)
OPTIONS = {"dtype", "layout", "device", "pin_memory"}  # one parameter `options` in C++


class Torch:
    """The overloads of torch's functions, from the headers in `include`."""

    def __init__(self, include: Path):
        self.folder = include / "ATen/ops"
        self.functions = {}
        text = self.read(include / "torch/headeronly/version.h") or self.read(include / "torch/csrc/api/include/torch/version.h")
        self.version = ".".join(VERSION.findall(text))

    @staticmethod
    def read(path: Path) -> str:
        return path.read_text(errors="replace") if path.is_file() else ""

    @property
    def is_there(self) -> bool:
        return self.folder.is_dir() and bool(self.version)

    def overloads(self, name: str):
        """(schemas, declarations for a CPU, declarations for CUDA), each a list of sets of parameter names."""
        if name not in self.functions:
            schemas = [self.schema_names(text) for text in SCHEMA.findall(self.read(self.folder / f"{name}_ops.h"))]
            by_device = {}
            for path in self.folder.glob(f"{name}_*_dispatch.h"):
                key = path.name.removeprefix(f"{name}_").removesuffix("_dispatch.h")
                if key in ("cpu", "cuda") or key.startswith("composite"):  # not of a longer name, as in sum_to_size
                    by_device.setdefault("cuda" if key == "cuda" else "cpu", []).extend(self.declared(path, name))
            self.functions[name] = (schemas, by_device.get("cpu", []), by_device.get("cuda", []))
        return self.functions[name]

    @staticmethod
    def schema_names(text: str) -> set:
        text = re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", text)  # Tensor(a!), int[1], and defaults such as [0, 1]
        return {part.split("=")[0].split()[-1] for part in text.split(",") if len(part.split("=")[0].split()) > 1}

    def declared(self, path: Path, name: str) -> list:
        found = re.findall(rf"\b{name}(?:_outf?)?\((.*)\);", self.read(path))
        return [set(re.findall(r"(\w+)(?=\s*(?:=[^,]*)?(?:,|$))", parameters)) for parameters in found]


def accepts(parameters: set, keywords: set) -> bool:
    # Beside `out`, Python's interface also takes the options of the tensor.
    options = "options" in parameters or "out" in parameters
    return all(k in parameters or (k in OPTIONS and options) for k in keywords)


def missing_overloads(package: Package, torch: Torch):
    """A call torch.f(..., name=...) for which no overload of f has all these names, or only one for a GPU."""
    for module in package.modules.values():
        for node in module.nodes:
            if not isinstance(node, ast.Call) or not node.keywords or any(k.arg is None for k in node.keywords):
                continue
            owner, _, name = module.expanded(dotted(node.func)).rpartition(".") if dotted(node.func) else ("", "", "")
            if owner != "torch" or name in IN_PYTHON:
                continue
            schemas, on_cpu, on_gpu = torch.overloads(name)
            keywords = {ALIASES.get(k.arg, k.arg) for k in node.keywords} - PYTHON_ONLY
            written = f"torch.{name} with {', '.join(repr(k.arg) for k in node.keywords)}"
            if schemas and not any(accepts(names, keywords) for names in schemas):
                yield Finding("missing-overload", FAULT, module.path, node.lineno,
                              f"{written}: torch {torch.version} declares no overload with these arguments")  # fmt: skip
            elif any(accepts(names, keywords) for names in on_gpu) and not any(accepts(names, keywords) for names in on_cpu):
                yield Finding("missing-overload", NOTE, module.path, node.lineno,
                              f"{written}: torch {torch.version} has this overload on a GPU, but not on a CPU")  # fmt: skip
