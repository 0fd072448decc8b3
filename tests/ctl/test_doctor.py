#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ccmctl doctor on made-up machines: a /sys and /proc of their own, and programs in PATH."""
import json
import os
import shutil
import sys
import tempfile
import unittest
import unittest.mock

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(ROOT, "scripts", "lib")]

import fake_node  # noqa: E402 pylint: disable=wrong-import-position
from ccmtools import cli  # noqa: E402 pylint: disable=wrong-import-position
from ccmtools.host import Eal, cpu_set, cpu_text  # noqa: E402 pylint: disable=wrong-import-position

NIC = "0000:01:00.0"
PCI = f"/sys/bus/pci/devices/{NIC}"
EAL = ("-l", "2,3", "-a", NIC)
# A machine on which nothing is wrong.
SOUND = {
    "/proc/self/status": "Name:\tx\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\n",
    "/proc/self/limits": "Max locked memory         unlimited            unlimited            bytes\n",
    "/proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n",
    "/proc/mounts": "hugetlbfs /dev/hugepages hugetlbfs rw 0 0\n",
    "/proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu constant_tsc nonstop_tsc\n",
    "/proc/net/arp": "IP address HW type Flags HW address Mask Device\n",
    "/proc/net/fib_trie": "Local:\n  |-- 10.0.0.1\n     /32 host LOCAL\n",
    "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "512\n",
    "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages": "512\n",
    "/sys/devices/system/cpu/online": "0-7\n",
    "/sys/devices/system/cpu/isolated": "2-5\n",
    "/sys/devices/system/node/node0/cpulist": "0-3\n",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
    "/sys/class/net/eth0/address": "52:54:00:00:00:01\n",
    f"{PCI}/class": "0x020000\n",
    f"{PCI}/numa_node": "0\n",
    f"{PCI}/current_link_speed": "16.0 GT/s PCIe\n",
    f"{PCI}/max_link_speed": "16.0 GT/s PCIe\n",
    f"{PCI}/current_link_width": "8\n",
    f"{PCI}/max_link_width": "8\n",
    f"{PCI}/driver": ("link", "../../../bus/pci/drivers/vfio-pci"),
    f"{PCI}/iommu_group": ("link", "../../../kernel/iommu_groups/17"),
}
MLX5 = {
    f"{PCI}/driver": ("link", "../../../bus/pci/drivers/mlx5_core"),
    f"{PCI}/net/eth1/mtu": "4300\n",
    f"{PCI}/infiniband/mlx5_0/ports/1/gid_attrs/types/0": "IB/RoCE v1\n",
    "/sys/class/net/eth1/mtu": "4300\n",
    "/sys/class/net/eth1/address": "02:00:00:00:00:01\n",
    "/sys/class/infiniband_verbs/uverbs0/ibdev": "mlx5_0\n",
}
VETH = {
    "/sys/class/net/veth0/flags": "0x1003\n",
    "/sys/class/net/veth0/carrier": "1\n",
    "/sys/class/net/veth0/mtu": "1500\n",
    "/sys/class/net/veth0/address": "02:00:00:00:00:01\n",
}
AF_PACKET = ("--no-huge", "-l", "2,3", "--vdev=net_af_packet0,iface=veth0", "--no-pci")


def devlink(value, code=0):
    """A devlink that knows one device."""
    answer = {
        "param": {
            f"pci/{NIC}": [
                {
                    "name": "enable_roce",
                    "type": "generic",
                    "values": [{"cmode": "driverinit", "value": value}],
                }
            ]
        }
    }
    return (
        f'#!/bin/sh\n[ "$*" = "-j dev param show pci/{NIC} name enable_roce" ] || exit 9\n'
        f"echo '{json.dumps(answer)}'\nexit {code}\n"
    )


