#!/usr/bin/env python3
"""Builds the host set with one deliberate fault in one kernel, as a kernel set of its own.

    scripts/build_mutant.py NAME       one mutant of tests/mutants/mutants.json
    scripts/build_mutant.py --list     all mutants

The same commands that build the 'host' set build the mutant, in build/mutants/NAME/. DSV4_BUILD_DIR names another build
folder than build/. The script prints the command that must catch the fault:

    build/dsv4diff run --set build/mutants/NAME --op OP --tier smoke

An entry of mutants.json holds

    op         the op
    file       the source that is changed
    find       text that occurs in it exactly once
    replace    the text that replaces it
    expect     a regular expression that the reason of a failing case must match
    also       (optional) the same for single scenarios, by label
    case       (optional) a pattern of case ids. These cases of the quick tier must catch the fault, instead of the smoke
               tier
    fault      one sentence that says what is wrong

Exit status: 0 built, 2 not built (the message says why).
"""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CATALOGUE = ROOT / "tests" / "mutants" / "mutants.json"


class BuildError(Exception):
    """The mutant cannot be built. The text says what is wrong and what to do."""


def build_folder():
    return pathlib.Path(os.environ.get("DSV4_BUILD_DIR", ROOT / "build")).resolve()


def load_catalogue():
    """Name -> mutant, in the order of the file."""
    mutants = json.loads(CATALOGUE.read_text())["mutants"]
    by_name = {m["name"]: m for m in mutants}
    if len(by_name) != len(mutants):
        raise BuildError(f"{CATALOGUE}: two mutants have the same name")
    return by_name


def module_commands(build, op):
    """The compile command and the link command of a module of the host set, as ninja runs them in `build`."""
    target = f"sets/host/{op}.so"
    result = subprocess.run(["ninja", "-C", str(build), "-t", "commands", target], capture_output=True, text=True)
    if result.returncode != 0:
        raise BuildError(f"{build} does not know how to build {target}: {result.stderr.strip()}\nRun scripts/setup first.")
    commands = result.stdout.splitlines()
    compile_command = next((c for c in commands if f"/{op}.cu " in c + " " and " -c " in c), None)
    link_command = commands[-1] if commands else ""
    if compile_command is None or f"-o {target}" not in link_command:
        raise BuildError(f"{build}: the commands of {target} are not as expected. Is it a Ninja build of this project?")
    # A mutant may leave a variable unused. It must still compile, because the sweep is to catch it.
    compile_words = [word for word in shlex.split(compile_command) if not word.startswith("-Werror")]
    return compile_words, shlex.split(link_command.removeprefix(": && ").removesuffix(" && :"))


def replace_once(mutant):
    """The changed source text."""
    path = ROOT / mutant["file"]
    text = path.read_text()
    count = text.count(mutant["find"])
    if count != 1:
        raise BuildError(f"mutant '{mutant['name']}': its text occurs {count} times in {mutant['file']}, not once.\n"
                         f"The kernel has changed: adapt the mutant in {CATALOGUE.relative_to(ROOT)}.")
    return text.replace(mutant["find"], mutant["replace"])


def run(command, folder):
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode != 0:
        raise BuildError(f"{shlex.join(command)}\n{result.stdout}{result.stderr}")


def option_after(command, option, value):
    """`command` with the word after `option` replaced."""
    at = command.index(option)
    return command[:at + 1] + [value] + command[at + 2:]


def neighbours(build, folder, op):
    """Links the other modules of the host set into the folder, because sequences and relations call several ops of a set."""
    host = json.loads((build / "recipes" / "host.json").read_text())
    others = [module for module in host["modules"] if module["file"] != f"{op}.so"]
    for module in others:
        link = folder / module["file"]
        link.unlink(missing_ok=True)
        link.symlink_to(build / "sets" / "host" / module["file"])
    return others


def build_mutant(mutant):
    """Builds the mutant and returns the folder of its set."""
    build, op = build_folder(), mutant["op"]
    compile_command, link_command = module_commands(build, op)
    source = pathlib.Path(compile_command[-1])
    folder = build / "mutants" / mutant["name"]
    tree = folder / "source"
    # The kernel and the changed file go into a tree that the compiler searches before the real one.
    for path, text in ((source.relative_to(ROOT), source.read_text()), (mutant["file"], replace_once(mutant))):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)

    built_object = compile_command[compile_command.index("-o") + 1]
    compile_command[-1] = str(tree / source.relative_to(ROOT))
    compile_command = option_after(compile_command, "-o", str(folder / f"{op}.o"))
    if "-MF" in compile_command:
        compile_command = option_after(compile_command, "-MF", str(folder / f"{op}.d"))
    first_include = next(i for i, word in enumerate(compile_command) if word.startswith("-I"))
    compile_command.insert(first_include, f"-I{tree}")
    run(compile_command, build)

    link_command = option_after(link_command, "-o", str(folder / f"{op}.so"))
    link_command = [str(folder / f"{op}.o") if word == built_object else word for word in link_command]
    run(link_command, build)

    flags = [w for w in compile_command if re.match(r"-[OfD]", w)]
    recipe = {"name": f"mutant-{mutant['name']}", "device": "simt",
              "provenance": {"package": "dsv4diff", "source": "mutant", "fault": mutant["fault"]},
              "modules": [{"file": f"{op}.so", "source": mutant["file"], "path": str(tree / mutant["file"]),
                           "flags": flags}, *neighbours(build, folder, op)]}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    run([str(build / "tools" / "write_manifest"), str(folder / "recipe.json"), str(folder), "mutant"], build)
    return folder


def main(arguments):
    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments and arguments[0] in ("-h", "--help") else 2
    try:
        catalogue = load_catalogue()
        if arguments[0] == "--list":
            for name, mutant in catalogue.items():
                print(f"{name:36} {mutant['op']:32} {mutant['fault']}")
            return 0
        mutant = catalogue.get(arguments[0])
        if mutant is None:
            raise BuildError(f"no mutant is called '{arguments[0]}'; scripts/build_mutant.py --list shows them all")
        folder = build_mutant(mutant)
    except BuildError as error:
        print(f"build_mutant: {error}", file=sys.stderr)
        return 2
    program = build_folder() / "dsv4diff"
    print(f"{mutant['fault']}\nThis must exit with status 1:\n  {program} run --set {folder} --op {mutant['op']} --tier smoke")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
