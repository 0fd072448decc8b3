#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What doc/claims.md and the test statements of doc/testing.md name does exist, and is run.

usage: check_names.py SOURCE_ROOT BUILD_ROOT
       check_names.py --self-test

Everything between backticks there is a name, in one of the forms that NOTATION lists; what has
none of them is an error. Each claim and each statement has a row, once.
exit status: 0 all is there, 1 something is not
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

CLAIMS, STATEMENTS = range(1, 24), range(1, 63)
SECTION = "Test statements"
NO_TEST = "not covered"

# Forms of names. PATH: of a file, or the end of its path as far as it is the only one.
PATH = r"(?P<path>[A-Za-z0-9_./-]+\.c)"
NOTATION = (
    ("function", re.compile(PATH + r": (?P<name>[a-z][a-z0-9_]*)\(\)")),
    ("cmocka", re.compile(PATH + r": (?P<name>[a-z][a-z0-9_]*)")),
    ("script", re.compile(r"(?P<name>tests/[a-z]+/[A-Za-z0-9_]+\.(?:sh|py))")),
    ("sim", re.compile(r"sim --(?P<name>[a-z-]+)")),
    ("model", re.compile(r"scripts/model (?P<name>[a-z][a-z-]*)")),
    ("interop", re.compile(r"scripts/interop (?P<name>[a-z_]+)")),
    ("meson", re.compile(r"meson test (?P<name>[a-z0-9_]+)")),
    ("lint", re.compile(r"scripts/lint (?P<name>[a-z]+)")),
    ("fuzz", re.compile(r"scripts/fuzz (?P<name>[a-z]+)")),
)


class Bad(Exception):
    """What is wrong with a name."""


def without_comments(text):
    """C without its comments; strings stay, lines keep their numbers."""
    pattern = re.compile(r'"(?:\\.|[^"\\])*"|/\*.*?\*/', re.DOTALL)
    return pattern.sub(lambda m: m[0] if m[0][0] == '"' else re.sub(r"[^\n]", " ", m[0]), text)


def defines(text, name):
    """Whether a function is defined here: its name begins a line, and a body follows."""
    for match in re.finditer(rf"^{name}\(", text, re.MULTILINE):
        depth, at = 1, match.end()
        while depth != 0 and at < len(text):
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        if text[at:].lstrip().startswith("{"):
            return True
    return False


def registers(text, name):
    """Whether cmocka is given this function, perhaps by a macro of the file."""
    makers = [r"cmocka_unit_test\w*"]
    makers += re.findall(r"#\s*define (\w+)\((\w+)\) cmocka_unit_test\w*\(\2\b", text)
    makers = [m if isinstance(m, str) else m[0] for m in makers]
    return any(re.search(rf"(?<!\w){maker}\(\s*{name}\s*[,)]", text) for maker in makers)


