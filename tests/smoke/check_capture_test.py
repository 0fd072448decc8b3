#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_capture.py accepts good captures and rejects each kind of bad one. Exit status 77: skipped."""
import contextlib
import glob
import io
import os
import shutil
import struct
import sys
import tempfile
import unittest

import check_capture

HERE = os.path.dirname(os.path.abspath(__file__))
CAPTURES = sorted(glob.glob(os.path.join(HERE, "..", "data", "captures", "*.pcap")))

MACS = (bytes.fromhex("020000000001"), bytes.fromhex("020000000002"))
IPS = (bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]))
QPNS = (0x100, 0x101)
A, B = 0, 1
OPTIONS = "--mac-a 02:00:00:00:00:01 --mac-b 02:00:00:00:00:02 --ip-a 192.0.2.1 --ip-b 192.0.2.2"
HANDSHAKE = f"{OPTIONS} --qpn-a 0x100 --qpn-b 0x101 --require-handshake".split()


def icrc(packet):
    return check_capture.reference_icrc(packet)


def frame(
    side, opcode, psn, payload=b"", qpn=None, dst=None, tos=0, byte4=0, udp_sum=0, ttl=64, va=None
):
    """A frame from this side to the other one, with the extension headers its opcode asks for."""
    extension = b""
    if opcode in (6, 10, 12):
        va = va or (0x100000 if opcode == 12 else 0x101000)
        extension = struct.pack("!QII", va, 0xC0DE0001, 256 if opcode == 12 else len(payload))
    elif opcode in (13, 15, 16, 17):
        extension = bytes([0x1F, 0, 0, 1])
    qpn = QPNS[1 - side] if qpn is None else qpn
    bth = struct.pack("!BBHII", opcode, 0x40, 0xFFFF, byte4 << 24 | qpn, psn)
    ib = bth + extension + payload
    udp = struct.pack("!HHHH", 0xC000, 4791, 8 + len(ib) + 4, udp_sum)
    ip = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(udp) + len(ib) + 4, 0, 0x4000, ttl, 17, 0)
    packet = ip + IPS[side] + IPS[1 - side] + udp + ib
    return (dst or MACS[1 - side]) + MACS[side] + b"\x08\x00" + packet + icrc(packet)


def steps(side, psn=1000):
    """The eight frames of one side's handshake."""
    other = 1 - side
    record = bytes(range(256))
    return [
        frame(side, 12, psn),
        frame(other, 16, psn, record),
        frame(side, 10, psn + 1, record),
        frame(other, 17, psn + 1),
        frame(side, 12, psn + 2),
        frame(other, 16, psn + 2, record),
        frame(side, 10, psn + 3, record),
        frame(other, 17, psn + 3),
    ]


def both():
    """Both handshakes, interleaved."""
    return [f for pair in zip(steps(A), steps(B, 5000)) for f in pair]


def nak(side, psn):
    data = bytearray(frame(side, 17, psn))
    data[54] = 0x60
    data[-4:] = icrc(bytes(data[14:-4]))
    return bytes(data)


class CaptureTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def run_on(self, frames, options=()):
        """(exit status, output) of the checker on a capture of these frames."""
        path = frames
        if not isinstance(frames, str):
            path = os.path.join(self.folder, "test.pcap")
            with open(path, "wb") as file:
                file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
                for number, data in enumerate(frames):
                    file.write(struct.pack("<IIII", 1, number, len(data), len(data)) + data)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = check_capture.main([*options, path])
        return status, output.getvalue()

    def good(self, frames, options=()):
        status, output = self.run_on(frames, options)
        self.assertEqual(status, 0, output)
        return output

    def bad(self, frames, text, options=()):
        status, output = self.run_on(frames, options)
        self.assertEqual(status, 1, output)
        self.assertIn(text, output)

    # ---- every frame

    def test_kernel_captures_pass(self):
        self.assertEqual(len(CAPTURES), 5)
        for path in CAPTURES:
            with self.subTest(path=path):
                self.good(path)

    def test_kernel_captures_with_a_bit_flipped_fail(self):
        for path in CAPTURES:
            with open(path, "rb") as file:
                data = bytearray(file.read())
            data[24 + 16 + 58] ^= 1  # in the first frame, behind the BTH
            with self.subTest(path=path):
                bad = os.path.join(self.folder, "flipped.pcap")
                with open(bad, "wb") as file:
                    file.write(data)
                self.bad(bad, "frame 1: ICRC")

    def test_scapy_masks_what_the_specification_masks(self):
        output = self.good(
            [
                frame(A, 17, 1, tos=0xFF, ttl=1),
                frame(A, 17, 2, byte4=0xC0),
                frame(A, 10, 3, b"12345678", udp_sum=0x1234, tos=2, byte4=0xFF),
            ]
        )
        self.assertIn("3 with good ICRC", output)

    def test_ethernet_padding_is_no_part_of_the_packet(self):
        self.good([frame(A, 17, 1) + bytes(8)])

    def test_flipped_icrc_fails(self):
        frames = both()
        frames[3] = frames[3][:-1] + bytes([frames[3][-1] ^ 0x80])
        self.bad(frames, "frame 4: ICRC")

    def test_wrong_masking_fails(self):
        """An ICRC computed over the real ToS."""
        data = bytearray(frame(A, 17, 1))
        packet = bytearray(data[14:-4])
        packet[1] = 0x02
        whole = bytearray(packet)
        for offset in (8, 10, 11, 26, 27, 32):
            whole[offset] = 0xFF
        crc = check_capture.zlib.crc32(b"\xff" * 8 + bytes(whole))
        self.bad([bytes(data[:14] + packet) + struct.pack("<I", crc)], "frame 1: ICRC")

    def test_truncated_headers_fail(self):
        data = frame(A, 12, 1)
        packet = bytearray(data[14:-20])
        struct.pack_into("!H", packet, 2, len(packet) + 4)
        struct.pack_into("!H", packet, 24, len(packet) + 4 - 20)
        self.bad([data[:14] + bytes(packet) + icrc(bytes(packet))], "malformed")

    def test_empty_capture_fails(self):
        self.bad([], "0 frames")

    def test_wrong_addresses_fail(self):
        self.bad(both() + [frame(A, 17, 9, dst=bytes(6))], "destination MAC", OPTIONS.split())

    def test_no_such_file_is_another_error(self):
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(self.run_on(os.path.join(self.folder, "none.pcap"))[0], 2)

    # ---- the handshake

    def test_handshake_passes(self):
        self.good(both(), HANDSHAKE)
        self.good(both(), [*HANDSHAKE, "--strict"])
        self.good(steps(A) + steps(B), HANDSHAKE)

    def test_handshake_with_retransmissions_passes(self):
        frames = [f for f in both() for _ in range(3)]
        self.good(frames, [*HANDSHAKE, "--strict"])

    def test_unanswered_read1_may_start_again(self):
        frames = [frame(A, 12, psn) for psn in (7, 8, 9)] + both()
        self.assertIn("repeated 3 times", self.good(frames, HANDSHAKE))
        self.bad(frames, "before READ 1 has succeeded", [*HANDSHAKE, "--strict"])

    def test_status_may_be_asked_again(self):
        frames = steps(A, 10)[:2] + both()
        self.assertIn("repeated 1 times", self.good(frames, HANDSHAKE))
        self.bad(frames, "in the place of WRITE 1", [*HANDSHAKE, "--strict"])

    def test_nak_goes_back_to_read1(self):
        frames = steps(A, 10)[:3] + [nak(B, 11)]
        self.good(frames + both(), HANDSHAKE)
        self.bad(frames[:-1] + both(), "READ request before WRITE 1 has succeeded", HANDSHAKE)

    def test_nak_and_retransmission_pass(self):
        one = steps(A)
        self.good(one[:3] + [nak(B, 1001)] + one[2:] + steps(B, 5000), HANDSHAKE)

    def test_nak_is_no_success(self):
        one = steps(A)
        one[3] = nak(B, 1001)
        self.bad(one[:4] + [frame(A, 10, 1002)] + steps(B, 5000), "handshake of A", HANDSHAKE)

    def test_each_missing_frame_fails(self):
        for missing in range(8):
            frames = steps(A)
            del frames[missing]
            with self.subTest(missing=missing):
                self.bad(frames + steps(B, 5000), "handshake of A", HANDSHAKE)

    def test_each_exchange_of_neighbours_fails(self):
        for first in range(7):
            frames = steps(A)
            frames[first], frames[first + 1] = frames[first + 1], frames[first]
            with self.subTest(first=first):
                self.bad(frames + steps(B, 5000), "handshake of A", HANDSHAKE)

    def test_wrong_queue_pair_fails(self):
        self.bad([frame(A, 12, 1, qpn=0x200)] + both(), "to queue pair 0x200", HANDSHAKE)
        frames = both()
        frames[2] = frame(B, 16, 1000, bytes(256), qpn=0x200)
        self.bad(frames, "to queue pair 0x200", HANDSHAKE)
        self.good(both() + [frame(A, 10, 1, qpn=0x200)], HANDSHAKE)

    def test_one_sided_handshake_fails(self):
        self.bad(steps(A), "handshake of B: ends in READ 1", HANDSHAKE)

    def test_directory_goes_before_the_record(self):
        one = steps(A)
        directory = frame(A, 10, 1001, bytes(192), va=0x102000)
        rest = steps(A, 1001)[2:]
        self.good(one[:2] + [directory, rest[0], frame(B, 17, 1001)] + rest[1:] + steps(B), HANDSHAKE)
        self.good(one[:2] + [directory, frame(B, 17, 1001)] + rest + steps(B), HANDSHAKE)
        self.good(one[:2] + [directory] + rest + steps(B), HANDSHAKE)  # one ACK for both
        # Several packets.
        several = [frame(A, 6, 1001, bytes(256), va=0x102000), frame(A, 8, 1002, bytes(128))]
        self.good(one[:2] + several + steps(A, 1002)[2:] + steps(B), HANDSHAKE)
        # The directory alone is no WRITE 1.
        self.bad(
            one[:2] + [directory, frame(B, 17, 1001)] + rest[2:] + steps(B),
            "before WRITE 1 has succeeded", HANDSHAKE,
        )  # fmt: skip
        # Nor do two records make one.
        twice = [frame(A, 10, 1001, bytes(256)), frame(A, 10, 1002, bytes(256))]
        self.bad(
            one[:2] + twice + [frame(B, 17, 1002)] + rest[2:] + steps(B),
            "WRITE only before WRITE 1 has succeeded", HANDSHAKE,
        )  # fmt: skip

    def test_news_beside_write2_passes(self):
        one = steps(A)
        news = frame(A, 10, 1004, bytes(256))
        self.good(one[:7] + [news, one[7], frame(B, 17, 1004)] + steps(B), HANDSHAKE)
        self.good(one[:7] + [news, frame(B, 17, 1004)] + steps(B), HANDSHAKE)
        self.bad(one[:7] + [frame(A, 12, 1004)] + steps(B), "READ request before WRITE 2", HANDSHAKE)

    def test_addresses_are_checked_on_request(self):
        options = [*HANDSHAKE, "--va-a", "0x100000", "--va-b", "0x100000"]
        self.good(both(), options)
        for step, at in ((0, 0x100100), (2, 0x100000), (4, 0x101000), (6, 0x103000)):
            frames = both()
            old = steps(A)[step]
            frames[2 * step] = frame(A, old[42], 1000 + step // 2, old[70:-4], va=at)
            with self.subTest(step=step):
                self.bad(frames, f"of address {at:#x}", options)

    def test_send_fails(self):
        self.bad([frame(A, 4, 1, b"1234")] + both(), "SEND only in the handshake", HANDSHAKE)

    def test_read_response_of_several_packets(self):
        half = bytes(128)
        several = [
            frame(B, 13, 1000, half),
            frame(B, 14, 1001, half),
            frame(B, 15, 1002, half),
        ]
        rest = steps(A, 1002)[2:]
        self.good(steps(A)[:1] + several + rest + steps(B, 5000), HANDSHAKE)
        del several[1]
        self.bad(steps(A)[:1] + several + rest + steps(B, 5000), "handshake of A", HANDSHAKE)


if __name__ == "__main__":
    try:
        import scapy.contrib.roce  # noqa: F401
    except ImportError:
        print("skip: needs python3-scapy")
        sys.exit(77)
    if not shutil.which("tshark"):
        print("skip: needs tshark")
        sys.exit(77)
    unittest.main()
