#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Judge a capture of RoCEv2 traffic by two programs that are not ours: tshark and scapy.

usage: check_capture.py [OPTIONS] FILE...

Every frame of UDP port 4791 must be RRoCE to tshark, without malformed parts, errors or warnings,
and carry the ICRC that scapy computes. With addresses, all must go between them. With
--require-handshake, both sides' first operations on the bootstrap queue pairs must be

    READ request, READ response, WRITE, ACK, READ request, READ response, WRITE, ACK

each begun only after the success of the one before, and nothing may go to another queue pair before.
A WRITE is that of the record, with that of the directory right before it where there is one; once
WRITE 2 is on its way, news may be written beside it (doc/wire-format.md). With --va-a and --va-b all
must go to the address agreed beforehand.
Retransmissions (same PSN) are fine. So is READ 1 once more: an attempt that got no answer or a
NAK starts again, and the status of a partner that is not ready yet is asked again; --strict
allows neither.

Prints a summary, then one line per violation. Exit status: 0 clean, 1 violations, 2 cannot check.
"""
import argparse
import collections
import struct
import subprocess
import sys
import zlib

PORT = 4791
READ_REQUEST = 12
READ_RESPONSES = range(13, 17)
WRITES = range(6, 12)
ACK = 17
REQUESTS = (*range(0, 13), 19, 20, 22, 23)
FINAL = (15, 16)  # READ response last, only
NAMES = {
    0: "SEND first", 1: "SEND middle", 2: "SEND last", 3: "SEND last imm", 4: "SEND only",
    5: "SEND only imm", 6: "WRITE first", 7: "WRITE middle", 8: "WRITE last",
    9: "WRITE last imm", 10: "WRITE only", 11: "WRITE only imm", 12: "READ request",
    13: "READ response first", 14: "READ response middle", 15: "READ response last",
    16: "READ response only", 17: "ACK", 18: "ATOMIC ACK", 19: "CmpSwap", 20: "FetchAdd",
    22: "SEND last inv", 23: "SEND only inv", 129: "CNP",
}  # fmt: skip
FIELDS = (
    "frame.number", "_ws.col.Protocol", "eth.src", "eth.dst", "ip.src", "ip.dst",
    "udp.dstport", "infiniband.bth.opcode", "infiniband.bth.destqp", "infiniband.bth.psn",
    "infiniband.aeth.syndrome", "infiniband.reth.va", "_ws.expert.severity", "_ws.expert.message", "_ws.malformed",
)  # fmt: skip
# Severities of tshark's expert information.
SEVERITY = {6291456: "warning", 8388608: "error"}
READ1, WRITE1, READ2, WRITE2, DONE = range(5)
STEPS = ("READ 1", "WRITE 1", "READ 2", "WRITE 2")
# Where the partner's records stand in a bootstrap region.
SLOT, DIRECTORY = 0x1000, 0x2000
MOST_LINES = 50

Frame = collections.namedtuple(
    "Frame", "number protocol src dst ip_src ip_dst dport opcode qpn psn syndrome va experts malformed"
)


class CheckError(Exception):
    """The capture cannot be checked at all."""


def number_of(text):
    return int(text, 0) if text else None


def decode(path):
    """What tshark makes of the frames of our port."""
    command = ["tshark", "-n", "-r", path, "-Y", f"udp.port == {PORT}", "-T", "fields"]
    command += ["-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=|"]
    for field in FIELDS:
        command += ["-e", field]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CheckError(f"tshark: {error.strerror}") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "Running as user" not in line]
        raise CheckError(f"{path}: tshark: {lines[-1] if lines else done.returncode}")
    frames = []
    for line in done.stdout.splitlines():
        values = dict(zip(FIELDS, line.split("\t") + [""] * len(FIELDS)))
        first = {name: value.split("|")[0] for name, value in values.items()}
        severities = [number_of(s) for s in values["_ws.expert.severity"].split("|") if s]
        experts = sorted({SEVERITY[s] for s in severities if s in SEVERITY})
        text = values["_ws.expert.message"] if experts else ""
        frames.append(
            Frame(
                int(first["frame.number"]),
                first["_ws.col.Protocol"],
                first["eth.src"],
                first["eth.dst"],
                first["ip.src"],
                first["ip.dst"],
                number_of(first["udp.dstport"]),
                number_of(first["infiniband.bth.opcode"]),
                number_of(first["infiniband.bth.destqp"]),
                number_of(first["infiniband.bth.psn"]),
                number_of(first["infiniband.aeth.syndrome"]),
                number_of(first["infiniband.reth.va"]),
                [f"{'/'.join(experts)}: {text}"] if experts else [],
                bool(values["_ws.malformed"]),
            )
        )
    return frames


def reference_icrc(packet):
    """By the text of the specification: of an IPv4 packet without its ICRC, on the wire's order."""
    masked = bytearray(packet)
    for offset in (1, 8, 10, 11, 26, 27, 32):
        masked[offset] = 0xFF
    return struct.pack("<I", zlib.crc32(b"\xff" * 8 + bytes(masked)))


