#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Write the golden vectors of the session layer's wire formats.

Made from doc/wire-format.md alone, with a CRC and a hash of its own: shares no code with the
library that the vectors test.

usage: make-vectors.py [--check]     --check compares with the files instead; exit status 1 if not
"""

import pathlib
import struct
import sys

M64 = (1 << 64) - 1


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def hash64(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 & M64
    h ^= h >> 33
    h = h * 0xFF51AFD7ED558CCD & M64
    h ^= h >> 33
    h = h * 0xC4CEB9FE1A85EC53 & M64
    h ^= h >> 33
    return h or 1


def name(text):
    return text.encode("ascii").ljust(32, b"\0")


def record(seq, nonce, echo, boot_id, features, cluster, map_hash, partner_seq, beat, dir_crc,
           dir_seen, src, dst, vmin, vmax, version, mtu, n_ports, stage, progress, phase, reason,
           role, node, start_psn=0, sequences=0, boot=("", 0, 0, 0), beat_us=0):
    body = b"ccmr" + struct.pack("<HH", 1, 256)
    body += struct.pack("<9Q", seq, nonce, echo, boot_id, features, hash64(cluster.encode()),
                        map_hash, partner_seq, beat)
    body += struct.pack("<II", dir_crc, dir_seen)
    body += struct.pack("<8H", src, dst, vmin, vmax, version, mtu, n_ports, stage)
    body += struct.pack("<IBBBB", progress, phase, reason, role, 0) + name(node)
    body += struct.pack("<II", start_psn, sequences)
    body += name(boot[0]) + struct.pack("<IIH", *boot[1:])
    body += struct.pack("<2xI", beat_us)
    body = body.ljust(240, b"\0") + struct.pack("<QI", seq, 0)
    return body + struct.pack("<I", crc32c(body))


def directory(nonce, echo, clients, ports):
    length = 64 * (1 + len(clients) + len(ports))
    head = b"ccmd" + struct.pack("<HHQQHH", 1, length, nonce, echo, len(clients), len(ports))
    head = head.ljust(60, b"\0")
    body = b"".join((name(n) + struct.pack("<H6xQ", p, m)).ljust(64, b"\0") for n, p, m in clients)
    body += b"".join(struct.pack("<HHIIIQQ", *p).ljust(64, b"\0") for p in ports)
    return head + struct.pack("<I", crc32c(head + body) or 1) + body


def map_hash(entries):
    data = struct.pack("<Q", len(entries))
    for n, index, length in entries:
        data += name(n) + struct.pack("<QQ", index, length)
    return hash64(data)


def vectors():
    files = {}
    assert crc32c(b"123456789") == 0xE3069283

    joined = [("mon", 0, 4096), ("nvlog", 0, 8388608), ("nvlog", 1, 8388608)]
    files["record-search.bin"] = record(
        seq=1, nonce=0x0123456789ABCDEF, echo=0, boot_id=0xFEDCBA9876543210, features=0,
        cluster="lab", map_hash=0, partner_seq=0, beat=0, dir_crc=0, dir_seen=0, src=1, dst=2,
        vmin=1, vmax=1, version=0, mtu=1024, n_ports=0, stage=0, progress=0, phase=2, reason=18,
        role=0, node="node-a")
    files["record-up.bin"] = record(
        seq=0x1122334455667788, nonce=0xA1A2A3A4A5A6A7A8, echo=0xB1B2B3B4B5B6B7B8,
        boot_id=0xC1C2C3C4C5C6C7C8, features=0xD1D2D3D4D5D6D7D8, cluster="cluster.one",
        map_hash=map_hash(joined), partner_seq=0xE1E2E3E4E5E6E7E8, beat=0xF1F2F3F4F5F6F7F8,
        dir_crc=0x31323334, dir_seen=0x41424344, src=0xFFFE, dst=0xFFFF, vmin=0x0102, vmax=0x0304,
        version=0x0203, mtu=4096, n_ports=64, stage=0x5152, progress=0x61626364, phase=6,
        reason=0, role=1, node="a-name-of-thirty-one-characters", start_psn=0x717273,
        sequences=0x81828384, beat_us=9999999)
    files["record-booting.bin"] = record(
        seq=9, nonce=0x0123456789ABCDEF, echo=0, boot_id=0xFEDCBA9876543210, features=0,
        cluster="lab", map_hash=0, partner_seq=0, beat=3, dir_crc=0, dir_seen=0, src=1, dst=2,
        vmin=1, vmax=1, version=0, mtu=1024, n_ports=0, stage=2, progress=0x61626364, phase=2,
        reason=0, role=0, node="node-a", boot=("mount-root", 0x91929394, 0xA1A2A3A4, 0x0405))
    files["directory-clients.bin"] = directory(
        0x0123456789ABCDEF, 0xFEDCBA9876543210,
        [("nvlog", 2, 16777216), ("mon", 1, 4100), ("only-here", 5, M64)], [])
    files["directory-ports.bin"] = directory(
        0xA1A2A3A4A5A6A7A8, 0xB1B2B3B4B5B6B7B8,
        [("mon", 3, 1 << 20), ("a-name-of-thirty-one-characters", 61, 0x0102030405060708)],
        [(0, 2, 2, 0, 1, 0, 1),
         (1, 60, 0xFFFFFE, 0xFFFFFF, 0xFFFFFFFF, 0xF1F2F3F4F5F60000, 0x0000000000010000),
         (1, 0, 0x010203, 0x040506, 0x0708090A, M64 - 4096, 4096)])

    lines = ["# name value: see make-vectors.py"]
    lines += [f"hash-{n or 'empty'} {hash64(n.encode()):#018x}"
              for n in ("", "a", "lab", "cluster.one")]
    lines += [f"map-empty {map_hash([]):#018x}", f"map-joined {map_hash(joined):#018x}"]
    files["hashes.txt"] = ("\n".join(lines) + "\n").encode("ascii")
    return files


def main():
    where = pathlib.Path(__file__).parent
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    for file, data in vectors().items():
        if not sys.argv[1:]:
            (where / file).write_bytes(data)
        elif (where / file).read_bytes() != data:
            sys.exit(f"{file} is not what make-vectors.py makes")


if __name__ == "__main__":
    main()
