#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The story that scripts/demo tells: two nodes, their handshake, a crash and the way back.

usage: demo.py --build DIR

Every figure shown is what the nodes answered over their telemetry sockets or what was measured from
outside. Exit status: 0 all as told, 1 something was not; then the end of the nodes' logs is shown.
"""
import argparse
import ctypes
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from telemetry import Telemetry, TelemetryError

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PR_SET_PDEATHSIG = 1
LIMIT = 30.0  # seconds for the whole story
STEPS = (
    ("read_one", "READ 1", "read the partner's status record"),
    ("write_one", "WRITE 1", "write our record into its slot"),
    ("read_two", "READ 2", "read it again: does it mean us?"),
    ("write_two", "WRITE 2", "write ours again: we mean it"),
    ("client_info", "client info", "its clients' wishes have arrived"),
    ("create_ports", "create ports", "queue pairs and memory exist"),
    ("connect_ports", "connect ports", "joined to the partner's queue pairs"),
    ("ready", "ready", "verified by both; clients told UP"),
)
LIBC = ctypes.CDLL(None)


class DemoError(Exception):
    """Something is not as told."""


def utf8_terminal():
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if os.environ.get(name):
            return "utf" in os.environ[name].lower()
    return False


MICRO = "\u00b5s" if utf8_terminal() else "us"


class Style:
    """Colours on a terminal that wants them."""

    def __init__(self):
        self.on = (
            sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )

    def _paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.on else text

    def bold(self, text):
        return self._paint("1", text)

    def dim(self, text):
        return self._paint("2", text)

    def good(self, text):
        return self._paint("32", text)

    def bad(self, text):
        return self._paint("31", text)


STYLE = Style()


def say(text=""):
    print(text, flush=True)


def chapter(number, title):
    say()
    say(STYLE.bold(f"{number}. {title}"))


def size(count):
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            number = f"{count / factor:.1f}".removesuffix(".0")
            return f"{number} {unit}"
    return f"{count} B"


def duration(seconds):
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} {MICRO}"
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    return f"{seconds:.2f} s"


def table(rows, align):
    """Print rows in columns, each as wide as needed; align: < or > per column."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(align))]
    for row in rows:
        cells = (f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths))
        say("   " + "  ".join(cells).rstrip())


