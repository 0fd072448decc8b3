#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ccmctl against made-up nodes: what it shows, what it exits with, and sockets that are up to no good."""
import io
import json
import os
import pty
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
import unittest.mock

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
CCMCTL = os.environ.get("CCMCTL", os.path.join(ROOT, "scripts", "ccmctl"))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(ROOT, "scripts", "lib")]

import fake_node  # noqa: E402 pylint: disable=wrong-import-position
from ccmtools import cli, live, meaning, status, views  # noqa: E402 pylint: disable=wrong-import-position
from ccmtools.node import Node  # noqa: E402 pylint: disable=wrong-import-position
from ccmtools.telemetry import TelemetryError  # noqa: E402 pylint: disable=wrong-import-position
from ccmtools.text import (
    Screen,
    duration,
    size,
    visible,
)  # noqa: E402 pylint: disable=wrong-import-position

COMMANDS = (
    "config", "capture", "status", "partners", "partners 2", "clients", "ports", "ports 2", "events", "timing", "drops",
            "latency", "boot", "nodes")  # fmt: skip
SEEDS = int(os.environ.get("CTL_SEEDS", "400"))


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


class Case(unittest.TestCase):
    def setUp(self):
        # Short: a socket's name has 107 bytes.
        self.folder = tempfile.mkdtemp(prefix="ctl", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, "dpdk", "a", "dpdk_telemetry.v2")
        self.env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS")}
        self.env.update(CCM_RUNTIME_PATH=self.folder, TERM="xterm")

    def serve(self, *args, prefix="a", **options):
        path = os.path.join(self.folder, "dpdk", prefix, "dpdk_telemetry.v2")
        node = fake_node.FakeNode(path, *args, **options)
        self.addCleanup(node.close)
        return node

    def run_ctl(self, *args):
        """Never a traceback."""
        words = args[0].split() if len(args) == 1 else args
        with unittest.mock.patch.dict(os.environ, self.env, clear=True):
            done = fake_node.run_here(cli.main, words)
        self.assertNotIn("Traceback", done.stderr)
        return done

    def run_program(self, *words):
        """The same as a process."""
        return subprocess.run(
            [CCMCTL, *words], capture_output=True, text=True, check=False, env=self.env, timeout=60
        )

    def good(self, *args):
        done = self.run_ctl("--socket", self.path, *args)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout


class Shown(Case):
    def test_up(self):
        self.serve()
        out = self.good("status")
        self.assertTrue(out.startswith("node-a: UP, 1 of 1 partner connected\n"), out)
        for text in ("partner 2: connected for 1 min 1 s", "3 ports", "path MTU 1024", "set up in 577 us",
                     "nvlog", "16 MiB", "link up", "192.0.2.1"):  # fmt: skip
            self.assertIn(text, out)
        self.assertNotIn("do  ", out)
        self.assertEqual(self.good(), out)  # status is what it does without a word
        done = self.run_program("--socket", self.path, "status")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.splitlines()[0], out.splitlines()[0])

    def test_all_commands_in_both_forms(self):
        self.serve()
        for command in COMMANDS:
            out = self.good(*command.split())
            self.assertTrue(out.strip(), command)
            self.assertNotIn("\033", out)
            data = json.loads(self.good(*command.split(), "--json"))
            self.assertTrue(data, command)
        self.assertIn("0x3a0936", self.good("ports"))
        self.assertIn("307 us", self.good("latency"))
        self.assertIn("READ 1", self.good("timing"))
        self.assertRegex(self.good("drops"), r"icrc +3 +damaged on the way")
        self.assertRegex(self.good("drops"), r"tx_stalled +5 +the device took none")
        self.assertIn("-> 2 kernel", self.good("boot"))

    def test_exit_status(self):
        up = fake_node.table()
        down = {"state": "down", "partners_up": 0}
        rows = (
            ({}, 0, "UP"),
            ({"status": {"state": "degraded"}}, 1, "DEGRADED"),
            ({"status": down, "partner": {"state": "search", "verdict": "unreachable", "reason": "no_answer"}},
             2, "DOWN"),
            # The session is up, and yet somebody should look.
            ({"partner": {"verdict": "stuck", "advice": "take_over"}}, 1, "DEGRADED"),
            ({"client": {"partner_2": "refused"}}, 1, "DEGRADED"),
            ({"partner": {"verdict": "progressing"}}, 0, "UP"),
            ({"status": {"control_age_ms": 2500}}, 2, "DOWN"),
            ({"status": {"state": "splendid"}}, 2, "DOWN"),
        )  # fmt: skip
        for changes, code, word in rows:
            with fake_node.FakeNode(self.path, fake_node.broken(up, **changes)):
                done = self.run_ctl("status")
                self.assertEqual(done.returncode, code, (changes, done.stdout))
                self.assertIn(f"node-a: {word}", done.stdout)
                done = self.run_ctl("status --json")
                self.assertEqual((done.returncode, json.loads(done.stdout)["state"]), (code, word.lower()))
                self.assertEqual(self.run_ctl("watch -c 1").returncode, code)

    def test_every_verdict_and_reason_says_what_to_do(self):
        for verdict, known in meaning.VERDICTS.items():
            for reason in meaning.REASONS:
                part = {**fake_node.PARTNER, **fake_node.DETAILS, "verdict": verdict, "reason": reason}
                part.update(state="up" if verdict == "up" else "search", partner_reason="version")
                found = status.judge_partner(views_record(part))
                self.assertTrue(found["what"])
                if verdict != "up":
                    self.assertTrue(found["todo"], (verdict, reason))
                    self.assertLessEqual(len(found["todo"]), 4)
                if verdict == "refused" and reason in ("version", "wrong_cluster", "access"):
                    self.assertEqual(found["todo"][0], meaning.REASONS[reason].todo[0])
                    self.assertIn(meaning.REASONS[reason].what, found["what"])
                if verdict == "refused" and reason == "partner_refused":
                    self.assertIn("version", found["what"])
            self.assertTrue(known.what)

    def test_names_are_those_of_the_program(self):
        names, codec = read("lib/ccm/ccm_names.c"), read("lib/rdma_emul/roce_packet.c")
        for table, prefix, text in ((meaning.VERDICTS, "CCM_VERDICT", names), (meaning.REASONS, "CCM_REASON", names),
                                    (meaning.ADVICE, "CCM_ADVICE", names), (meaning.CLIENT_STATES, "CCM_CLIENT", names),
                                    (meaning.STATES, "CCM", names), (meaning.STEPS, "CCM_STEP", names),
                                    (meaning.DROPS, "REMU_DROP", codec)):  # fmt: skip
            # Of a session's states the prefix is that of all: what has no second one.
            part = "[A-Z]+" if prefix == "CCM" else "[A-Z0-9_]+"
            known = re.findall(rf'\[{prefix}_{part}\] = "([a-z_]+)"', text)
            known = [name for name in known if (prefix, name) != ("REMU_DROP", "none")]
            self.assertGreater(len(known), 2)
            self.assertEqual(sorted(known), sorted(table), prefix)

    def test_explain(self):
        """Every word that is shown is explained, without a node."""
        told = {(row["kind"], row["word"]): row for row in json.loads(self.run_ctl("explain --json").stdout)["words"]}
        for kind, table in (("verdict", meaning.VERDICTS), ("reason", meaning.REASONS), ("advice", meaning.ADVICE),
                            ("state of a session", meaning.STATES), ("state of a client", meaning.CLIENT_STATES),
                            ("drop", meaning.DROPS), ("loss", meaning.LOST), ("step", meaning.STEPS)):  # fmt: skip
            self.assertEqual([word for is_kind, word in told if is_kind == kind], list(table))
        for (kind, word), row in told.items():
            done = self.run_ctl("explain", word)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            flat = " ".join(done.stdout.split())
            self.assertIn(f"{word}, {kind}: {row['what']}", flat)
            for count, step in enumerate(row["todo"], 1):
                self.assertIn(f"{count}. {step}", flat)
        done = self.run_ctl("explain no_anser")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("no such word: no_anser; did you mean no_answer", done.stderr)

    def test_partner_in_words(self):
        self.serve(fake_node.broken(fake_node.table(), partner={
            "state": "search", "verdict": "hung", "reason": "partner_hung", "advice": "take_over"}))  # fmt: skip
        out = " ".join(self.good("partners", "2").split())
        for name, value in (("state", "search"), ("verdict", "hung"), ("reason", "partner_hung")):
            table = {"state": meaning.STATES}.get(name) or {"hung": meaning.VERDICTS["hung"].what,
                                                            "partner_hung": meaning.REASONS["partner_hung"].what}  # fmt: skip
            self.assertIn(" ".join((name, value, table[value])), out)

    def test_advice_fits_the_verdict(self):
        """Only where nothing is heard of the partner a cut cable looks the same."""
        for verdict, words, others in (
            ("unreachable", "a cut cable looks the same", "wake up"), ("hung", "it may wake up", "cable"),
            ("stuck", "may get on after all", "cable"),
        ):  # fmt: skip
            with fake_node.FakeNode(self.path, fake_node.broken(fake_node.table(), partner={
                    "state": "up" if verdict == "stuck" else "search", "verdict": verdict, "advice": "take_over"})):  # fmt: skip
                out = self.run_ctl("--socket", self.path, "status").stdout
            advice = " ".join(out.split("advice", 1)[1].split("  do ", 1)[0].split())
            self.assertIn(f"fence it first: {words}" if verdict != "stuck" else words, advice)
            self.assertNotIn(others, advice)

    def test_where_it_looks_for_a_partner(self):
        """The addresses of one that is not connected: a wrong one is seen at once."""
        address = "at       02:00:00:00:00:02, 192.0.2.2, queue pair 0x100\n"
        self.serve()
        self.assertNotIn(address, self.good("status"))
        down = fake_node.broken(fake_node.table(), partner={"state": "search", "verdict": "unreachable"})
        self.serve(down, prefix="b")
        self.assertIn(address, self.run_ctl("-p", "b", "status").stdout)

    def test_how_the_last_session_ended(self):
        """Told where it says more than what is wrong now."""
        for verdict, reason, was, told in (("hung", "none", "partner_hung", False), ("refused", "version", "no_answer", True),
                                           ("unreachable", "no_answer", "no_answer", False)):  # fmt: skip
            with fake_node.FakeNode(self.path, fake_node.broken(fake_node.table(), partner={
                    "state": "search", "verdict": verdict, "reason": reason, "last_down_reason": was})):  # fmt: skip
                out = self.run_ctl("--socket", self.path, "status").stdout
            self.assertEqual(f"the last session ended by {was}: " in out, told, out)

    def test_answered_just_now(self):
        self.serve(fake_node.broken(fake_node.table(), partner={"last_answer_ms": 0}))
        self.assertIn("last answer 0 s ago", " ".join(self.good("status").split()))

    def test_errors_as_json(self):
        """Who reads JSON is told so, too, and in one object."""
        for words in ("status", "partners", "doctor", "reload", "boot set x", "events -f", "watch -c 1"):
            done = self.run_ctl("-p", "nobody", "--json", *words.split())
            self.assertEqual(done.returncode, 3, words)
            self.assertIn("no telemetry socket", json.loads(done.stdout)["error"], words)
            self.assertEqual(done.stderr.count("\n"), 1)
        self.serve()
        done = self.run_ctl("--socket", self.path, "--json", "partners", "9")
        self.assertEqual(done.returncode, 3)
        self.assertIn("error", json.loads(done.stdout))
        self.assertIn("no such word", json.loads(self.run_ctl("--json explain x").stdout)["error"])

    def test_unknown_words_are_shown(self):
        answers = fake_node.broken(fake_node.table(), partner={
            "state": "search", "verdict": "sulking", "reason": "moon_phase", "advice": "pray"},
            status={"state": "down"})  # fmt: skip
        self.serve(answers)
        done = self.run_ctl("status")
        self.assertEqual(done.returncode, 2)
        self.assertIn("sulking", done.stdout)
        self.assertIn("not known to this version", done.stdout)

    def test_many_partners_fit_a_screen(self):
        answers = fake_node.table()
        many = {}
        for number in range(2, 62):
            part = {**fake_node.PARTNER, "id": number}
            if number > 40:
                part.update(state="search", verdict="unreachable", reason="no_answer", advice="unsure",
                            last_answer_ms=-1)  # fmt: skip
            many[f"partner_{number}"] = part
            answers[f"/ccm/partner,{number}"] = {**fake_node.DETAILS, **part}
        for first in range(0, 60, 20):
            page = {"total": 60, "partners": dict(list(many.items())[first : first + 20])}
            answers[f"/ccm/partners,{first}" if first else "/ccm/partners"] = page
            if first < 40:
                page["next"] = first + 20
        answers["/ccm/status"].update(state="degraded", partners=60, partners_up=39)
        self.serve(answers)
        done = self.run_ctl("status")
        self.assertEqual(done.returncode, 1)
        self.assertIn("partners 41-61: NOT CONNECTED: unreachable", done.stdout)
        self.assertIn("partners 2-40: connected", done.stdout)
        self.assertLess(done.stdout.count("\n"), 30)
        self.assertEqual(len(json.loads(self.run_ctl("partners --json").stdout)["partners"]), 60)

    def test_events(self):
        node = self.serve()
        lines = self.good("events").splitlines()
        self.assertEqual(len(lines), 4)
        self.assertRegex(lines[0], r"^\d\d:\d\d:\d\d\.\d{3}  partner 2  down -> search  \(no_answer\)$")
        self.assertIn("verdict connecting -> up", lines[3])
        self.assertEqual(
            [line[12:] for line in self.good("events", "-n", "1").splitlines()], [lines[3][12:]]
        )
        # Pages, newest first.
        page = node.answers["/ccm/events"]["events"]
        node.answers["/ccm/events"] = {
            "total": 4,
            "next": 2,
            "events": {k: page[k] for k in ("event_4", "event_3")},
        }
        node.answers["/ccm/events,2"] = {"total": 4, "events": {k: page[k] for k in ("event_2", "event_1")}}
        data = json.loads(self.good("events", "--json"))
        self.assertEqual([event["seq"] for event in data["events"]], [1, 2, 3, 4])
        self.assertAlmostEqual(data["events"][3]["time"], time.time() - 5, delta=60)

    def test_follow_over_a_restart(self):
        node = self.serve()
        process = subprocess.Popen([CCMCTL, "events", "-f", "-n", "1"], env=self.env, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        self.assertIn("verdict connecting -> up", process.stdout.readline())
        events = {"event_5": fake_node.event(5, "up", "closing", "no_answer")}
        node.answers["/ccm/events"] = {
            "total": 5,
            "events": {**events, **node.answers["/ccm/events"]["events"]},
        }
        self.assertIn("up -> closing  (no_answer)", process.stdout.readline())
        node.close()
        self.assertIn("no answer from the node", process.stdout.readline())
        answers = fake_node.broken(fake_node.table(), status={"pid": 1})
        with fake_node.FakeNode(self.path, answers):
            self.assertIn("started again", process.stdout.readline())
            self.assertIn("down -> search", process.stdout.readline())
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(20), 130)

    def test_boot(self):
        node = self.serve()
        self.assertIn("told: running", self.good("boot", "set", "running"))
        self.assertIn("/ccm/boot/stage,running,0", node.asked)
        done = self.run_ctl("boot set nothing")
        self.assertEqual(done.returncode, 3)
        self.assertIn("no such stage", done.stderr)
        for words in ("boot set", "boot set a,b", "boot set x -1", "boot drop x", "boot set x 4294967296"):
            self.assertEqual(self.run_ctl(words).returncode, 64, words)

    def test_reload(self):
        node = self.serve()
        answers = iter([{"count": 4, "result": "applied"}, {"count": 4}])
        result = {"count": 5, "result": "refused", "text": {"part_10": "cd", "part_1": "b", "part_0": "a"}}
        node.answers["/ccm/reload"] = lambda: next(answers, result)
        signals = []
        before = signal.signal(signal.SIGHUP, lambda *_: signals.append(1))
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        node.answers["/ccm/status"]["pid"] = os.getpid()
        done = self.run_ctl("--socket", self.path, "reload")
        self.assertEqual((done.returncode, done.stdout, signals), (1, "refused: abcd\n", [1]))
        answers = iter([{"count": 5}])
        result.update(count=6, result="applied")
        self.assertEqual(self.run_ctl("--socket", self.path, "reload").returncode, 0)
        # It never gets to it.
        node.answers["/ccm/reload"] = {"count": 6}
        self.assertEqual(self.run_ctl("--socket", self.path, "--timeout", "0.2", "reload").returncode, 3)
        node.answers["/ccm/status"]["pid"] = -1  # all processes there are
        self.assertEqual(self.run_ctl("--socket", self.path, "reload").returncode, 3)

    def test_usage(self):
        for words in ("--bogus", "no-such-command", "partners 0", "partners x", "explain a b", "status --timeout 0",
                      "events -n -1", "--socket x --file-prefix y status"):  # fmt: skip
            done = self.run_ctl(words)
            self.assertEqual((done.returncode, done.stdout), (64, ""), words)
        self.assertEqual(self.run_ctl("--help").returncode, 0)
        self.assertEqual(self.run_program("--bogus").returncode, 64)
        self.assertRegex(self.run_ctl("--version").stdout, r"^ccmctl \d+\.\d+\.\d+\n$")

    def test_version_is_the_projects(self):
        text = read("meson.build")
        self.assertEqual(re.search(r"version: '([^']+)'", text).group(1),
                         self.run_ctl("--version").stdout.split()[1])  # fmt: skip