class Tree:
    """The sources and a build of them."""

    def __init__(self, root, build):
        self.root, self.build = pathlib.Path(root).resolve(), pathlib.Path(build)
        self.lists = {}
        self.texts = {}
        self.tests = self._introspect("tests")
        self.run = {part for test in self.tests for part in test["cmd"]}
        self.targets = {}  # of each source file: what is built of it
        for target in self._introspect("targets"):
            for group in target["target_sources"]:
                for source in group.get("sources", []):
                    self.targets.setdefault(os.path.realpath(source), []).extend(target["filename"])

    def _introspect(self, what):
        path = self.build / f"meson-info/intro-{what}.json"
        return json.loads(path.read_text(encoding="utf-8"))

    def text(self, path):
        if path not in self.texts:
            self.texts[path] = (self.root / path).read_text(encoding="utf-8")
        return self.texts[path]

    def file(self, path):
        """The one source file with this end of its path."""
        ending = "/" + path
        found = [s for s in self.targets if s.startswith(f"{self.root}/") and s.endswith(ending)]
        if len(found) > 1:
            names = ", ".join(sorted(os.path.relpath(f, self.root) for f in found))
            raise Bad(f"{path} may be any of {names}")
        if not found:
            raise Bad(f"{path} is no file that is compiled")
        return found[0]

    def function(self, match):
        file = self.file(match["path"])
        if not defines(without_comments(self.text(file)), match["name"]):
            raise Bad(f"{match['path']} does not define {match['name']}()")

    def cmocka(self, match):
        if not os.path.basename(match["path"]).startswith("test_"):
            raise Bad("a function has () behind its name, and a test is in a file test_*.c")
        file = self.file(match["path"])
        text = without_comments(self.text(file))
        if not defines(text, match["name"]):
            raise Bad(f"{match['path']} does not define {match['name']}")
        if not registers(text, match["name"]):
            raise Bad(f"{match['path']} does not give {match['name']} to cmocka")
        if not self.run.intersection(self.targets[file]):
            raise Bad(f"no test of meson runs what is built of {match['path']}")

    def script(self, match):
        path = self.root / match["name"]
        if not path.is_file():
            raise Bad("there is no such file")
        if not os.access(path, os.X_OK):
            raise Bad("it is not executable")
        # scripts/test runs those with a number.
        if path.parent.name == "smoke" and path.suffix == ".sh" and not path.name[0].isdigit():
            raise Bad("it is no smoke test: they begin with a number")

    def _listed(self, match, what, make):
        if what not in self.lists:
            self.lists[what] = make()
        if not self.lists[what]:
            raise Bad(f"{what} tells no names at all")
        if match["name"] not in self.lists[what]:
            raise Bad(f"{what} does not know {match['name']}")

    def _told(self, script):
        done = subprocess.run(
            [str(self.root / script), "--list"], capture_output=True, text=True, check=False
        )
        return {line.split()[0] for line in done.stdout.splitlines() if line.strip()}

    def sim(self, match):
        def options():
            text = without_comments(self.text("tests/sim/main.c"))
            return set(re.findall(r'\{"([a-z-]+)", (?:no|required)_argument,', text))

        self._listed(match, "tests/sim/main.c", options)

    def model(self, match):
        self._listed(match, "scripts/model --list", lambda: self._told("scripts/model"))

    def interop(self, match):
        self._listed(match, "scripts/interop --list", lambda: self._told("scripts/interop"))

    def meson(self, match):
        self._listed(match, "meson test --list", lambda: {test["name"] for test in self.tests})

    def _words(self, path, pattern):
        return set(" ".join(re.findall(pattern, self.text(path), re.MULTILINE)).split())

    def lint(self, match):
        pattern = r"^for rule in ([a-z ]+); do"
        self._listed(match, "scripts/lint", lambda: self._words("scripts/lint", pattern))

    def fuzz(self, match):
        pattern = r"^targets=\(([a-z ]+)\)"
        self._listed(match, "scripts/fuzz", lambda: self._words("scripts/fuzz", pattern))


def kind_of(tree, name):
    """The form of a name; Bad when it has none or does not exist."""
    for kind, pattern in NOTATION:
        match = pattern.fullmatch(name)
        if match:
            getattr(tree, kind)(match)
            return kind
    raise Bad("no name in any of the forms that there are")


