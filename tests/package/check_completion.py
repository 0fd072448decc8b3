#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What bash offers, by a real bash that is told what stands on the line.

usage: check_completion.py SOURCE_ROOT BUILD_ROOT
"""
import os
import re
import socket
import subprocess
import sys
import tempfile
import unittest

import helptext

SOURCE, BUILD = sys.argv[1:3]
FILES = {"ccm-node": "ccm-node", "ccm-bench": "ccm-node", "ccmctl": "ccmctl", "ccm-exporter": "ccmctl"}
# As bash does it: the function that is registered for the command sets COMPREPLY.
RUN = """
source "$1"
shift
spec=$(complete -p "$(basename "$1")") || exit 3
function=$(sed 's/.*-F \\([^ ]*\\).*/\\1/' <<<"$spec")
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
"$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(*words, env=None, cwd=None):
    program = os.path.basename(words[0])
    path = os.path.join(SOURCE, "scripts/completion", FILES[program] + ".bash")
    run = subprocess.run(
        ["bash", "--norc", "-c", "set -u\n" + RUN, "bash", path, *words],
        capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})}, cwd=cwd,
    )  # fmt: skip
    if run.returncode != 0 or run.stderr:
        raise AssertionError(f"{words}: status {run.returncode}: {run.stderr}")
    return {line for line in run.stdout.split("\n") if line}


def flat(options):
    return {spelling for one in options for spelling in one}


class Options(unittest.TestCase):
    """Each option of --help is offered, and no other one."""

    def test_behind_the_dashes(self):
        for program in ("ccm-node", "ccm-bench"):
            have = flat(helptext.options(helptext.help_of(program, SOURCE, BUILD)))
            self.assertGreater(len(have), 5)
            self.assertEqual(offered(program, "-l", "0", "--", ""), have)

    def test_exporter(self):
        have = flat(helptext.options(helptext.help_of("ccm-exporter", SOURCE, BUILD)))
        self.assertGreater(len(have), 5)
        self.assertEqual(offered("ccm-exporter", ""), have)

    def test_ccmctl(self):
        text = helptext.help_of("ccmctl", SOURCE, BUILD)
        commands, common = set(helptext.commands(text)), flat(helptext.options(text))
        self.assertGreater(len(commands), 10)
        self.assertEqual(offered("ccmctl", ""), commands | common)
        for command in commands:
            have = flat(helptext.options(helptext.help_of("ccmctl", SOURCE, BUILD, command)))
            self.assertEqual(offered("ccmctl", command, "-") - {"--"}, have, command)

    def test_words_that_an_option_takes(self):
        words = {"--log-level": "error warning notice info debug", "--lcore-mode": "same cross"}
        words["--op"] = "read write send atomic handshake failover floor"
        words["--like"] = "read write send atomic frame"
        text = " ".join(helptext.help_of("ccm-bench", SOURCE, BUILD).split())
        for option, have in words.items():
            self.assertEqual(offered("ccm-bench", "--", option, ""), set(have.split()), option)
            for word in set(have.split()) - {"frame"}:
                self.assertRegex(text, rf"\b{word}\b")
        self.assertEqual(offered("ccm-exporter", "--format", ""), {"openmetrics", "text"})
        self.assertEqual(offered("ccmctl", "--colour", "a"), {"auto", "always"})


class Cases(unittest.TestCase):
    def test_before_the_dashes_are_eals(self):
        before = offered("ccm-node", "")
        self.assertLessEqual({"-l", "--vdev=", "--file-prefix=", "--", "--check-config", "--version"}, before)
        self.assertFalse({"--config", "--pcap", "--no-exercise"} & before)
        self.assertEqual(offered("ccm-node", "--no-h"), {"--no-huge"})
        self.assertEqual(offered("ccm-node", "-l", ""), set())
        self.assertIn("net_memif0,", offered("ccm-node", "--vdev", "=", "net_m"))

    def test_beginning_of_a_word(self):
        self.assertEqual(offered("ccm-node", "--", "--p"), {"--print-config", "--pcap"})
        self.assertEqual(offered("ccmctl", "dr"), {"drops"})
        self.assertEqual(offered("ccmctl", "--json", "support"), {"support-bundle"})

    def test_path_of_the_program_does_not_matter(self):
        self.assertEqual(offered("/usr/bin/ccm-node", "--", "--con"), {"--config"})
        self.assertEqual(offered("./ccm-bench", "--", "--lc"), {"--lcore-mode"})

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("node a.json", "node-b.json", "other"):
                with open(os.path.join(folder, name), "w", encoding="utf-8"):
                    pass
            nodes = {"node a.json", "node-b.json"}
            for words in (
                ("ccm-node", "--check-config", "no"),
                ("ccm-node", "--", "--config", "no"),
                ("ccm-node", "--", "--config", "=", "no"),
                ("ccm-bench", "--", "--json", "no"),
                ("ccmctl", "doctor", "--config", "no"),
                ("ccmctl", "-p", "a", "support-bundle", "-o", "no"),
            ):
                self.assertEqual(offered(*words, cwd=folder), nodes, words)
            self.assertEqual(offered("ccm-node", "--", "--config", "=", cwd=folder), nodes | {"other"})

    def test_nodes_that_run(self):
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(os.path.join(folder, "dpdk/first"))
            os.makedirs(os.path.join(folder, "dpdk/without-socket"))
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(os.path.join(folder, "dpdk/first/dpdk_telemetry.v2"))
                env = {"XDG_RUNTIME_DIR": folder, "RUNTIME_DIRECTORY": folder}
                self.assertEqual(offered("ccmctl", "-p", "", env=env), {"first"})
                self.assertEqual(offered("ccm-exporter", "--file-prefix", "=", "f", env=env), {"first"})

    def test_words_of_ccmctl(self):
        ctl = os.path.join(SOURCE, "scripts/ccmctl")
        self.assertIn("link_down", offered(ctl, "explain", "link"))
        self.assertEqual(offered("ccmctl", "explain", "link_down", ""), set())
        self.assertEqual(offered("ccmctl", "boot", ""), {"set"})
        self.assertEqual(offered("ccmctl", "-p", "status", "boot", "s"), {"set"})
        self.assertEqual(offered("ccmctl", "doctor", "--", "-"), set())

    def test_installed_by_the_commands_name(self):
        with open(os.path.join(SOURCE, "scripts/completion/meson.build"), encoding="utf-8") as file:
            names = re.findall(r"(?:rename: |install_symlink\()'([a-z-]+)'", file.read())
        self.assertEqual(set(names), set(FILES))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
