# SPDX-License-Identifier: BSD-3-Clause
"""doctor's checks of devices and the network: driver, MTU, RoCE of mlx5, addresses, the session."""
import json
import os
import re

from . import meaning
from .checks import ERROR, OK, WARNING, Finding, list_of, setting
from .host import cpu_set, cpu_text
from .status import headline
from .text import plural

MTU_OVERHEAD = 80  # of RoCEv2 over IPv4 in an IP packet, bytes: ROCE_MTU_OVERHEAD
PATH_MTUS = (4096, 2048, 1024, 512, 256)
UIO = ("vfio-pci", "uio_pci_generic", "igb_uio")
MLX5 = "mlx5_core"
VIRTUAL_MTU = {"net_af_packet": 1500, "net_tap": 1500}  # what DPDK 22.11's drivers carry at most
MAC = re.compile(r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")


class Device:
    """The port: a PCI address, or a virtual device, or a network interface of the kernel."""

    def __init__(self, host, pci=None, kind=None, interface=None):
        self.pci = pci
        self.kind = kind
        self.physical = pci is not None
        self.base = f"/sys/bus/pci/devices/{pci}" if pci else None
        self.driver = host.link(self.base, "driver") if pci else None
        self.exists = host.exists(self.base) if pci else True
        names = host.names(self.base, "net") if pci else []
        self.interface = interface or (names[0] if names else None)

    @property
    def name(self):
        return self.pci or self.interface or self.kind

    @property
    def shared(self):
        """The kernel sees the same frames."""
        return self.driver == MLX5 or self.kind in ("net_af_packet", "net_tap", "net_pcap")


def devices_of(host, eal, name=None):
    """What EAL would find with these arguments."""
    if name:
        return [named(host, name)]
    found = [Device(host, pci=address) for address in eal.pci()]
    for kind, arguments in eal.vdevs():
        found.append(Device(host, kind=kind, interface=arguments.get("iface")))
    if not found and not eal.has("--no-pci"):
        for address in host.names("/sys/bus/pci/devices"):
            kind = host.line("/sys/bus/pci/devices", address, "class") or ""
            device = Device(host, pci=address)
            if kind.startswith("0x0200") and device.driver in (*UIO, MLX5):
                found.append(device)
    return found


def named(host, name):
    if host.exists("/sys/bus/pci/devices", name):
        return Device(host, pci=name)
    if host.exists("/sys/bus/pci/devices", "0000:" + name):
        return Device(host, pci="0000:" + name)
    if host.exists("/sys/class/net", name):
        address = host.link("/sys/class/net", name, "device")
        if address and host.exists("/sys/bus/pci/devices", address):
            return Device(host, pci=address)
        return Device(host, kind="net_af_packet", interface=name)
    return Device(host, pci=name)


# ---- the device


def check_device(patient):
    if not patient.devices:
        yield Finding(
            ERROR,
            "device",
            "none is named, and none is bound to a driver that DPDK can use",
            "dpdk-devbind.py --status-dev net shows them; name one: ccmctl doctor --device ADDRESS, or give"
            ' EAL\'s arguments after "--"',
        )
    for device in patient.devices:
        if device.physical:
            yield from check_pci(patient, device)
        else:
            yield from check_virtual(patient, device)


def check_pci(patient, device):
    host, where = patient.host, f"{device.name}"
    if not device.exists:
        yield Finding(
            ERROR, "device", f"{where}: no such PCI device", "lspci -D | grep -i ethernet lists them."
        )
        return
    if device.driver == MLX5:
        yield from check_mlx5(patient, device)
    elif device.driver in UIO:
        yield from check_uio(host, device)
    elif device.driver is None:
        yield Finding(
            ERROR,
            "device",
            f"{where} has no driver",
            f"modprobe vfio-pci; dpdk-devbind.py --bind vfio-pci {device.pci}",
        )
    else:
        used = f" (interface {device.interface})" if device.interface else ""
        yield Finding(
            ERROR,
            "device",
            f"{where} is bound to the kernel's {device.driver}{used}",
            f"If nothing else uses it: modprobe vfio-pci; dpdk-devbind.py --bind vfio-pci {device.pci}",
        )
    speed, most = (host.line(device.base, f"{which}_link_speed") for which in ("current", "max"))
    width, widest = (host.line(device.base, f"{which}_link_width") for which in ("current", "max"))
    if speed and most and width and widest and (speed, width) != (most, widest) and "Unknown" not in speed:
        yield Finding(
            WARNING,
            "device",
            f"{where} runs at PCIe {speed} x{width} of {most} x{widest}",
            "Another slot, or its firmware's settings.",
        )
    yield from check_numa(patient, device)


def check_uio(host, device):
    if device.driver != "vfio-pci":
        yield Finding(
            WARNING,
            "device",
            f"{device.name} is bound to {device.driver}: without an IOMMU's protection",
            f"With an IOMMU: dpdk-devbind.py --bind vfio-pci {device.pci}",
        )
        return
    unsafe = host.line("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode")
    group = host.link(device.base, "iommu_group")
    if group and unsafe != "Y":
        node = f"/dev/vfio/{group}"
        if host.exists("/dev/vfio") and not os.access(host.path(node), os.R_OK | os.W_OK):
            yield Finding(
                ERROR,
                "device",
                f"{device.name} is bound to vfio-pci, but {node} may not be opened",
                f"As root: chown USER {node}, or run ccm-node as root.",
            )
        else:
            yield Finding(OK, "device", f"{device.name}, driver vfio-pci with an IOMMU")
    elif unsafe == "Y":
        yield Finding(
            WARNING,
            "device",
            f"{device.name}, driver vfio-pci without an IOMMU: a fault can write anywhere",
            "Kernel command line: intel_iommu=on iommu=pt (AMD: iommu=pt)",
        )
    else:
        yield Finding(
            ERROR,
            "device",
            f"{device.name} is bound to vfio-pci, but there is no IOMMU",
            "Kernel command line: intel_iommu=on iommu=pt (AMD: iommu=pt), and the firmware's VT-d or AMD-Vi;"
            " at your own risk: modprobe vfio enable_unsafe_noiommu_mode=1",
        )


def check_mlx5(patient, device):
    host = patient.host
    if not host.names("/sys/class/infiniband_verbs"):
        yield Finding(
            ERROR,
            "device",
            f"{device.name} (mlx5_core): no verbs devices, which DPDK's mlx5 driver needs",
            "modprobe ib_uverbs mlx5_ib; Debian packages rdma-core and ibverbs-providers",
        )
    else:
        yield Finding(OK, "device", f"{device.name}, driver mlx5_core, which the kernel and DPDK share")
    yield from check_roce(host, device)


def check_roce(host, device):
    """With RoCE on, the NIC itself takes what goes to UDP port 4791, and DPDK never sees it."""
    handle = f"pci/{device.pci}"
    command = (
        f"devlink dev param set {handle} name enable_roce value false cmode driverinit;"
        f" devlink dev reload {handle}"
    )
    enabled = roce_by_devlink(host, handle)
    if enabled is None:
        enabled = roce_by_gids(host, device)
    if enabled is None:
        yield Finding(
            WARNING,
            "roce",
            f"{device.name}: cannot tell whether RoCE is enabled on the port; if it is, the"
            " NIC keeps UDP port 4791 to itself",
            f"devlink dev param show {handle} name enable_roce tells; to disable: {command}",
        )
    elif enabled:
        yield Finding(
            ERROR,
            "roce",
            f"{device.name}: RoCE is enabled on the port: the NIC takes UDP port 4791 itself, and"
            " nothing of it reaches DPDK",
            f"As root: {command}",
        )
    else:
        yield Finding(OK, "roce", f"{device.name}: RoCE is disabled, so UDP port 4791 reaches DPDK")


def roce_by_devlink(host, handle):
    text = host.run("devlink", "-j", "dev", "param", "show", handle, "name", "enable_roce")
    try:
        for param in json.loads(text or "")["param"][handle]:
            for value in param["values"]:
                if param["name"] == "enable_roce" and value["cmode"] == "driverinit":
                    return value["value"] in (True, "true")
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def roce_by_gids(host, device):
    """A port with RoCE has addresses (GIDs) of that type."""
    names = host.names(device.base, "infiniband")
    for name in names:
        folder = f"{device.base}/infiniband/{name}/ports/1/gid_attrs/types"
        if any("RoCE" in (host.line(folder, index) or "") for index in host.names(folder)):
            return True
    return None


def check_numa(patient, device):
    host = patient.host
    node = host.number(device.base, "numa_node")
    cpus = set().union(*patient.eal.lcores()) if patient.eal.lcores() else set()
    if node is None or node < 0:
        return
    local = cpu_set(host.line(f"/sys/devices/system/node/node{node}/cpulist"))
    far = cpus - local
    if local and far:
        yield Finding(
            WARNING,
            "device",
            f"{device.name} is on NUMA node {node}, but CPU {cpu_text(far)} is not",
            f"Take lcores of {cpu_text(local)}.",
        )


def check_virtual(patient, device):
    host = patient.host
    if device.kind == "net_memif":
        yield Finding(OK, "device", "net_memif: shared memory between two processes of this machine")
        return
    if not device.interface:
        yield Finding(OK, "device", f"{device.kind}: a virtual device")
        return
    base = f"/sys/class/net/{device.interface}"
    if device.kind != "net_tap" and not host.exists(base):
        yield Finding(
            ERROR, "device", f"{device.kind}: no interface {device.interface}", "ip link lists them."
        )
        return
    flags = host.number(base, "flags")
    if flags is not None and not flags & 1:
        yield Finding(
            ERROR,
            "device",
            f"{device.kind}: interface {device.interface} is down",
            f"ip link set {device.interface} up",
        )
    elif host.line(base, "carrier") == "0":
        yield Finding(
            ERROR,
            "device",
            f"{device.kind}: interface {device.interface} has no link",
            "Check cable, transceiver and switch port.",
        )
    else:
        yield Finding(
            OK, "device", f"{device.kind} on {device.interface}: through the kernel, for trying out"
        )


# ---- MTU


def path_mtu(mtu):
    return next((path for path in PATH_MTUS if path + MTU_OVERHEAD <= mtu), 0)


def check_mtu(patient):
    want = setting(patient, "port", "mtu", 1500 if patient.config else None)
    if want is None:
        return
    port = (patient.node or {}).get("/remu/port") or {}
    mtu, most = port.get("mtu_bytes"), None
    for device in patient.devices:
        most = VIRTUAL_MTU.get(device.kind)
        if mtu is None and device.interface:
            mtu = patient.host.number("/sys/class/net", device.interface, "mtu")
    limits = [value for value in (want, mtu, most) if isinstance(value, int)]
    real = min(limits)
    path = path_mtu(real)
    text = f"port.mtu {want}, device {mtu if mtu is not None else 'not known'}: path MTU {path}"
    if path == 0:
        yield Finding(
            ERROR, "mtu", f"{text}: too small for RoCEv2", f"Set both to {256 + MTU_OVERHEAD} at least."
        )
    elif path < path_mtu(want):
        device = next((d.interface for d in patient.devices if d.interface), None)
        todo = (
            f"ip link set {device} mtu {want}"
            if device and not most
            else "Raise the device's MTU, or lower port.mtu."
        )
        yield Finding(WARNING, "mtu", f"{text}, not {path_mtu(want)} as port.mtu would allow", todo)
    else:
        yield Finding(
            OK, "mtu", text + ("" if path == 4096 else f"; {4096 + MTU_OVERHEAD} bytes would allow 4096")
        )
    for partner in partners_of(patient):
        agreed = partner.get("path_mtu")
        if isinstance(agreed, int) and 0 < agreed < path:
            yield Finding(
                WARNING,
                "mtu",
                f"partner {partner.get('id')} lowers the path MTU to {agreed}",
                "Raise port.mtu and the device's MTU there.",
            )


def partners_of(patient):
    partners = ((patient.node or {}).get("/ccm/partners") or {}).get("partners")
    return [p for p in partners.values() if isinstance(p, dict)] if isinstance(partners, dict) else []


# ---- addresses


def mac_of(record):
    mac = record.get("mac") if isinstance(record, dict) else None
    return mac.lower() if isinstance(mac, str) and MAC.match(mac.lower()) else None


def check_macs(patient):
    host, config = patient.host, patient.config or {}
    own = {device.interface for device in patient.devices}
    local = {}
    for name in host.names("/sys/class/net"):
        mac = (host.line("/sys/class/net", name, "address") or "").lower()
        if name not in own and MAC.match(mac) and mac != "00:00:00:00:00:00":
            local.setdefault(mac, []).append(name)
    mine = mac_of(config.get("port"))
    if mine is None:
        return
    wrong = False
    if mine in local:
        wrong = True
        yield Finding(
            ERROR,
            "mac",
            f"port.mac {mine} is also that of {', '.join(local[mine])} on this machine",
            "Choose another one on both nodes, for example 02:... (locally administered).",
        )
    seen = {mine: "port.mac"}
    for i, partner in enumerate(list_of(config, "partners")):
        mac, where = mac_of(partner), f"partners[{i}].mac"
        if mac in seen and mac:
            wrong = True
            yield Finding(
                ERROR,
                "mac",
                f"{where} {mac} is also {seen[mac]}",
                "Every node has a MAC address of its own: compare the files.",
            )
        elif mac in local:
            wrong = True
            yield Finding(
                ERROR,
                "mac",
                f"{where} {mac} is that of {', '.join(local[mac])} on this machine",
                "It must be the partner's port.mac, not one of ours.",
            )
        seen.setdefault(mac, where)
    for finding in check_neighbours(patient):
        wrong = True
        yield finding
    if not wrong:
        yield Finding(OK, "mac", f"{mine} and {plural(len(seen) - 1, 'partner')}: no duplicates here")


def check_neighbours(patient):
    """What the node and the kernel have heard on our link: another machine in a partner's place."""
    for partner in partners_of(patient):
        count = partner.get("conflicts")
        if isinstance(count, int) and count > 0:
            yield Finding(
                WARNING,
                "mac",
                f"two nodes have answered in turn as partner {partner.get('id')}, {plural(count, 'time')}",
                meaning.REASONS["conflict"].todo[0],
            )
    heard, ours = {}, {device.interface for device in patient.devices if device.shared}
    for line in (patient.host.read("/proc/net/arp") or "").splitlines()[1:]:
        words = line.split()
        if len(words) >= 6 and words[5] in ours and words[3] != "00:00:00:00:00:00":
            heard[words[0]] = (words[3].lower(), words[5])
    for i, partner in enumerate(list_of(patient.config, "partners")):
        mac, interface = heard.get(partner.get("ip"), (None, None))
        if mac and mac != mac_of(partner):
            yield Finding(
                WARNING,
                "mac",
                f"on {interface} the kernel has heard {partner.get('ip')} (partners[{i}]) from"
                f" {mac}, not from {mac_of(partner)}",
                "Is there another machine with this IP address, or a wrong partners[].mac?",
            )


def local_addresses(host):
    """The kernel's own IPv4 addresses."""
    found, last = set(), None
    for line in (host.read("/proc/net/fib_trie") or "").splitlines():
        match = re.search(r"\|-- ([0-9.]+)$", line)
        if match:
            last = match.group(1)
        elif "/32 host LOCAL" in line and last:
            found.add(last)
    return found


def check_address(patient):
    port = (patient.config or {}).get("port")
    ip = port.get("ip") if isinstance(port, dict) else None
    if not isinstance(ip, str) or not any(device.shared for device in patient.devices):
        return
    if ip in local_addresses(patient.host):
        yield Finding(
            ERROR,
            "address",
            f"port.ip {ip} is also the kernel's own, which sees the same frames and answers"
            f' them: "port unreachable"',
            f"Remove it there (ip address del {ip}/... dev ...), or choose another one for port.ip.",
        )
    for device in patient.devices:
        for name in patient.host.names("/sys/class/infiniband"):
            if (
                device.interface
                and patient.host.line("/sys/class/infiniband", name, "parent") == device.interface
            ):
                yield Finding(
                    ERROR,
                    "address",
                    f"Soft-RoCE device {name} is on {device.interface} and answers too",
                    f"rdma link delete {name}",
                )


# ---- what a running node says


def check_link(patient):
    port = (patient.node or {}).get("/remu/port") or {}
    if not patient.node:
        return
    if not port.get("link_up"):
        yield Finding(ERROR, "link", "the node's port has no link", meaning.VERDICTS["link_down"].todo[0])
    else:
        speed = port.get("link_mbps")
        yield Finding(
            OK, "link", f"up{f', {speed} Mbit/s' if isinstance(speed, int) and speed > 0 else ''}"
        )


def check_losses(patient):
    port = (patient.node or {}).get("/remu/port") or {}
    drops = (patient.node or {}).get("/remu/drops") or {}
    rows = (
        (
            "rx_missed",
            "frames were lost because the NIC's queue was full",
            "The data lcore is too slow or was away: isolate its CPU, or add data lcores.",
        ),
        ("rx_no_mbuf", "frames were lost for want of buffers", "Give EAL more memory: -m"),
        ("rx_errors", "frames came damaged", "Check cable and transceiver."),
        ("tx_errors", "frames could not be sent", "Check link and driver; dmesg"),
    )
    for name, what, todo in rows:
        if isinstance(port.get(name), int) and port[name] > 0:
            yield Finding(WARNING, "losses", f"{port[name]} {what}", todo)
    for name in ("icrc", "src_mac", "src_ip", "dst_ip", "remote_access", "rate_limited"):
        if isinstance(drops.get(name), int) and drops[name] > 0:
            yield Finding(
                WARNING,
                "losses",
                f"{drops[name]} frames were dropped as {name}: {meaning.DROPS[name]}",
                "ccmctl drops shows all; --pcap captures them.",
            )


def check_sessions(patient):
    for partner in partners_of(patient):
        state, verdict = partner.get("state"), partner.get("verdict")
        if state == "up":
            yield Finding(OK, "session", f"partner {partner.get('id')} is connected")
        else:
            yield Finding(
                ERROR,
                "session",
                f"partner {partner.get('id')} is not connected: {headline(str(verdict), str(partner.get('reason')))}",
                "ccmctl status says why and what to do.",
            )
