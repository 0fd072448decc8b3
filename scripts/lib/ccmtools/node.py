# SPDX-License-Identifier: BSD-3-Clause
"""A node as telemetry shows it: which there are, and its answers as lists in order.

Nothing is taken for granted: a field may be missing or of another type (an older or newer node, or
no node at all), and then reads as None or "?".
"""
import re
import time

from .telemetry import Telemetry, TelemetryError, all_sockets, find_socket, hidden_folders
from .text import clean

PAGES_MAX = 2000


class Record(dict):
    """An object of an answer; key: its name there."""

    key = ""

    def num(self, name, default=None):
        value = self.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else default

    def count(self, name):
        return max(self.num(name, 0), 0)

    def text(self, name, default="?"):
        value = self.get(name)
        return clean(value) if isinstance(value, str) else default

    def sub(self, name):
        value = self.get(name)
        return Record(value) if isinstance(value, dict) else Record()

    def seconds(self, name):
        """Of a time whose unit its name tells; None: never, or not told."""
        for unit, factor in (("_ns", 1e9), ("_us", 1e6), ("_ms", 1e3), ("_s", 1.0)):
            if name.endswith(unit):
                value = self.num(name)
                return None if value is None or value < 0 else value / factor
        return None


class Node:
    """The commands of one node."""

    def __init__(self, path, timeout, total=None):
        deadline = time.monotonic() + (total or 4 * timeout)
        self.path = path
        self.telemetry = Telemetry(path, timeout, deadline)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.telemetry.close()

    def value(self, command):
        value = self.telemetry.value(command)
        if value is None:
            raise TelemetryError(f"{command}: the process does not know this command")
        if isinstance(value, dict) and isinstance(value.get("error"), str):
            raise TelemetryError(f"{command}: {clean(value['error'])}")
        return value

    def ask(self, command):
        value = self.value(command)
        if not isinstance(value, dict):
            raise TelemetryError(f"{command}: not an object: {clean(value, 60)}")
        return Record(value)

    def commands(self):
        names = self.value("/")
        return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []

    def pages(self, command, key, parameter="{}"):
        """The elements of all pages in order, and the first page for what else it says."""
        first, elements, asked, ask = None, {}, set(), command
        for _ in range(PAGES_MAX):
            page = self.ask(ask)
            first = first or page
            for name in page.sub(key):
                elements[name] = page.sub(key).sub(name)
                elements[name].key = name
            following = page.num("next")
            if following is None:
                break
            if following in asked:
                raise TelemetryError(f"{command}: its pages have no end")
            asked.add(following)
            ask = f"{command.split(',')[0]},{parameter.format(following)}"
        return first, [elements[name] for name in sorted(elements, key=in_order)]

    def status(self):
        return self.ask("/ccm/status")

    def partners(self):
        return self.pages("/ccm/partners", "partners")[1]

    def partner(self, number):
        return self.ask(f"/ccm/partner,{number}")

    def clients(self):
        return self.pages("/ccm/clients", "clients")[1]

    def ports(self, partner=0):
        command = f"/ccm/ports,{partner}"
        return self.pages(command, "ports", f"{partner},{{}}")[1]

    def timing(self):
        elements = self.pages("/ccm/timing", "partners")[1]
        for element in elements:
            element["id"] = in_order(element.key)[-1]
        return elements

    def exercise(self):
        return self.pages("/ccm/exercise", "ports")

    def events(self, after=0):
        """Newer than number `after`, oldest first."""
        elements, ask = {}, "/ccm/events"
        for _ in range(PAGES_MAX):
            page = self.ask(ask)
            events = [Record(e) for e in page.sub("events").values() if isinstance(e, dict)]
            numbers = [event.num("seq", 0) for event in events]
            elements.update(zip(numbers, events))
            following = page.num("next")
            if following is None or following <= after or following in elements:
                break
            ask = f"/ccm/events,{following}"
        return [elements[number] for number in sorted(elements) if number > after]

    def qps(self):
        return self.pages("/remu/qps", "qps")[1]

    def stats(self):
        return self.ask("/remu/stats")

    def drops(self):
        return self.ask("/remu/drops")

    def port(self):
        return self.ask("/remu/port")

    def config(self):
        return self.ask("/ccm/config")

    def reload(self):
        """What became of the last SIGHUP; its text in one piece."""
        answer = self.ask("/ccm/reload")
        parts = answer.sub("text")
        answer["text"] = "".join(parts.text(name, "") for name in sorted(parts, key=in_order))
        return answer

    def boot(self):
        return self.ask("/ccm/boot")

    def set_boot(self, stage, progress=0):
        return self.ask(f"/ccm/boot/stage,{stage},{progress}")


def in_order(name):
    """Sort key: the numbers in a name, as numbers."""
    return [int(digits[:18]) for digits in re.findall("[0-9]+", name)] or [0]


class NoNode(TelemetryError):
    """There is not exactly one node to talk to."""


def probe(path, timeout):
    """(what it is, its status or why not): "node", "dead", "other", "denied"."""
    try:
        with Node(path, timeout) as node:
            if "/ccm/status" not in node.commands():
                return "other", "another DPDK process"
            return "node", node.status()
    except TelemetryError as error:
        text = str(error).removeprefix(f"{path}: ")
        if "has died" in text:
            return "dead", text
        return "denied" if "as root" in text else "silent", text


def local_nodes(timeout):
    """All that can be seen of this machine: (file prefix, path, what, status or why)."""
    return [(prefix, path, *probe(path, timeout)) for prefix, path in all_sockets()]


def hidden_hints():
    return [f"{folder} may not be read: try as root" for folder in hidden_folders()]


def find_node(file_prefix, path, timeout):
    """The socket that was asked for, or that of the only node of this machine."""
    if path:
        return path
    if file_prefix:
        try:
            return find_socket(file_prefix)
        except TelemetryError as error:
            for prefix, found in all_sockets():
                if prefix == file_prefix:
                    return found
            raise NoNode("; ".join([str(error), *hidden_hints()])) from error
    seen = local_nodes(min(timeout, 3.0))
    nodes = [(prefix, path) for prefix, path, what, _ in seen if what == "node"]
    if len(nodes) == 1:
        return nodes[0][1]
    if nodes:
        names = ", ".join(clean(prefix) for prefix, _ in nodes)
        raise NoNode(f"{len(nodes)} nodes run here; choose one with --file-prefix: {names}")
    dead = sum(what == "dead" for _, _, what, _ in seen)
    parts = [f"{clean(prefix)}: {why}" for prefix, _, what, why in seen if what not in ("node", "dead")][:4]
    parts += [f"sockets left behind by dead processes: {dead}"] if dead else []
    parts += hidden_hints()
    raise NoNode("no ccm-node runs here" + (f" ({'; '.join(parts)})" if parts else ""))
