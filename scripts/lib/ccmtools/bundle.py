# SPDX-License-Identifier: BSD-3-Clause
"""support-bundle: what somebody needs who was not there, in one file.

Every answer of the node as it is, what ccmctl makes of it, and the machine around it. Keys of memory
regions are left out, except with secrets=True: with them anybody on the wire could write.
"""
import io
import json
import os
import platform
import re
import subprocess
import tarfile
import time

from . import VERSION, status, views
from .node import Node, local_nodes
from .telemetry import TelemetryError
from .text import Screen

PART_MAX = 4 << 20  # bytes of each file
COMMANDS_MAX = 300
COMMAND_SECONDS = 5
# Telemetry that is asked without parameters. Others may want one, or reset what they show.
ASK = re.compile(r"^/(info|(ccm|remu)/[a-z_]+|eal/(params|app_params|heap_list)|(ethdev|mempool)/list)$")
NOT = re.compile(r"^/ccm/partner$|reset|clear|set|stage")
OF_DEVICES = ("info", "stats", "xstats", "link_status")
SECRET = re.compile(r'("[a-z_]*rkey"\s*:\s*)("[^"]*"|[0-9]+)')
FILES = (
    "/proc/cmdline",
    "/proc/cpuinfo",
    "/proc/interrupts",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/mounts",
    "/proc/net/dev",
    "/proc/uptime",
    "/proc/version",
    "/etc/os-release",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    "/sys/devices/system/cpu/isolated",
    "/sys/devices/system/cpu/nohz_full",
)
OF_PROCESS = ("status", "limits", "cmdline", "sched", "smaps_rollup")
PROGRAMS = (
    ("ip", "-d", "-s", "link"),
    ("ip", "neigh"),
    ("lspci", "-nnk"),
    ("lscpu",),
    ("dmesg", "-T"),
    ("devlink", "dev", "param", "show"),
    ("uname", "-a"),
)


class Bundle:
    """Files in memory, then in one archive."""

    def __init__(self, secrets=False):
        self.secrets = secrets
        self.parts = {}
        self.notes = []

    def add(self, name, data):
        if isinstance(data, str):
            data = data.encode("utf-8", "replace")
        if len(data) > PART_MAX:
            self.notes.append(f"{name}: the last {PART_MAX} of {len(data)} bytes")
            data = data[-PART_MAX:]
        if not self.secrets and name.endswith((".json", ".txt")):
            data = SECRET.sub(r'\1"left out"', data.decode("utf-8", "replace")).encode()
        self.parts[name] = data

    def add_json(self, name, value):
        self.add(name, json.dumps(value, indent=2) + "\n")

    def add_file(self, name, path):
        try:
            with open(path, "rb") as file:
                if os.path.getsize(path) > PART_MAX:
                    file.seek(-PART_MAX, os.SEEK_END)
                    self.notes.append(f"{name}: the last {PART_MAX} bytes only")
                self.add(name, file.read(PART_MAX))
        except OSError as error:
            self.notes.append(f"{name}: {path}: {error.strerror}")

    def write(self, out, folder):
        self.add("NOTES.txt", "".join(f"{note}\n" for note in self.notes) or "all there\n")
        now = int(time.time())
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            for name, data in sorted(self.parts.items()):
                info = tarfile.TarInfo(f"{folder}/{name}")
                info.size, info.mtime, info.mode = len(data), now, 0o600
                tar.addfile(info, io.BytesIO(data))


def add_telemetry(bundle, node):
    commands = node.commands()[:COMMANDS_MAX]
    bundle.add_json("telemetry/commands.json", commands)
    asked = [command for command in commands if ASK.match(command) and not NOT.search(command)]
    try:
        devices = [n for n in node.value("/ethdev/list") if isinstance(n, int)][:8]
        asked += [f"/ethdev/{what},{n}" for n in devices for what in OF_DEVICES]
    except (TelemetryError, TypeError) as error:
        bundle.notes.append(f"telemetry {error}")
    for command in asked:
        name = re.sub(r"[^A-Za-z0-9]+", "-", command).strip("-")
        try:
            bundle.add_json(f"telemetry/{name}.json", node.value(command))
        except TelemetryError as error:
            bundle.notes.append(f"telemetry {error}")
            if node.telemetry.sock is None:
                return
    for partner in node.partners()[:64]:
        number = partner.num("id")
        if number is not None:
            bundle.add_json(f"telemetry/ccm-partner-{number}.json", node.partner(number))
    bundle.add_json("telemetry/ccm-ports-all.json", node.ports())
    bundle.add_json("telemetry/remu-qps-all.json", node.qps())


def add_views(bundle, node):
    screen = Screen(io.StringIO(), colour=False, columns=100)
    report = status.gather(node)
    bundle.add("status.txt", "\n".join(status.render(report, screen)) + "\n")
    bundle.add_json("status.json", report)
    for name, view in (
        ("events", lambda: views.events(node, 0)),
        ("timing", lambda: views.timing(node)),
        ("drops", lambda: views.drops(node)),
        ("latency", lambda: views.latency(node)),
    ):
        data, render = view()
        bundle.add(f"{name}.txt", "\n".join(render(screen)) + "\n")
        bundle.add_json(f"{name}.json", data)
    return report


def add_machine(bundle, pid):
    for path in FILES:
        bundle.add_file("machine" + path + ".txt", path)
    for name in OF_PROCESS if pid else ():
        bundle.add_file(f"process/{name}.txt", f"/proc/{pid}/{name}")
    for command in PROGRAMS:
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=COMMAND_SECONDS, check=False, stdin=subprocess.DEVNULL
            )
            bundle.add(f"commands/{'-'.join(command)}.txt", done.stdout + done.stderr)
        except (OSError, subprocess.TimeoutExpired) as error:
            bundle.notes.append(f"{' '.join(command)}: {error}")


def collect(path, timeout, config=None, log=None, secrets=False, doctor=None):
    """Everything, also when there is no node. doctor: function that gives its lines and data."""
    bundle = Bundle(secrets)
    name, pid = platform.node() or "host", None
    if path is None:
        bundle.notes.append("no node: the machine only")
    else:
        try:
            with Node(path, timeout, total=60.0) as node:
                pid = node.status().num("pid")
                name = node.status().text("name")
                add_views(bundle, node)
                add_telemetry(bundle, node)
        except TelemetryError as error:
            bundle.notes.append(f"telemetry: {error}")
    bundle.add_json(
        "nodes.json",
        [
            {"file_prefix": prefix, "socket": where, "what": what, "answer": answer}
            for prefix, where, what, answer in local_nodes(2.0)
        ],
    )
    add_machine(bundle, pid)
    if doctor:
        lines, data = doctor()
        bundle.add("doctor.txt", "\n".join(lines) + "\n")
        bundle.add_json("doctor.json", data)
    if config:
        bundle.add_file("config.json", config)
    if log:
        bundle.add_file("log.txt", log)
    about = {
        "ccmctl": VERSION,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "host": platform.node(),
        "python": platform.python_version(),
        "socket": path,
        "keys": "included" if secrets else "left out",
    }
    bundle.add_json("about.json", about)
    return bundle, re.sub(r"[^A-Za-z0-9._-]", "_", name)


def save(bundle, name, output):
    """(file, bytes); output: a file name, or None for one of its own in this folder."""
    folder = f"ccm-support-{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    path = output or folder + ".tar.gz"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as out:
        bundle.write(out, folder)
    return path, os.path.getsize(path)