def views_record(value):
    from ccmtools.node import Record

    return Record(value)


class Found(Case):
    def test_the_only_node(self):
        self.serve(prefix="a")
        self.serve(fake_node.table() | {"/ccm/status": None}, prefix="other")
        done = self.run_ctl("status")
        # Another fake of a node: it lists /ccm/status, so there are two.
        self.assertIn(done.returncode, (0, 3))
        self.assertEqual(self.run_ctl("-p", "a", "status").returncode, 0)

    def test_none_and_several(self):
        done = self.run_ctl("status")
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("no ccm-node runs here", done.stderr)
        self.serve(prefix="a")
        self.serve({"/info": {}}, prefix="pktgen")  # another DPDK program
        self.assertEqual(self.run_ctl("status").returncode, 0)
        self.serve(prefix="b")
        done = self.run_ctl("status")
        self.assertEqual(done.returncode, 3)
        self.assertIn("choose one with --file-prefix: a, b", done.stderr)
        for words in ("-p b status", "status -p b", f"status --socket {self.path}"):
            self.assertEqual(self.run_ctl(words).returncode, 0, words)
        out = self.run_ctl("nodes").stdout
        self.assertIn("pktgen: another DPDK process", out)
        self.assertEqual(out.count("node-a"), 2)

    def test_folder_of_somebody_else(self):
        """Of a node of root, an ordinary user sees nothing at all: that is said, with and without -p."""
        with unittest.mock.patch("ccmtools.node.hidden_folders", lambda: ["/run/x"]):
            for words in ("status", "-p a status"):
                done = self.run_ctl(words)
                self.assertEqual(done.returncode, 3)
                self.assertIn("/run/x may not be read: try as root", done.stderr, words)

    def test_left_behind(self):
        node = self.serve()
        node.sock.close()  # the file stays
        for words in ("status", "-p a status"):
            done = self.run_ctl(words)
            self.assertEqual(done.returncode, 3)
            self.assertRegex(done.stderr, "left behind by (a process that has died|dead processes: 1)")
        self.assertIn("dead processes: 1", self.run_ctl("nodes").stdout)

    def test_in_memory_name(self):
        self.serve(prefix="a")
        os.rename(self.path, self.path + ":1")
        self.assertEqual(self.run_ctl("status").returncode, 0)
        self.assertEqual(self.run_ctl("-p a status").returncode, 0)


