#!/usr/bin/env python3
"""Builds a kernel set with one deliberate fault in one source, as a set of its own.

    scripts/build_mutant.py NAME       one mutant of tests/mutants/mutants.json or reference_mutants.json
    scripts/build_mutant.py --list     all mutants

The commands that build the set 'host' build a mutant of a kernel. Those that build 'reference' build a mutant of a
reference. The folder is build/mutants/NAME/. DSV4_BUILD_DIR names another build folder than build/. The script prints
the command that must catch the fault:

    build/dsv4diff run --set build/mutants/NAME --op OP --tier smoke              a kernel: a sweep must fail
    build/mutants/NAME/dsv4_tests --gtest_filter=TESTS                            a reference: its tests must fail

An entry holds

    op         the op whose module is built
    file       the source that is changed
    find       text that occurs in it exactly once
    replace    the text that replaces it
    expect     of a kernel: a regular expression that the reason of a failing case must match
    also       of a kernel (optional): the same for single scenarios, by label
    case       of a kernel (optional): a pattern of case ids. These cases of the quick tier must catch the fault, instead of
               the smoke tier
    tests      of a reference: the filter (as for --gtest_filter) of the tests that must catch the fault
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
KERNELS = ROOT / "tests" / "mutants" / "mutants.json"
REFERENCES = ROOT / "tests" / "mutants" / "reference_mutants.json"


class BuildError(Exception):
    """The mutant cannot be built. The text says what is wrong and what to do."""


def build_folder():
    return pathlib.Path(os.environ.get("DSV4_BUILD_DIR", ROOT / "build")).resolve()


def load_catalogue(*files):
    """Name -> mutant, in the order of the files. Without files: all mutants."""
    by_name = {}
    for file in files or (KERNELS, REFERENCES):
        for mutant in json.loads(file.read_text())["mutants"]:
            if by_name.setdefault(mutant["name"], mutant) is not mutant:
                raise BuildError(f"{file}: two mutants have the name '{mutant['name']}'")
    return by_name


def set_of(mutant):
    """The set whose module the mutant changes: 'host' for a kernel, 'reference' for a reference."""
    return "reference" if mutant["file"].startswith("reference/") else "host"


def module_commands(build, set_name, op):
    """The compile command and the link command of a module of the set, as ninja runs them in `build`."""
    target = f"sets/{set_name}/{op}.so"
    result = subprocess.run(["ninja", "-C", str(build), "-t", "commands", target], capture_output=True, text=True)
    if result.returncode != 0:
        raise BuildError(f"{build} does not know how to build {target}: {result.stderr.strip()}\nRun scripts/setup first.")
    commands = result.stdout.splitlines()
    compile_command = next((c for c in commands if re.search(rf"/{op}\.(cu|cpp)( |$)", c) and " -c " in c), None)
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
                         f"The source has changed: adapt the mutant in tests/mutants/.")
    return text.replace(mutant["find"], mutant["replace"])


def run(command, folder):
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode != 0:
        raise BuildError(f"{shlex.join(command)}\n{result.stdout}{result.stderr}")


def option_after(command, option, value):
    """`command` with the word after `option` replaced."""
    at = command.index(option)
    return command[:at + 1] + [value] + command[at + 2:]


def neighbours(build, set_name, folder, op):
    """Links the other modules of the set into the folder, because sequences, relations and tests call several ops."""
    recipe = json.loads((build / "recipes" / f"{set_name}.json").read_text())
    others = [module for module in recipe["modules"] if module["file"] != f"{op}.so"]
    for module in others:
        link = folder / module["file"]
        link.unlink(missing_ok=True)
        link.symlink_to(build / "sets" / set_name / module["file"])
    return others, recipe["device"]


def link_tests(build, folder):
    """Makes the folder look like a build folder, so that the test program in it takes its references from it."""
    program = folder / "dsv4_tests"
    program.unlink(missing_ok=True)
    os.link(build / "dsv4_tests", program)
    for name in ("lib", "tools"):
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(build / name)


def build_mutant(mutant):
    """Builds the mutant and returns its folder: for a kernel the folder of its set, for a reference a build folder."""
    build, op, set_name = build_folder(), mutant["op"], set_of(mutant)
    compile_command, link_command = module_commands(build, set_name, op)
    source = pathlib.Path(compile_command[-1])
    folder = build / "mutants" / mutant["name"]
    tree = folder / "source"
    modules = folder / "sets" / "reference" if set_name == "reference" else folder
    modules.mkdir(parents=True, exist_ok=True)
    # The module's source and the changed file go into a tree that the compiler searches before the real one.
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

    link_command = option_after(link_command, "-o", str(modules / f"{op}.so"))
    link_command = [str(folder / f"{op}.o") if word == built_object else word for word in link_command]
    run(link_command, build)

    flags = [w for w in compile_command if re.match(r"-[OfD]", w)]
    others, device = neighbours(build, set_name, modules, op)
    recipe = {"name": f"mutant-{mutant['name']}" if set_name == "host" else set_name, "device": device,
              "provenance": {"package": "dsv4diff", "source": "mutant", "fault": mutant["fault"]},
              "modules": [{"file": f"{op}.so", "source": mutant["file"], "path": str(tree / mutant["file"]),
                           "flags": flags}, *others]}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    run([str(build / "tools" / "write_manifest"), str(folder / "recipe.json"), str(modules), "mutant"], build)
    if set_name == "reference":
        link_tests(build, folder)
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
    if set_of(mutant) == "reference":
        command = f"{folder / 'dsv4_tests'} --gtest_filter='{mutant['tests']}'"
    else:
        command = f"{build_folder() / 'dsv4diff'} run --set {folder} --op {mutant['op']} --tier smoke"
    print(f"{mutant['fault']}\nThis must exit with status 1:\n  {command}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
