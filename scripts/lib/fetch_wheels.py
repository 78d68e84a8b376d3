#!/usr/bin/env python3
"""Downloads the pinned wheels of scripts/wheels.json and unpacks the files that the project needs.

A wheel is used here as an archive of headers, libraries and JavaScript; nothing is installed into Python. All machines get the
same bytes, checked by SHA-256: the wheels for CPython 3.12, whatever Python runs this.

Folder layout afterwards, on which the RPATHs inside the libraries rely:

    torch/{include,lib}     nvidia/cu13/{include,lib,bin}     tvm_ffi/{include,lib}     clang_tidy/data/{bin,lib}     wheels/*.whl
    plotly/package_data/plotly.min.js

Environment: DSV4_WHEELS names a folder that is searched for the wheels before the package index (for machines without a
network).
"""

import argparse
import fnmatch
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

# pip compares platform tags literally, so every glibc version that a pinned wheel may name is listed.
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(34, 4, -1)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]


# What wheels.json sorts files by: what every build needs, LibTorch, the older upstream release, the linter, nvcc, and
# LibTorch's CUDA half.
GROUPS = ("base", "torch", "older", "lint", "nvcc", "gpu")


class SetupError(Exception):
    """The environment is wrong. The text says what to do."""


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def wanted_patterns(wheel, groups):
    """Glob patterns of the members to keep, for the groups asked for, in a stable order."""
    return [pattern for group in GROUPS if group in groups for pattern in wheel["keep"].get(group, [])]


class Stamp:
    """Records what was unpacked from one wheel. It is written last, so an interrupted run is repeated."""

    def __init__(self, deps, wheel):
        self.path = deps / ".stamps" / f"{wheel['name']}-{wheel['version']}.json"

    def read(self):
        try:
            return json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}

    def write(self, **content):
        self.path.parent.mkdir(exist_ok=True)
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(content))
        temporary.replace(self.path)


def local_copy(wheel):
    """The path of the wheel in $DSV4_WHEELS; None if it is not there with the right digest."""
    folder = os.environ.get("DSV4_WHEELS")
    if not folder:
        return None
    prefix = f"{wheel['name'].replace('-', '_')}-{wheel['version']}-"
    for path in sorted(pathlib.Path(folder).glob(prefix + "*.whl")):
        if sha256_of(path) == wheel["sha256"]:
            return path
    return None


def download(wheel, folder):
    """Downloads one wheel; pip checks the digest."""
    requirement = f"{wheel['name']}=={wheel['version']}"
    lock = folder / "requirements.txt"
    lock.write_text(f"{requirement} --hash=sha256:{wheel['sha256']}\n")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps",
               "--only-binary=:all:", "--implementation", "cp", "--python-version", "3.12", "--require-hashes",
               "--dest", str(folder), "--requirement", str(lock)]
    for platform in PLATFORMS:
        command += ["--platform", platform]
    if subprocess.run(command, stdin=subprocess.DEVNULL).returncode != 0:
        raise SetupError(
            f"pip could not download {requirement} (its message is above).\n"
            "Without a network: on another machine run 'pip download' for the pins in scripts/wheels.json, carry the "
            "wheels over and name their folder in DSV4_WHEELS.")
    found = list(folder.glob("*.whl"))
    if len(found) != 1:
        raise SetupError(f"pip downloaded {len(found)} wheels for {requirement}, expected one")
    return found[0]


