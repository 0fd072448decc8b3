#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests of telemetry.py, stop_thread.py and run_docs.py."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
LIB = os.path.join(HERE, "..", "..", "scripts", "lib")
sys.path.insert(0, LIB)

import telemetry  # noqa: E402 pylint: disable=wrong-import-position

THREADS = """
import ctypes, sys, threading, time
count = [0, 0]
def work(which):
    while True:
        count[which] += 1
        time.sleep(0.005)
threading.Thread(target=work, args=(0,), daemon=True).start()
def report():
    print(threading.get_native_id(), flush=True)
    for line in sys.stdin:
        print(*count, flush=True)
threading.Thread(target=report, daemon=True).start()
work(1)
"""


class Server:
    """One client of a telemetry socket at a time, answered from a table."""

    def __init__(self, path, replies):
        self.replies = replies
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.bind(path)
        self.sock.listen(4)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            with client:
                greeting = {"version": "DPDK 22.11", "pid": 1, "max_output_len": 16384}
                client.send(json.dumps(greeting).encode())
                while command := client.recv(1024).decode():
                    if command not in self.replies:
                        break
                    client.send(self.replies[command])

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.thread.join()


class TelemetryTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, "dpdk_telemetry.v2")

    def serve(self, replies):
        server = Server(self.path, replies)
        self.addCleanup(server.close)

    def run_tool(self, *args):
        command = [os.path.join(LIB, "telemetry.py"), *args]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_replies_are_printed_one_a_line(self):
        big = json.dumps({"/big": "x" * 16000}).encode()
        self.serve({"/a,1": b'{"/a": {"n": 1}}', "/b": b'{"/b": null}\0', "/big": big})
        done = self.run_tool("--socket", self.path, "/a,1", "/b", "/big")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(lines[:2], [{"/a": {"n": 1}}, {"/b": None}])
        self.assertEqual(len(lines[2]["/big"]), 16000)

    def test_module_asks(self):
        self.serve({"/a": b'{"/a": [1, 2]}'})
        with telemetry.Telemetry(self.path) as client:
            self.assertEqual(client.max_output, 16384)
            self.assertEqual(client.ask("/a"), {"/a": [1, 2]})

    def test_no_socket_is_one_line(self):
        for args in (("--socket", self.path), ("--file-prefix", "no-such-prefix-of-anyone")):
            done = self.run_tool(*args, "/a")
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertTrue(done.stderr.startswith("telemetry: "), done.stderr)

    def test_no_answer_is_one_line(self):
        self.serve({"/bad": b"not json"})
        for command in ("/none", "/bad"):
            done = self.run_tool("--socket", self.path, command)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_runtime_folder_of_other_users(self):
        paths = telemetry.socket_paths("p")
        self.assertEqual(paths[-1], "/tmp/dpdk/p/dpdk_telemetry.v2")
        if os.geteuid() == 0:
            self.assertEqual(paths[0], "/var/run/dpdk/p/dpdk_telemetry.v2")


