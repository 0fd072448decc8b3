#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What an installed library exports is what its installed headers declare, no more and no less.

usage: check_exports.py LIBRARY HEADER...
"""
import re
import subprocess
import sys


def declared(path):
    """Functions and objects of a header, without those that it defines itself."""
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    text = re.sub(r"^static inline.*?^}$", "", text, flags=re.S | re.M)
    found = re.findall(r"^(?!typedef|static)[a-z][\w \t*]*?[ *](\w+)\([^;{]*\);", text, flags=re.S | re.M)
    return set(found) | set(re.findall(r"^extern [^;\"]*?(\w+)(?:\[\w*\])*;", text, flags=re.M))


def exported(path):
    lines = subprocess.run(["nm", "-DgP", "--defined-only", path], capture_output=True, text=True,
                           check=True).stdout.splitlines()
    return {line.split("@")[0].split()[0] for line in lines if " A " not in line}


def main():
    library, headers = sys.argv[1], sys.argv[2:]
    wanted = set().union(*(declared(path) for path in headers))
    found = exported(library)
    for name in sorted(wanted - found):
        print(f"{library}: {name} is declared, but not exported")
    for name in sorted(found - wanted):
        print(f"{library}: {name} is exported, but not declared")
    if not wanted:
        print(f"{library}: nothing is declared")
    return 0 if wanted and wanted == found else 1


if __name__ == "__main__":
    sys.exit(main())
