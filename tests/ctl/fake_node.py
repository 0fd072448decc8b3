# SPDX-License-Identifier: BSD-3-Clause
"""A telemetry socket that answers from a table, or misbehaves in every way that a test asks for."""
import collections
import contextlib
import copy
import io
import json
import os
import socket
import threading
import time

PARTNER = {
    "id": 2, "state": "up", "reason": "none", "verdict": "up", "advice": "keep",
    "last_down_reason": "none", "partner_state": "up", "partner_reason": "none", "role": "storage",
    "since_ms": 61000, "last_answer_ms": 3, "setup_us": 577, "version": 1, "path_mtu": 1024,
    "boot_stage": 0, "boot_progress": 0, "sessions": 1, "attempts": 2, "beats": 403, "reads_failed": 2,
    "writes_failed": 0, "records_bad": 0, "conflicts": 0, "nonce": "0x9b9360bd9877c37f",
    "partner_nonce": "0x5cdac7284fb6695e", "ports": 3,
}  # fmt: skip
DETAILS = {
    "mac": "02:00:00:00:00:02", "ip": "192.0.2.2", "va": "0x0000000000100000", "rkey": "0xc0de0001",
    "qpn": 256, "remote_qpn": 256, "version_min": 1, "version_max": 1, "partner_version_min": 1,
    "partner_version_max": 1, "beat_us": 1000, "features": "0x0000000000000000",
    "boot_id": "0x6049abbe0d269f7d", "boot_stages": 0, "boot_budget_ms": 0, "boot_name": "",
    "answer_age_us": 1751, "beat_age_us": 1751, "write_age_us": 4119, "boot_age_us": 4291228,
    "awake_us": 4347235, "link_up": 1,
}  # fmt: skip
STEPS = ("read_one", "write_one", "read_two", "write_two", "client_info", "create_ports",
         "connect_ports", "ready")  # fmt: skip


def event(seq, old, new, reason, kind="state"):
    return {"seq": seq, "uptime_us": 1000 * seq, "age_us": 5000000 - 1000 * seq, "partner_id": 2,
            "kind": kind, "from": old, "to": new, "reason": reason, "nonce": "0x01",
            "partner_nonce": "0x02"}  # fmt: skip


def table():
    """The answers of a node that is up."""
    port = {"partner_id": 2, "client": "nvlog", "index": 0, "connected": 1, "qpn": 0x3A0936,
            "remote_qpn": 0x31FEF, "length_bytes": 8388608, "remote_va": "0x10000000",
            "remote_rkey": "0x12345678", "posted": 194, "completed": 193, "errors": 0}  # fmt: skip
    events = [event(1, "down", "search", "no_answer"), event(2, "search", "bound", "waiting"),
              event(3, "ready", "up", "none"), event(4, "connecting", "up", "none", "verdict")]  # fmt: skip
    timing = {f"{step}_ns": 1500 * (i + 1) for i, step in enumerate(STEPS)}
    return copy.deepcopy({
        "/ccm/status": {
            "id": 1, "name": "node-a", "cluster": "lab", "role": "storage", "state": "up", "partners": 1,
            "partners_up": 1, "uptime_s": 3, "control_age_ms": 0, "pid": os.getpid(), "version": "0.1.0",
        },
        "/ccm/partners": {"total": 1, "partners": {"partner_2": PARTNER}},
        "/ccm/partner,2": {**PARTNER, **DETAILS},
        "/ccm/clients": {"total": 1, "clients": {"client_0": {
            "name": "nvlog", "kind": "exercise", "ports": 2, "memory_bytes": 16777216, "partners_up": 1, "ups": 1, "downs": 0,
            "posted": 194, "completed": 194, "errors": 0, "partners": {"partner_2": "connected"}}}},
        "/ccm/ports,0": {"total": 1, "ports": {"partner_2_port_0": port}},
        "/ccm/ports,2": {"total": 1, "ports": {"partner_2_port_0": port}},
        "/ccm/events": {"total": 4, "events": {f"event_{e['seq']}": e for e in reversed(events)}},
        "/ccm/timing": {"total": 1, "partners": {"partner_2": {**timing, "setup_us": 577, "setup_ns": 577000}}},
        "/ccm/exercise": {"enabled": 1, "total": 1, "up": 1, "sessions": 1, "rounds": 9, "verified_bytes": 589824,
                          "mismatches": 0, "errors": 0, "ports": {"port_0": {"client": "nvlog", "partner_id": 2,
                          "index": 0, "up": 1, "sessions": 1, "rounds": 9, "verified_bytes": 589824,
                          "mismatches": 0, "errors": 0}}},
        "/ccm/boot": {"stage": 2, "name": "kernel", "progress": 7, "budget_ms": 5000, "total": 3,
                      "stages": {"stage_1": "firmware", "stage_2": "kernel", "stage_3": "running"}},
        "/ccm/boot/stage,running,0": {"name": "running", "progress": 0},
        "/ccm/boot/stage,nothing,0": {"error": "no such stage: see boot_stages in the configuration"},
        "/ccm/config": {"node": {"id": 1, "log_level": "info"}, "port": {"mac": "02:00:00:00:00:01", "mtu": 1500},
                        "partners_count": 1, "timing": {"beat_us": 1000}},
        "/ccm/capture": {"active": 1, "frames": 5, "bytes": 999, "dropped": 0, "files": 1, "max_bytes": 67108864,
                         "problem": "none", "file": {"part_0": "/tmp/", "part_1": "x.pcapng"}},
        "/ccm/reload": {"count": 0, "result": "none", "age_ms": -1, "text": {}},
        "/remu/stats": {"rx_packets": 100, "tx_packets": 90, "rx_bytes": 5000, "tx_bytes": 4000,
                        "retransmits": 1, "total_engines": 1, "engines": {"engine_0": {"rx_packets": 100}}},
        "/remu/qps": {"total": 2, "qps": {
            "qp_256": {"engine": 0, "state": "rts", "qpn": 256, "srtt_ns": 307000, "bootstrap": 1},
            "qp_3803446": {"engine": 0, "state": "rts", "qpn": 0x3A0936, "srtt_ns": 0, "bootstrap": 0}}},
        "/remu/drops": {"runt": 0, "icrc": 3, "duplicate": 0},
        "/remu/port": {"name": "net_memif0", "driver": "net_memif", "mac": "02:00:00:00:00:01",
                       "ip": "192.0.2.1", "link_mbps": -1, "mtu_bytes": 1500, "link_up": 1, "rx_packets": 7,
                       "rx_missed": 0, "tx_stalled": 5},
        "/ethdev/list": [0],
        "/ethdev/info,0": {"name": "net_memif0"},
        "/eal/params": ["ccm-node", "-l", "0"],
        "/info": {"version": "DPDK 22.11", "pid": os.getpid(), "max_output_len": 16384},
    })  # fmt: skip


