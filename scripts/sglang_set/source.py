"""Where sglang's CUDA sources come from: a wheel, a checkout, or an edited copy of the package."""

import contextlib
import fcntl
import hashlib
import re
import shutil
import zipfile
from pathlib import Path

# Folders that hold csrc/ and include/, relative to the root of the package or of a checkout, newest layout first.
LAYOUTS = (
    "sglang/kernels/jit",
    "kernels/jit",
    "sglang/jit_kernel",
    "jit_kernel",
    "python/sglang/kernels/jit",
    "python/sglang/jit_kernel",
    "",
)


# The files of the DSv4 family: folders under csrc/ and under include/sgl_kernel/, and the files of HiSparse.
DSV4_FILE = re.compile(r"(?:csrc|include/sgl_kernel)/deepseek_v\d+/|csrc/(?:kvcacheio/)?hisparse\w*\.cuh$")


class Mistake(Exception):
    """The call or the environment is wrong. The text says what to do."""


@contextlib.contextmanager
def locked(folder: Path):
    """Keeps other builds out of a folder that they share, such as that of the executor's objects."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(folder.name + ".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Source:
    """One version of the sources: `root` holds csrc/ and include/."""

    def __init__(self, root: Path, origin: str, version: str, name_in_package: str):
        self.root = root
        self.origin = origin  # "wheel" or "folder"
        self.version = version  # empty if the folder does not tell it
        self.name_in_package = name_in_package  # such as "jit_kernel"
        self._text, self._sha256 = {}, {}

    def text(self, path: str) -> str:
        """The content of a file under root; empty if there is no such file."""
        if path not in self._text:
            file = self.root / path
            self._text[path] = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        return self._text[path]

    def has(self, path: str) -> bool:
        return (self.root / path).is_file()

    def sha256(self, path: str) -> str:
        """Digest of a file under root, as it is on disk."""
        if path not in self._sha256:
            self._sha256[path] = hashlib.sha256((self.root / path).read_bytes()).hexdigest()
        return self._sha256[path]

    def dsv4_files(self) -> list:
        """All files of the DSv4 family, relative to root. Python's caches and hidden files are no sources."""
        found = (f.relative_to(self.root) for top in ("csrc", "include") for f in (self.root / top).rglob("*") if f.is_file())
        return sorted(f.as_posix() for f in found if DSV4_FILE.match(f.as_posix()) and is_source(f))

    def closure(self, path: str) -> list:
        """`path` and everything of the package that it includes, directly or not; paths relative to root."""
        seen, todo = [], [path]
        while todo:
            current = todo.pop()
            if current in seen:
                continue
            seen.append(current)
            for included in re.findall(r'^\s*#\s*include\s*["<]([^">]+)[">]', self.text(current), re.MULTILINE):
                beside = Path(current).parent / included
                for candidate in (beside.as_posix(), f"include/{included}", f"csrc/{included}"):
                    if self.has(candidate):
                        todo.append(candidate)
                        break
        return sorted(seen)

    def uncovered(self, built) -> list:
        """The files of the DSv4 family that none of the `built` files includes."""
        covered = {path for file in set(built) for path in self.closure(file)}
        return [path for path in self.dsv4_files() if path not in covered]


def is_source(path: Path) -> bool:
    return path.suffix in (".cuh", ".cu", ".h", ".hpp", ".hh", ".cc", ".cpp", ".inc", ".inl")