class Page:
    """A page, or a section of one, with its table."""

    def __init__(self, tree, path, section=None):
        self.tree, self.path = tree, path
        self.complaints, self.names = [], 0
        self.rows = []  # (line, cells) of tables, without head and rule
        fenced, inside, head = False, section is None, True
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            if line.startswith("```"):
                fenced = not fenced
            if fenced:
                continue
            if section and line.startswith("## "):
                inside = line == f"## {section}"
            if not inside:
                continue
            self._check_line(number, line)
            if not line.startswith("|"):
                head = True
            elif head:
                self.rows.append((number, None, self._cells(line)))
                head = False
            elif not re.fullmatch(r"[|\s:-]+", line):
                self.rows.append((number, self.rows[-1][1] or self.rows[-1][2], self._cells(line)))

    @staticmethod
    def _cells(line):
        return [cell.strip() for cell in line.strip().strip("|").split("|")]

    def complain(self, number, text):
        self.complaints.append(f"{self.path}:{number}: {text}")

    def _check_line(self, number, line):
        if line.count("`") % 2:
            self.complain(number, "a backtick without its other one")
            return
        for name in re.findall(r"`([^`]*)`", line):
            self.names += 1
            try:
                kind_of(self.tree, name)
            except Bad as bad:
                self.complain(number, f"`{name}`: {bad}")

    def kinds(self, cell):
        """Of the names of a cell; those that are wrong are complained of already."""
        found = []
        for name in re.findall(r"`([^`]*)`", cell):
            matches = (kind for kind, pattern in NOTATION if pattern.fullmatch(name))
            found.append(next(matches, None))
        return found

    def table(self, head, numbers):
        """Rows of the table with this head, by the numbers in their first cells."""
        seen = {}
        for number, of, cells in self.rows:
            if of != head:
                continue
            if len(cells) != len(head):
                self.complain(number, f"{len(cells)} cells instead of {len(head)}")
                continue
            if not re.fullmatch(r"\d+(, \d+)*", cells[0]):
                self.complain(number, f"no numbers: {cells[0]}")
                continue
            for one in map(int, cells[0].split(", ")):
                if one not in numbers or one in seen:
                    self.complain(number, f"number {one} is {'there twice' if one in seen else 'unknown'}")
                seen[one] = number
            yield number, cells
        for one in numbers:
            if one not in seen:
                self.complain(1, f"number {one} has no row")


def check_claims(tree):
    page = Page(tree, "doc/claims.md")
    for number, cells in page.table(["claims", "what must be true", "where", "tests"], CLAIMS):
        where, tests = page.kinds(cells[2]), page.kinds(cells[3])
        if not cells[1]:
            page.complain(number, "says nothing")
        if not where or set(where) - {"function"}:
            page.complain(number, "column where: functions, and at least one")
        if not tests or "function" in tests:
            page.complain(number, "column tests: tests, and at least one")
    return page


def check_statements(tree):
    page = Page(tree, "doc/testing.md", SECTION)
    for number, cells in page.table(["no.", "statement", "tests", "how far"], STATEMENTS):
        tests = page.kinds(cells[2])
        if not cells[1]:
            page.complain(number, "says nothing")
        if "function" in tests:
            page.complain(number, "column tests: tests only")
        if not tests and (cells[2] != "" or not cells[3].startswith(NO_TEST)):
            page.complain(number, f'no test, but does not say "{NO_TEST}"')
        if tests and cells[3].startswith(NO_TEST):
            page.complain(number, f'says "{NO_TEST}", but has a test')
    return page


def check(root, build):
    """What is wrong, and how many names there are."""
    tree = Tree(root, build)
    pages = [check_claims(tree), check_statements(tree)]
    return [c for page in pages for c in page.complaints], sum(page.names for page in pages)


# ---- self-test: a small tree that is right, then one thing wrong at a time

