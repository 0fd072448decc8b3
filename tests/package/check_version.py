#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""meson.build has the version; the programs, the Python modules and the Debian package have the same.

usage: check_version.py SOURCE_ROOT BUILD_ROOT
"""
import json
import os
import re
import subprocess
import sys

import helptext


def main(source, build):
    info = json.loads(subprocess.check_output(["meson", "introspect", "--projectinfo", build], timeout=120))
    have = {}
    for program in helptext.PROGRAMS:
        path = helptext.path_of(program, source, build)
        have[program] = subprocess.check_output([path, "--version"], text=True, timeout=60).split()[-1]
    with open(os.path.join(source, "debian/changelog"), encoding="utf-8") as file:
        first = file.readline()
    match = re.fullmatch(r"ccm \((\S+)\) \S+; urgency=\w+\n", first)
    have["debian/changelog"] = match[1] if match else first.strip()
    wrong = {what: version for what, version in have.items() if version != info["version"]}
    for what, version in wrong.items():
        print(f"{what}: {version}, but meson.build has {info['version']}")
    print(f"{len(have)} versions, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
