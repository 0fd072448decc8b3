# SPDX-License-Identifier: BSD-3-Clause
"""The laboratory of scripts/interop: a Linux guest with Soft-RoCE, a bad cable, and our end.

    guest eth0 = tap ccmtap -- lossy_wire -- ccmw0 = veth = ccmw1 -- DPDK port of our program
    guest eth1 = 10.0.2.15 -- QEMU's own network -- 10.0.2.2: this machine's loopback

To be run in a network namespace of its own (unshare --net), where it makes the interfaces.
"""

import ctypes
import os
import pathlib
import select
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent

OUR_IP, GUEST_IP = "192.0.2.1", "192.0.2.2"
OUR_MAC, GUEST_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
MTU = 4500  # of IP: path MTU 4096 fits
PRCTL = ctypes.CDLL(None).prctl


class LabError(Exception):
    """Something of the laboratory does not work; says what."""


def sh(*command):
    """Run a command that must succeed; its output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def die_with_parent():
    """For a child before it becomes another program: nothing outlives the laboratory."""
    PRCTL(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Talker:
    """Somebody who answers lines by lines: a process, or a socket."""

    def __init__(self, name, read_fd, write_fd, log):
        self.name, self.read_fd, self.write_fd, self.log = name, read_fd, write_fd, log
        self.buffer = b""

    def write(self, line):
        self.log.write(f"{time.monotonic():.3f} {self.name} < {line}\n")
        os.write(self.write_fd, line.encode() + b"\n")

    def read(self, timeout):
        """The next line; fails when there is none in time."""
        end = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.read_fd], [], [], left)[0]:
                raise LabError(f"{self.name}: no answer in {timeout} s (so far: {self.buffer!r})")
            data = os.read(self.read_fd, 65536)
            if not data:
                raise LabError(f"{self.name} has ended (last words: {self.buffer!r})")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        text = line.decode(errors="replace").rstrip("\r")
        self.log.write(f"{time.monotonic():.3f} {self.name} > {text}\n")
        self.log.flush()
        return text


class Process(Talker):
    """A process of this machine that answers lines by lines."""

    def __init__(self, name, command, log):
        self.errors = open(pathlib.Path(log.name).with_suffix(f".{name}"), "ab")
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=self.errors, bufsize=0, preexec_fn=die_with_parent)
        super().__init__(name, self.child.stdout.fileno(), self.child.stdin.fileno(), log)

    def stop(self, how=None, timeout=20):
        """End it by closing its input, or by a signal; its exit status."""
        if self.child.poll() is None:
            if how is not None:
                self.child.send_signal(how)
            self.child.stdin.close()
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise LabError(f"{self.name} does not end") from None
        finally:
            self.errors.close()


class Peer:
    """A peer program (peer.c), by whatever talker."""

    def __init__(self, talker):
        self.talker = talker
        self.me = {}

    def answer(self, timeout=330):
        words = self.talker.read(timeout).split()
        if not words or words[0] != "ok":
            raise LabError(f"{self.talker.name}: {' '.join(words)}")
        return dict(word.split("=", 1) for word in words[1:] if "=" in word)

    def begin(self, command, **args):
        self.talker.write(" ".join([command] + [f"{k}={v}" for k, v in args.items()]))

    def ask(self, command, **args):
        self.begin(command, **args)
        return self.answer()

    def greet(self, timeout=60):
        self.me = self.answer(timeout)

    def reset(self):
        self.me = self.ask("reset")


class Guest:
    """The virtual machine; its shell."""

    def __init__(self, image, log, kernel_log):
        self.log = log
        self.kernel_log = kernel_log
        path = kernel_log.with_suffix(".socket")
        path.unlink(missing_ok=True)
        # Not KVM: where there is one, it may be one in another virtual machine that does not work.
        accel = os.environ.get("INTEROP_ACCEL", "tcg")
        self.child = subprocess.Popen(
            ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
             "-machine", "pc", "-accel", accel, "-cpu", "max", "-m", "512", "-smp", "1",
             "-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd"),
             "-append", f"console=ttyS0 panic=-1 ccm.ip={GUEST_IP}/24 ccm.mtu={MTU}",
             "-serial", f"file:{kernel_log}", "-no-reboot",
             "-netdev", "tap,id=wire,ifname=ccmtap,script=no,downscript=no,vnet_hdr=off",
             "-device", f"virtio-net-pci,netdev=wire,mac={GUEST_MAC},host_mtu=9000,romfile=,"
             "speed=10000,duplex=full",
             "-netdev", "user,id=way", "-device", "virtio-net-pci,netdev=way,romfile=",
             "-device", "virtio-serial-pci",
             "-chardev", f"socket,id=shell,path={path},server=on,wait=off",
             "-device", "virtserialport,chardev=shell,nr=1"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
        self.socket = self.connect(path)
        self.shell = Talker("guest", self.socket.fileno(), self.socket.fileno(), log)
        if self.shell.read(180) != "ready":
            raise LabError("the guest's shell does not begin as it should")

    def connect(self, path):
        end = time.monotonic() + 20
        sock = socket.socket(socket.AF_UNIX)
        while True:
            try:
                sock.connect(str(path))
                path.unlink()
                return sock
            except OSError as err:
                if self.child.poll() is not None or time.monotonic() > end:
                    raise LabError(f"QEMU does not start: {err}") from err
                time.sleep(0.05)

    def run(self, command, timeout=120, check=True):
        """Run a shell command in the guest; its output, and its exit status."""
        self.shell.write(f"{{ {command}; }} 2>&1; echo @@ $?")
        lines = []
        while True:
            line = self.shell.read(timeout)
            if line.startswith("@@ "):
                break
            lines.append(line)
        status = int(line[3:])
        if check and status != 0:
            raise LabError(f"guest: {command}: status {status}: {' '.join(lines[-3:])}")
        return "\n".join(lines), status

    def program(self, command):
        """Start a program that talks by lines over the shell's channel; wait for `done`."""
        self.shell.write(f"{{ {command}; }} 2>&1; echo @@ $?")
        return self.shell

    def done(self, timeout=60):
        """The rest of what a program says, up to its end; its exit status."""
        lines = []
        while True:
            line = self.shell.read(timeout)
            if line.startswith("@@ "):
                return "\n".join(lines), int(line[3:])
            lines.append(line)

    def gid_index(self):
        """Index of the GID that stands for the guest's IPv4 address."""
        want = ":".join(["0000"] * 5 + ["ffff"] + [
            "%02x%02x" % tuple(int(b) for b in GUEST_IP.split(".")[i:i + 2]) for i in (0, 2)])
        for _ in range(100):
            gids, _ = self.run("cd /sys/class/infiniband/rxe0/ports/1/gids; "
                               "for i in 0 1 2 3 4; do echo $i $(cat $i); done; cd /root")
            for line in gids.splitlines():
                index, _, gid = line.partition(" ")
                if gid == want:
                    return int(index)
            time.sleep(0.1)
        raise LabError("no GID for the guest's IPv4 address")

    def complaints(self):
        """Kernel messages of level warning or worse since the guest was ready."""
        text, _ = self.run("dmesg -r")
        after = text.partition("ccm: guest ready")[2].splitlines()
        return [line for line in after
                if line.startswith("<") and int(line[1:line.index(">")]) & 7 <= 4]

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
        self.child.wait()
        self.socket.close()