GOOD_FILES = {
    "lib/a.c": "/* gone( */\nint\nadd(int x,\n\tint (*f)(void))\n{\n}\n\nint\ndeclared(void);\n",
    "app/twice.c": "int\nf(void)\n{\n}\n",
    "lib/twice.c": "int\nf(void)\n{\n}\n",
    "lib/unbuilt.c": "int\nf(void)\n{\n}\n",
    "tests/unit/test_a.c": "#define TEST(f) cmocka_unit_test_setup(f, s)\n"
    + "".join(f"static void\n{n}(void **state)\n{{\n}}\n" for n in ("one", "two", "lost", "out"))
    + "tests[] = {\n\tcmocka_unit_test(one),\n\tTEST(two),\n\t/* cmocka_unit_test(out), */\n"
    + "\tcmocka_unit_test(missing),\n};\n",
    "tests/unit/test_idle.c": "static void\none(void **s)\n{\n}\ncmocka_unit_test(one)\n",
    "tests/sim/main.c": '{"crash-each", no_argument, NULL, 1},\n/* {"old", no_argument, */\n',
    "tests/smoke/10_up.sh": "#!",
    "tests/smoke/lib.sh": "#!",
    "tests/smoke/plain.py": "",
    "scripts/model": "#!/bin/sh\necho all\necho no-echo\n",
    "scripts/interop": "#!/bin/sh\necho 'data   All of it.'\n",
    "scripts/lint": "for rule in format symbols; do\n",
    "scripts/fuzz": "targets=(rx)\n",
}
GOOD_CLAIMS = (
    "# Claims\n\nBeside `lib/a.c: add()`.\n\n| form | |\n|---|---|\n| `sim --crash-each` | a |\n\n"
    "| claims | what must be true | where | tests |\n|---|---|---|---|\n"
    "| 1, 2 | all | `a.c: add()` | `test_a.c: one`, `test_a.c: two` |\n"
    + "".join(f"| {i} | b | `a.c: add()` | `sim --crash-each` |\n" for i in CLAIMS[2:])
)
GOOD_STATEMENTS = (
    "# Testing\n\nElsewhere `anything` goes.\n\n## Test statements\n\n"
    "| no. | statement | tests | how far |\n|---|---|---|---|\n"
    "| 1 | it is up | `tests/smoke/10_up.sh`, `meson test unit_a`, `scripts/lint symbols` | |\n"
    "| 2 | it is not | `scripts/model no-echo`, `scripts/interop data`, `scripts/fuzz rx` | half |\n"
    + "".join(f"| {i} | c | | not covered: why |\n" for i in STATEMENTS[2:])
    + "\n## Next\n\nHere too: `anything`.\n"
)
# Which page, what is replaced by what, and what must be said of it.
BROKEN = (
    ("claims", "`a.c: add()` | `test_a.c: one`", "`a.c: gone()` | `test_a.c: one`", "not define gone"),
    ("claims", "`lib/a.c: add()`", "`lib/a.c: declared()`", "not define declared"),
    ("claims", "`lib/a.c: add()`", "`lib/none.c: add()`", "no file that is compiled"),
    ("claims", "`lib/a.c: add()`", "`unbuilt.c: f()`", "no file that is compiled"),
    ("claims", "`lib/a.c: add()`", "`twice.c: f()`", "may be any of app/twice.c, lib/twice.c"),
    ("claims", "`lib/a.c: add()`", "`lib/a.c: add`", "() behind its name"),
    ("claims", "`lib/a.c: add()`", "`lib/a.c add()`", "no name in any"),
    ("claims", "`lib/a.c: add()`", "``", "no name in any"),
    ("claims", "`lib/a.c: add()`", "`lib/a.c: add()", "a backtick without"),
    ("claims", "`test_a.c: two`", "`test_a.c: three`", "does not define three"),
    ("claims", "`test_a.c: two`", "`test_a.c: missing`", "does not define missing"),
    ("claims", "`test_a.c: two`", "`test_a.c: lost`", "does not give lost"),
    ("claims", "`test_a.c: two`", "`test_a.c: out`", "does not give out"),
    ("claims", "`test_a.c: two`", "`test_idle.c: one`", "no test of meson runs"),
    ("claims", "`test_a.c: two`", "`a.c: add()`", "column tests"),
    ("claims", "`test_a.c: one`, `test_a.c: two`", "by hand", "column tests"),
    ("claims", "| all | `a.c: add()`", "| all | `test_a.c: one`", "column where"),
    ("claims", "| all | `a.c: add()`", "| all | everywhere", "column where"),
    ("claims", "| all |", "| |", "says nothing"),
    ("claims", "| all |", "|", "3 cells instead of 4"),
    ("claims", "| 1, 2 |", "| 1 |", "number 2 has no row"),
    ("claims", "| 1, 2 |", "| 1, 2, 3 |", "number 3 is there twice"),
    ("claims", "| 1, 2 |", "| 1, 2, 24 |", "number 24 is unknown"),
    ("claims", "| 1, 2 |", "| 1-2 |", "no numbers: 1-2"),
    ("claims", "| claims |", "| claim |", "number 1 has no row"),
    ("claims", "| `sim --crash-each` | a |", "| `sim --crash` | a |", "not know crash"),
    ("claims", "| `sim --crash-each` | a |", "| `sim --old` | a |", "not know old"),
    ("claims", "| `sim --crash-each` | a |", "| `sim --crash-each now` | a |", "no name in any"),
    ("statements", "`tests/smoke/10_up.sh`", "`tests/smoke/11_up.sh`", "no such file"),
    ("statements", "`tests/smoke/10_up.sh`", "`tests/smoke/plain.py`", "not executable"),
    ("statements", "`tests/smoke/10_up.sh`", "`tests/smoke/lib.sh`", "begin with a number"),
    ("statements", "`tests/smoke/10_up.sh`", "`10_up.sh`", "no name in any"),
    ("statements", "`meson test unit_a`", "`meson test unit_b`", "not know unit_b"),
    ("statements", "`scripts/lint symbols`", "`scripts/lint all`", "not know all"),
    ("statements", "`scripts/model no-echo`", "`scripts/model echo`", "not know echo"),
    ("statements", "`scripts/interop data`", "`scripts/interop all`", "not know all"),
    ("statements", "`scripts/fuzz rx`", "`scripts/fuzz tx`", "not know tx"),
    ("statements", "| 3 | c | | not covered: why |\n", "", "number 3 has no row"),
    ("statements", "| 3 | c | | not covered: why |", "| 3 | c | | |", "does not say"),
    ("statements", "| 3 | c | | not", "| 3 | c | by eye | not", "does not say"),
    ("statements", "| half |", "| not covered |", "but has a test"),
    ("statements", "## Test statements", "## Statements", "number 1 has no row"),
)


