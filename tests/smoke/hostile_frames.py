#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Send frames to a running node that it must not act upon, and see to it that it does not.

usage: hostile_frames.py --interface IF --socket TELEMETRY_SOCKET --pid PID [--count N]

IF is the cable's end at node A; the node under attack is B, at the other end, with the addresses of
config/node-b.json. Frames are made with scapy and are right in all but one respect. For each kind:

- B counts exactly the frames sent, under the reason expected, and nothing under another reason,
- B does not answer, except with the one NAK that the specification asks for,
- their payload is nowhere in B's memory where a region could be.

In the end comes the same frame with nothing wrong: it must be executed and found in the memory, or
else the test could not have seen anything.
Prints one line per kind. Exit status: 0 all as expected, 1 not, 2 cannot test.
"""
import argparse
import os
import re
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "lib"))

from telemetry import Telemetry, TelemetryError  # noqa: E402 pylint: disable=wrong-import-position

try:
    from scapy.contrib.roce import BTH
    from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import ARP, Dot1Q, Ether
    from scapy.packet import Raw
except ImportError as problem:
    print(f"hostile_frames: {problem}", file=sys.stderr)
    sys.exit(2)

MAC_A, MAC_B = "02:00:00:00:00:01", "02:00:00:00:00:02"
IP_A, IP_B = "192.0.2.1", "192.0.2.2"
STRANGER_MAC, STRANGER_IP = "02:00:00:00:00:99", "192.0.2.99"
QPN, RKEY, VA = 0x100, 0xC0DE0001, 0x100000
SLOT = VA + 0x1000
PORT = 4791
READ, WRITE, ACK, SEND = 12, 10, 17, 4
PSN_MASK = 0xFFFFFF
# Payload that is in no memory by chance. Regions begin at multiples of 64 bytes; the payload of a
# WRITE in the driver's buffers does not.
MARK = bytes((17 * i + 0xA5) & 0xFF for i in range(64)) * 4
PATIENCE = 2.0


class Failure(Exception):
    """What the node did and should not have done."""


def bth(opcode, psn, **fields):
    return BTH(opcode=opcode, psn=psn & PSN_MASK, dqpn=fields.pop("dqpn", QPN), ackreq=1, migreq=1, **fields)


def reth(address, rkey, length):
    return struct.pack("!QII", address, rkey, length)


def write_body(address=SLOT, rkey=RKEY + 1, length=None):
    return Raw(reth(address, rkey, len(MARK) if length is None else length) + MARK)


def frame(transport, ether=None, ip=None, udp=None):
    """A frame from A to B; the dictionaries replace fields."""
    layers = Ether(**{"src": MAC_A, "dst": MAC_B, **(ether or {})})
    layers /= IP(**{"src": IP_A, "dst": IP_B, "flags": "DF", "ttl": 64, **(ip or {})})
    layers /= UDP(**{"sport": 49152, "dport": PORT, "chksum": 0, **(udp or {})})
    return bytes(layers / transport)


def flip(data, offset):
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


def vlan(psn):
    data = frame(bth(WRITE, psn) / write_body())
    tag = bytes(Dot1Q(vlan=7, type=0x0800))
    return data[:12] + b"\x81\x00" + tag + data[14:]


# What, the reason expected, and the frame for a PSN that A does not use.
SILENT = (
    ("another destination MAC", "dst_mac",
     lambda psn: frame(bth(WRITE, psn) / write_body(), ether={"dst": STRANGER_MAC})),
    ("broadcast", "dst_mac",
     lambda psn: frame(bth(WRITE, psn) / write_body(), ether={"dst": "ff:ff:ff:ff:ff:ff"})),
    ("another destination IP", "dst_ip",
     lambda psn: frame(bth(WRITE, psn) / write_body(), ip={"dst": STRANGER_IP})),
    ("another source MAC", "src_mac",
     lambda psn: frame(bth(WRITE, psn) / write_body(), ether={"src": STRANGER_MAC})),
    ("another source IP", "src_ip",
     lambda psn: frame(bth(WRITE, psn) / write_body(), ip={"src": STRANGER_IP})),
    ("READ of the status from another MAC", "src_mac",
     lambda psn: frame(bth(READ, psn) / Raw(reth(VA, RKEY, 256)), ether={"src": STRANGER_MAC})),
    ("no such queue pair", "qpn",
     lambda psn: frame(bth(WRITE, psn, dqpn=0x123456) / write_body())),
    ("queue pair 1", "qpn", lambda psn: frame(bth(WRITE, psn, dqpn=1) / write_body())),
    ("another partition key", "pkey", lambda psn: frame(bth(WRITE, psn, pkey=0x8123) / write_body())),
    ("wrong ICRC", "icrc", lambda psn: flip(frame(bth(WRITE, psn) / write_body()), -1)),
    ("changed payload", "icrc", lambda psn: flip(frame(bth(WRITE, psn) / write_body()), -30)),
    ("changed queue pair number", "icrc", lambda psn: flip(frame(bth(WRITE, psn) / write_body()), 49)),
    ("cut off behind the BTH", "runt", lambda psn: frame(bth(WRITE, psn) / write_body())[:60]),
    ("cut off before the ICRC", "runt", lambda psn: frame(bth(WRITE, psn) / write_body())[:-4]),
    ("another UDP port", "udp_port",
     lambda psn: frame(bth(WRITE, psn) / write_body(), udp={"dport": 4792})),
    ("UDP longer than IP", "udp_length",
     lambda psn: frame(bth(WRITE, psn) / write_body(), udp={"len": 2000})),
    ("IP options", "ip_header",
     lambda psn: frame(bth(WRITE, psn) / write_body(), ip={"options": [IPOption_NOP()] * 4})),
    ("TCP", "not_udp",
     lambda psn: bytes(Ether(src=MAC_A, dst=MAC_B) / IP(src=IP_A, dst=IP_B) / TCP(dport=PORT) / Raw(bytes(64)))),
    ("ARP", "not_ip",
     lambda psn: bytes(Ether(src=MAC_A, dst=MAC_B)
                       / ARP(op=1, hwsrc=MAC_A, psrc=IP_A, pdst=IP_B) / Raw(bytes(18)))),
    ("IPv6", "dst_ip",
     lambda psn: bytes(Ether(src=MAC_A, dst=MAC_B)
                       / IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(dport=PORT) / Raw(bytes(64)))),
    ("VLAN tag", "vlan", vlan),
    ("reserved opcode", "opcode", lambda psn: frame(bth(0x1F, psn) / Raw(bytes(64)))),
    ("unreliable datagram", "opcode", lambda psn: frame(bth(0x64, psn) / Raw(bytes(72)))),
    ("transport version 1", "transport_version", lambda psn: frame(bth(WRITE, psn, version=1) / write_body())),
    ("old READ that was never asked", "duplicate",
     lambda psn: frame(bth(READ, psn - 0x600000) / Raw(reth(VA + 64, RKEY, 64)))),
    ("ACK of nothing", "response_stale", lambda psn: frame(bth(ACK, psn) / Raw(b"\x1f\0\0\1"))),
)  # fmt: skip

# These B must refuse by a NAK remote access, so they need the PSN that B expects.
REFUSED = (
    ("WRITE with a wrong key", lambda psn: frame(bth(WRITE, psn) / write_body(rkey=RKEY + 77))),
    ("READ with a wrong key", lambda psn: frame(bth(READ, psn) / Raw(reth(VA, RKEY + 77, 256)))),
    ("WRITE to the status record", lambda psn: frame(bth(WRITE, psn) / write_body(VA, RKEY))),
    ("READ of our slot", lambda psn: frame(bth(READ, psn) / Raw(reth(SLOT, RKEY + 1, 256)))),
    ("WRITE beyond the end", lambda psn: frame(bth(WRITE, psn) / write_body(SLOT + 64))),
    ("WRITE before the begin", lambda psn: frame(bth(WRITE, psn) / write_body(SLOT - 64))),
    ("WRITE at the end of addresses", lambda psn: frame(bth(WRITE, psn) / write_body(2**64 - 128))),
)  # fmt: skip


class Ears:
    """What B sends, from a thread of its own."""

    def __init__(self, interface):
        self.frames = []
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.sock.bind((interface, 0))
        self.sock.settimeout(0.1)
        self.running = True
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while self.running:
            try:
                data, address = self.sock.recvfrom(65535)
            except TimeoutError:
                continue
            if address[2] != socket.PACKET_OUTGOING:
                self.frames.append(data)

    def close(self):
        self.running = False
        self.thread.join()
        self.sock.close()


class Attack:
    def __init__(self, args):
        self.args = args
        self.telemetry = Telemetry(args.socket)
        self.out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.out.bind((args.interface, 0))
        self.ears = Ears(args.interface)

    def ask(self, command):
        return self.telemetry.ask(command)[command]

    def drops(self):
        return self.ask("/remu/drops")

    def stats(self):
        return self.ask("/remu/stats")

    def expected_psn(self):
        for qp in self.ask("/remu/qps")["qps"].values():
            if qp["qpn"] == QPN:
                return qp["epsn"]
        raise Failure(f"no queue pair {QPN:#x}")

    def quiet_psn(self):
        """The expected PSN right after a beat of A: then A sends nothing for a while."""
        psn, since = self.expected_psn(), None
        while since is None or time.monotonic() - since < 0.03:
            time.sleep(0.003)
            now = self.expected_psn()
            if now != psn:
                psn, since = now, time.monotonic()
        return psn

    def changed(self, before):
        """Reasons whose counters have moved, and by how much."""
        after = self.drops()
        return {reason: after[reason] - before[reason] for reason in after if after[reason] != before[reason]}

    def settle(self, before, reason, count):
        """Wait until the frames are counted; what was counted altogether."""
        end = time.monotonic() + PATIENCE
        while self.changed(before).get(reason, 0) < count and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.02)
        return self.changed(before)

    def answers(self, since, psns):
        """Frames of B to a stranger, or responses with one of these PSNs: (opcode, syndrome)."""
        found = []
        for data in self.ears.frames[since:]:
            if data[6:12] != bytes.fromhex(MAC_B.replace(":", "")):
                continue
            stranger = data[:6] != bytes.fromhex(MAC_A.replace(":", ""))
            if len(data) < 60 or data[12:14] != b"\x08\x00" or data[23] != 17:
                found.append(("no RoCEv2", data[:14].hex()))
                continue
            opcode, psn = data[42], int.from_bytes(data[51:54], "big")
            stranger = stranger or data[30:34] != socket.inet_aton(IP_A)
            if stranger or (13 <= opcode <= 18 and psn in psns):
                found.append((opcode, data[54] if opcode == ACK else None))
        return found

    def marks(self):
        """How often the payload stands in B's memory where a region could be."""
        found = 0
        with open(f"/proc/{self.args.pid}/maps", encoding="utf-8") as maps, open(
            f"/proc/{self.args.pid}/mem", "rb", buffering=0
        ) as memory:
            for line in maps:
                match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
                if not match or "[v" in line:
                    continue
                start, end = (int(text, 16) for text in match.groups())
                for at in range(start, end, 1 << 24):
                    try:
                        memory.seek(at)
                        data = memory.read(min(1 << 24, end - at))
                    except (OSError, ValueError, OverflowError):
                        continue
                    place = data.find(MARK[:64])
                    while place >= 0:
                        found += (at + place) % 64 == 0
                        place = data.find(MARK[:64], place + 1)
        return found

    def silent(self, what, reason, make):
        # Beyond the expected PSN, where no request of A will be in the next minutes.
        first = self.expected_psn() + 0x300000
        psns = {first + i & PSN_MASK for i in range(self.args.count)}
        psns |= {psn - 0x600000 & PSN_MASK for psn in psns}
        before, stats, since = self.drops(), self.stats(), len(self.ears.frames)
        for i in range(self.args.count):
            self.out.send(make(first + i & PSN_MASK))
        counted = self.settle(before, reason, self.args.count)
        if counted != {reason: self.args.count}:
            raise Failure(f"{what}: {self.args.count} frames, expected as {reason}, counted as {counted}")
        answers = self.answers(since, psns)
        naks = self.stats()["naks_sent"] - stats["naks_sent"]
        if answers or naks:
            raise Failure(f"{what}: answered by {answers}, {naks} NAKs")
        print(f"  {what:38s} {reason:17s} {self.args.count} of {self.args.count}, no answer", flush=True)

    def refused(self, what, make):
        for _ in range(10):
            psn = self.quiet_psn()
            before, stats, since = self.drops(), self.stats(), len(self.ears.frames)
            self.out.send(make(psn))
            counted = self.settle(before, "remote_access", 1)
            naks = self.stats()["naks_sent"] - stats["naks_sent"]
            answers = self.answers(since, {psn})
            if counted == {"remote_access": 1}:
                if answers != [(ACK, 0x62)] or naks != 1:
                    raise Failure(f"{what}: answered by {answers}, {naks} NAKs; expected one NAK 0x62")
                print(f"  {what:38s} {'remote_access':17s} 1 of 1, one NAK 0x62", flush=True)
                return
            # A's beat has taken the PSN meanwhile: that makes ours one of the past, or a gap.
            if not set(counted) <= {"duplicate", "psn_ahead"}:
                raise Failure(f"{what}: expected as remote_access, counted as {counted}")
        raise Failure(f"{what}: never met the expected PSN; last counted as {counted}")

    def ahead(self):
        psn = self.quiet_psn() + 0x300000 & PSN_MASK
        before, since = self.drops(), len(self.ears.frames)
        for _ in range(self.args.count):
            self.out.send(frame(bth(WRITE, psn) / write_body()))
        counted = self.settle(before, "psn_ahead", self.args.count)
        naks = [a for a in self.answers(since, set(range(1 << 24))) if a == (ACK, 0x60)]
        if counted != {"psn_ahead": self.args.count} or not 1 <= len(naks) <= 2:
            raise Failure(f"WRITE beyond the expected PSN: counted as {counted}, {len(naks)} NAKs")
        print(f"  {'WRITE beyond the expected PSN':38s} {'psn_ahead':17s} {self.args.count} of"
              f" {self.args.count}, {len(naks)} NAK 0x60", flush=True)  # fmt: skip

    def control(self):
        """Nothing wrong: executed, and seen in the memory."""
        for _ in range(10):
            psn, before = self.quiet_psn(), self.stats()["writes_executed"]
            self.out.send(frame(bth(WRITE, psn) / write_body()))
            time.sleep(0.02)
            # Before A's next record replaces it.
            marks = self.marks()
            if self.stats()["writes_executed"] > before and marks:
                print(f"  {'the same with nothing wrong':38s} executed, found in the memory", flush=True)
                return
        raise Failure("the right frame was not executed: this test would see nothing")

    def run(self):
        for what, reason, make in SILENT:
            self.silent(what, reason, make)
        for what, make in REFUSED:
            self.refused(what, make)
        self.ahead()
        marks = self.marks()
        if marks:
            raise Failure(f"payload of refused frames stands {marks} times in the memory")
        self.control()


def main():
    parser = argparse.ArgumentParser(description="Send frames that a node must not act upon.")
    parser.add_argument("--interface", required=True)
    parser.add_argument("--socket", required=True, help="telemetry socket of node B")
    parser.add_argument("--pid", required=True, type=int, help="of node B")
    parser.add_argument("--count", type=int, default=10, help="frames of each kind (10)")
    args = parser.parse_args()
    try:
        attack = Attack(args)
        attack.run()
        attack.ears.close()
    except Failure as failure:
        print(f"FAIL: {failure}")
        return 1
    except (TelemetryError, OSError) as error:
        print(f"hostile_frames: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