def broken(answers, partner=None, status=None, client=None, details=None):
    """The same of a node whose partner, status or client differ."""
    answers = copy.deepcopy(answers)
    answers["/ccm/partners"]["partners"]["partner_2"].update(partner or {})
    answers["/ccm/partner,2"].update(partner or {})
    answers["/ccm/partner,2"].update(details or {})
    answers["/ccm/status"].update(status or {})
    answers["/ccm/clients"]["clients"]["client_0"]["partners"].update(client or {})
    return answers


Done = collections.namedtuple("Done", "returncode stdout stderr")


def run_here(main, words):
    """A program's main() in this process, which is quicker than a process of its own."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(words))
        except SystemExit as error:
            code = error.code
    return Done(code, out.getvalue(), err.getvalue())


class FakeNode:
    """Serves in threads of its own until closed.

    how: None, or a function (server, client socket) that takes the connection over after accept()
    """

    def __init__(self, path, answers=None, how=None, greeting=None):
        self.path = path
        self.answers = table() if answers is None else answers
        self.how = how
        self.greeting = greeting or {"version": "DPDK 22.11", "pid": 1, "max_output_len": 16384}
        self.asked = []
        self.clients = []
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.bind(path)
        self.sock.listen(16)
        self.open = True
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def accept(self):
        while self.open:
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            if self.how:
                self.how(self, client)
            else:
                client.send(json.dumps(self.greeting).encode())
                while command := client.recv(2048).decode():
                    client.send(self.reply(command))
        except OSError:
            pass
        finally:
            client.close()

    def reply(self, command):
        self.asked.append(command)
        name = command.split(",", maxsplit=1)[0]
        value = self.answers.get(command)
        if command == "/":
            value = sorted({key.split(",", maxsplit=1)[0] for key in self.answers} | {"/"})
        if isinstance(value, bytes):
            return value
        if callable(value):
            value = value()
        return json.dumps({name: value}).encode()

    def hang_up(self):
        for client in self.clients:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.open = False
        self.hang_up()
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        if os.path.exists(self.path):
            os.unlink(self.path)


# ---- ways to misbehave


def silent(_, client):
    """Accepts, and never says a word."""
    client.recv(1)


def hangs_up(_, client):
    """As DPDK does when all its places are taken."""
    client.close()


def greets_only(server, client):
    client.send(json.dumps(server.greeting).encode())
    while client.recv(2048):
        pass


def greets_with(data):
    def how(_, client):
        client.send(data)
        client.recv(1)

    return how


def answers_with(data):
    """The same bytes to every question."""

    def how(server, client):
        client.send(json.dumps(server.greeting).encode())
        while client.recv(2048):
            client.send(data)

    return how


def slow(seconds):
    """Right answers, each after a while."""

    def how(server, client):
        client.send(json.dumps(server.greeting).encode())
        while command := client.recv(2048).decode():
            time.sleep(seconds)
            client.send(server.reply(command))

    return how