def make_tree(root):
    for name, text in GOOD_FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if text.startswith("#!"):
            path.chmod(0o755)
    (root / "doc").mkdir()
    info = root / "build/meson-info"
    info.mkdir(parents=True)
    built = {"a": ["lib/a.c", "lib/twice.c", "app/twice.c"], "test_a": ["tests/unit/test_a.c"]}
    built["test_idle"] = ["tests/unit/test_idle.c"]
    targets = [
        {"filename": [f"/b/{name}"], "target_sources": [{"sources": [str(root / s) for s in sources]}]}
        for name, sources in built.items()
    ]
    (info / "intro-targets.json").write_text(json.dumps(targets), encoding="utf-8")
    tests = [{"name": "unit_a", "cmd": ["/b/test_a"]}]
    (info / "intro-tests.json").write_text(json.dumps(tests), encoding="utf-8")


def self_test():
    """What the check itself gets wrong."""
    wrong = []
    with tempfile.TemporaryDirectory(prefix="ccm-names-") as folder:
        root = pathlib.Path(folder).resolve()
        make_tree(root)

        def complaints(claims, statements):
            (root / "doc/claims.md").write_text(claims, encoding="utf-8")
            (root / "doc/testing.md").write_text(statements, encoding="utf-8")
            return "\n".join(check(root, root / "build")[0])

        said = complaints(GOOD_CLAIMS, GOOD_STATEMENTS)
        if said:
            wrong.append(f"self-test: what is right is not taken:\n{said}")
        for page, old, new, want in BROKEN:
            texts = {"claims": GOOD_CLAIMS, "statements": GOOD_STATEMENTS}
            if texts[page].count(old) != 1:
                wrong.append(f"self-test: {old} is there {texts[page].count(old)} times")
            texts[page] = texts[page].replace(old, new)
            said = complaints(**texts)
            if want not in said:
                wrong.append(f"self-test: {new!r}: {said or 'nothing said'}, not: {want}")
    return wrong


def main():
    failures = self_test()
    if sys.argv[1:] == ["--self-test"]:
        print("\n".join(failures) or f"{len(BROKEN)} broken tables refused")
        return 1 if failures else 0
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    complaints, names = check(*sys.argv[1:])
    failures += complaints
    print("\n".join(failures) or f"{names} names, {len(CLAIMS)} claims, {len(STATEMENTS)} statements")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
