# SPDX-License-Identifier: BSD-3-Clause
"""The session itself against Soft-RoCE: ccm-node here, and in the guest a partner that was written
from doc/wire-format.md with libibverbs (partner.c). Yields (what was done, whether it held, detail).
"""

import json
import os
import signal
import sys
import time

from lab import GUEST_IP, GUEST_MAC, OUR_IP, OUR_MAC, ROOT, LabError

sys.path.insert(0, str(ROOT / "scripts/lib"))
from telemetry import Telemetry, TelemetryError, find_socket  # noqa: E402

OUR_ID, GUEST_ID, OUR_QPN, OUR_VA, OUR_RKEY = 1, 2, 0x100, 0x100000, 0xC0DE0001
CLIENTS = {"nvlog": (2, 131072), "failover": (1, 65536)}


class Partner:
    """The partner in the guest; what it says, line by line."""

    def __init__(self, lab):
        clients = " ".join(f"--client {n}:{p}:{m}" for n, (p, m) in CLIENTS.items())
        self.lab = lab
        self.shell = lab.guest.program(
            f"./partner --gid-index {lab.gid} --node-id {GUEST_ID} --peer-id {OUR_ID} "
            f"--cluster lab --name guest --peer-ip {OUR_IP} --peer-qpn {OUR_QPN} "
            f"--peer-va {OUR_VA:#x} --peer-rkey {OUR_RKEY:#x} {clients} --timeout 12")
        words = self.shell.read(60).split()
        if words[0::2] != ["qpn", "va", "rkey"]:
            raise LabError(f"the partner begins with: {' '.join(words)}")
        self.qpn, self.va, self.rkey = (int(word, 16) for word in words[1::2])

    def wait(self, *wanted, timeout=40):
        """The first line that begins with one of these."""
        end = time.monotonic() + timeout
        while True:
            line = self.shell.read(max(end - time.monotonic(), 0.1))
            if line.startswith("@@ "):
                raise LabError(f"the partner has ended with status {line[3:]}")
            if line.startswith(wanted):
                return line


class Node:
    """ccm-node at our end of the cable."""

    def __init__(self, lab, partner, arp=True):
        self.lab, self.number = lab, 0
        self.config = lab.work / "node.json"
        self.config.write_text(json.dumps({
            "node": {"id": OUR_ID, "name": "ours", "cluster": "lab"},
            "port": {"mac": OUR_MAC, "ip": OUR_IP, "arp": arp},
            "bootstrap": {"va": hex(OUR_VA), "rkey": hex(OUR_RKEY)},
            "partners": [{
                "id": GUEST_ID, "mac": GUEST_MAC, "ip": GUEST_IP, "qpn": OUR_QPN,
                "remote_qpn": partner.qpn, "va": hex(partner.va), "rkey": partner.rkey,
                "slot_rkey": partner.rkey, "directory_rkey": partner.rkey}],
            "clients": [{"name": n, "ports": p, "memory": m} for n, (p, m) in CLIENTS.items()],
            "timing": {"beat_us": 10000, "dead_after_us": 2000000, "retry_us": 50000,
                       "retry_cnt": 5, "search_us": 100000, "idle_sleep_us": 50},
        }, indent=2))
        self.start()

    def start(self):
        # Another file prefix each time: the last one's process may have been killed.
        self.number += 1
        eal = [arg for arg in self.lab.eal(f"node{self.number}", 1500)
               if arg not in ("--no-telemetry", "--no-shconf")]
        self.prefix = next(arg for arg in eal if arg.startswith("--file-prefix=")).split("=")[1]
        self.process = self.lab.start_ours("node", [
            str(self.lab.build / "app/node/ccm-node"), *eal, "--", "--config", str(self.config)])
        self.began = time.monotonic()

    def stop(self, how=signal.SIGTERM):
        return self.lab.stop_ours(self.process, how)

    def ask(self, command):
        with Telemetry(find_socket(self.prefix), timeout=20) as telemetry:
            return next(iter(telemetry.ask(command).values()))

    def partner(self):
        return self.ask(f"/ccm/partner,{GUEST_ID}")

    def wait(self, what, holds, timeout=40):
        """Until it holds; seconds since the node was started."""
        end, last = time.monotonic() + timeout, None
        while time.monotonic() < end:
            try:
                last = holds()
                if last:
                    return time.monotonic() - self.began
            except (TelemetryError, OSError):
                pass
            time.sleep(0.02)
        raise LabError(f"our node: not {what} after {timeout} s: {self.partner()}")

    def wait_state(self, state):
        return self.wait(state, lambda: self.partner()["state"] == state)

    def exercised(self):
        """Every port of ours has written to the partner's memory and read it back, twice more."""
        before = {k: p["rounds"] for k, p in self.ask("/ccm/exercise")["ports"].items()}

        def more():
            state = self.ask("/ccm/exercise")
            return state["total"] > 0 and state["up"] == state["total"] and all(
                p["rounds"] >= before.get(k, 0) + 2 for k, p in state["ports"].items())
        self.wait("done with two rounds", more)
        return self.ask("/ccm/exercise")


