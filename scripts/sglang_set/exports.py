"""The functions of a source that upstream's loader exports. Only the text of the source is read."""

import re

from .edits import without_comments

# The beginning of a struct or class, or the definition of a function with a TensorView among its parameters.
FOUND = re.compile(
    r"^(?P<indent>[ \t]*)(?:template\s*<[^;{}]*>\s*)?(?:struct|class)\s+(?:alignas\s*\([^)]*\)\s*)?(?P<owner>\w+)[^;{}()]*\{"
    r"|\b(?P<function>\w+)\s*\([^;{}()]*\bTensorView\b[^;{}()]*\)\s*(?:const\s*)?(?:noexcept\s*)?(?:->[^;{}]*)?\{",
    re.MULTILINE,
)
# Another name under which a function of a namespace is exported.
ALIAS = re.compile(r"\bconstexpr\s+auto\s*[&*]*\s*(?P<name>\w+)\s*=\s*&?\s*(?:\w+\s*::\s*)+(?P<function>\w+)\s*;")


def exported_functions(path: str, text: str) -> list:
    """The names of the functions, such as "TopKKernel::transform", in the order of the text.

    The loader exports functions of files under csrc/. In the DSv4 family each of them takes a tensor. A name that begins
    with an underscore is internal. The text of a struct ends where the next one begins at the start of a line: branches
    of the preprocessor may hold a brace twice, so braces are not counted.
    """
    if not path.startswith("csrc/"):
        return []
    text = without_comments(text)
    aliases = {found.group("function"): found.group("name") for found in ALIAS.finditer(text)}
    names, owner, owner_end = [], "", 0
    for found in FOUND.finditer(text):
        if found.group("owner"):
            if not found.group("indent"):
                owner, owner_end = found.group("owner"), end_of(text, found.end())
            continue
        function = found.group("function")
        if function.startswith("_"):
            continue
        member = found.start() < owner_end
        name = f"{owner}::{function}" if member else aliases.get(function, function)
        if name not in names:
            names.append(name)
    return names


def end_of(text: str, begin: int) -> int:
    """The position after a struct at the start of a line: its last brace is at the start of a line, too."""
    end = text.find("\n}", begin)
    return len(text) if end < 0 else end


def without_op(source, variants: list) -> tuple:
    """(unmapped, uncalled) for the variants that the rules map: the files of the DSv4 family that none of them includes,
    and for each other file a record of the functions that it exports and none of them calls."""
    unmapped = source.uncovered(variant.source for variant in variants)
    called = {(variant.source, re.sub(r"<.*>", "", entry.target)) for variant in variants for entry in variant.entries}
    records = []
    for path in source.dsv4_files():
        exported = [] if path in unmapped else exported_functions(path, source.text(path))
        names = [name for name in exported if (path, name) not in called]
        records += [{"path": path, "functions": names}] if names else []
    return unmapped, records