def unpack(archive, patterns, deps):
    """Extracts the members that match; returns their names. Executables keep their mode."""
    names = []
    with zipfile.ZipFile(archive) as bundle:
        for member in bundle.infolist():
            if member.is_dir() or not any(fnmatch.fnmatchcase(member.filename, pattern) for pattern in patterns):
                continue
            target = deps / member.filename
            if not target.resolve().is_relative_to(deps.resolve()):
                raise SetupError(f"{archive.name}: member {member.filename} leaves the folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            # The old file is removed, not overwritten: a running program may have mapped it.
            target.unlink(missing_ok=True)
            with bundle.open(member) as source, open(target, "wb") as destination:
                shutil.copyfileobj(source, destination, 1 << 20)
            executable = member.external_attr >> 16 & 0o100
            target.chmod(0o755 if executable else 0o644)
            names.append(member.filename)
    unmatched = [p for p in patterns if not any(fnmatch.fnmatchcase(name, p) for name in names)]
    if unmatched:
        raise SetupError(f"{archive.name} holds nothing that matches {', '.join(unmatched)}")
    return names


def install(wheel, groups, deps):
    """Unpacks one wheel into the folder unless its files are there. Returns True if it did anything."""
    stamp = Stamp(deps, wheel)
    done = stamp.read()
    patterns = wanted_patterns(wheel, groups | set(done.get("groups", [])))
    if not patterns or (done.get("sha256") == wheel["sha256"] and done.get("patterns") == patterns):
        return False
    print(f"  {wheel['name']} {wheel['version']}: {wheel['why']}", flush=True)
    with tempfile.TemporaryDirectory(dir=deps, prefix=".download-") as folder:
        archive = local_copy(wheel) or download(wheel, pathlib.Path(folder))
        if patterns == ["wheel"]:
            (deps / "wheels").mkdir(exist_ok=True)
            target = deps / "wheels" / archive.name
            partial = target.with_suffix(".partial")
            shutil.copyfile(archive, partial)
            partial.replace(target)
            names = [f"wheels/{archive.name}"]
        else:
            names = unpack(archive, patterns, deps)
    for stale in set(done.get("files", [])) - set(names):
        (deps / stale).unlink(missing_ok=True)
    stamp.write(sha256=wheel["sha256"], patterns=patterns, files=names,
                groups=sorted(groups | set(done.get("groups", []))))
    return True


def drop_other_versions(wheels, deps):
    """Removes the files of wheels that are no longer pinned."""
    current = {Stamp(deps, wheel).path.name for wheel in wheels}
    kept = {name for wheel in wheels for name in Stamp(deps, wheel).read().get("files", [])}
    for path in (deps / ".stamps").glob("*.json"):
        if path.name not in current:
            for name in json.loads(path.read_text()).get("files", []):
                if name not in kept:
                    (deps / name).unlink(missing_ok=True)
            path.unlink()


def link_cuda(deps):
    """Adds the names under which a CUDA toolkit is usually found: cuda/, lib64/ and libcudart.so."""
    for link, target in [("cuda", "nvidia/cu13"), ("nvidia/cu13/lib64", "lib"),
                         ("nvidia/cu13/lib/libcudart.so", "libcudart.so.13")]:
        if not (deps / link).is_symlink():
            (deps / link).symlink_to(target)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("deps", type=pathlib.Path, help="folder to fill")
    parser.add_argument("--pins", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent / "wheels.json")
    parser.add_argument("--torch", action="store_true", help="also unpack LibTorch for the CPU")
    parser.add_argument("--older", action="store_true", help="also keep the wheels of older upstream releases")
    parser.add_argument("--lint", action="store_true", help="also unpack clang-tidy")
    parser.add_argument("--nvcc", action="store_true", help="also unpack the CUDA compiler")
    parser.add_argument("--gpu", action="store_true", help="also unpack the CUDA part of LibTorch (some 2 GB)")
    options = parser.parse_args()
    groups = {"base"} | {group for group in GROUPS[1:] if getattr(options, group)}
    wheels = json.loads(options.pins.read_text())
    try:
        options.deps.mkdir(parents=True, exist_ok=True)
        for wheel in wheels:
            install(wheel, groups, options.deps)
        drop_other_versions(wheels, options.deps)
        link_cuda(options.deps)
    except (SetupError, OSError, zipfile.BadZipFile) as error:
        print(f"fetch_wheels: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