def ip_packet(frame):
    """The IPv4 packet of our port in an Ethernet frame, without padding; None: something else."""
    if len(frame) < 14 + 28 or frame[12:14] != b"\x08\x00" or frame[14] != 0x45 or frame[23] != 17:
        return None
    if struct.unpack_from("!H", frame, 36)[0] != PORT:
        return None
    length = struct.unpack_from("!H", frame, 16)[0]
    return frame[14 : 14 + length] if length <= len(frame) - 14 else None


def check_icrc(path):
    """Yield (frame number, complaint or None) for every frame of our port."""
    try:
        from scapy.contrib.roce import BTH
        from scapy.layers.inet import IP
        from scapy.utils import RawPcapReader
    except ImportError as error:
        raise CheckError(f"scapy: {error}") from error
    try:
        reader = RawPcapReader(path)
    except Exception as error:  # pylint: disable=broad-except
        raise CheckError(f"{path}: scapy: {error}") from error
    try:
        for number, (data, _) in enumerate(reader, 1):
            packet = ip_packet(data)
            if packet is None:
                continue
            if len(packet) < 28 + 12 + 4:
                yield number, "too short for an ICRC"
                continue
            carried = packet[-4:]
            # Without Ethernet padding, which scapy would take into its sum.
            layer = IP(packet)
            if BTH not in layer:
                yield number, "scapy finds no BTH"
                continue
            computed = layer[BTH].compute_icrc(None)
            if computed != carried:
                yield number, f"ICRC is {carried.hex()}, scapy computes {computed.hex()}"
            elif reference_icrc(packet[:-4]) != carried:
                yield number, f"ICRC {carried.hex()} satisfies scapy but not the specification"
            else:
                yield number, None
    finally:
        reader.close()


