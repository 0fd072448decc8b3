#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests of scripts/perftest-peer, without any RDMA: an imitated client and a peer program of lines.

What the client says is as recorded from the programs of Debian's perftest 4.5+0.17.
"""
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SCRIPT = os.path.join(ROOT, "scripts", "perftest-peer")

# Writes down what it is told. "pong" is answered when the file pong-ends is there.
PEER = r"""
import os, sys, time
folder = sys.argv[1]
log = open(os.path.join(folder, "told"), "a")
print("EAL: a library's talk", flush=True)
print(sys.argv[2], flush=True)
for line in sys.stdin:
    log.write(line)
    log.flush()
    words = line.split()
    if words[0] == "quit":
        print("bye", flush=True)
        sys.exit(int(sys.argv[4]))
    if words[0] == "pong":
        end = time.monotonic() + 60
        while not os.path.exists(os.path.join(folder, "pong-ends")) and time.monotonic() < end:
            time.sleep(0.01)
        print(sys.argv[3], flush=True)
    elif words[0] == "connect" and os.path.exists(os.path.join(folder, "no-connection")):
        print("error connect: No such device", flush=True)
    else:
        print("ok rx=7 tx=8", flush=True)
"""
GREETING = "ok qpn=256 va=0x7fd417c00000 rkey=0x5eed0001 rkey_ro=0x5eed0002 rkey_wo=0x5eed0003"
VERSION = b"6.06" + bytes(12)
PAGE, LINE = b"\0\0\x10\0", b"\0\0\0\x40"
GID = b":00:00:00:00:00:00:00:00:00:00:ff:ff:c0:00:02:02:00000000:\0"
THEIRS = b"0000:0080:000014:9aa92e:000005b9:000056158f2e3000" + GID
OURS = re.compile(rb"0000:0010:000100:([0-9a-f]{6}):5eed0001:00007fd417c00000"
                  rb":00:00:00:00:00:00:00:00:00:00:ff:ff:c0:00:02:01:00000000:\0")
CONNECT = ("connect qpn=20 psn=10135854 my_psn=%d va=0x56158f2e3000 rkey=0x5b9 ip=192.0.2.2 "
           "mac=02:00:00:00:00:02 mtu=%d")
REPORT = (b"\0\0\0\0\0\0\x04\0", b"\0\0\0\0\0\0\0\x14", bytes.fromhex("3fffa4d537df7deb"),
          bytes.fromhex("3ffb52138a410054"), bytes.fromhex("3f5ca5d21188f488"))
PATIENCE = 20  # seconds of this test for anything that should come
SHORT = 2  # seconds for what must not come; an interpreter starts in that time too


class Client:
    """Says and hears exact bytes."""

    def __init__(self, test, port):
        self.test = test
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        test.addCleanup(self.sock.close)
        self.psn = None

    def say(self, data):
        self.sock.sendall(data)

    def hear(self, size):
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            self.test.assertTrue(piece, f"the server closes the connection after {data!r}")
            data += piece
        return data

    def exchange(self, data, expected):
        self.say(data)
        self.test.assertEqual(self.hear(len(expected)), expected)

    def parameters(self, mtu=b"5\0"):
        self.exchange(VERSION, VERSION)
        self.exchange(PAGE, PAGE)
        self.exchange(LINE, LINE)
        self.exchange(mtu, b"3\0")

    def addresses(self, times):
        for _ in range(times):
            self.say(THEIRS)
            found = OURS.fullmatch(self.hear(108))
            self.test.assertIsNotNone(found)
            psn = int(found[1], 16)
            self.test.assertIn(self.psn, (None, psn))
            self.psn = psn

    def good_bye(self):
        self.say(b"done\0")
        self.test.assertEqual(self.hear(5), b"done\0")
        self.sock.close()

    def is_left(self):
        """Whether the server closes the connection, within reason."""
        try:
            while self.sock.recv(4096):
                pass
        except ConnectionError:
            pass


class PerftestPeerTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.server = None
        self.out = ""

    def start(self, test, *options, greeting=GREETING, pong="ok status=0 done=1000", status=0,
              timeout=PATIENCE):
        peer = [sys.executable, "-I", "-S", "-c", PEER, self.folder, greeting, pong, str(status)]
        return self.start_with(peer, test, "--timeout", str(timeout), *options)

    def start_with(self, peer, test, *options):
        """Start the server. The port it listens on, or None if it ends before."""
        self.server = subprocess.Popen(
            [SCRIPT, "--test", test, "--ip", "192.0.2.1", "--peer-mac", "02:00:00:00:00:02",
             "--listen", "127.0.0.1:0", *options, "--peer", *peer],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        self.addCleanup(self.stop)
        return self.port()

    def port(self):
        for line in self.server.stdout:
            self.out += line
            if line.startswith("listening on 127.0.0.1:"):
                return int(line.split()[2].rpartition(":")[2])
        return None

    def stop(self):
        if self.server.poll() is None:
            self.server.kill()
        self.server.communicate()

    def told(self):
        with open(os.path.join(self.folder, "told"), encoding="ascii") as log:
            return log.read().splitlines()

    def touch(self, name):
        with open(os.path.join(self.folder, name), "w", encoding="ascii"):
            pass

    def ends(self, status, *words):
        """The server ends with this status; a failure is told in one line with these words."""
        out, err = self.server.communicate(timeout=PATIENCE)
        self.out += out
        self.assertEqual(self.server.returncode, status, (self.out, err))
        self.assertEqual(err.count("\n"), 1 if status else 0, err)
        for word in words:
            self.assertIn(word, err)
        self.assertEqual("done: the client ran to its end\n" in self.out, status == 0)

    # Clients as they are.

    def test_read_lat(self):
        client = Client(self, self.start("read_lat"))
        client.parameters()
        client.addresses(4)
        client.addresses(1)
        client.good_bye()
        self.ends(0)
        self.assertEqual(self.told(), [CONNECT % (client.psn, 1024), "stats", "quit"])
        self.assertIn("peer: rx=7 tx=8\n", self.out)

    def bandwidth(self, test):
        client = Client(self, self.start(test))
        client.parameters()
        client.addresses(3)
        client.addresses(1)
        for value in REPORT:
            client.exchange(value, bytes(8))
        client.addresses(1)
        client.good_bye()
        self.ends(0)
        self.assertEqual(self.told(), [CONNECT % (client.psn, 1024), "stats", "quit"])
        self.assertIn("20 messages of 1024 bytes: peak 1.978, average 1.708 ", self.out)
        self.assertIn(" 0.001749 million messages/s\n", self.out)

    def test_write_bw(self):
        self.bandwidth("write_bw")

    def test_read_bw(self):
        self.bandwidth("read_bw")

    def test_write_lat(self):
        client = Client(self, self.start("write_lat", "-s", "5000", "-n", "20",
                                         pong="ok status=0 done=20"))
        client.parameters()
        client.addresses(4)
        self.touch("pong-ends")
        # The connection stays while the last acknowledgements are under way.
        self.assertEqual(select.select([client.sock], [], [], 0.3)[0], [])
        client.sock.close()
        self.ends(0)
        self.assertEqual(self.told(), [CONNECT % (client.psn, 1024),
                                       "pong iters=20 len=5000 at=0 from=8192 to=0", "stats",
                                       "quit"])

    def test_write_lat_client_is_faster_than_the_peer_program(self):
        client = Client(self, self.start("write_lat"))
        client.parameters()
        client.addresses(4)
        client.sock.close()
        time.sleep(0.2)
        self.touch("pong-ends")
        self.ends(0)

    def test_smaller_mtu_of_the_client(self):
        client = Client(self, self.start("read_lat"))
        client.parameters(mtu=b"2\0")
        client.addresses(5)
        client.good_bye()
        self.ends(0)
        self.assertEqual(self.told()[0], CONNECT % (client.psn, 512))

    def test_message_in_pieces(self):
        client = Client(self, self.start("read_lat"))
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.parameters()
        for piece in (THEIRS[:1], THEIRS[1:60], THEIRS[60:-1]):
            client.say(piece)
            self.assertEqual(select.select([client.sock], [], [], 0.05)[0], [])
        client.say(THEIRS[-1:])
        self.assertIsNotNone(OURS.fullmatch(client.hear(108)))
        client.addresses(4)
        client.good_bye()
        self.ends(0)

    def test_two_clients_and_a_bad_one_between(self):
        port = self.start("read_lat", "--count", "3")
        for good in (True, False, True):
            client = Client(self, port)
            if good:
                client.parameters()
                client.addresses(5)
                client.good_bye()
            else:
                client.say(b"GET / HTTP/1.0\r\n\r\n")
                client.is_left()
        out, err = self.server.communicate(timeout=PATIENCE)
        self.assertEqual(self.server.returncode, 1)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertEqual(out.count("done: the client ran to its end\n"), 2)
        self.assertEqual(self.told().count("quit"), 2)

    # Clients as they might be.

    def hostile(self, *words, test="read_lat", before=None, say=b"", close=False, timeout=PATIENCE):
        """A client that behaves up to some point, then says this; the server must leave it."""
        client = Client(self, self.start(test, timeout=timeout))
        if before is not None:
            before(client)
        client.say(say)
        if close:
            client.sock.shutdown(socket.SHUT_WR)
        client.is_left()
        self.ends(1, "perftest-peer: the client ", *words)

    def test_garbage(self):
        self.hostile("version", say=bytes(range(128, 256)) * 64)

    def test_no_version(self):
        for say in (bytes(16), b"6" * 16, b"6.\xc2\xb2".ljust(16, b"\0"), b"-1.0".ljust(16, b"\0"),
                    b"1e99".ljust(16, b"\0"), b"nan".ljust(16, b"\0")):
            with self.subTest(say=say):
                self.hostile("version", say=say)

    def test_old_version(self):
        self.hostile("5.60", say=b"5.60".ljust(16, b"\0"))

    def test_bad_sizes(self):
        for say, word in ((VERSION + b"\xff" * 4, "page"), (VERSION + bytes(4), "page"),
                          (VERSION + PAGE + b"\x7f" * 4, "line"),
                          (VERSION + PAGE + LINE + b"6\0", "MTU"),
                          (VERSION + PAGE + LINE + b"0\0", "MTU"),
                          (VERSION + PAGE + LINE + b"55", "MTU"),
                          (VERSION + PAGE + LINE + b"\xb2\0", "MTU")):
            with self.subTest(say=say):
                self.hostile(word, say=say)

    def test_bad_addresses(self):
        bad = {
            "upper case": THEIRS.replace(b"9aa92e", b"9AA92E"),
            "no number": THEIRS.replace(b"9aa92e", b"9ax92e"),
            "sign": THEIRS.replace(b"9aa92e", b"-aa92e"),
            "blank": THEIRS.replace(b"9aa92e", b" aa92e"),
            "no end": THEIRS[:-1] + b":",
            "end early": THEIRS[:40] + bytes(68),
            "colon moved": THEIRS.replace(b"000014:9", b"0000149:"),
            "binary": os.urandom(108),
            "special queue pair": THEIRS.replace(b"000014", b"000001"),
            "IPv6": THEIRS.replace(b"ff:ff:c0", b"ff:fe:c0"),
            "a line for the peer program": THEIRS.replace(b":9aa92e", b"\nquit\n:"),
        }
        for name, say in bad.items():
            with self.subTest(name):
                self.assertEqual(len(say), 108)
                self.hostile(before=Client.parameters, say=say)
                self.assertEqual(os.listdir(self.folder), ["told"])
                self.assertEqual(self.told(), [])

    def test_another_address(self):
        def before(client):
            client.parameters()
            client.addresses(1)
        self.hostile("another", before=before, say=THEIRS.replace(b"000014", b"000015"))

    def test_bad_reports(self):
        def before(client):
            client.parameters()
            client.addresses(4)
        bad = (b"\xff" * 8, b"\x7f" * 8, REPORT[0] + b"\x80" + bytes(7),
               REPORT[0] + REPORT[1] + struct.pack("!d", float("nan")),
               REPORT[0] + REPORT[1] + struct.pack("!d", float("inf")),
               REPORT[0] + REPORT[1] + REPORT[2] + struct.pack("!d", -1.0), THEIRS)
        for say in bad:
            with self.subTest(say=say):
                self.hostile("says", test="write_bw", before=before, say=say)

    def test_no_good_bye(self):
        def before(client):
            client.parameters()
            client.addresses(5)
        self.hostile("good-bye", before=before, say=b"gone\0")
        self.hostile("more than", before=before, say=b"done\0done\0")
        self.hostile("closed", before=before, say=b"done\0", timeout=SHORT)

    def test_end_at_every_point(self):
        whole = VERSION + PAGE + LINE + b"5\0" + THEIRS * 5
        for length in (0, 1, 15, 16, 19, 20, 24, 25, 26, 27, 133, 134, 458, 565, 566):
            with self.subTest(length=length):
                self.hostile("has gone", say=whole[:length], close=True)

    def test_silence(self):
        self.hostile("0 of 16 bytes of its version in 2 s", timeout=SHORT)
        self.hostile("10 of 108 bytes", before=Client.parameters, say=THEIRS[:10], timeout=SHORT)

    def test_dripping(self):
        """A byte now and then does not prolong the time."""
        client = Client(self, self.start("read_lat", timeout=SHORT))
        client.parameters()
        began = time.monotonic()
        try:
            while time.monotonic() < began + 10:
                client.say(THEIRS[:1])
                time.sleep(0.1)
        except ConnectionError:
            pass
        self.assertLess(time.monotonic() - began, 5)
        self.ends(1, "of 108 bytes of its address in 2 s")

    def test_silence_in_the_test(self):
        client = Client(self, self.start("read_lat", "--patience", "2"))
        client.parameters()
        client.addresses(4)
        client.is_left()
        self.ends(1, "end of the test in 2 s")

    def test_nobody_comes(self):
        self.start("read_lat", "--patience", "0.2")
        self.ends(1, "has not come in 0.2 s")

    def write_lat(self, *options, **more):
        client = Client(self, self.start("write_lat", *options, **more))
        client.parameters()
        client.addresses(4)
        return client

    def test_write_lat_client_goes(self):
        self.write_lat().sock.close()
        self.ends(1, "has gone in the middle of the test")

    def test_write_lat_client_talks(self):
        client = self.write_lat()
        client.say(b"x")
        client.is_left()
        self.ends(1, "more than")

    def test_write_lat_never_ends(self):
        client = self.write_lat("--patience", "2")
        client.is_left()
        self.ends(1, "has not ended the test in 2 s")

    def test_write_lat_client_stays(self):
        client = self.write_lat(timeout=SHORT)
        self.touch("pong-ends")
        client.is_left()
        self.ends(1, "has not closed the connection in 2 s")

    def test_write_lat_fails(self):
        self.touch("pong-ends")
        for pong in ("ok status=12 done=17", "ok status=0 done=17", "ok status=12 done=1000",
                     "ok"):
            with self.subTest(pong):
                self.write_lat(pong=pong).is_left()
                self.ends(1, " of 1000 messages; ")

    # Peer programs as they might be.

    def bad_peer(self, *words, **more):
        self.assertIsNone(self.start("read_lat", **more))
        self.ends(1, "perftest-peer: the peer program ", *words)

    def test_peer_programs_that_greet_badly(self):
        self.bad_peer("No such thing", greeting="error No such thing")
        self.bad_peer("rkey", greeting="ok qpn=256 va=0x1000")
        self.bad_peer("rkey", greeting="ok qpn=256 va=0x1000 rkey=key")
        self.bad_peer("impossible", greeting="ok qpn=0x1000000 va=0x1000 rkey=1")
        self.bad_peer("no answer in 0.5 s", greeting="hello", timeout=0.5)
        self.bad_peer("4096", greeting="x" * 100000)

    def test_peer_program_that_ends(self):
        self.assertIsNone(self.start_with(["true"], "read_lat"))
        self.ends(1, "the peer program has ended")
        self.assertIsNone(self.start_with([os.path.join(self.folder, "none")], "read_lat"))
        self.ends(1, "cannot be started")

    def test_peer_program_that_cannot_connect(self):
        self.touch("no-connection")
        client = Client(self, self.start("read_lat"))
        client.parameters()
        client.say(THEIRS)
        client.is_left()
        self.ends(1, "No such device")

    def test_peer_program_that_ends_badly(self):
        client = Client(self, self.start("read_lat", status=3))
        client.parameters()
        client.addresses(5)
        client.good_bye()
        self.ends(1, "status 3")

    def test_peer_program_ends_with_the_script(self):
        """Even while it is at work and does not look at its input."""
        for number, status in ((signal.SIGTERM, 1), (signal.SIGKILL, -signal.SIGKILL)):
            self.write_lat()
            with open(f"/proc/{self.server.pid}/task/{self.server.pid}/children",
                      encoding="ascii") as children:
                child, = children.read().split()
            self.server.send_signal(number)
            self.server.communicate(timeout=PATIENCE)
            self.assertEqual(self.server.returncode, status)
            end = time.monotonic() + 5
            while os.path.exists(f"/proc/{child}") and time.monotonic() < end:
                time.sleep(0.01)
            self.assertFalse(os.path.exists(f"/proc/{child}"))

    # Usage.

    def test_usage(self):
        good = ["--test", "read_lat", "--ip", "192.0.2.1", "--peer-mac", "02:00:00:00:00:02"]
        for args in ([], good, good + ["--peer"], good[:4] + ["--peer", "true"],
                     good + ["--mtu", "1000", "--peer", "true"],
                     good + ["--size", "0", "--peer", "true"],
                     good + ["--count", "-1", "--peer", "true"],
                     good + ["--timeout", "nan", "--peer", "true"],
                     good + ["--listen", "127.0.0.1:65536", "--peer", "true"],
                     good + ["--listen", "18515", "--peer", "true"],
                     good[:5] + ["02:00", "--peer", "true"],
                     ["--test", "read_lat", "--ip", "x", *good[4:], "--peer", "true"]):
            with self.subTest(args=args):
                done = subprocess.run([SCRIPT, *args], capture_output=True, text=True,
                                      timeout=PATIENCE, check=False)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn("usage: perftest-peer ", done.stderr)

    def test_help(self):
        done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("exit status: 0 the client ran to its end, 1 not, 2 usage", done.stdout)

    def test_address_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            self.assertIsNone(self.start("read_lat", "--listen", f"127.0.0.1:{port}"))
            self.ends(1, str(port))


if __name__ == "__main__":
    unittest.main()
