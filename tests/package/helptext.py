# SPDX-License-Identifier: BSD-3-Clause
"""Options as the programs' --help lists them."""
import os
import re
import subprocess

PROGRAMS = {
    "ccm-node": "app/node/ccm-node",
    "ccm-bench": "app/bench/ccm-bench",
    "ccmctl": "scripts/ccmctl",
    "ccm-exporter": "scripts/ccm-exporter",
}


def path_of(program, source, build):
    root = source if PROGRAMS[program].startswith("scripts/") else build
    return os.path.join(root, PROGRAMS[program])


def help_of(program, source, build, *words):
    return subprocess.run(
        [path_of(program, source, build), *words, "--help"],
        check=True, capture_output=True, text=True, timeout=60, env={**os.environ, "COLUMNS": "200"},
    ).stdout  # fmt: skip


def options(text):
    """Sets of spellings: {"-p", "--file-prefix"}. A line of an option begins with two blanks and a dash."""
    found = []
    for line in text.split("\n"):
        match = re.match(r"  (-\S.*?)(?:  |$)", line)
        spellings = re.findall(r"(?:^|, )(--?[A-Za-z][A-Za-z-]*)", match[1]) if match else []
        if spellings:
            found.append(frozenset(spellings))
    return found


def commands(text):
    """Of ccmctl."""
    return re.findall(r"^    ([a-z][a-z-]*)(?:  |$)", text, re.MULTILINE)