class Handshake:
    """The four steps of one requester, followed packet by packet."""

    def __init__(self, name, strict, va):
        self.name = name
        self.strict = strict
        self.va = va  # of the partner's region, as agreed; None: not checked
        self.base = None  # of the partner's region, as READ
        self.directory = False  # the WRITE under way is that of the directory
        self.step = READ1
        self.psn = None  # of the request under way; None: none is
        self.last = None  # PSN of the last packet of a WRITE, once it has been sent
        self.arrived = set()  # PSNs of READ response packets
        self.failed = False  # the request under way was answered by a NAK
        self.seen = set()  # PSNs of this requester's requests so far
        self.again = 0
        self.done_at = None

    def _begin(self, step, frame):
        self.step, self.psn, self.last, self.failed = step, frame.psn, None, False
        self.arrived = set()
        if frame.opcode == READ_REQUEST:
            self.base = frame.va
        self.directory = frame.opcode in WRITES and frame.va == self.base + DIRECTORY
        if frame.opcode in (10, 11):
            self.last = frame.psn

    def _address(self, frame):
        """A complaint about the address, or None."""
        if self.va is None or frame.va is None:
            return None
        good = (self.va,) if frame.opcode == READ_REQUEST else (self.va + SLOT, self.va + DIRECTORY)
        if frame.va in good:
            return None
        return f"{NAMES[frame.opcode]} of address {frame.va:#x}, expected {' or '.join(map(hex, good))}"

    def _success(self, frame):
        self.step += 1
        self.psn = self.last = None
        if self.step == DONE:
            self.done_at = frame.number

    def request(self, frame):
        """A request of this requester; return a complaint or None."""
        if self.step == DONE:
            return None
        if frame.psn in self.seen and frame.psn != self.psn:
            return None  # retransmission, or a later packet of the message under way
        what = NAMES.get(frame.opcode, frame.opcode)
        reads = frame.opcode == READ_REQUEST
        if not reads and frame.opcode not in WRITES:
            return f"{what} in the handshake"
        complaint = self._address(frame)
        if complaint:
            return complaint

        if self.psn is not None:  # something is under way
            same_kind = reads == (self.step in (READ1, READ2))
            if frame.psn == self.psn:
                if not same_kind:
                    return f"{what} with the PSN of {STEPS[self.step]}"
                self.failed = False
                return None
            if not reads and same_kind and frame.opcode in (7, 8, 9) and self.last is None:
                self.seen.add(frame.psn)
                if frame.opcode in (8, 9):
                    self.last = frame.psn
                return None
            if not reads and same_kind and self.last is not None:
                if self.directory and frame.opcode in (6, 10, 11):
                    self.seen.add(frame.psn)
                    self._begin(self.step, frame)
                    return None
                if self.step == WRITE2 and not self.directory:
                    self.seen.add(frame.psn)
                    return None
            # READ 1 after a failure. A WRITE fails by a NAK; silence is no failure the wire shows.
            if reads and not self.strict and (self.failed or self.step in (READ1, READ2)):
                self.again += 1
                self.seen.add(frame.psn)
                self._begin(READ1, frame)
                return None
            return f"{what} before {STEPS[self.step]} has succeeded"

        if reads and self.step == WRITE1 and not self.strict:
            self.again += 1
            self.step = READ1
        elif reads != (self.step in (READ1, READ2)):
            return f"{what} in the place of {STEPS[self.step]}"
        if not reads and frame.opcode in (7, 8, 9):
            return f"{what} without its first packet"
        self.seen.add(frame.psn)
        self._begin(self.step, frame)
        return None

    def response(self, frame):
        """A response to this requester; return a complaint or None."""
        if self.step == DONE or self.psn is None:
            return None
        kind = None if frame.syndrome is None else frame.syndrome >> 5 & 3
        if frame.opcode == ACK and kind in (1, 3):  # RNR NAK, NAK
            self.failed = True
            return None
        if self.step in (READ1, READ2):
            if frame.opcode in READ_RESPONSES:
                # All packets from the request's PSN to the last one.
                self.arrived.add(frame.psn - self.psn & 0xFFFFFF)
                count = (frame.psn - self.psn & 0xFFFFFF) + 1
                if frame.opcode in FINAL and self.arrived.issuperset(range(min(count, 1 << 16))):
                    self._success(frame)
        elif frame.opcode == ACK and kind == 0 and self.last is not None and not self.directory:
            # One acknowledgement may stand for several.
            if (frame.psn - self.last & 0xFFFFFF) < 1 << 23:
                self._success(frame)
        return None


