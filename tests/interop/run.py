#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""All checks against Soft-RoCE. Called by scripts/interop, in a network namespace of its own.

usage: run.py BUILD [NAME...]     all checks, or those of these names
       run.py --list

Prints one line per check. What is left of a run, with captures, is in BUILD/interop/last; captures
are removed when all is well. Exit status: 0 all held, 1 some did not, 2 usage, 3 the laboratory
broke down.
"""

import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import check_partner
import check_peer
import check_perftest
from lab import Lab, LabError, die_with_parent

CHECKS = {
    "data": check_peer.data,
    "not_ready": check_peer.not_ready,
    "errors": check_peer.errors,
    "bad_cable": check_peer.bad_cable,
    "handshake": check_partner.handshake,
    "perftest": check_perftest.checks,
}


class Capture:
    """tcpdump on both ends of the cable, and tshark's opinion of it."""

    def __init__(self, work, name):
        self.files, self.children = [], []
        for interface in ("ccmtap", "ccmw1"):
            file = work / f"{name}-{interface}.pcap"
            log = open(work / f"{name}-{interface}.tcpdump", "wb")
            self.files.append(file)
            self.children.append(subprocess.Popen(
                ["tcpdump", "-i", interface, "--immediate-mode", "-B", "65536", "-s", "0", "-U", "-Z", "root",
                 "-w", str(file),
                 "udp port 4791 or arp"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=die_with_parent))
        for child, file in zip(self.children, self.files):
            for _ in range(200):
                if b"listening on" in file.with_suffix(".tcpdump").read_bytes():
                    break
                if child.poll() is not None:
                    raise LabError("tcpdump does not start")
                time.sleep(0.05)

    def stop(self):
        for child in self.children:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
        for child in self.children:
            child.wait(30)

    def verdict(self):
        """(whether all is well, how many frames and what is wrong)"""
        time.sleep(0.2)
        self.stop()
        frames, bad = 0, []
        missed = sum(int(n) for file in self.files for n in re.findall(
            rb"(\d+) packets? dropped by kernel", file.with_suffix(".tcpdump").read_bytes()))
        if missed:
            bad.append(f"tcpdump missed {missed} frames")
        for file in self.files:
            shown = subprocess.run(
                ["tshark", "-n", *self.no_guesses(), "-r", str(file), "-T", "fields", "-e", "frame.number", "-e",
                 "_ws.col.Protocol", "-e", "_ws.malformed", "-e", "_ws.expert.severity"],
                capture_output=True, text=True, check=False)
            if shown.returncode != 0:
                return False, f"tshark: {shown.stderr.strip()}"
            for line in shown.stdout.splitlines():
                number, protocol, malformed, severity = (line.split("\t") + [""] * 3)[:4]
                frames += 1
                worst = max((int(s) for s in severity.split(",") if s), default=0)
                if protocol not in ("RRoCE", "ARP") or malformed or worst >= 6291456:
                    bad.append(f"{file.name} {number}: {protocol} {malformed} {severity}")
        return frames > 0 and not bad, f"{frames} frames" + ("; " + bad[0] if bad else "")

    @staticmethod
    def no_guesses():
        """Options that keep tshark from guessing what random data in SENDs might be."""
        table = subprocess.run(["tshark", "-G", "heuristic-decodes"], capture_output=True,
                               text=True, check=False).stdout
        rows = (line.split("\t") for line in table.splitlines())
        names = [row[1] for row in rows if len(row) > 2 and row[0] == "infiniband.payload"]
        # Ethernet frames in SENDs are no protocol of their own to tshark.
        return ["--disable-heuristic", "eth_over_ib"] + [
            option for name in names if name != "ethertype"
            for option in ("--disable-protocol", name)]

    def remove(self):
        for file in self.files:
            file.unlink(missing_ok=True)


def main():
    if sys.argv[1:] == ["--list"]:
        for name, check in CHECKS.items():
            print(f"{name:12}{check.__doc__.splitlines()[0]}")
        return 0
    if len(sys.argv) < 2 or any(name not in CHECKS for name in sys.argv[2:]):
        print(f"usage: run.py BUILD [{' | '.join(CHECKS)}]...", file=sys.stderr)
        return 2
    build = pathlib.Path(sys.argv[1]).resolve()
    work = build / "interop" / "last"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    held = failed = 0
    captures = []

    def tell(what, good, detail):
        nonlocal held, failed
        held, failed = held + bool(good), failed + (not good)
        print(f"{'ok  ' if good else 'FAIL'}  {what:52}  {detail}", flush=True)

    try:
        began = time.monotonic()
        with Lab(build, work) as lab:
            kernel, _ = lab.guest.run("uname -r")
            print(f"guest: Linux {kernel} with rdma_rxe, after {time.monotonic() - began:.1f} s")
            for name in sys.argv[2:] or CHECKS:
                began = time.monotonic()
                captures.append(Capture(work, name))
                for what, good, detail in CHECKS[name](lab):
                    tell(what, good, detail)
                good, detail = captures[-1].verdict()
                tell(f"tshark understands every frame of {name}", good, detail)
                print(f"      {name}: {time.monotonic() - began:.1f} s")
            complaints = lab.guest.complaints()
            tell("the guest's kernel has nothing to complain of", not complaints,
                 complaints[0] if complaints else "0 warnings")
    except LabError as err:
        print(f"FAIL  {err}")
        print(f"see {work}")
        return 3
    finally:
        for capture in captures:
            capture.stop()
    print(f"{held} checks held, {failed} failed")
    if failed:
        print(f"captures and logs: {work}")
        return 1
    for capture in captures:
        capture.remove()
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    sys.exit(main())