def both_up(partner, node, **which):
    """The session is up at both ends, for the same attempts, and carries data both ways."""
    partner.wait("phase UP", **which)
    seconds = node.wait_state("up")
    said = partner.wait("port failover.0 write ok")  # the first of the map
    exercise = node.exercised()
    good = said.endswith("read ok") and exercise["mismatches"] == 0
    return good, f"{seconds:.2f} s after the node's start; its port: {said.split(' ', 2)[2]}"


def handshake(lab):
    """The session: start, restart of our node, a bad cable, a proper end, fixed addresses."""
    partner = Partner(lab)
    node = Node(lab, partner)
    yield "partner first, then our node: up, ports used both ways", *both_up(partner, node)
    for how, name in ((signal.SIGKILL, "killed"), (signal.SIGTERM, "stopped")):
        node.stop(how)
        partner.wait("phase SEARCH")
        node.start()
        good, detail = both_up(partner, node)
        yield f"our node {name} and started again: up, ports used", good, detail
    os.kill(node.process.child.pid, signal.SIGSTOP)
    partner.wait("phase SEARCH")
    os.kill(node.process.child.pid, signal.SIGCONT)
    yield "our node stopped by a signal, then resumed: up again", *both_up(partner, node)
    node.stop(signal.SIGKILL)
    lab.set_wire(loss=5, duplicate=2, reorder=5, window=8)
    node.start()
    good, detail = both_up(partner, node, timeout=120)
    yield "our node started over a cable with 5 % loss each way", good, detail
    lab.set_wire()
    sessions = node.partner()
    partner.shell.write("quit")
    text, status = lab.guest.done()
    node.wait("told that the partner left", lambda: node.partner()["state"] != "up")
    told = any(e["reason"] == "partner_leaving"
               for e in node.ask("/ccm/events")["events"].values())
    yield "the partner leaves: it ends well, our node knows why", status == 0 and told, \
        f"status {status}, sessions {sessions['sessions']}" + ("" if told else f"; {text[-200:]}")
    yield "our node ends well", node.stop() == 0, ""

    # All addresses fixed beforehand: our node does not answer, the guest need not ask.
    lab.guest.run(f"/bin/ip neighbour replace {OUR_IP} lladdr {OUR_MAC} dev eth0 nud permanent")
    partner = Partner(lab)
    node = Node(lab, partner, arp=False)
    good, detail = both_up(partner, node)
    answered = node.ask("/remu/stats")["arp_answered"]
    yield "port.arp off, static neighbour: up, ports used", good and answered == 0, detail
    partner.shell.write("quit")
    lab.guest.done()
    node.stop()
    lab.guest.run("/bin/ip neighbour flush dev eth0 nud permanent")