def digest(*parts) -> str:
    """SHA-256 of texts, bytes and files, in order."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part if isinstance(part, bytes) else str(part).encode()
        sha.update(len(data).to_bytes(8, "little") + data)
    return sha.hexdigest()


def find_layout(folder: Path):
    for layout in LAYOUTS:
        candidate = folder / layout
        if (candidate / "csrc").is_dir() and (candidate / "include").is_dir():
            return candidate
    return None


def from_folder(folder: Path) -> Source:
    if not folder.is_dir():
        raise Mistake(f"--source: {folder} is not a folder.")
    root = find_layout(folder)
    if root is None:
        raise Mistake(
            f"--source: no sglang JIT kernels in {folder}.\nExpected a folder with csrc/ and include/ at one of: "
            + ", ".join(layout or "." for layout in LAYOUTS)
        )
    return Source(root, "folder", version_of(root), name_in_package(root))


def name_in_package(root: Path) -> str:
    return "kernels/jit" if root.parts[-2:] == ("kernels", "jit") else root.name


def version_of(root: Path) -> str:
    """The version that a checkout, an installed package or a copy tells about itself; empty if it tells none.

    `root` is the kernel folder. The package is the folder above it, if the kernel folder has its name in the package.
    """
    if root.parts[-2:] == ("kernels", "jit"):
        package = root.parent.parent
    elif root.name == "jit_kernel":
        package = root.parent
    else:
        return ""  # what lies beside a copy under another name belongs to something else
    # A version at the start of a line: sglang's version.py also has fallbacks, which are indented.
    python = re.compile(r"""^(?:__version__\s*=\s*)?(?:__)?version(?:__)?\s*=\s*["']([^"']+)""", re.MULTILINE)
    metadata = re.compile(r"^Version:\s*(\S+)", re.MULTILINE)
    candidates = [(package / "_version.py", python), (package / "version.py", python)]
    candidates += [(folder / "METADATA", metadata) for folder in sorted(package.parent.glob("sglang-*.dist-info"))]
    candidates.append((package.parent / "sglang.egg-info/PKG-INFO", metadata))
    # The table [project] of a checkout that keeps its version there.
    project = re.compile(r"""^\[project\]\s*$(?:\n(?!\[).*)*?\nversion\s*=\s*["']([^"']+)""", re.MULTILINE)
    candidates.append((package.parent / "pyproject.toml", project))
    for file, pattern in candidates:
        if not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        if file.name == "pyproject.toml" and not re.search(r"""^name\s*=\s*["']sglang["']""", text, re.MULTILINE):
            continue
        found = pattern.search(text)
        if found and not found.group(1).startswith("0.0.0"):  # setuptools-scm's "I do not know"
            return found.group(1)
    return ""


def find_wheel(version: str, folders: list) -> Path:
    if not re.fullmatch(r"[0-9][0-9A-Za-z.+!]*", version):
        raise Mistake(f"'{version}' is not a release of sglang: expected a version such as 0.5.13.")
    for folder in folders:
        wheels = sorted(folder.glob(f"sglang-{version}-*.whl"))
        if wheels:
            return wheels[0]
    known = sorted({wheel.name.split("-")[1] for folder in folders for wheel in folder.glob("sglang-*.whl")})
    raise Mistake(
        f"No wheel of sglang {version} in {', '.join(map(str, folders))}.\n"
        + (f"There: {', '.join(known)}.\n" if known else "There are no wheels at all: scripts/setup downloads them.\n")
        + f"Get it with: python3 -m pip download --no-deps -d {folders[0]} sglang=={version}"
    )


def from_wheel(version: str, folders: list, unpack_to: Path) -> Source:
    """Unpacks the JIT kernels of a release's wheel, as `unpacked` does."""
    return unpacked(find_wheel(version, folders), version, unpack_to)


def unpacked(wheel: Path, version: str, unpack_to: Path) -> Source:
    """Unpacks the JIT kernels of a wheel into `unpack_to` (emptied first, unless it holds this very wheel's)."""
    stamp = unpack_to / ".wheel-sha256"
    sha = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with locked(unpack_to):
        if not stamp.is_file() or stamp.read_text() != sha:
            shutil.rmtree(unpack_to, ignore_errors=True)
            unpack_to.mkdir(parents=True)
            try:
                with zipfile.ZipFile(wheel) as archive:
                    wanted = [n for n in archive.namelist() if re.match(r"sglang/(jit_kernel|kernels/jit)/", n)]
                    archive.extractall(unpack_to, wanted)
            except zipfile.BadZipFile as error:
                raise Mistake(f"{wheel} is not a readable wheel ({error}). Delete it and download it again.") from error
            stamp.write_text(sha)
    root = find_layout(unpack_to)
    if root is None:
        raise Mistake(f"{wheel.name} holds no JIT kernels (csrc/ and include/): this release has another layout.")
    return Source(root, "wheel", version, root.relative_to(unpack_to / "sglang").as_posix())
