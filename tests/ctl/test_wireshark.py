#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The Wireshark dissector on made-up captures: the golden vectors as they are, damaged and in parts.

exit status 77 when tshark is missing
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
LUA = os.path.join(ROOT, "scripts/wireshark/ccm.lua")
VECTORS = os.path.join(ROOT, "tests/data/ccm")
WRITE_FIRST, WRITE_MIDDLE, WRITE_LAST, WRITE_ONLY, READ_RESPONSE_ONLY = 6, 7, 8, 10, 16


def read(name, mode="rb"):
    with open(os.path.join(ROOT, name), mode, **({} if "b" in mode else {"encoding": "utf-8"})) as file:
        return file.read()


def vector(name):
    return read(os.path.join(VECTORS, name))


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def changed(data, offset, value, crc=True):
    """A record with some bytes changed, and its CRC made right again."""
    data = data[:offset] + value + data[offset + len(value) :]
    return data[:252] + struct.pack("<I", crc32c(data[:252])) if crc else data


def frame(opcode, psn, payload, qpn=0x100, swap=False):
    """A RoCEv2 frame; its ICRC is not right, which Wireshark does not mind."""
    macs = bytes.fromhex("020000000002020000000001")
    ips = bytes([192, 0, 2, 1, 192, 0, 2, 2])
    if swap:
        macs, ips = macs[6:] + macs[:6], ips[4:] + ips[:4]
    bth = struct.pack("!BBHII", opcode, 0x40, 0xFFFF, qpn, psn)
    extra = {WRITE_FIRST: 16, WRITE_ONLY: 16, READ_RESPONSE_ONLY: 4}.get(opcode, 0)
    reth = struct.pack("!QII", 0x101000, 0xC0DE0002, len(payload)) if extra == 16 else bytes(extra)
    rdma = bth + reth + payload + bytes(4)
    udp = struct.pack("!HHHH", 0xC000, 4791, 8 + len(rdma), 0) + rdma
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0x4000, 64, 17, 0) + ips
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + header[12:]
    return macs + b"\x08\x00" + header + udp


def parts(data, psn, size=256, **options):
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    last = len(pieces) - 1
    return [frame(WRITE_FIRST if i == 0 else WRITE_LAST if i == last else WRITE_MIDDLE, psn + i, piece, **options)
            for i, piece in enumerate(pieces)]  # fmt: skip