class StopThreadTest(unittest.TestCase):
    def setUp(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", THREADS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.end)
        self.reporter = int(self.process.stdout.readline())

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def counts(self):
        """How often each of both workers has run. Answered by a third thread."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return [int(word) for word in self.process.stdout.readline().split()]

    def stop(self, *args, **options):
        return subprocess.Popen(
            [os.path.join(HERE, "stop_thread.py"), *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def finish(self, tool):
        out, err = tool.communicate(timeout=20)
        if "not permitted" in err:
            self.skipTest("ptrace is not permitted here")
        return tool.returncode, out, err

    def started(self, tool):
        line = tool.stdout.readline()
        if line != "stopped\n":
            self.fail(f"{line!r} {self.finish(tool)}")

    def test_main_thread_stops_and_others_run(self):
        tool = self.stop(self.process.pid, 1)
        self.started(tool)
        before = self.counts()
        time.sleep(0.5)
        after = self.counts()
        self.assertEqual(before[1], after[1])
        self.assertGreater(after[0], before[0])
        self.assertEqual(self.finish(tool), (0, "resumed\n", ""))
        deadline = time.monotonic() + 5
        while self.counts()[1] == after[1] and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertGreater(self.counts()[1], after[1])

    def test_thread_by_tid(self):
        tool = self.stop("--tid", self.reporter, self.process.pid, 0.2)
        self.assertEqual(self.finish(tool), (0, "stopped\nresumed\n", ""))
        self.assertEqual(len(self.counts()), 2)

    def test_killed_tool_lets_the_thread_go(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            tool = self.stop(self.process.pid, 30)
            self.started(tool)
            before = self.counts()[1]
            tool.send_signal(number)
            self.finish(tool)
            deadline = time.monotonic() + 5
            while self.counts()[1] <= before + 1 and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertGreater(self.counts()[1], before + 1)

    def test_thread_that_ends_meanwhile(self):
        tool = self.stop(self.process.pid, 0.5)
        self.started(tool)
        self.process.kill()
        self.process.wait()
        status, out, err = self.finish(tool)
        self.assertEqual((status, out), (1, ""))
        self.assertEqual(err.count("\n"), 1, err)

    def test_no_such_thread_is_one_line(self):
        for args in (("--tid", 1, self.process.pid), ("--name", "nobody", self.process.pid)):
            status, out, err = self.finish(self.stop(*args, 1))
            self.assertEqual((status, out, err.count("\n")), (1, "", 1), err)


class RunDocsTest(unittest.TestCase):
    """What a document's command may get wrong is found."""

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def run_docs(self, text):
        path = os.path.join(self.folder, "doc.md")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        with open(os.path.join(self.folder, "script"), "w", encoding="utf-8") as file:
            file.write("meson setup x\n")
        done = subprocess.run(
            [os.path.join(HERE, "run_docs.py"), "--root", self.folder, "--build", "/nowhere",
             "--sandbox", self.folder, path],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout

    def block(self, comment, text, language="sh"):
        return self.run_docs(f"x\n\n{comment}\n```{language}\n{text}\n```\n")

    def test_as_told(self):
        rows = (
            ("<!-- run -->", "true"), ("<!-- run: for 1 s -->", "sleep 100"), ("<!-- run: background -->", "sleep 100"),
            ("<!-- run: any status to 2 -->", "true\nfalse"), ("<!-- run by: script -->", "meson setup build"),
            ("<!-- not run: needs a NIC -->", "reboot"), ("<!-- run: until status 1 -->", "false"),
            ("  <!-- run -->", "true &&\\\n  true"),
        )  # fmt: skip
        for comment, text in rows:
            status, out = self.block(comment, text)
            self.assertEqual(status, 0, out)
        self.assertEqual(self.block("", "reboot", "text")[0], 0)
        self.assertIn("1 blocks run, 0 run elsewhere, 0 not run", self.block("<!-- run -->", "true")[1])

    def test_not_as_told(self):
        rows = (
            ("", "true", "no comment"), ("<!-- runs -->", "true", "no comment"), ("<!-- run: well -->", "true", "understood"),
            ("<!-- run -->", "false", "status 1"), ("<!-- run -->", "false | true", "status 1"),
            ("<!-- run -->", "false\ntrue", "status 1"), ("<!-- run: for 1 s -->", "true", "status 0"),
            ("<!-- run: background -->", "false", "has ended"), ("<!-- run: any status to 2 -->", "true\nexit 3", "status 3"),
            ("<!-- run by: script -->", "meson compile", "does not run"), ("<!-- not run: no -->", "true", "no reason"),
        )  # fmt: skip
        for comment, text, why in rows:
            text = text if "background" not in comment else "sh -c 'exit 1'"
            status, out = self.run_docs(f"{comment}\n```sh\n{text}\n```\n<!-- run -->\n```sh\nsleep 0.5\n```\n")
            self.assertEqual(status, 1, (comment, text, out))
            self.assertIn(why, out)
        self.assertEqual(self.run_docs("```\nreboot\n```\n")[0], 1)
        self.assertEqual(self.run_docs("<!-- run -->\n\n```sh\ntrue\n```\n")[0], 1)


if __name__ == "__main__":
    unittest.main()
