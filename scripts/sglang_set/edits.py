"""Edits of upstream's text for the host compiler. They are made in the build's own copy.

An edit has a trigger: text that the host compiler cannot take. Every place that the trigger finds must be replaced. A
place that is left is an error: upstream has changed its form, and this table does not know the new one.
"""

import re
from dataclasses import dataclass


class EditFailed(Exception):
    """A place that needs an edit does not look as the table expects."""


@dataclass
class Edit:
    trigger: str
    pattern: str
    replacement: str
    sentence: str


EDITS = (
    Edit(
        trigger=r"\basm\s+volatile\s*\(\s*\"griddepcontrol\.wait",
        pattern=r"\basm\s+volatile\s*\(\s*\"griddepcontrol\.wait;\"[^;]*?\)\s*;",
        replacement="::simt::grid_dependency_wait();",
        sentence="inline assembly griddepcontrol.wait replaced by the executor's wait",
    ),
    Edit(
        trigger=r"\basm\s+volatile\s*\(\s*\"griddepcontrol\.launch_dependents",
        pattern=r"\basm\s+volatile\s*\(\s*\"griddepcontrol\.launch_dependents;\"[^;]*?\)\s*;",
        replacement="::simt::grid_dependency_launch();",
        sentence="inline assembly griddepcontrol.launch_dependents replaced by a call that tells the executor",
    ),
    Edit(
        trigger=r"\basm\s+volatile\s*\(\s*\"mov\.u32\s+%0\s*,\s*%%laneid",
        pattern=r"\basm\s+volatile\s*\(\s*\"mov\.u32\s+%0\s*,\s*%%laneid;\"\s*:\s*\"=r\"\(\s*(\w+)\s*\)\s*\)\s*;",
        replacement=r"\1 = ::simt::executor.lane;",
        sentence="inline assembly that reads the register laneid replaced by the executor's lane",
    ),
    Edit(
        trigger=r"\belect\.sync",
        pattern=r"\basm\s+volatile\s*\(\s*\"\{\\n\\t\"\s*\"\.reg \.pred %%px;\\n\\t\"\s*"
        r"\"elect\.sync _\|%%px, %1;\\n\\t\"\s*\"@%%px mov\.s32 %0, 1;\\n\\t\"\s*\"\}\"\s*"
        r":\s*\"\+r\"\((\w+)\)\s*:\s*\"r\"\((\w+)\)\s*\)\s*;",
        replacement=r"if (::simt::elect_sync(\2)) \1 = 1;",
        sentence="inline assembly elect.sync replaced by the executor's election",
    ),
    Edit(
        trigger=r"#\s*include\s*<cuda/ptx>",
        pattern=r"#\s*include\s*<cuda/ptx>",
        replacement='#include "simt/ptx.h"',
        sentence="<cuda/ptx> replaced by the executor's memory barriers and bulk copies",
    ),
    Edit(
        trigger=r"#\s*include\s*<cooperative_groups\.h>",
        pattern=r"#\s*include\s*<cooperative_groups\.h>",
        replacement='#include "simt/cooperative_groups.h"',
        sentence="<cooperative_groups.h> replaced by the executor's clusters",
    ),
    Edit(
        # extern __shared__ T name[];  and  extern __shared__ T name[][N];  with an alignment anywhere before the type
        trigger=r"\bextern\s+(?:alignas\s*\([^)]*\)\s*)?__shared__",
        pattern=r"(?:\balignas\s*\([^)]*\)\s*)?\bextern\s+(?:(?:alignas|__align__)\s*\([^)]*\)\s*)?__shared__\s+(?:(?:alignas|__align__)\s*\([^)]*\)\s*)?"
        r"([\w:]+(?:\s+(?:char|int|long|short))*)\s+(\w+)\s*\[\s*\]((?:\s*\[[^\]]*\])*)\s*;",
        replacement=r"auto* const \2 = ::simt::dynamic_shared<\1\3>();",
        sentence="extern __shared__ array bound to the executor's buffer of dynamic shared memory",
    ),
    Edit(
        trigger=r"__shared__\s+(?:alignas|__align__)\s*\(",
        pattern=r"__shared__\s+((?:alignas|__align__)\s*\([^)]*\))",
        replacement=r"\1 __shared__",
        sentence="alignment moved in front of __shared__, where C++ wants it",
    ),
)


def without_comments(text: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def edit(path: str, text: str) -> tuple:
    """(edited text, sentences on what was changed)."""
    sentences = []
    for rule in EDITS:
        # `extern __shared__ alignas(..)` belongs to the rule of arrays, which comes first.
        if not re.search(rule.trigger, without_comments(text)):
            continue
        text, count = re.subn(rule.pattern, rule.replacement, text, flags=re.DOTALL)
        left = re.search(rule.trigger, without_comments(text))
        if count == 0 or left:
            place = " ".join(without_comments(text)[left.start() :][:90].split()) if left else rule.trigger
            raise EditFailed(f"{path}: the host build cannot rewrite `{place} ...`; expected /{rule.pattern}/")
        sentences.append(f"{path}: {rule.sentence}" + (f" ({count} places)" if count > 1 else ""))
    return text, sentences