class Dissector(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="ctl", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder)
        self.file = os.path.join(self.folder, "x.pcap")

    def tshark(self, *args):
        command = ["tshark", "-n", "-r", self.file, "-X", f"lua_script:{LUA}", *args]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        errors = [line for line in done.stderr.splitlines() if "Running as user" not in line]
        self.assertEqual((done.returncode, errors), (0, []))
        self.assertNotIn("Lua Error", done.stdout)
        return done.stdout

    def decode(self, *frames):
        """The ccm fields of each frame: {name: [values]}; None where there are none."""
        with open(self.file, "wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            for i, data in enumerate(frames):
                out.write(struct.pack("<IIII", i, 0, len(data), len(data)) + data)
        found = []
        for packet in json.loads(self.tshark("-T", "json", "--no-duplicate-keys")):
            fields = {}

            def walk(tree):
                for name, value in tree.items() if isinstance(tree, dict) else ():
                    for one in value if isinstance(value, list) else [value]:
                        if isinstance(one, str) and name.startswith("ccm."):
                            fields.setdefault(name, []).append(one)
                        else:
                            walk(one)

            walk(packet["_source"]["layers"])
            found.append(fields or None)
        self.assertEqual(len(found), len(frames))
        return found

    def columns(self):
        return self.tshark("-T", "fields", "-e", "_ws.col.Protocol", "-e", "_ws.col.Info").splitlines()

    def check(self, fields, **want):
        for name, value in want.items():
            name = "ccm." + name.replace("__", ".")
            self.assertIn(name, fields)
            values = [int(v, 0) if isinstance(value, int) else v for v in fields[name]]
            self.assertIn(value, values, (name, values))

    def test_records(self):
        up, search, booting = (vector(f"record-{name}.bin") for name in ("up", "search", "booting"))
        found = self.decode(frame(WRITE_ONLY, 5, up), frame(READ_RESPONSE_ONLY, 6, search, swap=True),
                            frame(WRITE_ONLY, 6, booting))  # fmt: skip
        for fields, data in zip(found, (up, search, booting)):
            self.check(fields, verdict="ok", magic="ccmr", length=256)
            # Every field of the layout is where the layout says.
            for name, offset, code in (("seq", 8, "Q"), ("nonce", 16, "Q"), ("echo", 24, "Q"), ("boot_id", 32, "Q"),
                                       ("cluster_hash", 48, "Q"), ("map_hash", 56, "Q"), ("beat", 72, "Q"),
                                       ("dir_crc", 80, "I"), ("dir_seen", 84, "I"), ("src_id", 88, "H"),
                                       ("dst_id", 90, "H"), ("version_max", 94, "H"), ("path_mtu", 98, "H"),
                                       ("n_ports", 100, "H"), ("boot_stage", 102, "H"), ("boot_progress", 104, "I"),
                                       ("phase", 108, "B"), ("reason", 109, "B"), ("role", 110, "B"),
                                       ("start_psn", 144, "I"), ("sequences", 148, "I"), ("boot_budget_ms", 184, "I"),
                                       ("boot_idle_ms", 188, "I"), ("boot_stages", 192, "H"), ("beat_us", 196, "I"), ("seq_back", 240, "Q"),
                                       ("crc", 252, "I")):  # fmt: skip
                self.check(fields, **{name: struct.unpack_from("<" + code, data, offset)[0]})
            self.check(
                fields,
                name=data[112:144].rstrip(b"\0").decode(),
                boot_name=data[152:184].rstrip(b"\0").decode(),
            )
        self.check(found[0], operation="WRITE")
        self.check(found[1], operation="READ response")
        lines = self.columns()
        self.assertRegex(lines[0], r"^CCM\tWRITE: \S+ \(node \d+ to \d+\) UP, seq \d+$")
        self.assertRegex(lines[1], "^CCM\\t" r"READ response: \S+ \(node \d+ to \d+\) SEARCH, seq 1$")

    def test_bad_records(self):
        up = vector("record-up.bin")
        rows = (
            ("ok", changed(up, 109, b"\xfe")), ("torn", changed(up, 240, b"\1\1")), ("crc", changed(up, 100, b"\7", crc=False)),
            ("layout", changed(up, 4, b"\2")), ("layout", changed(up, 7, b"\0")),
        )  # fmt: skip
        found = self.decode(*(frame(WRITE_ONLY, i, data) for i, (_, data) in enumerate(rows)))
        for fields, (verdict, _) in zip(found, rows):
            self.check(fields, verdict=verdict)
        lines = self.columns()
        self.assertTrue(
            lines[1].endswith("[torn]") and lines[2].endswith("[crc]") and lines[3].endswith("[layout]"),
            lines,
        )
        self.assertNotIn("[", lines[0])
        bad = self.tshark("-Y", "ccm.bad", "-T", "fields", "-e", "frame.number").split()
        self.assertEqual(bad, ["2", "3", "4", "5"])

    def test_refusals_by_filter(self):
        up = vector("record-up.bin")
        refused = changed(changed(up, 108, b"\7"), 109, b"\6")
        self.decode(frame(WRITE_ONLY, 1, up), frame(READ_RESPONSE_ONLY, 2, refused))
        shown = self.tshark("-Y", "ccm.phase == 7 && ccm.reason == 6", "-T", "fields", "-e", "_ws.col.Info")
        self.assertRegex(shown, r"REFUSED, seq \d+, wrong_cluster\n$")
        self.assertEqual(self.tshark("-Y", "ccm.refused", "-T", "fields", "-e", "frame.number"), "2\n")

    def test_empty_record_only_where_records_were(self):
        up = vector("record-up.bin")
        found = self.decode(frame(READ_RESPONSE_ONLY, 1, bytes(256)), frame(READ_RESPONSE_ONLY, 2, up),
                            frame(READ_RESPONSE_ONLY, 3, bytes(256)), frame(READ_RESPONSE_ONLY, 4, b"\xff" * 256),
                            frame(READ_RESPONSE_ONLY, 5, bytes(256), qpn=0x101), frame(WRITE_ONLY, 6, bytes(256)))  # fmt: skip
        self.assertEqual([fields and fields["ccm.verdict"] for fields in found],
                         [None, ["ok"], ["empty"], ["empty"], None, None])  # fmt: skip

    def test_directories(self):
        ports, clients = vector("directory-ports.bin"), vector("directory-clients.bin")
        wrong = ports[:100] + b"\x99" + ports[101:]
        found = self.decode(
            frame(WRITE_ONLY, 1, clients), *parts(ports, 10), *parts(wrong, 20), *parts(ports, 30, 64)
        )
        self.check(found[0], verdict="ok", directory__n_clients=struct.unpack_from("<H", clients, 24)[0])
        last = [found[2], found[4], found[-1]]
        for fields, verdict in zip(last, ("ok", "crc", "ok")):
            self.check(fields, verdict=verdict, directory__length=len(ports))
        n_clients, n_ports = struct.unpack_from("<HH", ports, 24)
        self.assertGreater(n_clients * n_ports, 0)
        self.assertEqual(len(last[0]["ccm.client.name"]), n_clients)
        for i in range(n_ports):
            at = 64 * (1 + n_clients + i)
            client, index, qpn, psn, rkey, va, length = struct.unpack_from("<HHIIIQQ", ports, at)
            row = [
                int(last[0][f"ccm.port.{key}"][i], 0)
                for key in ("client", "index", "qpn", "psn", "rkey", "va", "length")
            ]
            self.assertEqual(row, [client, index, qpn, psn, rkey, va, length])
        lines = self.columns()
        self.assertEqual(lines[1], "CCM\tWRITE: directory, part 1")
        self.assertEqual(lines[2], f"CCM\tWRITE: directory, {n_clients} clients, {n_ports} ports")
        self.assertTrue(lines[4].endswith("[crc]"), lines)

    def test_directories_that_do_not_end(self):
        """A packet lost, repeated or of another flow; a first one that is no directory."""
        ports = vector("directory-ports.bin")
        whole = parts(ports, 10, 64)
        other = parts(ports, 10, 64, swap=True)
        found = self.decode(
            *whole[:2], *whole[3:],  # one is missing
            *whole[:3], whole[1], *whole[3:],  # one comes again
            *(one for pair in zip(whole, other) for one in pair),  # two flows at once
            *parts(b"x" * 600, 50), whole[-1],
        )  # fmt: skip
        complete = [i for i, fields in enumerate(found) if fields and "ccm.directory.crc" in fields]
        n = len(whole)
        self.assertEqual(complete, [2 * n - 1, 4 * n - 2, 4 * n - 1])
        for i in complete:
            self.check(found[i], verdict="ok")

    def test_other_traffic_is_left_alone(self):
        data = [b"", b"ccmr", b"ccmd" + bytes(40), b"ccmx" + bytes(252), bytes(1024), b"ccmr" + bytes(251)]
        frames = [
            frame(op, i, payload)
            for i, payload in enumerate(data)
            for op in (WRITE_ONLY, READ_RESPONSE_ONLY)
        ]
        frames += [frame(4, 0, vector("record-up.bin")), frame(17, 1, bytes(4))]
        self.assertEqual([fields for fields in self.decode(*frames) if fields], [])

    def test_garbage_behind_the_magic(self):
        """Lengths and numbers that point beyond the packet."""
        rng = bytes(i * 37 % 256 for i in range(252))
        found = self.decode(frame(WRITE_ONLY, 1, b"ccmr" + rng), frame(WRITE_ONLY, 2, b"ccmd" + rng),
                            frame(WRITE_ONLY, 3, b"ccmd" + b"\xff" * 60), frame(READ_RESPONSE_ONLY, 4, b"ccmr" + b"\xff" * 252))  # fmt: skip
        for fields in found:
            self.check(fields, verdict="layout")

    def test_names_are_those_of_the_program(self):
        lua, names, header = read(LUA, "r"), read("lib/ccm/ccm_names.c", "r"), read("lib/ccm/ccm.h", "r")
        told = dict(re.findall(r'\[CCM_REASON_([A-Z_]+)\] = "([a-z_]+)"', names))
        numbers = dict(re.findall(r"CCM_REASON_([A-Z_]+) = (\d+)", header))
        shown = re.search(r"local REASONS = \{(.*?)\n\}", lua, re.S).group(1)
        self.assertEqual(
            dict(re.findall(r'\[(\d+)\] = "(\w+)"', shown)), {numbers[key]: told[key] for key in told}
        )
        roles = re.search(r"local ROLES = \{(.*?)\}", lua).group(1)
        self.assertEqual(re.findall(r'\[\d+\] = "(\w+)"', roles), re.findall(r'\[CCM_ROLE_\w+\] = "(\w+)"', names))
        phases = re.search(r"local PHASES = \{(.*?)\n\}", lua, re.S).group(1)
        table = re.findall(r"^\| (\d) \| ([A-Z]+) \|", read("doc/wire-format.md", "r"), re.M)
        self.assertEqual(re.findall(r'\[(\d+)\] = "(\w+)"', phases), table)

    def test_fields_are_those_of_the_format(self):
        """Place and size of each, as doc/wire-format.md has them: none is missing, none is made up."""
        lua, text = read(LUA, "r"), read("doc/wire-format.md", "r")
        tables = [(re.findall(r"^\| (\d+) \| (\d+) \| (\w+) \|", table, re.M)) for table in
                  re.findall(r"^\| offset \| size \| field \|.*?\n\n", text, re.M | re.S)]  # fmt: skip
        self.assertEqual(len(tables), 4)
        for rows, name in zip(tables, ("record", "directory", "client", "port")):
            told = [(offset, size, field) for offset, size, field in rows if field != "reserved"]
            body = re.search(rf"local {name}_fields = \{{(.*?)\n\}}", lua, re.S).group(1)
            shown = re.findall(r'\{ "([\w.]+)", (\d+), (\d+),', body)
            self.assertEqual([(offset, size, field.split(".")[-1].replace("seq_back", "seq"))
                              for field, offset, size in shown], told, name)  # fmt: skip


if __name__ == "__main__":
    if not shutil.which("tshark"):
        print("tshark is missing")
        sys.exit(77)
    unittest.main()