class Node:
    """One node: its configuration, its process, its telemetry."""

    def __init__(self, demo, letter, memif_role, cpu):
        self.demo = demo
        self.cpu = cpu
        self.config = os.path.join(ROOT, "config", f"node-{letter}.json")
        with open(self.config, encoding="utf-8") as file:
            self.settings = json.load(file)
        self.name = self.settings["node"]["name"]
        self.partner_id = self.settings["partners"][0]["id"]
        self.prefix = letter  # the runtime folder is our own
        self.vdev = f"net_memif0,role={memif_role},socket={demo.token}"
        self.log = os.path.join(demo.folder, f"{self.name}.log")
        self.process = None
        self.telemetry = None
        self.ready = False

    def command(self):
        return [
            os.path.join(self.demo.build, "app", "node", "ccm-node"),
            "--no-huge", "-m", "128", "--no-pci", "--lcores", f"0@{self.cpu}",
            f"--file-prefix={self.prefix}", f"--vdev={self.vdev}", "--", "--config", self.config,
        ]  # fmt: skip

    def start(self):
        parent = os.getpid()

        def child():
            # Should this program be killed, its nodes are too.
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, "RUNTIME_DIRECTORY": self.demo.folder}, cwd=self.demo.folder,
                start_new_session=True, preexec_fn=child,
            )  # fmt: skip

    def check_alive(self):
        status = self.process.poll()
        if status is not None:
            how = f"signal {-status}" if status < 0 else f"status {status}"
            raise DemoError(f"{self.name} has ended by itself, with {how}")

    def connect(self):
        """Wait for the telemetry socket, which EAL opens, and for the node's own commands."""
        path = os.path.join(self.demo.folder, "dpdk", self.prefix, "dpdk_telemetry.v2")
        what = "no answer"
        while not self.ready:
            try:
                self.telemetry = self.telemetry or Telemetry(path, 5)
                self.ready = self.telemetry.ask("/ccm/status").get("/ccm/status") is not None
            except TelemetryError as error:
                what = error
            self.check_alive()
            self.demo.check_time(f"telemetry of {self.name}: {what}")
            if not self.ready:
                time.sleep(0.005)

    def ask(self, command):
        self.connect()
        try:
            value = self.telemetry.ask(command).get(command.split(",", maxsplit=1)[0])
        except TelemetryError as error:
            self.check_alive()
            raise DemoError(f"{self.name}: {command}: {error}") from error
        if value is None or "error" in value:
            raise DemoError(f"{self.name}: {command}: {value}")
        return value

    def partner(self):
        return self.ask(f"/ccm/partner,{self.partner_id}")

    def exercise(self):
        """Sums over all ports, and each of them."""
        return self.ask("/ccm/exercise")

    def rounds(self):
        """Rounds of verified data of each port."""
        return {key: port["rounds"] for key, port in self.exercise()["ports"].items()}

    def timing(self):
        return self.ask("/ccm/timing")["partners"][f"partner_{self.partner_id}"]

    def downs(self):
        """How often clients have been told DOWN."""
        return sum(client["downs"] for client in self.ask("/ccm/clients")["clients"].values())

    def wait_state(self, wanted, pause=0.001):
        """Until the session is in the state, or with "!", in another one; the partner's status."""
        while True:
            partner = self.partner()
            if (partner["state"] == wanted.lstrip("!")) != wanted.startswith("!"):
                return partner
            self.demo.check_time(
                f"{self.name} is not {wanted} but {partner['state']} ({partner['reason']})"
            )
            time.sleep(pause)

    def disconnect(self):
        if self.telemetry:
            self.telemetry.close()
        self.telemetry = None
        self.ready = False

    def kill(self):
        """SIGKILL. When, on the monotonic clock."""
        self.disconnect()
        self.process.kill()
        when = time.monotonic()
        self.process.wait()
        return when

    def stop(self):
        """SIGTERM. (exit status, seconds)"""
        self.disconnect()
        self.check_alive()
        start = time.monotonic()
        self.process.terminate()
        try:
            status = self.process.wait(5)
        except subprocess.TimeoutExpired as error:
            raise DemoError(f"{self.name} does not end on SIGTERM") from error
        return status, time.monotonic() - start

    def cleanup(self):
        self.disconnect()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def log_tail(self, lines=15):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read().splitlines()[-lines:]
        except OSError:
            return []


def expect(condition, text):
    if not condition:
        raise DemoError(text)


