#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Clients that ask too much of a telemetry socket.

usage: telemetry_flood.py flood SOCKET CLIENTS SECONDS   each asks every millisecond, again and again
       telemetry_flood.py slow SOCKET CLIENTS SECONDS    each asks as much as it can and reads nothing
       telemetry_flood.py idle SOCKET CLIENTS SECONDS    each connects and says nothing
       telemetry_flood.py odd SOCKET                     50 odd parameters for every command of ours, and
                                                         commands that are none

Prints what became of it as one line of JSON. An answer that is not JSON, that is too long or that
answers another question is an error: exit status 1.
"""
import collections
import json
import random
import socket
import sys
import threading
import time

# Each with what the answer must have; parameters differ, so that a mix-up shows.
QUESTIONS = (
    ("/ccm/status", "state"), ("/ccm/partner,65534", "error"), ("/ccm/partners,0", "total"), ("/ccm/ports,0,1", "total"),
    ("/ccm/events,3", "events"), ("/ccm/boot/stage,none,4294967295", "error"), ("/remu/drops", "icrc"),
    ("/remu/qps,1", "total"), ("/ccm/clients,4294967295", "total"), ("/ccm/timing,1,2,3", "error"),
    ("/remu/port", "name"), ("/ccm/config", "timing"), ("/ccm/reload", "count"),
)  # fmt: skip
ODD = (
    ",", "-1", "+1", " 1", "1 ", "01", "1,,2", ",1", "1,", "1,2,", "1,2,3", "1,2,3,4,5,6,7,8,9", "4294967296",
    "18446744073709551616", "9" * 100, "9" * 900, "1e3", "0x10", "0x", "1.0", "nan", "inf", "true", "null", "{}", "[]", '"',
    '"' * 400, "\\", "\\" * 400, "'", "%s", "%n%n%n%n", "%999999d", "\n", "\r\n", "\t", "\x01", "\x7f", "\x80", "\xff\xfe",
    "\u00e9", "\U0001f4a9", "a", "a" * 31, "a" * 32, "a" * 33, "a" * 8000, "../../..", "/ccm/status", "1\0002", "\0",
)  # fmt: skip
NOT_COMMANDS = ("", " ", ",", ",,,", "x", "/", "//", "/ccm", "/ccm/", "/ccm/nothing", "/" * 55, "/" * 56, "/" * 1000,
                "a" * 8000, "\0", "\n", "%n", "/help", "/help,", "/help,/ccm/status", "/help," + "x" * 500, "/info,1")  # fmt: skip


class Flood:
    def __init__(self, path):
        self.path = path
        self.counts = collections.Counter()
        self.problems = []
        self.lock = threading.Lock()

    def count(self, what, number=1):
        with self.lock:
            self.counts[what] += number

    def problem(self, text):
        with self.lock:
            if len(self.problems) < 10:
                self.problems.append(text[:300])

    def connect(self):
        """A socket that was greeted, or None: DPDK serves ten clients and hangs up on others."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.settimeout(30)
            sock.connect(self.path)
            if sock.recv(4096):
                self.count("greeted")
                return sock
            self.count("hung_up")
        except OSError as error:
            self.count(type(error).__name__)
        sock.close()
        return None

    def ask(self, sock, command, ours=True):
        """The reply's (name, value), or None when the connection has ended. DPDK repeats a command that
        there is not as it came, whatever that does to its JSON."""
        sock.send(command.encode("utf-8", "surrogateescape"))
        data = sock.recv(1 << 18)
        if not data:
            return None
        self.count("answers")
        if len(data) > 16384 + 1024:
            self.problem(f"{command!r}: {len(data)} bytes")
        try:
            (name, value), = json.loads(data.rstrip(b"\0").decode()).items()
            return name, value
        except ValueError as error:
            if ours:
                self.problem(f"{command!r}: {error}: {data[:80]!r}")
            return "", None

    def client(self, seed, end):
        """As ten thousand scripts would: connect, ask a while, hang up, again."""
        rng = random.Random(seed)
        while time.monotonic() < end:
            sock = self.connect()
            if not sock:
                time.sleep(0.001)
                continue
            try:
                for _ in range(rng.choice((0, 1, 10, 1000))):
                    command, key = rng.choice(QUESTIONS)
                    answer = self.ask(sock, command)
                    if answer is None or time.monotonic() >= end:
                        break
                    name, value = answer
                    if name != command.split(",", maxsplit=1)[0] or not isinstance(value, dict) or key not in value:
                        self.problem(f"{command}: {name}: {value}")
                    time.sleep(0.001)
            except OSError as error:
                self.count(type(error).__name__)
            sock.close()

    def flood(self, clients, seconds):
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self.client, args=(i, end)) for i in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def hold(self, clients, seconds, asking):
        """Connections that are kept; those that are not served try again, so that places are wanted."""
        end = time.monotonic() + seconds
        socks = []
        while time.monotonic() < end:
            if len(socks) < clients:
                sock = self.connect()
                if sock:
                    sock.setblocking(False)
                    socks.append(sock)
            for sock in list(socks):
                try:
                    for _ in range(1000 if asking else 0):
                        sock.send(b"/ccm/config")
                        self.count("asked")
                except BlockingIOError:
                    pass
                except OSError as error:
                    self.count(f"ended: {type(error).__name__}")
                    sock.close()
                    socks.remove(sock)
            time.sleep(0.01)
        self.count("held", len(socks))
        for sock in socks:
            sock.close()

    def odd(self):
        sock = self.connect()
        (_, names) = self.ask(sock, "/")
        ours = [name for name in names if name.startswith(("/ccm/", "/remu/"))]
        if len(ours) < 10:
            self.problem(f"only {ours}")
        for command in [f"{name},{text}" for name in ours for text in ODD] + [*NOT_COMMANDS, *ours]:
            if command in ("", "\0"):
                continue  # an empty message ends a connection
            answer = None
            try:
                answer = self.ask(sock, command, command.split(",")[0] in ours)
            except OSError as error:
                self.problem(f"{command[:60]!r}: {error}")
            if answer is None:
                sock.close()
                sock = self.connect()
                if not sock:
                    self.problem(f"{command[:60]!r}: the end")
                    return


def main():
    what, flood = sys.argv[1], Flood(sys.argv[2])
    numbers = [float(text) for text in sys.argv[3:]]
    if what == "flood":
        flood.flood(int(numbers[0]), numbers[1])
    elif what in ("slow", "idle"):
        flood.hold(int(numbers[0]), numbers[1], what == "slow")
    else:
        flood.odd()
    print(json.dumps({**flood.counts, "problems": flood.problems}))
    return 1 if flood.problems else 0


if __name__ == "__main__":
    sys.exit(main())
