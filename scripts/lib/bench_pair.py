# SPDX-License-Identifier: BSD-3-Clause
"""ccm-bench and its partner as two processes on CPUs of their own, over net_memif."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

# Descriptors hold a whole frame at path MTU 4096: memif spoils frames that are cut into several
# when its ring runs full.
BUFFER = 4608
MTU = 4200
START_S = 0.1


class BenchError(Exception):
    """What went wrong, in one line."""


def free_cpus():
    """CPUs that we may use, in order."""
    return sorted(os.sched_getaffinity(0))


def node_config(me, timing, kind=None):
    """Configuration of node 1 or 2, which match each other."""
    other = 3 - me
    client = {"name": "bench", "ports": 1, "memory": "8MiB"}
    if kind:
        client["kind"] = kind
    return {
        "node": {"id": me, "name": f"bench-{me}", "cluster": "bench"},
        "port": {"mac": f"02:00:00:00:00:{me:02x}", "ip": f"192.0.2.{me}", "mtu": MTU},
        "bootstrap": {"va": "0x100000", "rkey": "0xc0de0001"},
        "partners": [{"id": other, "mac": f"02:00:00:00:00:{other:02x}",
                      "ip": f"192.0.2.{other}", "qpn": "0x100", "remote_qpn": "0x100",
                      "va": "0x100000", "rkey": "0xc0de0001"}],
        "clients": [client],
        "timing": timing,
    }


# Sessions that survive a CPU which is taken away for some time; quick ones, to see how soon a loss
# is noticed; and such that may follow each other at once.
PATIENT = {"beat_us": 10000, "dead_after_us": 2000000, "retry_us": 20000, "retry_cnt": 7}
BRISK = {"beat_us": 1000, "dead_after_us": 20000, "retry_us": 2000, "retry_cnt": 7,
         "search_us": 10000}
SHORT = {"beat_us": 1000, "dead_after_us": 5000, "retry_us": 500, "retry_cnt": 7,
         "search_us": 10000}


class Pair:
    """Makes the files that both need; as a context manager it ends all processes."""

    def __init__(self, build, cpus):
        self.build = pathlib.Path(build)
        self.cpus = cpus
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ccm-bench."))
        self.processes = []
        self.prefixes = []
        self.serial = 0
        for program in ("app/node/ccm-node", "app/bench/ccm-bench"):
            if not (self.build / program).exists():
                raise BenchError(f"no {program} in {self.build}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            self.end(process, signal.SIGKILL)
        for prefix in self.prefixes:
            for base in ("/var/run/dpdk", f"{os.environ.get('XDG_RUNTIME_DIR', '/tmp')}/dpdk"):
                shutil.rmtree(f"{base}/{prefix}", ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def describe(self):
        """What stands in the report of how the processes were run."""
        return {"device": "net_memif", "memif_buffer_bytes": BUFFER, "port_mtu": MTU,
                "timing": PATIENT, "timing_of_failovers": BRISK, "timing_of_handshakes": SHORT}

    def write_config(self, name, config):
        path = self.folder / name
        path.write_text(json.dumps(config))
        return str(path)

    def start(self, program, role, config, arguments, lcores=None, serial=None):
        """Start one side. The server's CPU is the first one, the client's the last one."""
        serial = self.serial if serial is None else serial
        socket = f"ccm-bench-{os.getpid()}-{serial}"
        prefix = f"{socket}-{role}"
        cpu = self.cpus[0 if role == "server" else -1]
        command = [str(self.build / program), "--no-huge", "-m", "256", "--no-pci",
                   "--lcores", lcores or f"0@{cpu}", f"--file-prefix={prefix}",
                   f"--vdev=net_memif0,role={role},socket={socket},bsize={BUFFER}",
                   "--", "--config", config] + arguments
        if prefix not in self.prefixes:
            self.prefixes.append(prefix)
        log = self.folder / f"{role}.log"
        with open(log, "w", encoding="utf-8") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=out,
                                       stdout=subprocess.PIPE if role == "client" else out,
                                       text=True)
        self.processes.append(process)
        return process

    def last_words(self, role):
        text = (self.folder / f"{role}.log").read_text(errors="replace").strip()
        return text.splitlines()[-1] if text else "no message"

    def end(self, process, how=signal.SIGTERM):
        """End a process and wait for it."""
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(how)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout:
            process.stdout.close()
        if process in self.processes:
            self.processes.remove(process)

    def both(self, partner, partner_arguments, timing, arguments, limit, lcores=None):
        """One run of ccm-bench with its partner; returns its JSON."""
        self.serial += 1
        result = self.folder / "result.json"
        result.unlink(missing_ok=True)
        server = self.start(partner, "server",
                            self.write_config("server.json", node_config(1, timing, "target")),
                            partner_arguments)
        time.sleep(START_S)
        client = self.start("app/bench/ccm-bench", "client",
                            self.write_config("client.json", node_config(2, timing)),
                            arguments + ["--json", str(result)], lcores)
        try:
            client.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise BenchError(f"ccm-bench: no end after {limit:.0f} s") from None
        status = client.returncode
        alive = server.poll() is None
        self.end(client)
        self.end(server)
        if status != 0:
            raise BenchError(f"ccm-bench: exit status {status}: {self.last_words('client')}; "
                             f"partner: {self.last_words('server')}")
        if not alive:
            raise BenchError(f"the partner has ended: {self.last_words('server')}")
        return json.loads(result.read_text())

    def floor(self, arguments, limit):
        return self.both("app/bench/ccm-bench", ["--floor-peer"], PATIENT,
                         ["--op", "floor"] + arguments, limit)

    def measure(self, arguments, limit, two_lcores=False):
        lcores = f"0@{self.cpus[-1]},1@{free_cpus()[1]}" if two_lcores else None
        return self.both("app/node/ccm-node", ["--log-level", "warning"], PATIENT, arguments,
                         limit, lcores)

    def handshake(self, n, restart=False):
        found = self.both("app/node/ccm-node", ["--log-level", "warning"], SHORT,
                          ["--op", "handshake", "-n", str(n)] + ["--restart"] * restart, 60 + n)
        return found["results"][0]
