# SPDX-License-Identifier: BSD-3-Clause
"""What doctor looks at: the machine's files (below a root of its own in tests), the node's EAL
arguments and its configuration.
"""
import json
import os
import re
import shutil
import subprocess

PROGRAM_SECONDS = 10
FILE_MAX = 1 << 20
PCI = re.compile(r"^([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]$")
WITH_VALUE = ("-l", "-c", "-m", "-a", "-b", "-d", "-n", "-r", "-s", "-S", "-w")


class Host:
    """Files and programs of a machine. Nothing raises: what is not there reads as None or empty."""

    def __init__(self, root="/"):
        self.root = root

    def path(self, *parts):
        return os.path.join(self.root, *(part.lstrip("/") for part in parts))

    def read(self, *parts):
        try:
            with open(self.path(*parts), encoding="utf-8", errors="replace") as file:
                return file.read(FILE_MAX)
        except OSError:
            return None

    def line(self, *parts):
        text = self.read(*parts)
        return None if text is None else text.strip()

    def number(self, *parts):
        try:
            return int(self.line(*parts) or "", 0)
        except ValueError:
            return None

    def names(self, *parts):
        try:
            return sorted(os.listdir(self.path(*parts)))
        except OSError:
            return []

    def exists(self, *parts):
        return os.path.exists(self.path(*parts))

    def link(self, *parts):
        """The last part of where a link leads to."""
        try:
            return os.path.basename(os.readlink(self.path(*parts)))
        except OSError:
            return None

    def run(self, *command):
        """Standard output of a program that succeeded, or None."""
        done = self.finish(*command)
        return done.stdout if done and done.returncode == 0 else None

    @staticmethod
    def finish(*command):
        """What became of a program; None when it cannot be run, or does not end."""
        try:
            return subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=PROGRAM_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None

    def uid(self):
        match = re.search(r"^Uid:\s+\d+\s+(\d+)", self.read("/proc/self/status") or "", re.M)
        return int(match.group(1)) if match else os.geteuid()


def cpu_set(text):
    """The CPUs of a kernel or EAL list such as 0-3,8; empty where it is none."""
    cpus = set()
    for part in (text or "").replace("(", "").replace(")", "").split(","):
        match = re.fullmatch(r"\s*(\d{1,4})(?:-(\d{1,4}))?\s*", part)
        if match:
            cpus.update(range(int(match.group(1)), int(match.group(2) or match.group(1)) + 1))
    return cpus


def cpu_text(cpus):
    parts = []
    for cpu in sorted(cpus):
        if parts and cpu == parts[-1][1] + 1:
            parts[-1][1] = cpu
        else:
            parts.append([cpu, cpu])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


class Eal:
    """EAL arguments, as far as doctor cares; given is False when none are known."""

    def __init__(self, args=()):
        self.given = bool(args)
        self.options = self._split(list(args))

    @staticmethod
    def _split(args):
        """(option, value) pairs; -l0-1, -l 0-1, --lcores=0, --lcores 0 alike."""
        pairs, i = [], 0
        while i < len(args):
            arg = args[i]
            i += 1
            if arg.startswith("--"):
                name, equals, value = arg.partition("=")
                if not equals and i < len(args) and not args[i].startswith("-"):
                    value = args[i]
                    i += 1
                pairs.append((name, value))
            elif arg[:2] in WITH_VALUE:
                value = arg[2:]
                if not value and i < len(args):
                    value = args[i]
                    i += 1
                pairs.append((arg[:2], value))
            elif arg.startswith("-"):
                pairs.append((arg, ""))
        return pairs

    def values(self, *names):
        return [value for name, value in self.options if name in names]

    def has(self, *names):
        return any(name in names for name, _ in self.options)

    def lcores(self):
        """The CPUs of each lcore, in order; empty: EAL takes all there are."""
        for value in self.values("-l"):
            return [{cpu} for cpu in sorted(cpu_set(value))]
        for value in self.values("--lcores"):
            return self._lcores(value)
        for value in self.values("-c"):
            try:
                mask = int(value, 16)
            except ValueError:
                return []
            return [{bit} for bit in range(min(mask.bit_length(), 1024)) if mask >> bit & 1]
        return []

    @staticmethod
    def _lcores(text):
        """0@2,(1-2)@(4-5),7: an lcore may float over several CPUs."""
        sets = []
        for part in re.findall(r"(?:\([^)]*\)|[^,(])+", text):
            lcores, at, cpus = part.partition("@")
            for lcore in sorted(cpu_set(lcores)):
                sets.append(cpu_set(cpus) if at else {lcore})
        return sets

    def memory_mib(self):
        for value in self.values("-m", "--socket-mem"):
            numbers = [int(n) for n in value.split(",") if n.isdigit()]
            if numbers:
                return sum(numbers)
        return None

    def pci(self):
        """Devices that were named; full addresses."""
        found = []
        for value in self.values("-a", "--allow", "-w"):
            name = value.split(",")[0]
            if PCI.match(name):
                found.append(name if name.count(":") == 2 else "0000:" + name)
        return found

    def vdevs(self):
        """(driver, arguments) of virtual devices: net_af_packet0,iface=x is (net_af_packet, ...)."""
        found = []
        for value in self.values("--vdev"):
            name, *rest = value.split(",")
            arguments = dict(item.partition("=")[::2] for item in rest)
            found.append((re.sub(r"\d+$", "", name), arguments))
        return found


def load_config(path):
    """(configuration or None, why not)."""
    try:
        with open(path, encoding="utf-8") as file:
            value = json.loads(file.read(FILE_MAX + 1))
    except (OSError, ValueError, RecursionError) as error:
        return None, getattr(error, "strerror", None) or str(error)[:200]
    return (value, None) if isinstance(value, dict) else (None, "not a JSON object")


def find_program(near=None):
    """ccm-node itself, which decides on configurations: named, running, installed or just built."""
    here = os.path.dirname(os.path.abspath(__file__))
    places = [
        os.environ.get("CCM_NODE"),
        near,
        os.path.join(here, "../../../bin/ccm-node"),
        shutil.which("ccm-node"),
        os.path.join(here, "../../../build/app/node/ccm-node"),
    ]
    for place in places:
        if place and os.path.isfile(place) and os.access(place, os.X_OK):
            return place
    return None


def of_process(host, pid):
    """(EAL arguments, configuration file, program) of a running node."""
    text = host.read(f"/proc/{pid}/cmdline") or ""
    words = text.split("\0")[:-1]
    try:
        folder = os.readlink(host.path(f"/proc/{pid}/cwd"))
        program = os.readlink(host.path(f"/proc/{pid}/exe"))
    except OSError:
        folder, program = "/", None
    config = None
    for i, word in enumerate(words):
        if word == "--config" and i + 1 < len(words):
            config = words[i + 1]
        elif word.startswith("--config="):
            config = word[len("--config=") :]
    split = words.index("--") if "--" in words else 1
    return words[1:split], os.path.join(folder, config) if config else None, program
