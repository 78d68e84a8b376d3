"""The Python files of one version of sglang's JIT kernels, parsed by Python's ast. Nothing is imported."""

import ast
import functools
import os
import sys
import warnings
import zipfile
from pathlib import Path

from sglang_set.source import LAYOUTS, Mistake, find_wheel, from_folder, unpacked

# Folders of the package whose files are not part of what a server runs.
OTHERS = ("tests", "test", "benchmark", "benchmarks")
DEEPEST = 500  # levels of nesting that the rules follow; real files have about 50
BLOCKS = (ast.If, ast.Try, ast.With, ast.For, ast.While, ast.ExceptHandler)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def shown(text: str) -> str:
    """Text for one line of a terminal: control characters and what cannot be encoded are written as escapes."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def plural(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def dotted(node) -> str:
    """The text of a chain of names, such as "torch.utils.load"; "" if the expression is another one."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def nodes_of(tree) -> list:
    """All nodes of a tree, level by level. Throws RecursionError if there are more levels than the rules follow."""
    nodes, level, depth = [], [tree], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise RecursionError(f"it is nested more than {DEEPEST} levels deep")
        nodes += level
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return nodes


def parsed(path: str, content: bytes):
    """The module of a file. Throws SyntaxError, or another exception that the caller must expect."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape sequence is no concern of this tool
        tree = ast.parse(content)
    return Module(path, tree)


def statements(body):
    """The statements of a body and of the branches in it, but not those of functions and classes."""
    for node in body:
        yield node
        if isinstance(node, BLOCKS):
            for part in ("body", "orelse", "handlers", "finalbody"):
                yield from statements(getattr(node, part, []))


class Module:
    """One Python file. `name` is its dotted name, such as "sglang.jit_kernel.dsv4.topk"; `path` is relative to the folder
    that holds sglang/."""

    def __init__(self, path: str, tree: ast.Module):
        self.path, self.tree, self.nodes = path, tree, nodes_of(tree)
        self.is_package = path.endswith("/__init__.py")
        self.name = path.removesuffix("/__init__.py" if self.is_package else ".py").replace("/", ".")
        self.imports = []  # (local name, module, name in that module or "", line)
        self.stars = []  # modules of "from module import *"
        for node in self.nodes:
            if isinstance(node, ast.ImportFrom):
                module = self.absolute(node)
                for alias in node.names:
                    if alias.name == "*":
                        self.stars.append(module)
                    else:
                        self.imports.append((alias.asname or alias.name, module, alias.name, node.lineno))
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    local = alias.asname or alias.name.split(".")[0]
                    self.imports.append((local, alias.name if alias.asname else local, "", node.lineno))
        self.definitions = {}  # the functions and classes of the module: name -> the last definition
        self.constants = {}  # names that are assigned one literal: name -> (text, line)
        self.aliases = {}  # name = other name, at the top level
        self.exported = None  # the names in __all__
        assigned = {}
        for node in statements(tree.body):
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                self.definitions[node.name] = node
            for target in assigned_to(node):
                assigned.setdefault(target, []).append(node)
        for name, nodes in assigned.items():
            value = getattr(nodes[0], "value", None)
            if name == "__all__" and is_literal(value):
                self.exported = [text for text in ast.literal_eval(value) if isinstance(text, str)]
            elif len(nodes) > 1 or name in self.definitions:
                continue
            elif isinstance(nodes[0], ast.Assign) and isinstance(value, ast.Name):
                self.aliases[name] = value.id
            elif is_literal(value):
                self.constants[name] = (ast.unparse(value), nodes[0].lineno)

    def absolute(self, node: ast.ImportFrom) -> str:
        """The dotted name of the module that an import names. The import may be relative."""
        if node.level == 0:
            return node.module or ""
        parts = self.name.split(".")
        base = parts[: len(parts) - node.level + (1 if self.is_package else 0)]
        return ".".join(base + ([node.module] if node.module else []))

    @functools.cached_property
    def functions(self) -> list:
        """All functions of the file, nested ones and methods too: (qualified name, node, the nodes around it)."""

        def walk(body, around):
            for node in body:
                if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                    if isinstance(node, FUNCTIONS):
                        yield ".".join(n.name for n in (*around, node)), node, around
                    yield from walk(list(statements(node.body)), (*around, node))

        return list(walk(list(statements(self.tree.body)), ()))

    def expanded(self, name: str) -> str:
        """A dotted name with its first part replaced by what an import says that it is. "" if imports disagree."""
        first, _, rest = name.partition(".")
        found = {f"{module}.{original}" if original else module for local, module, original, _ in self.imports if local == first}
        if len(found) > 1:
            return ""
        return ".".join(part for part in (found.pop() if found else first, rest) if part)


def assigned_to(node) -> list:
    """The plain names that a statement assigns."""
    targets = getattr(node, "targets", []) if isinstance(node, ast.Assign) else []
    if isinstance(node, (ast.AnnAssign, ast.AugAssign)):
        targets = [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def is_literal(node) -> bool:
    try:
        return node is not None and (ast.literal_eval(node) or True)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False


class Package:
    """The modules of the JIT package (`modules`), and the other modules of sglang that name it (`callers`).

    `sources` is the package's CUDA sources, or None if they are not at hand. `notes` says what was not read.
    """

    def __init__(self, label: str, kernel_path: str, files: dict, sources):
        """`kernel_path` is the folder of the package, such as "sglang/jit_kernel". `files` maps a path to bytes."""
        self.label, self.kernel_name, self.sources = label, kernel_path.replace("/", "."), sources
        self.folder = None  # the folder of the package on disk, if it is not in a wheel
        self.paths = set(files)
        self.modules, self.callers, self.unreadable, self.notes = {}, {}, [], []
        needle = self.kernel_name.encode()
        for path, content in sorted(files.items()):
            inside = path.startswith(kernel_path + "/")
            if any(part in OTHERS for part in Path(path).parts[:-1]) or not (inside or needle in content):
                continue
            try:
                module = parsed(path, content)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                version = ".".join(map(str, sys.version_info[:2]))
                reason = getattr(error, "msg", "") or str(error) or type(error).__name__
                line = getattr(error, "lineno", 0) or 1
                self.unreadable.append((path, line, f"Python {version} cannot parse this file: {reason}"))
                continue
            (self.modules if inside else self.callers)[module.name] = module
        if not self.modules and not self.unreadable:
            raise Mistake(f"{label}: there are no Python files of sglang's JIT kernels in {kernel_path}/.")
        if not any(not path.startswith(kernel_path + "/") for path in files):
            self.notes.append("calls from the rest of sglang: only the folder of the JIT kernels is at hand")

    def source_path(self, path: str) -> str:
        """The path of a CUDA source, relative to the folder that holds sglang/."""
        return f"sglang/{self.sources.name_in_package}/{path}"

    def resolve(self, module: str, name: str, depth: int = 0):
        """(module, name) of the definition or constant that `from module import name` gives; None outside the package."""
        found = self.modules.get(module)
        if found is None or depth > 20:
            return None
        if name in found.definitions or name in found.constants:
            return module, name
        if name in found.aliases:
            return self.resolve(module, found.aliases[name], depth + 1)
        targets = {(source, original) for local, source, original, _ in found.imports if local == name and original}
        if len(targets) == 1:
            return self.resolve(*targets.pop(), depth + 1)
        if not targets:
            for source in found.stars:
                public = getattr(self.modules.get(source), "exported", None)
                if name in public if public is not None else not name.startswith("_"):
                    target = self.resolve(source, name, depth + 1)
                    if target:
                        return target
        return None

    def resolve_dotted(self, module: Module, name: str):
        """The same for a name as a module writes it, such as "topk.plan" after "from . import topk"."""
        if "." not in name:
            if name in module.definitions or name in module.constants:  # of a caller, it is not the package's
                return (module.name, name) if module.name in self.modules else None
            here = self.resolve(module.name, name) if module.name in self.modules else None
            if here:
                return here
        owner, _, last = module.expanded(name).rpartition(".")
        return self.resolve(owner, last) if owner else None

    def definition(self, target):
        """The module and the node of what `resolve` found; the node of a constant is None."""
        module = self.modules[target[0]]
        return module, module.definitions.get(target[1])


def kernel_folder(paths, layouts) -> str:
    """The folder of the JIT package among `paths`; "" if there is none."""
    for layout in layouts:
        if any(path.startswith(layout + "/") and path.endswith(".py") for path in paths):
            # Since the package sglang.kernels, the Python files lie beside the folder of the CUDA sources.
            return layout.removesuffix("/jit") if layout.endswith("kernels/jit") else layout
    return ""


def package_of(text: str, wheels: list, work: Path) -> Package:
    """The package that a command line names: sglang==X.Y.Z, a wheel, or a folder. `work` takes the CUDA sources of a wheel."""
    name, equals, version = text.partition("==")
    if equals and name.strip() == "sglang":
        return wheel_package(find_wheel(version.strip(), wheels), f"sglang {version.strip()}", work)
    path = Path(text)
    if path.is_dir():
        return folder_package(path)
    if not path.exists():
        raise Mistake(f"{text} does not exist. Name a wheel, a checkout of sglang, an unpacked package, or sglang==X.Y.Z.")
    if not path.is_file() or path.suffix != ".whl":
        raise Mistake(f"{text} is neither a folder nor a wheel (*.whl). Name the checkout or the package, not a single file.")
    return wheel_package(path, path.name, work)


def wheel_package(wheel: Path, label: str, work: Path) -> Package:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n.startswith("sglang/") and n.endswith(".py") and ".." not in n]
            files = {n: archive.read(n) for n in names}
            has_sources = any(n.endswith(".cuh") for n in archive.namelist())
        sources = unpacked(wheel, "", work / wheel.name) if has_sources else None
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, zipfile.zlib.error) as error:
        raise Mistake(f"{wheel} is not a readable wheel ({error}). Delete it and download it again.") from error
    folder = kernel_folder(files, [layout for layout in LAYOUTS if layout.startswith("sglang/")])
    if not folder:
        raise Mistake(f"{wheel} holds no Python files of sglang's JIT kernels: it is not a wheel of sglang, or another layout.")
    return Package(label, folder, files, sources)


def folder_package(folder: Path) -> Package:
    """`folder` is a checkout, its folder python/, a folder that holds sglang/, the package sglang/, or the JIT package."""
    top, prefix = folder, ""
    if (folder / "python" / "sglang").is_dir():
        top = folder / "python"
    elif not (folder / "sglang").is_dir():
        resolved = folder.resolve()
        parts = resolved.parts
        if resolved.name == "sglang":
            prefix = "sglang/"
        elif parts[-2:] == ("kernels", "jit"):
            top, prefix = folder / "..", "sglang/kernels/"
        elif resolved.name in ("jit_kernel", "kernels") or (folder / "csrc").is_dir():
            prefix = "sglang/kernels/" if resolved.name == "kernels" else "sglang/jit_kernel/"
    inside = top if prefix else top / "sglang"
    files = {}
    seen = set()
    for here, folders, names in os.walk(inside, followlinks=True):
        folders[:] = sorted(f for f in folders if os.path.realpath(os.path.join(here, f)) not in seen)  # links may form a circle
        seen |= {os.path.realpath(os.path.join(here, f)) for f in folders}
        for name in sorted(names):
            file = Path(here) / name
            if name.endswith(".py") and file.is_file():
                files[(prefix or "sglang/") + file.relative_to(inside).as_posix()] = file.read_bytes()
    kernel = kernel_folder(files, [layout for layout in LAYOUTS if layout.startswith("sglang/")] + ["sglang/kernels"])
    if not kernel:
        raise Mistake(
            f"{folder} holds no Python files of sglang's JIT kernels. Expected a checkout of sglang, a folder with the package "
            "sglang/, the package itself, or its folder jit_kernel/ or kernels/."
        )
    try:
        sources = from_folder(top)
    except Mistake:
        sources = None
    package = Package(str(folder), kernel, files, sources)
    package.folder = inside / os.path.relpath(kernel, prefix.rstrip("/") or "sglang")
    return package