class Machine(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="ctl", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder)
        os.makedirs(os.path.join(self.folder, "bin"))
        self.program("ccm-node", '#!/bin/sh\n[ "$1" = --check-config ] && ! grep -q refuse-me "$2"\n')
        self.config = self.write_config()
        self.node = None

    def write_config(self, change=None):
        with open(os.path.join(ROOT, "config", "node-a.json"), encoding="utf-8") as file:
            config = json.load(file)
        config["timing"] = {"dead_after_us": 10000, "beat_us": 1000, "retry_us": 200}
        if change:
            change(config)
        path = os.path.join(self.folder, "node.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        return path

    def program(self, name, text):
        path = os.path.join(self.folder, "bin", name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)

    def machine(self, *changes):
        """Files of a machine: SOUND with changes; None takes away a file."""
        root = os.path.join(self.folder, "root")
        shutil.rmtree(root, ignore_errors=True)
        files = dict(SOUND)
        for change in changes:
            files.update(change)
        for name, value in files.items():
            path = root + name
            if value is None:
                continue
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if isinstance(value, tuple):
                os.symlink(value[1], path)
            else:
                with open(path, "w", encoding="utf-8") as file:
                    file.write(value)
        return root

    def run_doctor(self, root, eal=EAL, config=True, args=()):
        words = ["doctor", "--json", "--root", root, *args]
        words += ["--config", self.config] if config else []
        done = self.run_here([*words, *(["--", *eal] if eal else [])])
        self.assertEqual(done.stderr, "")
        data = json.loads(done.stdout)
        self.assertEqual(done.returncode, {"ok": 0, "warning": 1, "error": 2}[data["state"]])
        return data["findings"]

    def run_here(self, words):
        env = {"PATH": f"{self.folder}/bin:/usr/bin:/bin", "CCM_RUNTIME_PATH": self.folder}
        with unittest.mock.patch.dict(os.environ, env, clear=True):
            return fake_node.run_here(cli.main, words)

    def finds(self, name, level, text, *changes, todo="", **options):
        """There is such a line, and what is not ok says what to do."""
        found = self.run_doctor(self.machine(*changes), **options)
        for line in found:
            self.assertEqual(line["todo"] == "", line["level"] == "ok", line)
        lines = [
            line
            for line in found
            if (line["name"], line["level"]) == (name, level) and text in line["text"]
        ]
        self.assertTrue(lines, (name, level, text, found))
        self.assertIn(todo, lines[0]["todo"])
        return found

    def silent(self, name, found):
        self.assertFalse([line for line in found if line["name"] == name], found)


class Checks(Machine):
    def test_sound_machine(self):
        found = self.run_doctor(self.machine())
        self.assertEqual({line["level"] for line in found}, {"ok"}, found)
        names = {line["name"] for line in found}
        self.assertLessEqual(
            {"config", "permissions", "hugepages", "memory", "cpus", "clock", "device", "mtu", "mac"}, names
        )

    def test_as_text(self):
        root = self.machine({"/sys/devices/system/cpu/isolated": "\n"})
        done = self.run_here(
            ["doctor", "--root", root, "--config", self.config, "--columns", "70", "--", *EAL]
        )
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        lines = done.stdout.splitlines()
        self.assertTrue(all(len(line) <= 70 for line in lines))
        self.assertRegex(lines[-1], r"^\d+ ok, 2 warnings, 0 errors$")
        self.assertIn("-> Kernel command line: isolcpus=2-3", done.stdout)

    def test_config(self):
        self.finds("config", "warning", "no configuration", config=False)
        self.config = self.write_config(lambda c: c["node"].update(name="refuse-me"))
        self.finds("config", "error", "ccm-node refuses it", todo="--check-config")
        # What it says is what is shown, whatever it says.
        self.program("ccm-node", "#!/bin/sh\necho chatter >&2\nprintf '%s:3:9: node.id: 0\\033[2J\\n' \"$2\" >&2\nexit 2\n")
        self.finds("config", "error", f"ccm-node refuses it: {self.config}:3:9: node.id: 0?[2J", todo="tries it again")
        os.unlink(os.path.join(self.folder, "bin", "ccm-node"))
        if not os.path.exists(os.path.join(ROOT, "build/app/node/ccm-node")):
            self.finds("config", "warning", "is not checked", todo="CCM_NODE")

    def test_hugepages(self):
        pages = "/sys/kernel/mm/hugepages/hugepages-2048kB/"
        self.finds("hugepages", "ok", "512 of 512 pages of 2 MiB free")
        self.finds(
            "hugepages",
            "error",
            "none are reserved",
            {pages + "nr_hugepages": "0\n", pages + "free_hugepages": "0\n"},
            todo="dpdk-hugepages.py --setup",
        )
        self.finds("hugepages", "error", "less than the 128 MiB", {pages + "free_hugepages": "63\n"})
        self.finds(
            "hugepages",
            "error",
            "less than the 1 GiB",
            eal=(*EAL, "-m", "1024"),
            *[{pages + "free_hugepages": "511\n"}],
        )
        self.finds(
            "hugepages", "error", "no hugetlbfs is mounted", {"/proc/mounts": "proc /proc proc rw 0 0\n"}
        )
        self.finds("hugepages", "warning", "--no-huge with a NIC", eal=(*EAL, "--no-huge"))
        self.finds("hugepages", "ok", "not needed", VETH, eal=AF_PACKET)

    def test_memory(self):
        self.finds("memory", "ok", "16.1 MiB of")
        self.finds(
            "memory",
            "error",
            "16.1 MiB of 10 MiB",
            {"/proc/meminfo": "MemAvailable: 10240 kB\n"},
            todo="clients[].memory",
        )

    def test_permissions(self):
        user = {"/proc/self/status": "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000001000\n"}
        self.finds("permissions", "ok", "root")
        self.finds(
            "permissions", "warning", "without CAP_NET_RAW, CAP_IPC_LOCK", user, todo="AmbientCapabilities"
        )
        self.finds(
            "permissions",
            "ok",
            "nothing here needs it",
            user,
            eal=("--no-huge", "-l", "2", "--vdev=net_memif0", "--no-pci"),
        )
        self.finds(
            "permissions",
            "warning",
            "only 8 MiB of memory may be locked",
            user,
            {"/proc/self/limits": "Max locked memory         8388608   8388608   bytes\n"},
            todo="LimitMEMLOCK",
        )

    def test_cpus(self):
        self.finds("cpus", "ok", "2 lcores on CPU 2-3, isolated")
        self.finds(
            "cpus",
            "warning",
            "not isolated: 1",
            eal=("-l", "1,2", "-a", NIC),
            todo="isolcpus=1 nohz_full=1",
        )
        self.finds("cpus", "error", "CPU 8-9 does not exist", eal=("-l", "2,8,9", "-a", NIC), todo="0-7")
        self.finds("cpus", "error", "starve each other", eal=("--lcores", "0@2,1@2", "-a", NIC))
        self.finds("cpus", "warning", "no -l", eal=("-a", NIC), todo="-l CONTROL,DATA")
        siblings = {
            "/sys/devices/system/cpu/cpu2/topology/thread_siblings_list": "2-3\n",
            "/sys/devices/system/cpu/cpu3/topology/thread_siblings_list": "2-3\n",
        }
        self.finds("cpus", "warning", "CPU 2 and 3 are threads of one core", siblings, todo="lscpu -e")
        self.finds(
            "cpus",
            "warning",
            "CPU 3 saves power",
            {"/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor": "powersave\n"},
            todo="performance",
        )
        self.finds(
            "timing", "warning", "after 10 ms", {"/sys/devices/system/cpu/isolated": "\n"}, todo="250000"
        )
        self.config = self.write_config(
            lambda c: c.update(timing={"idle_sleep_us": 50, "dead_after_us": 250000})
        )
        found = self.finds("cpus", "ok", "on purpose", siblings, {"/sys/devices/system/cpu/isolated": "\n"})
        self.silent("timing", found)

    def test_clock(self):
        source = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
        self.finds("clock", "ok", "tsc, constant and nonstop")
        self.finds("clock", "error", "the kernel uses hpet", {source: "hpet\n"}, todo="dmesg")
        self.finds(
            "clock",
            "warning",
            "does not promise nonstop_tsc",
            {"/proc/cpuinfo": "flags : fpu constant_tsc\n"},
            todo="invtsc",
        )
        self.finds(
            "clock",
            "ok",
            "arch_sys_counter",
            {"/proc/cpuinfo": "Features : fp\n", source: "arch_sys_counter\n"},
        )

    def test_device(self):
        self.finds("device", "ok", "driver vfio-pci with an IOMMU")
        self.finds(
            "device", "error", "no such PCI device", eal=("-l", "2,3", "-a", "99:00.0"), todo="lspci"
        )
        self.finds(
            "device",
            "error",
            "none is named",
            eal=("-l", "2,3"),
            *[{f"{PCI}/driver": None}],
            todo="dpdk-devbind.py",
        )
        found = self.finds("device", "ok", NIC, eal=("-l", "2,3"))  # EAL finds it by itself
        self.silent("roce", found)
        self.finds(
            "device", "error", "has no driver", {f"{PCI}/driver": None}, todo=f"--bind vfio-pci {NIC}"
        )
        self.finds(
            "device",
            "error",
            "bound to the kernel's ixgbe (interface eth5)",
            {f"{PCI}/driver": ("link", "../drivers/ixgbe"), f"{PCI}/net/eth5/mtu": "1500\n"},
            todo="--bind vfio-pci",
        )
        self.finds(
            "device",
            "warning",
            "without an IOMMU's protection",
            {f"{PCI}/driver": ("link", "../drivers/igb_uio")},
        )
        self.finds(
            "device", "error", "there is no IOMMU", {f"{PCI}/iommu_group": None}, todo="intel_iommu=on"
        )
        self.finds(
            "device",
            "warning",
            "without an IOMMU",
            {f"{PCI}/iommu_group": None, "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode": "Y\n"},
            todo="intel_iommu=on",
        )
        self.finds(
            "device", "error", "/dev/vfio/17 may not be opened", {"/dev/vfio/vfio": ""}, todo="chown"
        )
        self.finds(
            "device",
            "warning",
            "PCIe 8.0 GT/s PCIe x8 of",
            {f"{PCI}/current_link_speed": "8.0 GT/s PCIe\n"},
            todo="slot",
        )
        self.finds(
            "device",
            "warning",
            "on NUMA node 0, but CPU 4-5 is not",
            eal=("-l", "3-5", "-a", NIC),
            todo="0-3",
        )

    def test_virtual_devices(self):
        found = self.finds("device", "ok", "net_af_packet on veth0", VETH, eal=AF_PACKET)
        self.assertEqual({line["level"] for line in found}, {"ok"}, found)
        self.finds("device", "error", "no interface veth0", eal=AF_PACKET, todo="ip link")
        self.finds(
            "device",
            "error",
            "veth0 is down",
            VETH,
            {"/sys/class/net/veth0/flags": "0x1002\n"},
            eal=AF_PACKET,
            todo="ip link set veth0 up",
        )
        self.finds(
            "device", "error", "has no link", VETH, {"/sys/class/net/veth0/carrier": "0\n"}, eal=AF_PACKET
        )
        self.finds(
            "device",
            "ok",
            "net_af_packet on veth0",
            VETH,
            eal=("-l", "2", "--no-huge"),
            args=("--device", "veth0"),
        )

    def test_mtu(self):
        jumbo = {"/sys/class/net/eth1/mtu": "1500\n"}
        self.finds("mtu", "ok", "path MTU 1024; 4176 bytes would allow 4096")
        self.config = self.write_config(lambda c: c["port"].update(mtu=4300))
        self.program("devlink", devlink(False))
        self.finds("mtu", "ok", "device 4300: path MTU 4096", MLX5)
        self.finds(
            "mtu", "warning", "path MTU 1024, not 4096", MLX5, jumbo, todo="ip link set eth1 mtu 4300"
        )
        self.finds("mtu", "error", "too small", MLX5, {"/sys/class/net/eth1/mtu": "300\n"}, todo="336")
        self.finds(
            "mtu",
            "warning",
            "path MTU 1024, not 4096",
            VETH,
            {"/sys/class/net/veth0/mtu": "9000\n"},
            eal=AF_PACKET,
        )

    def test_roce_of_mlx5(self):
        todo = f"devlink dev param set pci/{NIC} name enable_roce value false cmode driverinit; devlink dev reload pci/{NIC}"
        self.program("devlink", devlink(False))
        self.finds("roce", "ok", "RoCE is disabled", MLX5)
        self.program("devlink", devlink(True))
        self.finds("roce", "error", "the NIC takes UDP port 4791", MLX5, todo=todo)
        # Without devlink by the port's addresses, which only RoCE has.
        self.program("devlink", devlink(True, code=1))
        self.finds("roce", "error", "the NIC takes UDP port 4791", MLX5, todo=todo)
        gid = {f"{PCI}/infiniband/mlx5_0/ports/1/gid_attrs/types/0": None}
        self.finds("roce", "warning", "cannot tell", MLX5, gid, todo=todo)
        for nonsense in (
            "echo '{'",
            "echo '[]'",
            "echo 'null'",
            "head -c 20000 /dev/zero | tr '\\0' '['",
            "exit 3",
        ):
            self.program("devlink", f"#!/bin/sh\n{nonsense}\n")
            self.finds("roce", "warning", "cannot tell", MLX5, gid)
        self.finds(
            "device",
            "error",
            "no verbs devices",
            MLX5,
            {"/sys/class/infiniband_verbs/uverbs0/ibdev": None},
            todo="modprobe ib_uverbs",
        )

    def test_macs(self):
        self.finds("mac", "ok", "02:00:00:00:00:01 and 1 partner: no duplicates")
        self.finds(
            "mac",
            "error",
            "also that of eth0",
            {"/sys/class/net/eth0/address": "02:00:00:00:00:01\n"},
            todo="Choose another",
        )
        self.finds(
            "mac",
            "error",
            "partners[0].mac 02:00:00:00:00:02 is that of eth0",
            {"/sys/class/net/eth0/address": "02:00:00:00:00:02\n"},
        )
        # The port's own interface may have it: mlx5, af_packet.
        self.finds("mac", "ok", "no duplicates", VETH, eal=AF_PACKET)
        arp = (
            "IP address HW type Flags HW address Mask Device\n192.0.2.2 0x1 0x2 02:00:00:00:00:99 * veth0\n"
        )
        self.finds(
            "mac",
            "warning",
            "heard 192.0.2.2 (partners[0]) from 02:00:00:00:00:99",
            VETH,
            {"/proc/net/arp": arp},
            eal=AF_PACKET,
        )
        self.finds("mac", "ok", "no duplicates", {"/proc/net/arp": arp})  # another network
        self.config = self.write_config(lambda c: c["partners"].append(dict(c["partners"][0], id=3)))
        self.finds(
            "mac", "error", "partners[1].mac 02:00:00:00:00:02 is also partners[0].mac", todo="compare"
        )

    def test_address(self):
        trie = {
            "/proc/net/fib_trie": "Main:\n  |-- 192.0.2.0\n     /24 link UNICAST\n  |-- 192.0.2.1\n     /32 host LOCAL\n"
        }
        self.finds(
            "address",
            "error",
            "192.0.2.1 is also the kernel's own",
            VETH,
            trie,
            eal=AF_PACKET,
            todo="ip address del",
        )
        self.silent("address", self.run_doctor(self.machine(trie)))  # vfio: the kernel sees nothing
        self.silent("address", self.run_doctor(self.machine(VETH), eal=AF_PACKET))
        rxe = {"/sys/class/infiniband/rxe0/parent": "veth0\n"}
        self.finds(
            "address", "error", "rxe0 is on veth0", VETH, rxe, eal=AF_PACKET, todo="rdma link delete rxe0"
        )

    def test_nothing_there(self):
        """An empty machine, and one of garbage: lines, no crash."""
        self.run_doctor(self.folder + "/nowhere")
        garbage = {
            name: "\0\xff- x:9999999999999999999999" for name in SOUND if not isinstance(SOUND[name], tuple)
        }
        self.run_doctor(
            self.machine(garbage, VETH),
            eal=("-l", "x-,99999-0", "--lcores=(@", "-c", "zz", "-m", "x", "--vdev", ",,", "-a", ""),
        )
        for text in (
            "[]",
            "{",
            '{"port": 7, "partners": [1, {"mac": 5}], "clients": {"a": 1}, "timing": []}',
        ):
            with open(self.config, "w", encoding="utf-8") as file:
                file.write(text)
            self.run_doctor(self.machine(VETH), eal=AF_PACKET)


class RunningNode(Machine):
    def setUp(self):
        super().setUp()
        self.answers = fake_node.table()
        self.answers["/ccm/status"].update(pid=4711, uptime_s=100)
        # No shorter name: its folder is the runtime folder.
        self.path = os.path.join(self.folder, "dpdk", "a", "dpdk_telemetry.v2")
        words = ("ccm-node", "--no-huge", "-l", "2,3", "-a", NIC, "--", "--config", "node.json", "")
        self.process = {
            "/proc/4711/cmdline": "\0".join(words),
            "/proc/4711/cwd": ("link", self.folder),
            "/proc/4711/exe": ("link", os.path.join(self.folder, "bin", "ccm-node")),
            "/proc/4711/task/4711/comm": "ccm-node\n",
            "/proc/4711/task/4711/status": "nonvoluntary_ctxt_switches:\t10\n",
            "/proc/4711/task/4712/comm": "lcore-worker-3\n",
            "/proc/4711/task/4712/status": "nonvoluntary_ctxt_switches:\t5000\n",
        }

    def with_node(self, name, level, text, *changes, answers=(), todo=""):
        table = json.loads(json.dumps(self.answers))
        for command, change in answers:
            table[command].update(change)
        with fake_node.FakeNode(self.path, table):
            return self.finds(name, level, text, self.process, *changes, todo=todo, eal=(), config=False)

    def test_finds_arguments_and_configuration(self):
        found = self.with_node("config", "ok", "node.json: ccm-node accepts it")
        self.assertTrue([line for line in found if "2 lcores on CPU 2-3" in line["text"]])
        self.with_node("session", "ok", "partner 2 is connected")
        self.with_node("link", "ok", "up")

    def test_what_only_a_running_node_knows(self):
        self.with_node("cpus", "warning", "lcore-worker-3 has been interrupted 50 times a second")
        self.with_node("link", "error", "no link", answers=[("/remu/port", {"link_up": 0})])
        self.with_node("losses", "warning", "3 frames were dropped as icrc", todo="ccmctl drops")
        self.with_node(
            "losses", "warning", "9 frames were lost because", answers=[("/remu/port", {"rx_missed": 9})]
        )
        partner = {**fake_node.PARTNER, "state": "search", "verdict": "hung"}
        self.with_node(
            "session",
            "error",
            "partner 2 is not connected: hung",
            todo="ccmctl status",
            answers=[("/ccm/partners", {"partners": {"partner_2": partner}})],
        )
        for change, name, level, text in (
            ({"state": "refused", "verdict": "refused", "reason": "version"}, "session", "error", "connected: refused: version"),
            ({"conflicts": 2}, "mac", "warning", "two nodes have answered in turn as partner 2, 2 times"),
        ):  # fmt: skip
            partner = {**fake_node.PARTNER, **change}
            found = self.with_node(name, level, text,
                                   answers=[("/ccm/partners", {"partners": {"partner_2": partner}})])  # fmt: skip
            self.assertEqual("no duplicates" in str(found), "conflicts" not in change)
        self.config = self.write_config(lambda c: c["port"].update(mtu=4300))
        self.with_node(
            "mtu",
            "warning",
            "partner 2 lowers the path MTU to 1024",
            answers=[("/remu/port", {"mtu_bytes": 4300})],
        )
        self.with_node("mtu", "warning", "device 1500: path MTU 1024, not 4096")


class Parsing(unittest.TestCase):
    def test_cpu_lists(self):
        for text, cpus in (
            ("0-3,8", {0, 1, 2, 3, 8}),
            ("", set()),
            (None, set()),
            ("5", {5}),
            ("x", set()),
            ("(1-2)", {1, 2}),
        ):
            self.assertEqual(cpu_set(text), cpus)
        self.assertEqual(cpu_text({0, 1, 2, 8}), "0-2,8")

    def test_eal(self):
        rows = (
            ("-l 2,3", [{2}, {3}]),
            ("-l2-4", [{2}, {3}, {4}]),
            ("-c 0xc", [{2}, {3}]),
            ("--lcores 0@2,(1-2)@(4-5),7", [{2}, {4, 5}, {4, 5}, {7}]),
            ("--lcores=0@0", [{0}]),
            ("", []),
        )
        for text, lcores in rows:
            self.assertEqual(Eal(text.split()).lcores(), lcores, text)
        eal = Eal(
            [
                "--no-huge",
                "-m",
                "64",
                "-a",
                "01:00.0,dv_flow_en=1",
                "--vdev",
                "net_af_packet1,iface=x,qpairs=2",
            ]
        )
        self.assertEqual((eal.memory_mib(), eal.pci()), (64, ["0000:01:00.0"]))
        self.assertEqual(eal.vdevs(), [("net_af_packet", {"iface": "x", "qpairs": "2"})])
        self.assertTrue(eal.has("--no-huge") and not eal.has("--no-pci"))


if __name__ == "__main__":
    unittest.main()
