# SPDX-License-Identifier: BSD-3-Clause
"""doctor's checks of the machine: memory, permissions, CPUs, clock. Those of devices: checks_net.py.

A check is a function of a Patient that yields Findings. Each finding is one line, and says what to do
unless it is ok.
"""
import collections
import re

from .host import cpu_set, cpu_text
from .text import clean, duration, size

OK, WARNING, ERROR = "ok", "warning", "error"
Finding = collections.namedtuple("Finding", "level name text todo", defaults=("",))
Patient = collections.namedtuple(
    "Patient", "host eal config config_path program devices node pid", defaults=(None,) * 8
)
"""host: Host; eal: Eal; config: dict or None; devices: list of Device; node: answers of a running
node by command, or None; pid: of it."""

MIB = 1 << 20
MEMORY_MIB = 128  # what a node of ordinary size takes of EAL's memory
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
SHORT_DEAD_US = 50000  # below this, CPUs of one's own are needed
PREEMPTED_PER_S = 1.0


def setting(patient, section, key, default=None):
    """A number of the configuration."""
    value = (patient.config or {}).get(section)
    value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def bytes_of(value):
    match = re.fullmatch(r"([0-9]{1,18})([KMGT]iB|)", str(value))
    return int(match.group(1)) * UNITS[match.group(2)] if match else 0


def list_of(config, key):
    value = (config or {}).get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


# ---- configuration


def check_config(patient):
    if patient.config_path is None:
        yield Finding(
            WARNING,
            "config",
            "no configuration was given, so some lines are missing",
            "Run it with --config FILE.",
        )
        return
    if patient.program is None:
        level = OK if patient.config is not None else ERROR
        yield Finding(
            level if level == ERROR else WARNING,
            "config",
            f"{patient.config_path}: "
            + ("is JSON" if level == OK else "cannot be read, or is no JSON")
            + "; ccm-node itself was not found, so it is not checked",
            "Put ccm-node into PATH, or name it by the variable CCM_NODE.",
        )
        return
    done = patient.host.finish(patient.program, "--check-config", patient.config_path)
    if done is not None and done.returncode == 0:
        yield Finding(OK, "config", f"{patient.config_path}: ccm-node accepts it")
        return
    said = (done.stderr.strip().splitlines() or [""])[-1] if done is not None else ""
    yield Finding(
        ERROR,
        "config",
        f"ccm-node refuses it: {clean(said, 600)}" if said else f"{patient.config_path}: ccm-node refuses it",
        f"Correct it; {patient.program} --check-config {patient.config_path} tries it again.",
    )


# ---- memory


def pages(host):
    """{bytes of a page: (free, all)}"""
    folder = "/sys/kernel/mm/hugepages"
    found = {}
    for name in host.names(folder):
        match = re.fullmatch(r"hugepages-(\d+)kB", name)
        if match:
            found[int(match.group(1)) << 10] = (
                host.number(folder, name, "free_hugepages") or 0,
                host.number(folder, name, "nr_hugepages") or 0,
            )
    return found


def check_hugepages(patient):
    host, eal = patient.host, patient.eal
    physical = any(device.physical for device in patient.devices)
    if eal.has("--no-huge"):
        if physical:
            yield Finding(
                WARNING,
                "hugepages",
                "--no-huge with a NIC: DMA needs an IOMMU then, and is slower",
                "Leave --no-huge out, and reserve hugepages: dpdk-hugepages.py --setup 512M",
            )
        else:
            yield Finding(OK, "hugepages", "not needed: --no-huge")
        return
    found = pages(host)
    free = sum(page * count for page, (count, _) in found.items())
    total = sum(page * count for page, (_, count) in found.items())
    need = (eal.memory_mib() or MEMORY_MIB) * MIB
    text = ", ".join(
        f"{f} of {n} pages of {size(page)} free" for page, (f, n) in sorted(found.items()) if n
    )
    if total == 0:
        yield Finding(
            ERROR,
            "hugepages",
            "none are reserved",
            "dpdk-hugepages.py --setup 512M (as root), or hugepages=256 on the kernel's command line;"
            " for trying out: --no-huge -m 128",
        )
    elif free < need and not patient.pid:
        yield Finding(
            ERROR,
            "hugepages",
            f"{text}: less than the {size(need)} that a node takes",
            "dpdk-hugepages.py --show tells them; end what holds them, or dpdk-hugepages.py --setup 512M",
        )
    else:
        yield Finding(OK, "hugepages", text)
    mounts = host.read("/proc/mounts") or ""
    if total and " hugetlbfs " not in mounts and not eal.has("--in-memory"):
        yield Finding(
            ERROR,
            "hugepages",
            "no hugetlbfs is mounted",
            'dpdk-hugepages.py --mount, or --in-memory before "--"',
        )