class Demo:
    def __init__(self, build):
        self.build = os.path.abspath(build)
        self.begun = time.monotonic()
        self.token = f"ccm-demo-{os.getpid()}-{secrets.token_hex(3)}"
        self.folder = tempfile.mkdtemp(prefix="ccm-demo-")
        cpus = sorted(os.sched_getaffinity(0))
        self.a = Node(self, "a", "server", cpus[0])
        self.b = Node(self, "b", "client", cpus[1 % len(cpus)])
        self.nodes = (self.a, self.b)
        self.lost_bytes = 0  # verified by a node that has been killed since

    def check_time(self, what):
        if time.monotonic() - self.begun > LIMIT:
            raise DemoError(f"after {LIMIT:.0f} s: {what}")

    def cleanup(self):
        for node in self.nodes:
            node.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)

    def both_up(self):
        """Until both are up with each other's present attempt; what they say of their partners."""
        while True:
            a, b = (node.wait_state("up") for node in self.nodes)
            # Asked one after the other, so one may have moved on meanwhile.
            if a["nonce"] == b["partner_nonce"] and b["nonce"] == a["partner_nonce"]:
                return a, b
            self.check_time("the nodes are not up with each other's present attempt")
            time.sleep(0.01)

    # ---- the chapters

    def start(self):
        say(STYLE.bold("ccm: an RDMA session between two cluster nodes"))
        say("Two processes on this machine: no RDMA hardware, no NIC, no hugepages, no root.")
        chapter(1, "Start two nodes")
        rows = [("", "role", "MAC", "IP", "process", "CPU")]
        for node in self.nodes:
            node.start()
            settings = node.settings
            rows.append((
                node.name, settings["node"]["role"], settings["port"]["mac"], settings["port"]["ip"],
                str(node.process.pid), str(node.cpu),
            ))  # fmt: skip
        table(rows, "<<<<>>")
        say(STYLE.dim("   between them net_memif: shared memory that carries Ethernet frames"))

    def handshake(self):
        chapter(2, "Handshake: READs and WRITEs to a MAC, queue pair and address set beforehand")
        a, b = self.both_up()
        timings = [node.timing() for node in self.nodes]
        rows = [("step", "what", self.a.name, self.b.name)]
        for key, name, what in STEPS:
            rows.append((name, what, *(f"{timing[key + '_ns'] / 1000:.1f} {MICRO}" for timing in timings)))
        rows.append(("in all", "READ 1 to clients told UP",
                     *(f"{timing['setup_ns'] / 1000:.1f} {MICRO}" for timing in timings)))  # fmt: skip
        table(rows, "<<>>")
        say(STYLE.dim("   READ 1 of the node that is first waits until the other one is there"))
        for what in ("version", "path_mtu"):
            expect(a[what] == b[what] != 0, f"the nodes do not agree on {what}: {a[what]}, {b[what]}")
        say(
            f"   Both {STYLE.good('UP')}. Agreed: version {a['version']}, path MTU {a['path_mtu']} bytes,"
            f" roles {b['role']} and {a['role']}."
        )
        # Of the one that did not wait.
        return min(timing["setup_ns"] for timing in timings) / 1e9

    def matching_ports(self):
        """Rows of the table; none when the two sides differ, as they may between two sessions."""
        a, b = (list(node.ask(f"/ccm/ports,{node.partner_id}")["ports"].values()) for node in self.nodes)
        theirs = {(port["client"], port["index"]): port for port in b}
        rows = []
        for port in a:
            other = theirs.get((port["client"], port["index"]))
            if not other or (port["qpn"], port["remote_qpn"]) != (other["remote_qpn"], other["qpn"]):
                return []
            rows.append((port["client"], str(port["index"]), f"{port['qpn']:#08x}",
                         f"{port['remote_qpn']:#08x}", size(port["length_bytes"])))  # fmt: skip
        return rows if len(rows) == len(theirs) else []

    def ports(self):
        chapter(3, "Communication ports for the clients on top")
        while True:
            rows = self.matching_ports()
            if rows:
                break
            self.check_time("the nodes' ports do not fit each other")
            self.both_up()
        rows.insert(0, ("client", "port", f"queue pair of {self.a.name}", f"of {self.b.name}", "memory"))
        table(rows, "<>>>>")

    def data(self, rounds):
        """Wait until every port of both nodes has done some more rounds."""
        for node, before in [(node, node.rounds()) for node in self.nodes]:
            while any(count < before[key] + rounds for key, count in node.rounds().items()):
                self.check_time(f"{node.name} moves no data")
                time.sleep(0.01)
            wrong = node.exercise()["mismatches"]
            expect(wrong == 0, f"{node.name} read back other data than it had written")

    def verified(self):
        chapter(4, "Data: written to the partner's memory, read back, compared")
        self.data(5)
        rows = [("", "verified", "rounds", "mismatches")]
        for node in self.nodes:
            sums = node.exercise()
            rows.append((node.name, size(sums["verified_bytes"]), str(sums["rounds"]),
                         str(sums["mismatches"])))  # fmt: skip
        table(rows, "<>>>")

    def crash(self):
        chapter(5, f"{self.b.name} is killed: SIGKILL, no goodbye")
        before = self.a.partner()
        downs = self.a.downs()
        self.lost_bytes = self.b.exercise()["verified_bytes"]
        killed = self.b.kill()
        self.a.wait_state("!up")
        noticed = time.monotonic() - killed
        while (now := self.a.downs()) == downs:
            self.check_time(f"{self.a.name} does not tell its clients DOWN")
            time.sleep(0.001)
        told = time.monotonic() - killed
        after = self.a.wait_state("search")
        reason = after["last_down_reason"]
        expect(after["nonce"] != before["nonce"], f"{self.a.name} goes on with an old attempt")
        say(f"   {STYLE.bad('DOWN')} at {self.a.name} after {duration(noticed)}: {reason};"
            f" {now - downs} clients told after {duration(told)}.")  # fmt: skip
        say(f"   {self.a.name} destroys its ports, draws a new random number and searches.")
        return before, noticed, reason

    def recovery(self, before):
        chapter(6, f"{self.b.name} is started again")
        begun = time.monotonic()
        self.b.start()
        a, b = self.both_up()
        back = time.monotonic() - begun
        expect(a["nonce"] != before["nonce"] and a["partner_nonce"] != before["partner_nonce"],
               "the new session has the random number of the old one")  # fmt: skip
        setup = self.b.timing()["setup_ns"] / 1e9
        say(f"   {STYLE.good('UP')} again {duration(back)} after its start;"
            f" the handshake took {duration(setup)} of it.")  # fmt: skip
        table([
            ("attempt", "before", "now"),
            (self.a.name, before["nonce"], a["nonce"]),
            (self.b.name, before["partner_nonce"], a["partner_nonce"]),
        ], "<<<")  # fmt: skip
        self.data(3)
        total = self.lost_bytes + sum(node.exercise()["verified_bytes"] for node in self.nodes)
        say(f"   New random numbers, new queue pairs, and data again: {size(total)} verified.")
        return back, setup, total

    def stop(self):
        chapter(7, "Both are stopped: SIGTERM")
        status, seconds = self.b.stop()
        say(f"   {self.b.name}: exit status {status} after {duration(seconds)}")
        expect(status == 0, f"{self.b.name} ended with status {status}")
        while (reason := self.a.partner()["last_down_reason"]) != "partner_leaving":
            self.check_time(f"{self.a.name} gives {reason} as the reason, not partner_leaving")
            time.sleep(0.005)
        say(f"   {self.a.name} knows why: {reason}")
        status, more = self.a.stop()
        say(f"   {self.a.name}: exit status {status} after {duration(more)}")
        expect(status == 0, f"{self.a.name} ended with status {status}")

    def run(self):
        self.start()
        setup = self.handshake()
        self.ports()
        self.verified()
        before, noticed, reason = self.crash()
        back, again, total = self.recovery(before)
        self.stop()
        say()
        say(STYLE.bold("Shown"))
        say(f"   session set up in {duration(setup)}; after the crash in {duration(again)};"
            " READs and WRITEs alone")  # fmt: skip
        say(f"   {size(total)} written, read back and compared: no byte differs")
        say(f"   crash noticed after {duration(noticed)} ({reason}),"
            f" session back {duration(back)} after restart")  # fmt: skip
        say("   no old attempt was taken for a session; both nodes ended with status 0")
        say(STYLE.dim(f"   {time.monotonic() - self.begun:.1f} s in all. Run nodes yourself: README.md"))


def main():
    parser = argparse.ArgumentParser(description="Show two nodes at work.")
    parser.add_argument("--build", required=True, help="build folder")
    args = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    demo = Demo(args.build)
    try:
        demo.run()
    except BrokenPipeError:
        # Nobody looks any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (DemoError, OSError, KeyError) as error:
        what = f"telemetry lacks {error}" if isinstance(error, KeyError) else str(error)
        say()
        say(STYLE.bad(f"Not as told: {what}"))
        for node in demo.nodes:
            say(f"--- end of the log of {node.name}")
            for line in node.log_tail():
                say(f"    {line}")
        return 1
    finally:
        # A second signal must not end the cleanup.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        demo.cleanup()
    return 0


if __name__ == "__main__":
    sys.exit(main())
