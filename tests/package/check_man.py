#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The manual pages tell what the programs and the configuration's schema have: all of it, nothing else.

usage: check_man.py SOURCE_ROOT BUILD_ROOT
exit status: 0 they do, 1 they do not, 77 man or lexgrog is missing
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import helptext

ENV = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFSEQ": "", "MANPAGER": "cat"}
PAGES = {
    "ccm-node": "ccm-node.8",
    "ccm-bench": "ccm-bench.1",
    "ccmctl": "ccmctl.1",
    "ccm-exporter": "ccm-exporter.1",
    "ccm-early": "ccm-early.8",
}
CONFIG_PAGE = "ccm-node.json.5"
problems = []


def same(where, told, there):
    problems.extend(f"{where}: {what} is missing" for what in sorted(map(str, there - told)))
    problems.extend(f"{where}: {what} does not exist" for what in sorted(map(str, told - there)))


def spellings(item):
    """Of an item "Fl p , Fl -file-prefix Ar PREFIX": both; without its last names' arguments."""
    return frozenset("-" + name for name in re.findall(r"\bFl (-?[A-Za-z][A-Za-z-]*)", item))


def items(text, section=None):
    """Each .It with its text, and the command it belongs to."""
    found, command, now, depth = [], "", "", 0
    for line in text.split("\n"):
        if line.startswith(".Sh "):
            now, command = line[4:], ""
        elif line.startswith(".Bl "):
            depth += 1
        elif line.startswith(".El"):
            depth -= 1
        elif line.startswith(".It "):
            if line.startswith(".It Cm ") and depth == 1:
                command = line.split()[2]
            found.append([command, line[4:], "", now])
        elif found:
            found[-1][2] += line + "\n"
    return [one[:3] for one in found if section in (None, one[3])]


def text_of(options):
    return {", ".join(sorted(one)) for one in options}


def check_options(program, page, source, build):
    have = helptext.options(helptext.help_of(program, source, build))
    if not have:
        problems.append(f"{program} --help: no options found")
    told = [spellings(item) for command, item, _ in items(page) if item.startswith("Fl ") and not command]
    same(PAGES[program], text_of(told), text_of(have))
    return set(have)


def check_ccmctl(page, source, build):
    common = check_options("ccmctl", page, source, build)
    names = helptext.commands(helptext.help_of("ccmctl", source, build))
    if len(names) < 10:
        problems.append(f"ccmctl --help: only these commands found: {names}")
    listed = items(page, "COMMANDS")
    same(PAGES["ccmctl"], {command for command, item, _ in listed if item.startswith("Cm ")}, set(names))
    for name in names:
        have = set(helptext.options(helptext.help_of("ccmctl", source, build, name))) - common
        told = {spellings(item) for command, item, _ in listed if command == name and item.startswith("Fl ")}
        same(f"{PAGES['ccmctl']}: {name}", text_of(told), text_of(have))


def check_early(page, build):
    """It has no options; its usage is the synopsis."""
    run = subprocess.run(
        [os.path.join(build, "app/early/ccm-early")], capture_output=True, text=True, timeout=60
    )  # fmt: skip
    have = {" ".join(line.removeprefix("usage:").split()) for line in run.stderr.strip().split("\n")}
    words = re.search(r"^\.Sh SYNOPSIS\n(.*?)^\.Sh ", page, re.MULTILINE | re.DOTALL)
    told = re.sub(r"^\.Op Ar (\S+)$", r"[\1]", words[1] if words else "", flags=re.MULTILINE)
    told = re.sub(r"^\.(Cm|Ar) ", "", told, flags=re.MULTILINE)
    told = {" ".join(["ccm-early", *one.split()]) for one in told.split(".Nm\n")[1:]}
    same(PAGES["ccm-early"], told, have)


def fields(schema, node, path=""):
    """Path of each key, with what the schema says of it; all references resolved."""
    for name, sub in node.get("properties", {}).items():
        if name == "$comment":
            continue
        own = f"{path}.{name}" if path else name
        yield from field(schema, own, sub, name in node.get("required", []))


