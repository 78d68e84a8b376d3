"""Checks docs/architecture.md against the sources: each include is allowed for its room, and no rooms form a circle.

The only list of rooms is the table under "## Rooms", which this test reads. Standard and system headers are allowed
everywhere.
"""

import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = (".cpp", ".cc", ".h", ".cu", ".cuh")

# Maps the beginning of a header's name to the name that its library has in the table.
LIBRARIES = {
    "ATen/": "LibTorch", "c10/": "LibTorch", "torch/": "LibTorch",
    "CLI/": "CLI11", "Eigen/": "Eigen", "Random123/": "Random123", "boost/math/": "Boost.Math",
    "boost/": "Boost.Context",
    "cuda_": "CUDA", "driver_types.h": "CUDA", "vector_types.h": "CUDA", "cublas": "CUDA",
    "dlpack/": "TVM-FFI", "tvm/": "TVM-FFI",
    "fmt/": "fmt", "gmock/": "GoogleTest", "gtest/": "GoogleTest", "hdf5.h": "HDF5", "nlohmann/": "nlohmann-json",
    "openssl/": "libcrypto", "pugixml.hpp": "pugixml", "xxhash.h": "xxHash",
}  # fmt: skip

# Headers of the system, of the C library and of the compiler.
SYSTEM = re.compile(r"(sys|sanitizer|linux)/[a-z_]+\.h|(cxxabi|dlfcn|elf|fcntl|fnmatch|link|malloc|poll|sched|signal|unistd)\.h")


def rooms_of_the_map() -> dict:
    """Returns what each room may include, in the order of the table."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = text[text.index("\n## Rooms\n"):]
    rooms = {}
    for line in table.splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if len(row) == 3 and row[0].startswith("`"):
            allowed = {part.strip(" `").rstrip("/") for part in row[2].split(",")} - {""}
            rooms[row[0].strip("`").rstrip("/")] = allowed
        elif rooms and not line.startswith("|"):
            break
    return rooms


def room_of(path: str, rooms: dict) -> str:
    """Returns the innermost room that contains the path, or "" if no room contains it."""
    inside = [room for room in rooms if path.startswith(room + "/")]
    return max(inside, key=len, default="")


def is_allowed(room: str, allowed: set) -> bool:
    """Returns whether `room` is allowed. In `allowed`, `harness/*` stands for every room of the harness."""
    return room in allowed or "everything" in allowed or (room.startswith("harness/") and "harness/*" in allowed)


class Rooms(unittest.TestCase):
    def setUp(self):
        self.rooms = rooms_of_the_map()
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
        self.files = [f for f in listed if f.endswith(SOURCES) and (ROOT / f).is_file()]

    def test_the_map_has_a_row_for_every_source(self):
        self.assertGreater(len(self.rooms), 10)
        self.assertGreater(len(self.files), 100)
        for file in self.files:
            self.assertTrue(room_of(file, self.rooms), f"{file} is not in a room of docs/architecture.md")

    def test_every_room_of_the_map_is_there(self):
        for room in self.rooms:
            self.assertTrue((ROOT / room).is_dir(), f"docs/architecture.md names {room}/, which does not exist")

    def test_every_folder_at_the_top_is_in_the_map(self):
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
        top = {f.split("/")[0] for f in listed if f}
        text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
        for name in sorted(top):
            self.assertIn(f"`{name}", text, f"docs/architecture.md does not name {name}, which is at the top of the repository")

    def test_no_file_includes_what_its_room_may_not(self):
        wrong = []
        for file in self.files:
            room = room_of(file, self.rooms)
            allowed = self.rooms[room]
            text = (ROOT / file).read_text(encoding="utf-8")
            for line, own, other in re.findall(r'^([ \t]*#[ \t]*include[ \t]+(?:"([^"]+)"|<([^>]+)>))', text, re.MULTILINE):
                if own:
                    there = room_of(own, self.rooms)
                    if there != room and not is_allowed(there, allowed):
                        wrong.append(f"{file} includes {own}, but {room}/ may not include {there or 'that'}")
                elif "." in other or "/" in other:
                    library = next((name for begin, name in LIBRARIES.items() if other.startswith(begin)), None)
                    if library is None and not SYSTEM.fullmatch(other):
                        wrong.append(f"{file} includes <{other}>, which belongs to no library that this test knows")
                    elif library and library not in allowed and "everything" not in allowed:
                        wrong.append(f"{file} includes <{other}>, but {room}/ may not include {library}")
        self.assertEqual(wrong, [])

    def test_no_circle_of_rooms(self):
        includes = {room: {other for other in self.rooms if other != room and is_allowed(other, allowed)}
                    for room, allowed in self.rooms.items() if "everything" not in allowed}  # fmt: skip
        while includes:
            ground = [room for room, others in includes.items() if not others & includes.keys()]
            self.assertTrue(ground, f"these rooms of docs/architecture.md form a circle: {', '.join(sorted(includes))}")
            for room in ground:
                del includes[room]


if __name__ == "__main__":
    unittest.main()