class Hostile(Case):
    """Bounded time, bounded size, one line, no traceback."""

    def refused(self, pattern, *words, limit=8.0, code=3):
        start = time.monotonic()
        done = self.run_ctl("--socket", self.path, "--timeout", "0.5", *words)
        took = time.monotonic() - start
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertLess(len(done.stderr), 600)
        self.assertRegex(done.stderr, pattern)
        self.assertTrue(all(" " <= c <= "~" or c == "\n" for c in done.stderr + done.stdout))
        self.assertLess(took, limit)

    def test_sockets(self):
        self.refused("No such file", "status")
        rows = (
            (fake_node.silent, "no answer within 0.5 s"),
            (fake_node.hangs_up, "all places for clients are taken"),
            (fake_node.greets_only, "/ccm/status: no answer within 0.5 s"),
            (fake_node.greets_with(b"hello"), "not JSON"),
            (fake_node.greets_with(b"{}"), "does not greet like"),
            (fake_node.greets_with(b'{"max_output_len": -1}'), "does not greet like"),
            (fake_node.greets_with(b'{"max_output_len": 1e99}'), "does not greet like"),
            (fake_node.greets_with(b'{"max_output_len": true}'), "does not greet like"),
            (fake_node.greets_with(b'{"max_output_len": 99999999999}'), "does not greet like"),
            (fake_node.greets_with(b"[" * 4000), "not JSON"),
            (fake_node.greets_with(b"x" * 5000), "more than 4096 bytes"),
            (fake_node.answers_with(b"\xff\xfe\x1b[2J"), "not JSON"),
            (fake_node.answers_with(b"[" * 17000), "RecursionError"),
            (fake_node.answers_with(b'{"/ccm/status": NaN}'), "NaN is not JSON"),
            (fake_node.answers_with(b'{"/ccm/status": ' + b"9" * 5000 + b"}"), "not JSON|not an object"),
            (fake_node.answers_with(b'{"/ccm/status": {"x": "' + b"x" * 100000 + b'"}}'), "more than 17408 bytes"),
            (fake_node.answers_with(b'{"/ccm/other": {}}'), "answers another question"),
            (fake_node.answers_with(b'{"/ccm/status": [1]}'), "not an object"),
            (fake_node.answers_with(b'{"/ccm/status": null}'), "does not know this command"),
            (fake_node.answers_with(b'{"/ccm/status": {"error": "\\u001b[2Jgone\\nfishing"}}'), "gone.fishing"),
        )  # fmt: skip
        for how, pattern in rows:
            with fake_node.FakeNode(self.path, how=how):
                self.refused(pattern, "status")

    def test_slow_node_is_waited_for_and_no_longer(self):
        with fake_node.FakeNode(self.path, how=fake_node.slow(0.2)):
            self.assertIn("UP", self.good("--timeout", "5", "status"))
        # Each answer in time, all together not.
        answers = fake_node.table()
        answers["/ccm/partners"]["next"] = 1
        answers.update({f"/ccm/partners,{n}": {"next": n + 1, "partners": {}} for n in range(1, 99)})
        with fake_node.FakeNode(self.path, answers, how=fake_node.slow(0.2)):
            self.refused("gave up: too much time for all answers together", "partners")

    def test_pages_without_end(self):
        answers = fake_node.table()
        answers["/ccm/partners"]["next"] = 1
        answers["/ccm/partners,1"] = {"total": 1, "next": 1, "partners": {}}
        with fake_node.FakeNode(self.path, answers):
            self.refused("have no end", "partners")
        answers["/ccm/events"]["next"] = 4
        answers["/ccm/events,4"] = answers["/ccm/events"]
        with fake_node.FakeNode(self.path, answers):
            self.good("events")

        class Counting(dict):
            def get(self, command, default=None):
                if command.startswith("/ccm/partners,"):
                    return {"next": int(command.split(",")[1]) + 1, "partners": {}}
                return super().get(command, default)

        answers = Counting(fake_node.table())
        answers["/ccm/partners"]["next"] = 1
        with fake_node.FakeNode(self.path, answers):
            start = time.monotonic()
            self.run_ctl("--socket", self.path, "--timeout", "0.5", "partners")
            self.assertLess(time.monotonic() - start, 10)

    def test_strings_cannot_draw(self):
        evil = "\033[2J\033]0;x\007\r\n\u202eUP\x9b31m"
        answers = fake_node.table()
        for text in ("name", "cluster", "version", "role"):
            answers["/ccm/status"][text] = evil
        for key, value in list(fake_node.PARTNER.items()):
            if isinstance(value, str) and key != "state":
                answers["/ccm/partners"]["partners"]["partner_2"][key] = evil
                answers["/ccm/partner,2"][key] = evil
        answers["/ccm/clients"]["clients"]["client_0"].update(name=evil, partners={evil: evil})
        answers["/ccm/ports,0"]["ports"]["partner_2_port_0"]["client"] = evil
        answers["/remu/port"].update(name=evil, driver=evil)
        answers["/remu/drops"][evil] = 1
        answers["/ccm/boot"].update(name=evil, stages={"stage_1": evil})
        for item in answers["/ccm/events"]["events"].values():
            item.update({"from": evil, "to": evil, "reason": evil})
        node = self.serve(answers)
        for command in (*COMMANDS, "watch -c 1", "doctor"):
            if command == "doctor":
                node.answers["/ccm/partners"]["partners"]["partner_2"].update(state=evil, id=evil, conflicts=1)
                node.answers["/remu/port"].update(link_mbps=evil, mtu_bytes=evil)
            done = self.run_ctl("--socket", self.path, *command.split())
            self.assertIn(done.returncode, (0, 1) if command != "doctor" else (2,), command)
            text = done.stdout + done.stderr
            self.assertTrue(all(" " <= c <= "~" or c == "\n" for c in text), (command, text))

    def test_answers_of_any_shape(self):
        """Random damage to the answers: an error in one line or some output, never a crash."""
        rng = random.Random(4711)
        odd = (None, True, -1, 0, 2**70, 1.5, 1e308, "", "x", "\0\033[H", [], {}, {"error": 1}, {"next": 3},
               ["a"], {"partner_": {}}, {"a": {"b": {"c": []}}}, "9" * 400)  # fmt: skip

        def damage(value):
            roll = rng.random()
            if roll < 0.06:
                return rng.choice(odd)
            if isinstance(value, dict):
                out = {key: damage(part) for key, part in value.items() if rng.random() > 0.03}
                if rng.random() < 0.05:
                    out[
                        rng.choice(("next", "total", "error", "id", "", "partner_x", "\u00b2"))
                    ] = rng.choice(odd)
                return out
            return [damage(part) for part in value] if isinstance(value, list) else value

        class Direct(Node):
            """Without a socket."""

            def __init__(self, answers):  # pylint: disable=super-init-not-called
                self.answers = answers
                self.telemetry = self
                self.sock = True

            def value(self, command):
                if command == "/":
                    return damage(list(self.answers))
                value = damage(self.answers.get(command))
                if value is None:
                    raise TelemetryError(f"{command}: unknown")
                if isinstance(value, dict) and isinstance(value.get("error"), str):
                    raise TelemetryError(value["error"])
                return value

        shown = 0
        for _ in range(SEEDS):
            node = Direct(fake_node.table())
            screen = Screen(io.StringIO(), colour=False, columns=rng.choice((20, 40, 80, 200)))
            looks = (
                lambda n: (status.gather(n), lambda s: None),
                views.partners, lambda n: views.partners(n, 2), views.clients, views.ports,
                lambda n: views.events(n, 3), views.timing, views.drops, views.latency, views.boot, views.config, views.capture, lambda n: (n.reload(), lambda s: []),
            )  # fmt: skip
            for look in looks:
                try:
                    data, render = look(node)
                    json.dumps(data)
                    lines = render(screen) if look is not looks[0] else status.render(data, screen)
                except TelemetryError:
                    continue
                shown += 1
                for line in lines:
                    self.assertTrue(all(" " <= c <= "~" for c in line), line)
        self.assertGreater(shown, SEEDS * 5)