class Checker:
    """One capture against what is expected of it."""

    def __init__(self, args):
        self.args = args
        self.violations = []
        self.frames = []
        self.icrc_good = 0
        self.sides = {}

    def complain(self, number, text):
        self.violations.append(f"frame {number}: {text}" if number else text)

    def check(self, path):
        self.frames = decode(path)
        icrc = dict(check_icrc(path))
        for frame in self.frames:
            if frame.protocol != "RRoCE" or frame.opcode is None:
                self.complain(frame.number, f"tshark calls it {frame.protocol}, not RRoCE")
            if frame.malformed:
                self.complain(frame.number, "tshark calls it malformed")
            for expert in frame.experts:
                self.complain(frame.number, f"tshark: {expert}")
            if frame.dport != PORT:
                self.complain(frame.number, f"from port {PORT} but not to it")
            elif frame.number not in icrc:
                self.complain(frame.number, "no plain IPv4 packet, ICRC not checked")
            elif icrc[frame.number] is None:
                self.icrc_good += 1
            else:
                self.complain(frame.number, icrc[frame.number])
        if len(self.frames) < self.args.min_frames:
            self.complain(None, f"{len(self.frames)} frames, expected {self.args.min_frames}")
        self.check_addresses()
        if self.args.require_handshake:
            self.check_handshake()

    def side(self, frame):
        """0: from A, 1: from B, None: neither."""
        for side, mac, ip in ((0, self.args.mac_a, self.args.ip_a), (1, self.args.mac_b, self.args.ip_b)):
            if (ip and frame.ip_src == ip) or (not ip and mac and frame.src == mac):
                return side
        return None

    def check_addresses(self):
        macs, ips = (self.args.mac_a, self.args.mac_b), (self.args.ip_a, self.args.ip_b)
        if not any(macs + ips):
            return
        for frame in self.frames:
            side = self.side(frame)
            if side is None:
                self.complain(frame.number, f"from {frame.ip_src} {frame.src}: neither A nor B")
                continue
            for what, have, want in (
                ("source MAC", frame.src, macs[side]),
                ("destination MAC", frame.dst, macs[1 - side]),
                ("source IP", frame.ip_src, ips[side]),
                ("destination IP", frame.ip_dst, ips[1 - side]),
            ):
                if want and have != want:
                    self.complain(frame.number, f"{what} is {have}, expected {want}")

    def check_handshake(self):
        qpns = (self.args.qpn_a, self.args.qpn_b)
        # Each side goes by the other one's address.
        addresses = (self.args.va_b, self.args.va_a)
        hands = [Handshake(name, self.args.strict, va) for name, va in zip("AB", addresses)]
        self.sides = hands
        complained = [False, False]

        for frame in self.frames:
            side = self.side(frame)
            if side is None or frame.opcode is None:
                continue
            asks = frame.opcode in REQUESTS
            # The requester is who sends a request and who gets a response.
            hand = hands[side if asks else 1 - side]
            if complained[hands.index(hand)]:
                continue
            if frame.qpn != qpns[1 - side]:
                complaint = None
                if hand.step != DONE:
                    complaint = (
                        f"to queue pair 0x{frame.qpn:x} before the handshake is done,"
                        f" expected 0x{qpns[1 - side]:x}"
                    )
            else:
                complaint = hand.request(frame) if asks else hand.response(frame)
            if complaint:
                # What follows would only repeat it.
                complained[hands.index(hand)] = True
                self.complain(frame.number, f"handshake of {hand.name}: {complaint}")
        for hand, told in zip(hands, complained):
            if hand.step != DONE and not told:
                self.complain(None, f"handshake of {hand.name}: ends in {STEPS[hand.step]}")

    def summary(self, path):
        lines = [f"{path}: {len(self.frames)} RoCEv2 frames, {self.icrc_good} with good ICRC"]
        counts = collections.Counter((self.side(f), f.opcode) for f in self.frames)
        opcodes = sorted({f.opcode for f in self.frames if f.opcode is not None})
        sided = any(side is not None for side, _ in counts)
        for opcode in opcodes:
            row = f"  {opcode:3d}  {NAMES.get(opcode, '?'):22s}"
            if sided:
                row += f" A to B {counts[0, opcode]:7d}   B to A {counts[1, opcode]:7d}"
            else:
                row += f" {counts[None, opcode]:7d}"
            lines.append(row)
        for hand in self.sides:
            if hand.done_at:
                lines.append(
                    f"  handshake of {hand.name}: done in frame {hand.done_at},"
                    f" READ 1 repeated {hand.again} times"
                )
        return "\n".join(lines)


def parse_args(argv):
    parser = argparse.ArgumentParser(
        description="Judge a capture of RoCEv2 traffic by tshark and scapy."
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="pcap")
    parser.add_argument("--mac-a", type=str.lower)
    parser.add_argument("--mac-b", type=str.lower)
    parser.add_argument("--ip-a")
    parser.add_argument("--ip-b")
    parser.add_argument("--qpn-a", type=number_of, help="bootstrap queue pair at A")
    parser.add_argument("--qpn-b", type=number_of, help="bootstrap queue pair at B")
    parser.add_argument("--va-a", type=number_of, help="address of A's bootstrap region")
    parser.add_argument("--va-b", type=number_of, help="address of B's bootstrap region")
    parser.add_argument("--require-handshake", action="store_true")
    parser.add_argument("--strict", action="store_true", help="READ 1 must succeed at once")
    parser.add_argument("--min-frames", type=int, default=1, help="frames expected at least (1)")
    args = parser.parse_args(argv)
    needed = ("mac_a", "mac_b", "ip_a", "ip_b", "qpn_a", "qpn_b")
    if args.require_handshake and None in [getattr(args, name) for name in needed]:
        parser.error("--require-handshake needs both MACs, IPs and QPNs")
    return args


def main(argv=None):
    args = parse_args(argv)
    bad = False
    for path in args.files:
        checker = Checker(args)
        try:
            checker.check(path)
        except CheckError as error:
            print(f"check_capture: {error}", file=sys.stderr)
            return 2
        print(checker.summary(path))
        for line in checker.violations[:MOST_LINES]:
            print(f"{path}: {line}")
        if len(checker.violations) > MOST_LINES:
            print(f"{path}: and {len(checker.violations) - MOST_LINES} violations more")
        bad = bad or bool(checker.violations)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
