#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The story that scripts/demo-early-boot tells: a virtual machine whose node is up before its root
file system is, and another one that is stuck.

usage: demo_early.py --configs DIR               write host.json and guest.json
       demo_early.py --build DIR --guest DIR [--json FILE]

To be run in a network namespace of its own. What is shown of the guest comes from its console, with
the guest's own clock; what the partner sees is what its telemetry says, asked every 20 ms. Exit
status: 0 all as told, 1 something was not.
"""
import argparse
import ctypes
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

from telemetry import Telemetry, TelemetryError, find_socket

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBC = ctypes.CDLL(None)
LIMIT = 120.0  # seconds for each machine
BUDGET_MS = 3000  # in the stage "root"
TAP, HOST_MAC, GUEST_MAC = "ccmtap", "02:00:00:00:00:01", "02:00:00:00:00:02"
HOST_ID, GUEST_ID = 1, 2


class StoryError(Exception):
    """Something is not as told."""


def bold(text):
    on = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\033[1m{text}\033[0m" if on else text


def say(text=""):
    print(text, flush=True)


def configs(folder):
    """Both ends; the time-outs are for a machine that is emulated on a busy one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, letter in (("host", "a"), ("guest", "b")):
        config = json.loads((ROOT / f"config/node-{letter}.json").read_text())
        config["node"]["name"] = name
        config["clients"] = [{"name": "nvlog", "ports": 1, "memory": "64KiB"}]
        config["timing"] = {"beat_us": 20000, "dead_after_us": 5000000, "retry_us": 200000,
                            "retry_cnt": 7, "search_us": 100000, "idle_sleep_us": 200}
        if name == "guest":
            config["boot_stages"] = [{"name": "initramfs"},
                                     {"name": "root", "budget_ms": BUDGET_MS}, {"name": "running"}]
        (folder / f"{name}.json").write_text(json.dumps(config, indent=2) + "\n")


def die_with_parent():
    LIBC.prctl(1, signal.SIGKILL)