class Terminals(Case):
    def test_narrow_columns(self):
        self.serve(fake_node.broken(
            fake_node.table(), status={"state": "down", "partners_up": 0}, client={"partner_2": "no_session"},
            partner={"state": "search", "verdict": "unreachable", "reason": "no_answer", "last_answer_ms": -1}))  # fmt: skip
        for columns in (20, 43, 80):
            for command in COMMANDS:
                out = self.run_ctl(
                    "--socket", self.path, "--columns", str(columns), *command.split()
                ).stdout
                for line in out.splitlines():
                    self.assertLessEqual(len(line), columns, (command, line))
            plain = self.run_ctl("--socket", self.path, "--columns", str(columns), "status").stdout
            # What goes on in a next line is indented: only paragraphs begin at the margin.
            starts = {line.split()[0] for line in plain.splitlines() if line and line[0] != " "}
            self.assertLessEqual(starts, {"node-a:", "partner", "client", "ports", "memory", "with", "nvlog"}, plain)
            colour = self.run_ctl("--socket", self.path, "--columns", str(columns), "--colour", "always",
                                  "status").stdout  # fmt: skip
            self.assertIn("\033[31m", colour)
            self.assertEqual(re.sub(r"\033\[\d+m", "", colour), plain)

    def in_terminal(self, words, keys=b"", env=None, wait=b"", send=None):
        """Run under a pseudo terminal; (exit status, all output)."""
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.clear()
            os.environ.update({**self.env, **(env or {})})
            os.execv(CCMCTL, [CCMCTL, *words])
        out, end, done = b"", time.monotonic() + 30, False
        while time.monotonic() < end:
            if select.select([fd], [], [], 0.1)[0]:
                try:
                    data = os.read(fd, 65536)
                except OSError:
                    break
                if not data:
                    break
                out += data
            if not done and wait in out:
                done = True
                if keys:
                    os.write(fd, keys)
                if send:
                    os.kill(pid, send)
        os.close(fd)
        _, code = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(code), out.decode()

    def test_colours_on_terminals_that_have_them(self):
        self.serve()
        self.assertIn("\033[32mUP\033[0m", self.in_terminal(["status"])[1])
        self.assertNotIn("\033", self.in_terminal(["status"], env={"TERM": "dumb"})[1])
        self.assertNotIn("\033", self.in_terminal(["status"], env={"NO_COLOR": "1"})[1])
        self.assertNotIn("\033", self.in_terminal(["status", "--colour", "never"])[1])

    def test_watch_in_a_terminal(self):
        self.serve()
        for keys, send, code in ((b"q", None, 0), (b"", signal.SIGTERM, 143), (b"\x03", None, 130)):
            status_, out = self.in_terminal(["watch", "-i", "0.2"], keys=keys, send=send, wait=b"packets/s")
            self.assertEqual(status_, code, out)
            self.assertTrue(out.startswith("\033[?1049h"), out[:20])
            self.assertTrue(out.rstrip("\r\n").endswith("\033[?1049l") or "^C" in out, out[-80:])
            self.assertIn("\033[?1049l", out)
            self.assertRegex(out, "q quits[^\n]*\033\\[H")  # no newline behind the last line
        out = self.in_terminal(["watch", "-c", "2", "-i", "0.1"], env={"TERM": "dumb"})[1]
        self.assertNotIn("\033", out)

    def test_watch_in_windows_of_any_height(self):
        """What does not fit is older events first; the first line and the last always stay."""
        self.serve()
        for rows in (5, 8, 12, 13, 14, 15, 16, 17, 30):
            screen = Screen(io.StringIO(), colour=False, columns=80)
            with Node(self.path, 5) as node, unittest.mock.patch.object(Screen, "_window", lambda _: (80, rows)):
                _, lines, events = live.frame(node, screen, live.Rates())
                shown = live.fit(lines, events, screen, 1.0)
            self.assertLessEqual(len(shown), rows)
            self.assertTrue(shown[0].startswith("node-a: UP"))
            self.assertTrue(shown[-1].endswith("q quits"))
            there = [line[14:] for line in shown if "  partner 2  " in line]
            everything = [line[14:] for event in events for line in event]
            self.assertEqual(there, everything[len(everything) - len(there) :])
            self.assertEqual(len(there), max(0, min(4, rows - 2 - len(lines) - 1)))
            self.assertEqual("taller window" in " ".join(shown), rows - 2 < len(lines))

    def test_watch_without_a_terminal(self):
        node = self.serve()
        out = self.good("watch", "-c", "3", "-i", "0.1")
        self.assertEqual(out.count("node-a: UP"), 3)
        self.assertNotIn("\033", out)
        lines = self.good("watch", "--json", "-c", "3", "-i", "0.1").splitlines()
        reports = [json.loads(line) for line in lines]
        self.assertEqual([report["state"] for report in reports], ["up"] * 3)
        self.assertEqual(sorted({report["time"] for report in reports}), [r["time"] for r in reports])
        node.close()
        done = self.run_ctl("--socket", self.path, "watch", "-c", "1")
        self.assertEqual(done.returncode, 3)
        done = self.run_ctl("--socket", self.path, "watch", "-c", "1", "--json")
        self.assertEqual(done.returncode, 3)
        self.assertIn("no answer", json.loads(done.stdout)["error"])

    def test_reader_that_goes(self):
        self.serve()
        done = subprocess.run(["bash", "-o", "pipefail", "-c", f"{CCMCTL} --socket {self.path} partners 2 | head -n 1"],
                              capture_output=True, text=True, check=False, env=self.env)  # fmt: skip
        self.assertEqual(done.stderr, "")


