#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Rules on C text: forbidden calls and words, comments, layering of includes.

usage: c_rules.py FILE...    prints one line per problem
"""
import os
import re
import sys

FORBIDDEN = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atoll|gets)\s*\(")
FORBIDDEN_LIB = re.compile(
    r"\b(v?f?printf|v?dprintf|puts|putchar|perror|_?exit|abort|getenv|rte_panic|rte_exit)\s*\("
)
VOLATILE = re.compile(r"\b(__)?volatile(__)?\b")
TODO = re.compile(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]')
TOKEN = re.compile(
    r"""(?P<block>/\*.*?\*/)|(?P<line>//[^\n]*)|(?P<string>"(?:\\.|[^"\\\n])*")"""
    r"""|(?P<char>'(?:\\.|[^'\\\n])*')""",
    re.S,
)
PURE = re.compile(r"^lib/(rdma_emul/roce_|ccm/ccm_(record|directory|session|rules|names)\b)")
PORT = re.compile(r"^lib/rdma_emul/remu_port(_fit|_flow)?\.[ch]$")
ETHDEV = re.compile(r"^rte_(ethdev|eth_|flow|bus|dev\.h|tm|mtr)")


def strip(text):
    """Blank out comments and the inside of strings, keeping lines; yield the comments aside."""
    comments = []

    def blank(match):
        if match.lastgroup in ("block", "line"):
            comments.append((match.lastgroup, match.start(), match.group()))
            return re.sub(r"[^\n]", " ", match.group())
        if match.lastgroup == "string":
            start = text.rfind("\n", 0, match.start()) + 1
            if re.match(r"[ \t]*#[ \t]*include", text[start : match.start()]):
                return match.group()
        return match.group()[0] + " " * (len(match.group()) - 2) + match.group()[-1]

    return TOKEN.sub(blank, text), comments


def layering(path, header):
    """The reason why this file must not include this header, or None."""
    base = os.path.basename(header)
    if path.startswith("lib/rdma_emul/") and (base == "ccm.h" or base.startswith("ccm_")):
        return "lib/rdma_emul knows nothing of ccm"
    if path.startswith("lib/ccm/"):
        if re.match(r"(remu_|roce_)", base):
            return "lib/ccm uses rdma_emul's public header only"
        if base == "rdma_emul.h" and path == "lib/ccm/ccm.h":
            return "ccm.h needs nothing of rdma_emul"
    if PURE.match(path) and re.match(r"rte_|rdma_emul\.h$", base):
        return "this file is free of DPDK"
    if path.startswith("lib/") and ETHDEV.match(base) and not PORT.match(path):
        return "only lib/rdma_emul/remu_port knows ethdev"
    return None


def check(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    code, comments = strip(text)
    in_lib = path.startswith("lib/")
    problems = []

    for number, line in enumerate(code.split("\n"), 1):
        for match in FORBIDDEN.finditer(line):
            problems.append((number, "forbidden", f"{match.group(1)}() is not used here"))
        include = INCLUDE.match(line)
        if include:
            reason = layering(path, include.group(1))
            if reason:
                problems.append((number, "layering", f"{include.group(1)}: {reason}"))
        if in_lib:
            for match in FORBIDDEN_LIB.finditer(line):
                problems.append((number, "forbidden", f"{match.group(1)}() is not for libraries"))
            if VOLATILE.search(line) and not re.search(r"\b(__)?asm(__)?\b", line):
                problems.append((number, "forbidden", "volatile; use C11 atomics"))
    if in_lib:
        for kind, start, comment in comments:
            number = text.count("\n", 0, start) + 1
            if kind == "line":
                problems.append((number, "comment", "// comment; libraries use /* */"))
            todo = TODO.search(comment)
            if todo:
                number += comment.count("\n", 0, todo.start())
                problems.append(
                    (number, "comment", f"{todo.group(1)} without an issue: {todo.group(1)}(#1)")
                )
    for number, rule, message in sorted(problems):
        print(f"{path}:{number}: {rule}: {message}")


for name in sys.argv[1:]:
    check(name)
