#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run the commands of documents: every fenced block of language sh, in order, as its comment says.

usage: run_docs.py --root DIR --build DIR --sandbox DIR FILE...

The line before a block is an HTML comment, which readers do not see:

    <!-- run -->                    it succeeds
    <!-- run: until status N -->    it comes to this status, within a while
    <!-- run: any status to N -->   it ends with a status from 0 to N
    <!-- run: for N s -->           it runs that long, until it is interrupted
    <!-- run: background -->        it runs until the end of the document
    <!-- run: in the source tree -->  it succeeds there; only with the tree's own build folder
    <!-- run by: FILE -->           that script has these commands
    <!-- not run: REASON -->

Every block has such a line, and blocks of no language are not allowed. Blocks run in the sandbox, which
looks like a source tree after the build. Exit status: 0 all as told, 1 not.
"""
import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import time

COMMENT = re.compile(r"^\s*<!-- (run|run by|not run)(?:: (.*?))? -->$")
UNTIL = 30.0  # seconds
LIMIT = 120.0
BLOCK_TYPES = ("sh", "text", "json", "yaml")


class DocError(Exception):
    """A document's command does not do what it says."""


def blocks(path):
    """(line, what, parameter, text) of each block of commands."""
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    comment, fence, found = None, None, []
    for number, line in enumerate(lines, 1):
        if fence:
            if line.strip() == "```":
                first, indent, language, note = fence
                if language == "sh":
                    if not note:
                        raise DocError(f"{path}:{first}: no comment says how this block is run")
                    text = "\n".join(one[indent:] for one in lines[first : number - 1])
                    found.append((first, note.group(1), note.group(2), text))
                fence = None
            continue
        if line.strip().startswith("```"):
            language = line.strip()[3:]
            if language not in BLOCK_TYPES:
                raise DocError(f"{path}:{number}: a block of {language or 'no'} language; known: {BLOCK_TYPES}")
            fence = (number, len(line) - len(line.lstrip()), language, comment)
        comment = COMMENT.match(line)
    return found


def commands(text):
    """The commands of a block, a list of words each; no comments, no continuation lines."""
    joined = text.replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in joined.split("\n") if shlex.split(line, comments=True)]


class Runner:
    def __init__(self, args):
        self.args = args
        self.background = []
        self.counts = {"run": 0, "run by": 0, "not run": 0}

    def start(self, text, folder=None):
        # tracing, so that a failure names the command
        return subprocess.Popen(["bash", "-xeuo", "pipefail", "-c", text], cwd=folder or self.args.sandbox,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                start_new_session=True, text=True, errors="replace")  # fmt: skip

    def run(self, text, limit=LIMIT, folder=None):
        """(status, output); None when it did not end."""
        process = self.start(text, folder)
        try:
            output, _ = process.communicate(timeout=limit)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
            try:
                return None, process.communicate(timeout=20)[0]
            except subprocess.TimeoutExpired as error:
                raise DocError("does not end when it is interrupted") from error
        finally:
            self.kill(process)

    @staticmethod
    def kill(process):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

    def expect(self, text, good, **options):
        status, output = self.run(text, **options)
        if not good(status):
            raise DocError(f"status {status}: {output[-2000:]}")

    def block(self, what, parameter, text):
        """Run one block as its comment says."""
        parameter = parameter or ""
        self.counts[what] += 1
        number = int((re.findall(r"\d+", parameter) or ["0"])[0])
        if what == "not run":
            if len(parameter) < 8:
                raise DocError("no reason why it is not run")
        elif what == "run by":
            self.check_run_by(parameter, text)
        elif parameter == "":
            self.expect(text, lambda status: status == 0)
        elif parameter == "in the source tree":
            if os.path.realpath(self.args.build) == os.path.join(os.path.realpath(self.args.root), "build"):
                self.expect(text, lambda status: status == 0, limit=1800, folder=self.args.root)
        elif parameter == "background":
            self.background.append(self.start(f"exec {text}"))
        elif parameter.startswith("until status"):
            self.until(text, number)
        elif parameter.startswith("any status to"):
            for words in commands(text):  # each, since the first failure would end the block
                self.expect(shlex.join(words), lambda status: status is not None and 0 <= status <= number)
        elif re.fullmatch(r"for \d+ s", parameter):
            self.expect(f"exec {text}", lambda status: status is None, limit=number)
        else:
            raise DocError(f"the comment is not understood: {parameter}")

    def until(self, text, want):
        end = time.monotonic() + UNTIL
        while True:
            status, output = self.run(text)
            if status == want:
                return
            if time.monotonic() > end:
                raise DocError(f"status {status} after {UNTIL:.0f} s: {output[-2000:]}")
            time.sleep(0.3)

    def check_run_by(self, name, text):
        with open(os.path.join(self.args.root, name), encoding="utf-8") as file:
            script = "".join(line for line in file if not line.lstrip().startswith("#"))
        for words in commands(text):
            told = " ".join(words[:2] if words[0] in ("meson", "ninja") else words[:1])
            if told not in script:
                raise DocError(f"{name} does not run {told}")

    def document(self, path):
        for line, what, parameter, text in blocks(path):
            try:
                self.block(what, parameter, text)
                for process in self.background:
                    if process.poll() is not None:
                        raise DocError(f"a command in the background has ended: {process.stdout.read()[-2000:]}")
            except DocError as error:
                raise DocError(f"{path}:{line}: {text}\n{error}") from error
        self.end()

    def end(self):
        for process in self.background:
            self.kill(process)
            process.stdout.close()
        self.background.clear()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--sandbox", required=True)
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    runner = Runner(args)
    try:
        for path in args.files:
            runner.document(path)
    except DocError as error:
        print(error)
        return 1
    finally:
        runner.end()
    counts = runner.counts
    print(f"{counts['run']} blocks run, {counts['run by']} run elsewhere, {counts['not run']} not run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