def check_memory(patient):
    clients = list_of(patient.config, "clients")
    need = sum(bytes_of(c.get("memory")) for c in clients) * len(list_of(patient.config, "partners"))
    match = re.search(r"^MemAvailable:\s+(\d+) kB", patient.host.read("/proc/meminfo") or "", re.M)
    if not need or not match or patient.pid:
        return
    free = int(match.group(1)) << 10
    text = f"clients' ports take {size(need)} of {size(free)} available"
    if need > free:
        yield Finding(ERROR, "memory", text, "Lower clients[].memory, or add memory.")
    else:
        yield Finding(OK, "memory", text)


# ---- permissions


def check_permissions(patient):
    host, eal = patient.host, patient.eal
    if patient.pid:
        yield Finding(OK, "permissions", "the node runs, and answers us")
        return
    if host.uid() == 0:
        yield Finding(OK, "permissions", "root")
        return
    missing = []
    if any(device.physical or device.kind in ("net_af_packet", "net_tap") for device in patient.devices):
        status = host.read("/proc/self/status") or ""
        match = re.search(r"^CapEff:\s+([0-9a-f]+)", status, re.M)
        held = int(match.group(1), 16) if match else 0
        for bit, name in ((13, "CAP_NET_RAW"), (12, "CAP_NET_ADMIN"), (14, "CAP_IPC_LOCK")):
            if not held >> bit & 1:
                missing.append(name)
    if missing:
        yield Finding(
            WARNING,
            "permissions",
            f"not root, and without {', '.join(missing)}",
            "Run ccm-node as root, or give it these: setcap or systemd's AmbientCapabilities.",
        )
    else:
        yield Finding(OK, "permissions", "not root, and nothing here needs it")
    limit = re.search(r"^Max locked memory\s+(\S+)", host.read("/proc/self/limits") or "", re.M)
    if limit and limit.group(1).isdigit() and int(limit.group(1)) < 64 * MIB and not eal.has("--no-huge"):
        yield Finding(
            WARNING,
            "permissions",
            f"only {size(int(limit.group(1)))} of memory may be locked",
            "ulimit -l unlimited, or systemd's LimitMEMLOCK=infinity",
        )


# ---- CPUs and clock