class Lab:
    """Interfaces and wire; a context manager that clears everything away."""

    def __init__(self, build, work):
        self.build, self.work = pathlib.Path(build), pathlib.Path(work)
        self.log = open(self.work / "lab.log", "w", encoding="utf-8")
        self.guest = self.wire = self.capture = None
        self.ours = []

    def __enter__(self):
        try:
            sh("ip", "link", "set", "lo", "up")
            sh("ip", "tuntap", "add", "ccmtap", "mode", "tap")
            sh("ip", "link", "add", "ccmw0", "type", "veth", "peer", "name", "ccmw1")
            for name in ("ccmtap", "ccmw0", "ccmw1"):
                path = pathlib.Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6")
                if path.exists():
                    path.write_text("1")
                sh("ip", "link", "set", name, "mtu", "9000", "up", "arp", "off")
            self.wire = Process("wire", [str(self.build / "tests/link/lossy_wire"), "ccmtap",
                                         "ccmw0"], self.log)
            if self.wire.read(10) != "ready":
                raise LabError("the wire does not begin as it should")
            self.guest = Guest(self.build / "interop", self.log, self.work / "kernel.log")
            self.gid = self.guest.gid_index()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.ours:
            try:
                process.stop(signal.SIGKILL)
            except (LabError, OSError):
                pass
        if self.guest is not None:
            self.guest.stop()
        if self.wire is not None:
            try:
                self.wire.stop()
            except (LabError, OSError):
                pass
        if self.capture is not None:
            self.capture.stop()
        self.log.close()

    def set_wire(self, **settings):
        """Change the wire's faults; those not named are off."""
        all_off = {"loss": 0, "duplicate": 0, "reorder": 0, "window": 0, "flip": 0, "delay_us": 0,
                   "jitter_us": 0}
        self.wire.write(" ".join(f"{k}={v}" for k, v in {**all_off, **settings}.items()))
        if self.wire.read(10) != "ok":
            raise LabError(f"the wire refuses {settings}")

    def wire_stats(self):
        self.wire.write("stats")
        return self.wire.read(10)

    def start_ours(self, name, command):
        """Start a DPDK program of ours at the end of the cable."""
        process = Process(name, command, self.log)
        self.ours.append(process)
        return process

    def stop_ours(self, process, how=None):
        self.ours.remove(process)
        return process.stop(how)

    @staticmethod
    def eal(name, mtu=MTU):
        """EAL arguments for a port on the cable. The af_packet driver has no large frames."""
        vdev = ("net_pcap0,rx_iface_in=ccmw1,tx_iface=ccmw1" if mtu > 1500
                else "net_af_packet0,iface=ccmw1,qdisc_bypass=0")
        cpu = sorted(os.sched_getaffinity(0))[0]
        return ["--no-huge", "-m", "256", "--no-pci", "--no-telemetry", "--no-shconf",
                "--lcores", f"0@{cpu}", f"--file-prefix=ccm-interop-{os.getpid()}-{name}",
                f"--vdev={vdev}"]

    def our_peer(self, mtu=MTU):
        # The af_packet driver sets the interface's MTU, and leaves it so.
        sh("ip", "link", "set", "ccmw1", "mtu", "9000")
        process = self.start_ours("ours", [str(self.build / "tests/interop/peer_remu"),
                                           *self.eal("peer", mtu), "--", OUR_MAC, OUR_IP, str(mtu)])
        peer = Peer(process)
        while True:
            try:
                peer.greet()
                return peer
            except LabError as err:
                if "ended" in str(err) or "no answer" in str(err):
                    raise

    def guest_peer(self):
        peer = Peer(self.guest.program(f"./peer_verbs rxe0 {self.gid}"))
        peer.greet()
        return peer
