# SPDX-License-Identifier: BSD-3-Clause
"""Other people's programs for the same table, where they are installed: the best latency that this
machine gives by the kernel's network and by plain shared memory."""
import os
import shutil
import socket
import subprocess
import time

SIZE = 64


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def both_ends(cpus, server, client, environment=None):
    """Run a server and its client on the two CPUs; returns the client's output or None."""
    env = {**os.environ, **(environment or {})}
    with subprocess.Popen(["taskset", "-c", str(cpus[0])] + server, env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            time.sleep(0.3)
            done = subprocess.run(["taskset", "-c", str(cpus[-1])] + client, env=env,
                                  capture_output=True, text=True, timeout=30, check=False)
            return done.stdout if done.returncode == 0 else None
        except subprocess.TimeoutExpired:
            return None
        finally:
            process.kill()


def ucx(cpus, transports, iterations):
    port = str(free_port())
    env = {"UCX_TLS": transports, "UCX_NET_DEVICES": "lo" if "tcp" in transports else "all",
           "UCX_WARN_UNUSED_ENV_VARS": "n", "UCX_LOG_LEVEL": "error"}
    text = both_ends(cpus, ["ucx_perftest", "-p", port],
                     ["ucx_perftest", "127.0.0.1", "-p", port, "-t", "ucp_put_lat", "-s", str(SIZE),
                      "-n", str(iterations), "-w", str(iterations // 10), "-f"], env)
    # iterations, median, average, overall latency, ...
    for line in reversed((text or "").splitlines()):
        words = line.split()
        if len(words) >= 8 and words[0].isdigit():
            return float(words[1])
    return None


def libfabric(cpus, iterations):
    port = str(free_port())
    common = ["fi_pingpong", "-p", "udp", "-e", "dgram", "-I", str(iterations), "-S", str(SIZE)]
    text = both_ends(cpus, common + ["-B", port], common + ["-P", port, "127.0.0.1"])
    for line in reversed((text or "").splitlines()):
        words = line.split()
        if len(words) >= 8 and words[0] == str(SIZE):
            return float(words[6])
    return None


def run(cpus, quick):
    """Entries of peers[]: those that are installed and answered."""
    found = []

    def add(name, what, half_rtt_us):
        if half_rtt_us is not None:
            found.append({"name": name, "what": what, "size_bytes": SIZE,
                          "half_rtt_us": half_rtt_us})

    n = 5000 if quick else 50000
    if shutil.which("ucx_perftest"):
        add("ucx_perftest ucp_put_lat, TCP loopback",
            "median; one-sided put over the kernel's TCP, seen by polling memory",
            ucx(cpus, "tcp,self", n))
        add("ucx_perftest ucp_put_lat, shared memory",
            "median; a store into the other process's memory: no packets, no checks",
            ucx(cpus, "posix,sysv,self", 10 * n))
    if shutil.which("fi_pingpong"):
        add("fi_pingpong, libfabric udp",
            "mean; two-sided datagrams over the kernel's UDP, not reliable", libfabric(cpus, n))
    return found
