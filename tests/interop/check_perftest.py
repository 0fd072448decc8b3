#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Debian's perftest programs in the guest as clients of our queue pair, by scripts/perftest-peer.

usage: check_perftest.py BUILD     alone, in a network namespace of its own (unshare --net)

Exit status: 0 all held, 1 some did not, 2 usage, 3 the laboratory broke down.
"""

import pathlib
import re
import signal
import sys
import tempfile

from lab import GUEST_MAC, OUR_IP, OUR_MAC, ROOT, Lab, LabError, sh

# (size, messages, path MTU). Of the last byte of its messages ib_write_lat makes a counter modulo
# 256: one run has more messages than that. Not of 2 bytes: with padding those look like an
# EtherType, and tshark takes them for one.
RUNS = {
    "write_lat": ((3, 300, 1024), (8192, 100, 4096)),
    "read_lat": ((2, 200, 1024), (8192, 100, 4096)),
    "write_bw": ((64, 200, 1024), (65536, 100, 4096)),
    "read_bw": ((64, 200, 1024), (65536, 100, 4096)),
}
CLIENT_LIMIT = 60  # seconds; the client itself would wait for ever
SERVER_LIMIT = 10


def start(lab, test, size, number, mtu):
    """The server, when a client can come."""
    port_mtu = 1500 if mtu <= 1024 else 4500
    # The af_packet driver sets the interface's MTU, and leaves it so.
    sh("ip", "link", "set", "ccmw1", "mtu", "9000")
    server = lab.start_ours("perftest", [
        sys.executable, "-B", str(ROOT / "scripts/perftest-peer"), "--test", test, "--ip", OUR_IP,
        "--peer-mac", GUEST_MAC, "--mtu", str(mtu), "--size", str(size), "--iters", str(number),
        "--timeout", str(SERVER_LIMIT), "--patience", str(CLIENT_LIMIT),
        "--peer", str(lab.build / "tests/interop/peer_remu"), *lab.eal("perftest", port_mtu), "--",
        OUR_MAC, OUR_IP, str(port_mtu)])
    while not server.read(60).startswith("listening on "):
        pass
    return server


def finish(lab, server):
    """Its exit status; one that does not end is an exit status too."""
    try:
        return lab.stop_ours(server)
    except LabError as error:
        return str(error)


def figures(test, output, size, number):
    """What the client has measured, for people, or None: the line begins with size and number."""
    for line in output.splitlines():
        words = line.split()
        if words[:2] != [str(size), str(number)] or len(words) < 5:
            continue
        if test.endswith("_lat"):
            return f"typical {words[4]} us, average {words[5]} us, largest {words[3]} us"
        return f"peak {words[2]} MB/s, average {words[3]} MB/s"
    return None


def one(lab, test, size, number, mtu):
    server = start(lab, test, size, number, mtu)
    output, status = lab.guest.run(
        f"timeout {CLIENT_LIMIT} ib_{test} -F -d rxe0 -x {lab.gid} -s {size} -n {number} 10.0.2.2",
        timeout=CLIENT_LIMIT + 30, check=False)
    served = finish(lab, server)
    result = figures(test, output, size, number)
    if status == 0 and served == 0 and result is not None:
        return True, result
    # The client's complaints are among a table of "name : value".
    client = [line.strip() for line in output.splitlines()
              if line.strip("- ") and not re.search("^ |^#bytes|Device not recognized", line)]
    log = pathlib.Path(lab.log.name).with_suffix(".perftest").read_text(errors="replace")
    server = [line for line in log.splitlines() if line.startswith("perftest-peer: ")]
    return False, (f"client: status {status}, {' / '.join(client)[:200]}; "
                   f"server: status {served}, {' '.join(server[-1:])}")


def checks(lab):
    """Each program, small and large: (name, whether it held, detail)."""
    for test, runs in RUNS.items():
        for size, number, mtu in runs:
            name = f"ib_{test}: {number} of {size} bytes, path MTU {mtu}"
            try:
                good, detail = one(lab, test, size, number, mtu)
            except LabError as error:
                good, detail = False, str(error)
            yield name, good, detail


def main():
    if len(sys.argv) != 2 or not pathlib.Path(sys.argv[1]).is_dir():
        print("usage: check_perftest.py BUILD", file=sys.stderr)
        return 2
    held = failed = 0
    with tempfile.TemporaryDirectory() as work:
        try:
            with Lab(pathlib.Path(sys.argv[1]).resolve(), work) as lab:
                for name, good, detail in checks(lab):
                    held, failed = held + bool(good), failed + (not good)
                    print(f"{'ok  ' if good else 'FAIL'}  {name:52}  {detail}", flush=True)
        except LabError as error:
            print(f"FAIL  {error}")
            return 3
    print(f"{held} checks held, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    sys.exit(main())