class Host:
    """The partner on this machine."""

    def __init__(self, build, folder):
        self.prefix = f"ccm-early-{os.getpid()}"
        self.log = folder / "host.log"
        cpu = sorted(os.sched_getaffinity(0))[0]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [build / "app/node/ccm-node", "--no-huge", "-m", "128", "--no-pci", "--lcores",
                 f"0@{cpu}", f"--file-prefix={self.prefix}",
                 f"--vdev=net_af_packet0,iface={TAP},qdisc_bypass=0", "--",
                 "--config", folder / "host.json"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
        self.telemetry = None

    def ask(self, command):
        end = time.monotonic() + 30
        while True:
            try:
                self.telemetry = self.telemetry or Telemetry(find_socket(self.prefix), 20)
                value = next(iter(self.telemetry.ask(command).values()))
                if value is not None:
                    return value
            except (TelemetryError, OSError) as error:
                if self.telemetry is not None or time.monotonic() > end:
                    raise StoryError(f"the partner does not answer: {error}") from error
            if self.process.poll() is not None or time.monotonic() > end:
                raise StoryError(f"the partner has ended: {self.log}")
            time.sleep(0.05)

    def partner(self):
        return self.ask(f"/ccm/partner,{GUEST_ID}")

    def rounds(self):
        """How often data has been written to the guest and read back."""
        return sum(port["rounds"] for port in self.ask("/ccm/exercise")["ports"].values())

    def screen(self):
        """What ccmctl shows, and its exit status."""
        done = subprocess.run([ROOT / "scripts/ccmctl", "-p", self.prefix, "status"], text=True,
                              capture_output=True, check=False, env={**os.environ, "COLUMNS": "90"})
        return done.stdout, done.returncode

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Machine:
    """The virtual machine, its console, and what the partner sees of it meanwhile."""

    def __init__(self, host, guest, log, disk):
        self.host, self.said, self.seen, self.last = host, [], [], None
        # Not KVM: where there is one, it may be one in another virtual machine that does not work.
        command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
                   "-machine", "pc", "-accel", os.environ.get("INTEROP_ACCEL", "tcg"), "-cpu", "max",
                   "-m", "512", "-smp", "1", "-kernel", guest / "vmlinuz", "-initrd",
                   guest / "initrd", "-append", "console=ttyS0 panic=-1 quiet net.ifnames=0",
                   "-serial", "stdio", "-no-reboot",
                   "-netdev", f"tap,id=wire,ifname={TAP},script=no,downscript=no,vnet_hdr=off",
                   "-device", f"virtio-net-pci,netdev=wire,mac={GUEST_MAC},romfile="]
        if disk is not None:
            command += ["-drive", f"file={disk},if=none,id=root,format=raw,readonly=on",
                        "-device", "virtio-blk-pci,drive=root"]
        self.log = open(log, "wb")
        self.began = time.monotonic()
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=self.log, preexec_fn=die_with_parent)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        """Lines of the console; those of the story with the time here and there."""
        for line in self.child.stdout:
            now = time.monotonic() - self.began
            self.log.write(line)
            self.log.flush()
            found = re.search(r"ccm-early: ([0-9.]+) (.*)", line.decode(errors="replace").strip())
            if found:
                self.said.append({"here_s": now, "guest_s": float(found[1]), "text": found[2]})

    def look(self):
        """Ask the partner; keep what is new."""
        p = self.host.partner()
        now = {key: p.get(key) for key in ("state", "verdict", "advice", "boot_name", "sessions",
                                           "nonce", "partner_nonce", "partner_boot_id")}
        if now != self.last:
            self.last = now
            self.seen.append({"here_s": time.monotonic() - self.began, **now})
        return now

    def heard(self, begin):
        """What the guest has said that begins so, first time; None: nothing."""
        return next((one for one in self.said if one["text"].startswith(begin)), None)

    def wait(self, what, holds):
        end = time.monotonic() + LIMIT
        while True:
            self.look()
            value = holds()
            if value:
                return value
            if self.child.poll() is not None:
                raise StoryError(f"the machine has ended, waiting for: {what}; see {self.log.name}")
            if time.monotonic() > end:
                raise StoryError(f"not seen in {LIMIT:.0f} s: {what}; see {self.log.name}")
            time.sleep(0.02)

    def first(self, **wanted):
        return next((one for one in self.seen if all(one[k] == v for k, v in wanted.items())), None)

    def stop(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.reader.join(5)
        self.log.close()

    def tell(self):
        """Both sides, in the order in which things came about here."""
        rows = [(one["here_s"], "guest", f"{one['text']}  (guest's clock {one['guest_s']:.2f} s)")
                for one in self.said]
        for one in self.seen:
            stage = f", stage {one['boot_name']}" if one["boot_name"] else ""
            rows.append((one["here_s"], "partner", f"session {one['state']}, {one['verdict']}{stage}"))
        for at, who, text in sorted(rows):
            say(f"   {at:7.2f} s  {who:<7}  {text}")


def must(holds, text):
    say(f"   {'yes' if holds else 'NO '}  {text}")
    if not holds:
        raise StoryError(text)


def healthy(machine, report):
    ready = machine.wait("the node's READY", lambda: machine.heard("ready "))
    machine.wait("the session", lambda: machine.first(state="up"))
    mount = machine.wait("the mount", lambda: machine.heard("mounted"))
    before = machine.look()
    running = machine.wait("the stage running", lambda: machine.heard("stage running"))
    machine.wait("a partner that has booted", lambda: machine.look()["verdict"] == "up")
    rounds = machine.host.rounds()
    machine.wait("data after the switch",
                 lambda: machine.host.rounds() >= rounds + 2)
    after = machine.look()
    machine.tell()
    say()
    mounting = machine.heard("mount")
    up = machine.first(state="up")
    node = machine.heard("node ")["text"].split()
    stages = [one["boot_name"] for one in machine.seen if one["state"] == "up"]
    stages = [name for i, name in enumerate(stages) if i == 0 or stages[i - 1] != name]
    report.update(said=machine.said, seen=machine.seen, stages=stages,
                  ready_guest_s=ready["guest_s"], mount_guest_s=mounting["guest_s"],
                  up_here_s=up["here_s"], mount_here_s=mounting["here_s"],
                  pid_ready=ready["text"].split()[1], pid_running=node[1], name=node[2],
                  before=before, after=after, mismatches=machine.host.ask("/ccm/exercise")["mismatches"])
    must(ready["guest_s"] <= mounting["guest_s"],
         f"the node was ready at {ready['guest_s']:.2f} s, the root file system was mounted from "
         f"{mounting['guest_s']:.2f} to {mount['guest_s']:.2f} s of the guest's clock")
    must(up["here_s"] < mounting["here_s"],
         f"the session was up {mounting['here_s'] - up['here_s']:.2f} s before the mount began")
    must(stages == ["initramfs", "root", "running"],
         f"the partner saw by READs: {', '.join(map(str, stages))}")
    must(node[1] == ready["text"].split()[1] and running["guest_s"] > mount["guest_s"],
         f"after switch_root it is the same process, {node[1]} ({node[2]})")
    must(after["sessions"] == 1 and all(before[k] == after[k] for k in (
        "nonce", "partner_nonce", "partner_boot_id")),
        f"and the same session, with the nonces {after['nonce']} and {after['partner_nonce']}")


def stuck(machine, report):
    machine.wait("the stage root", lambda: machine.heard("waits for its disk"))
    machine.wait("the verdict stuck", lambda: machine.look()["verdict"] == "stuck")
    screen, status = machine.host.screen()
    now = machine.look()
    machine.tell()
    report.update(said=machine.said, seen=machine.seen, screen=screen, status=status, now=now)
    say()
    say("   What ccmctl status shows at the partner:")
    say()
    say("\n".join(f"   | {line}".rstrip() for line in screen.splitlines()))
    say()
    must(now["verdict"] == "stuck" and now["boot_name"] == "root",
         f"the partner says: {now['verdict']} in the stage {now['boot_name']}")
    must(now["state"] == "up", "while the session is up: the node answers, its system does not boot")
    must(status == 1, f"and the exit status of ccmctl is {status}: degraded")


def cable():
    """A tap: its other end is the virtual machine's NIC."""
    for command in (["ip", "link", "set", "lo", "up"],
                    ["ip", "tuntap", "add", TAP, "mode", "tap"]):
        subprocess.run(command, check=True)
    setting = pathlib.Path(f"/proc/sys/net/ipv6/conf/{TAP}/disable_ipv6")
    if setting.exists():
        setting.write_text("1")
    subprocess.run(["ip", "link", "set", TAP, "mtu", "1500", "up", "arp", "off"], check=True)


def chapter(number, title, play, build, guest, disk, report):
    say()
    say(bold(f"{number}. {title}"))
    say()
    last = guest / "last"
    host = Host(build, last)
    try:
        host.ask("/ccm/status")
        machine = Machine(host, guest, last / f"console-{number}.log", disk)
        try:
            play(machine, report)
        finally:
            machine.stop()
    finally:
        host.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--configs", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path)
    parser.add_argument("--guest", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    if args.configs is not None:
        configs(args.configs)
        return 0
    report = {"healthy": {}, "stuck": {}}
    say("A virtual machine (emulated, so all of it is slow) and its partner, a node on this machine.")
    say("The only way between them is a cable that carries RoCEv2.")
    try:
        cable()
        chapter(1, "The session is there before the root file system", healthy, args.build,
                args.guest, args.guest / "root.img", report["healthy"])
        chapter(2, "The root disk is missing", stuck, args.build, args.guest, None, report["stuck"])
    except (StoryError, subprocess.CalledProcessError) as error:
        say()
        say(f"Not as told: {error}")
        return 1
    finally:
        if args.json is not None:
            args.json.write_text(json.dumps(report, indent=2) + "\n")
    say()
    say(f"All as told. Consoles and logs: {args.guest / 'last'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
