#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Statement 19: the frames that the engine sends verify in scapy.

usage: check_icrc.py PROGRAM

PROGRAM FILE writes frames to a pcap. Every one must have the ICRC that scapy computes, and be taken
apart by scapy into the fields that all frames of ours have. Of IPv6 scapy knows no ICRC: there it
is computed here. All lengths of payload that the statement names must be there.

Exit status: 0 good, 1 not, 77 no scapy.
"""
import os
import subprocess
import sys
import tempfile
import zlib

try:
    from scapy.contrib.roce import BTH
    from scapy.layers.inet import IP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Dot1Q, Ether
    from scapy.utils import RawPcapReader
except ImportError as error:
    print(f"check_icrc: {error}")
    sys.exit(77)

# By opcode, bytes of BTH and extension headers: the packets of one SEND, WRITE or READ response.
HEADERS = {0x04: 12, 0x05: 16, 0x0A: 28, 0x0B: 32, 0x10: 16}
LENGTHS = (*range(10), 1023, 1024)
CNP = 0x81


def icrc6(packet):
    """ICRC of an IPv6 packet by its definition, as bytes on the wire."""
    masked = bytearray(packet[:-4])
    masked[0] |= 0x0F
    for at in (1, 2, 3, 7, 46, 47, 52):
        masked[at] = 0xFF
    return zlib.crc32(b"\xff" * 8 + masked).to_bytes(4, "little")


def complaints(data):
    """What is wrong with a frame; and what it is: (family, tagged, opcode, payload length)."""
    frame = Ether(data)
    tagged = Dot1Q in frame
    ip_at = 18 if tagged else 14
    ipv6 = IPv6 in frame
    if not ipv6 and IP not in frame:
        return ["neither IPv4 nor IPv6"], None
    ip = frame[IPv6] if ipv6 else frame[IP]
    ip_len = 40 + ip.plen if ipv6 else ip.len
    packet = data[ip_at : ip_at + ip_len]
    if len(packet) != ip_len:
        return ["shorter than its IP length"], None
    ip = (IPv6 if ipv6 else IP)(packet)  # without Ethernet padding
    if UDP not in ip or BTH not in ip:
        return ["scapy finds no BTH"], None
    udp, bth = ip[UDP], ip[BTH]
    bad = []

    def expect(name, got, want):
        if got != want:
            bad.append(f"{name} is {got} instead of {want}")

    carried = packet[-4:]
    expect("ICRC", carried.hex(), (icrc6(packet) if ipv6 else bth.compute_icrc(None)).hex())
    if ipv6:
        expect("flow label", ip.fl, 0)
        expect("hop limit", ip.hlim, 64)
    else:
        again = ip.copy()
        del again.chksum
        expect("IP checksum", ip.chksum, IP(bytes(again)).chksum)
        expect("IP header length", ip.ihl, 5)
        expect("IP flags", str(ip.flags), "DF")
        expect("fragment offset", ip.frag, 0)
        expect("TTL", ip.ttl, 64)
    expect("traffic class", ip.tc if ipv6 else ip.tos, 48 << 2 if bth.opcode == CNP else 26 << 2)
    expect("UDP destination port", udp.dport, 4791)
    expect("UDP source port >= 0xc000", udp.sport >= 0xC000, True)
    expect("UDP checksum", udp.chksum, 0)
    expect("UDP length", udp.len, len(packet) - (40 if ipv6 else 20))
    expect("transport version", bth.version, 0)
    expect("MigReq", bth.migreq, 1)
    expect("P_Key", bth.pkey, 0xFFFF)
    expect("destination QP", bth.dqpn, 0x22)
    expect("FECN", bth.fecn, 0)
    expect("BECN", bth.becn, int(bth.opcode == CNP))
    expect("reserved bits", (bth.resv6, bth.resv7), (0, 0))
    body = udp.len - 8 - HEADERS.get(bth.opcode, 0) - 4
    expect("length modulo 4", body % 4, 0)
    expect("pad", packet[-4 - bth.padcount : -4], bytes(bth.padcount))
    expect("Ethernet padding", data[ip_at + ip_len :], bytes(max(0, 60 - ip_at - ip_len)))
    return bad, (ipv6, tagged, bth.opcode, body - bth.padcount)


def check(path):
    """Number of frames with faults, or of kinds that are missing."""
    wrong = 0
    seen, opcodes, sports = set(), set(), {}
    for number, (data, _) in enumerate(RawPcapReader(path), 1):
        bad, kind = complaints(data)
        for text in bad:
            print(f"frame {number}: {text}: {data.hex()}")
        wrong += bool(bad)
        if kind:
            seen.add(kind)
            opcodes.add(kind[2])
            sports.setdefault(kind[:2], set()).add(Ether(data)[UDP].sport)
    for ipv6 in (False, True):
        for tagged in (False, True):
            where = f"IPv{6 if ipv6 else 4}{' in a VLAN' if tagged else ''}"
            for opcode in HEADERS:
                for length in LENGTHS:
                    if (ipv6, tagged, opcode, length) not in seen:
                        print(f"no frame of opcode {opcode:#x} with {length} bytes over {where}")
                        wrong += 1
            if len(sports.get((ipv6, tagged), ())) != 1:
                print(f"a queue pair over {where} does not keep its UDP source port")
                wrong += 1
    for opcode in (0x0C, 0x0D, 0x0E, 0x0F, 0x11, 0x12, 0x13, 0x14, CNP):
        if opcode not in opcodes:
            print(f"no frame of opcode {opcode:#x}")
            wrong += 1
    print(f"{number} frames, {wrong} faults")
    return wrong


def main():
    """See above."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "own.pcap")
        subprocess.run([sys.argv[1], path], check=True)
        return 1 if check(path) else 0


if __name__ == "__main__":
    sys.exit(main())