def check_cpus(patient):
    host = patient.host
    online = cpu_set(host.line("/sys/devices/system/cpu/online"))
    lcores = patient.eal.lcores()
    sleeps = setting(patient, "timing", "idle_sleep_us", 0) > 0
    if not lcores:
        if patient.eal.given and len(online) > 1:
            yield Finding(
                WARNING,
                "cpus",
                f"no -l: EAL takes all {len(online)} CPUs, and each polls for ever",
                "Name the CPUs: -l CONTROL,DATA, for example -l 2,3",
            )
        return
    used = set().union(*lcores)
    text = (
        f"{len(lcores)} lcores on CPU {cpu_text(used)}"
        if len(lcores) > 1
        else f"one lcore on CPU {cpu_text(used)}"
    )
    if used - online:
        yield Finding(
            ERROR,
            "cpus",
            f"CPU {cpu_text(used - online)} does not exist or is offline",
            f"Online are {cpu_text(online)}: change -l or --lcores.",
        )
        return
    if len(used) < len(lcores):
        level = WARNING if sleeps else ERROR
        yield Finding(
            level,
            "cpus",
            f"{text}: lcores that share a CPU starve each other",
            "Give each lcore a CPU of its own; sharing is for trying out, with timing.idle_sleep_us > 0.",
        )
    isolated = cpu_set(host.line("/sys/devices/system/cpu/isolated"))
    loose = used - isolated
    if loose and not sleeps:
        which = cpu_text(loose)
        yield Finding(
            WARNING,
            "cpus",
            f"{text}; not isolated: {which}. Others may run there and delay heartbeats",
            f"Kernel command line: isolcpus={which} nohz_full={which} rcu_nocbs={which}; or share them on"
            f" purpose: timing.idle_sleep_us > 0.",
        )
    elif loose:
        yield Finding(OK, "cpus", f"{text}, shared with others on purpose (timing.idle_sleep_us)")
    else:
        yield Finding(OK, "cpus", f"{text}, isolated")
    yield from check_siblings(host, lcores, sleeps)
    slow = [
        cpu
        for cpu in sorted(used)
        if (host.line(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor") or "performance")
        != "performance"
    ]
    if slow:
        yield Finding(
            WARNING,
            "cpus",
            f"CPU {cpu_text(slow)} saves power: latency will vary",
            f"cpupower -c {cpu_text(slow)} frequency-set -g performance",
        )
    dead = setting(patient, "timing", "dead_after_us", 10000 if patient.config else None)
    if loose and dead is not None and dead < SHORT_DEAD_US:
        yield Finding(
            WARNING,
            "timing",
            f"partners are called dead after {duration(dead / 1e6)}, which CPUs that are"
            f" shared can miss",
            "Isolate the CPUs, or raise timing.dead_after_us on both nodes to 250000.",
        )


def check_siblings(host, lcores, sleeps):
    seen = {}
    for cpus in lcores:
        for cpu in cpus if len(cpus) == 1 else ():
            text = host.line(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
            siblings = frozenset(cpu_set(text) or {cpu})
            if seen.get(siblings, cpu) != cpu and not sleeps:
                yield Finding(
                    WARNING,
                    "cpus",
                    f"CPU {seen[siblings]} and {cpu} are threads of one core: both poll",
                    "Take CPUs of different cores: lscpu -e shows them.",
                )
            seen[siblings] = cpu


def check_preemption(patient):
    """How often the running node's pollers had to give way."""
    if not patient.pid or not patient.node or setting(patient, "timing", "idle_sleep_us", 0) > 0:
        return
    uptime = (patient.node.get("/ccm/status") or {}).get("uptime_s")
    if not isinstance(uptime, int) or uptime < 10:
        return
    folder = f"/proc/{patient.pid}/task"
    for task in patient.host.names(folder):
        name = patient.host.line(folder, task, "comm") or ""
        if task != str(patient.pid) and not name.startswith("lcore-"):
            continue
        match = re.search(
            r"^nonvoluntary_ctxt_switches:\s+(\d+)", patient.host.read(folder, task, "status") or "", re.M
        )
        rate = int(match.group(1)) / uptime if match else 0
        if rate > PREEMPTED_PER_S:
            yield Finding(
                WARNING,
                "cpus",
                f"thread {name} has been interrupted {rate:.0f} times a second by others",
                "Isolate its CPU, and move other programs and interrupts away.",
            )


def check_clock(patient):
    host = patient.host
    source = host.line("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    info = host.read("/proc/cpuinfo") or ""
    match = re.search(r"^flags\s*:(.*)$", info, re.M)
    flags = set(match.group(1).split()) if match else None
    missing = [flag for flag in ("constant_tsc", "nonstop_tsc") if flags is not None and flag not in flags]
    if source in ("hpet", "acpi_pm", "jiffies", "refined-jiffies"):
        yield Finding(
            ERROR,
            "clock",
            f"the kernel uses {source}: it has found the TSC, our clock, to be wrong",
            "dmesg | grep -i tsc says why; look at the firmware's settings (power saving) and updates.",
        )
    elif missing:
        yield Finding(
            WARNING,
            "clock",
            f"the CPU does not promise {' and '.join(missing)}: our clock may drift or stop",
            "In a virtual machine: pass the host's CPU flags through (invtsc).",
        )
    else:
        yield Finding(OK, "clock", f"{source or 'unknown'}" + (", constant and nonstop" if flags else ""))