def field(schema, path, sub, required):
    for one in (sub, *sub.get("allOf", [])):
        if "$ref" in one:
            sub = {**schema["definitions"][one["$ref"].rsplit("/", 1)[1]], **sub}
    if sub.get("type") == "object":
        yield from fields(schema, sub, path)
        return
    yield path, sub, required
    if sub.get("type") == "array":
        yield from fields(schema, sub["items"], path + "[]")


def check_config(page, source, build):
    with open(os.path.join(source, "config/ccm.schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    told = {item[3:]: text for _, item, text in items(page) if item.startswith("Va ")}
    have = {path: (sub, required) for path, sub, required in fields(schema, schema)}
    same(CONFIG_PAGE, set(told), set(have))
    for path in told.keys() & have.keys():
        sub, required = have[path]
        if required != ("\nRequired.\n" in told[path]):
            problems.append(f"{CONFIG_PAGE}: {path}: required or not is not as in the schema")
        words = [str(sub[key]) for key in ("minimum", "maximum") if key in sub]
        words += sub.get("enum", [])
        if "default" in sub:
            value = {"[]": "none", "true": "true", "false": "false"}.get(json.dumps(sub["default"]))
            words.append(f"Default: {value or sub['default']}.")
        for word in words:
            if not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", told[path]):
                problems.append(f"{CONFIG_PAGE}: {path}: does not say {word}")
    # The example is a configuration.
    example = re.search(r"^\.Bd [^\n]*\n(\{.*?)^\.Ed", page, re.MULTILINE | re.DOTALL)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(example[1] if example else "")
        file.flush()
        node = helptext.path_of("ccm-node", source, build)
        run = subprocess.run([node, "--check-config", file.name], capture_output=True, text=True, timeout=60)
    if run.returncode != 0:
        problems.append(f"{CONFIG_PAGE}: its example: {run.stderr.strip()}")


def check_source(path):
    """groff has nothing to say, whatis finds it, and it names no page that does not exist."""
    name = os.path.basename(path)
    run = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENV, timeout=60,
    )  # fmt: skip
    if run.returncode != 0 or run.stderr.strip():
        problems.append(f"{name}: man: {run.stderr.strip() or run.returncode}")
    run = subprocess.run(["lexgrog", path], capture_output=True, text=True, env=ENV, timeout=60)
    if run.returncode != 0 or f'"{name.rsplit(".", 1)[0]} - ' not in run.stdout:
        problems.append(f"{name}: lexgrog: {run.stdout.strip()} {run.stderr.strip()}")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for page, section in re.findall(r"^\.Xr (\S+) (\d)", text, re.MULTILINE):
        if not os.path.exists(os.path.join(os.path.dirname(path), f"{page}.{section}")):
            problems.append(f"{name}: names {page}({section}), which does not exist")
    title = re.search(r"^\.Dt (\S+) (\d)$", text, re.MULTILINE)
    if not title or f"{title[1].lower()}.{title[2]}" != name:
        problems.append(f"{name}: .Dt does not match the file's name")
    return text


def check_installed(names, build):
    told = json.loads(subprocess.check_output(["meson", "introspect", "--installed", build], timeout=120))
    there = {os.path.basename(path) for path in told.values() if "/man/man" in path}
    same("meson install", there, set(names))


def main(source, build):
    if not shutil.which("man") or not shutil.which("lexgrog"):
        print("needs man and lexgrog (package man-db)")
        return 77
    pages = {os.path.basename(path): check_source(path) for path in glob.glob(os.path.join(source, "doc/man/*.[1-9]"))}
    same("doc/man", set(pages), {*PAGES.values(), CONFIG_PAGE})
    for program in ("ccm-node", "ccm-bench", "ccm-exporter"):
        check_options(program, pages.get(PAGES[program], ""), source, build)
    check_ccmctl(pages.get(PAGES["ccmctl"], ""), source, build)
    check_early(pages.get(PAGES["ccm-early"], ""), build)
    check_config(pages.get(CONFIG_PAGE, ""), source, build)
    check_installed(pages, build)
    for problem in problems:
        print(problem)
    print(f"{len(pages)} pages, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