class Text(unittest.TestCase):
    def test_units(self):
        rows = ((0, "0 s"), (0.0000123, "12.3 us"), (0.0123, "12.3 ms"), (1.5, "1.5 s"), (59.9, "59.9 s"),
                (61, "1 min 1 s"), (3600, "1 h 0 min"), (90000, "1 d 1 h"), (None, "-"))  # fmt: skip
        for value, text in rows:
            self.assertEqual(duration(value), text)
        for value, text in ((0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"),
                            (16 << 20, "16 MiB"), (1 << 40, "1 TiB"), (None, "-")):  # fmt: skip
            self.assertEqual(size(value), text)

    def test_wrap(self):
        screen = Screen(io.StringIO(), colour=True, columns=20)
        lines = screen.wrap(
            "aaa " + screen.paint("bad", "bbb ccc") + " " + "d" * 50 + " took 3 ms", 4, "  - "
        )
        self.assertTrue(all(visible(line) <= 20 for line in lines), lines)
        self.assertTrue(lines[0].startswith("  - aaa"))
        self.assertTrue(any("3 ms" in line for line in lines))
        self.assertEqual(screen.wrap(""), [""])
        # A word that fits a line of its own, such as a file's name, stays whole.
        narrow = Screen(io.StringIO(), colour=False, columns=20)
        self.assertEqual(narrow.wrap("abcdefgh.json: ok", 4, "ok      config  "),
                         ["ok      config", "    abcdefgh.json:", "    ok"])  # fmt: skip


class SupportBundle(Case):
    def test_content_without_keys(self):
        self.serve()
        file = os.path.join(self.folder, "x.tar.gz")
        config = os.path.join(self.folder, "node.json")
        with open(config, "w", encoding="utf-8") as out:
            out.write('{"bootstrap": {"va": "0x1000", "rkey": "0xc0de0001"}, "slot_rkey" : 3221225473}')
        data = json.loads(
            self.good("support-bundle", "-o", file, "--config", config, "--log", "/nowhere", "--json")
        )
        self.assertEqual(os.stat(file).st_mode & 0o777, 0o600)
        with tarfile.open(file) as tar:
            names = tar.getnames()
            texts = {name.split("/", 1)[1]: tar.extractfile(name).read().decode() for name in names}
        self.assertEqual(sorted(texts), sorted(data["parts"]))
        for name in ("status.txt", "status.json", "events.txt", "telemetry/ccm-partner-2.json", "about.json",
                     "telemetry/ethdev-info-0.json", "config.json", "machine/proc/meminfo.txt", "NOTES.txt"):  # fmt: skip
            self.assertIn(name, texts)
        self.assertIn("/nowhere", texts["NOTES.txt"])
        everything = "".join(texts.values())
        for key in ("c0de0001", "3221225473", "12345678"):
            self.assertNotIn(key, everything)
        self.assertEqual(self.run_ctl("support-bundle", "-o", file).returncode, 1)  # is there already
        os.unlink(file)
        self.good("support-bundle", "-o", file, "--secrets")
        with tarfile.open(file) as tar:
            name = next(n for n in tar.getnames() if n.endswith("ccm-partner-2.json"))
            self.assertIn("c0de0001", tar.extractfile(name).read().decode())

    def test_without_a_node(self):
        done = self.run_ctl("support-bundle", "-o", os.path.join(self.folder, "x.tar.gz"))
        self.assertEqual(done.returncode, 0)
        self.assertIn("only the machine", done.stderr)


if __name__ == "__main__":
    assert cli.NO_ANSWER == 3
    unittest.main()
