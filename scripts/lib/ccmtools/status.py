# SPDX-License-Identifier: BSD-3-Clause
"""One screen: is this node connected, and if not why, and what to do.

judge() makes a report of plain data (what --json prints), render() makes lines of it.
"""
import collections

from . import meaning
from .node import Record, in_order
from .telemetry import TelemetryError
from .text import duration, plural, size

STATES = ("up", "degraded", "down")
CODES = {"up": 0, "degraded": 1, "down": 2}
STYLES = {"up": "good", "degraded": "warn", "down": "bad"}
STILL_S = 2.0  # a control core that has not turned for so long stands still
LABEL = 9  # columns of "why", "advice", "do"
CONNECTED_MAX = 8  # partners that are up, one line each
WORTH_WARNING = ("stuck", "hung", "refused", "unreachable", "leaving", "link_down")


def headline(verdict, reason):
    """What is told first: the verdict, and the reason where it says more."""
    says_more = verdict in ("refused", "connecting", "unreachable", "link_down")
    if says_more and reason not in ("none", "?", verdict, "no_answer", "waiting"):
        return f"{verdict}: {reason}"
    return verdict


def what_of(partner, verdict, reason):
    text = meaning.lookup(meaning.VERDICTS, verdict).what
    more = meaning.REASONS[reason].what if reason in meaning.REASONS else ""
    if verdict in ("starting", "progressing", "stuck"):
        stage = partner.text("boot_name", "")
        text += f"; stage {partner.num('boot_stage', 0)} of {partner.num('boot_stages', 0)}"
        text += f", {stage}" if stage else ""
        budget, age = partner.seconds("boot_budget_ms"), partner.seconds("boot_age_us")
        if verdict == "stuck" and age is not None:
            text += f", without progress for {duration(age)}, allowed {duration(budget)}"
        return text
    if verdict == "unreachable":
        heard = partner.seconds("last_answer_ms")
        text += "; never since this node started" if heard is None else f"; last {duration(heard)} ago"
    if verdict == "refused" and more:
        text = more
    elif reason not in ("none", "?", "no_answer", "waiting", verdict) and more not in ("", text):
        text += f": {more}"
    if reason == "partner_refused":
        theirs = partner.text("partner_reason")
        text += f" ({theirs}: {meaning.lookup(meaning.REASONS, theirs).what})"
    if reason == "version" and partner.num("partner_version_max"):
        text += f"; it offers {partner.num('partner_version_min')} to {partner.num('partner_version_max')}"
        text += f", we {partner.num('version_min')} to {partner.num('version_max')}"
    if reason == "timing" and partner.num("beat_us"):
        text += f"; it beats every {duration(partner.seconds('beat_us'))}"
    return text


def todo_of(partner, verdict, reason):
    """The reason's advice, which is closer to the cause, and then the verdict's; no more than 4."""
    steps = []
    if reason == "partner_refused":
        steps += meaning.lookup(meaning.REASONS, partner.text("partner_reason")).todo
    never = verdict == "unreachable" and partner.seconds("last_answer_ms") is None
    if verdict in ("refused", "connecting") or never:
        first = meaning.lookup(meaning.REASONS, reason).todo
        steps += first if verdict != "unreachable" else []
    steps += meaning.lookup(meaning.VERDICTS, verdict).todo
    if never:
        steps += [meaning.ADDRESSES, meaning.DOCTOR]
    return list(dict.fromkeys(steps))[:4]


def address_of(partner):
    """Where this node looks for it; None where that is not told."""
    mac, ip, qpn = partner.text("mac", ""), partner.text("ip", ""), partner.num("remote_qpn")
    return f"{mac}, {ip}, queue pair {qpn:#x}" if mac and ip and qpn is not None else None


def judge_partner(partner):
    """A partner as /ccm/partner has it, or as much of it as there is."""
    if partner.get("error"):
        partner = Record(id=partner.num("id"), verdict="unknown", reason="unknown")
    verdict, reason = partner.text("verdict"), partner.text("reason")
    connected = partner.get("state") == "up"
    wrong = not connected or verdict in WORTH_WARNING
    return {
        "id": partner.num("id"),
        "connected": connected,
        "state": partner.text("state"),
        "verdict": verdict,
        "reason": reason,
        "advice": partner.text("advice"),
        "headline": headline(verdict, reason),
        "what": what_of(partner, verdict, reason),
        "todo": todo_of(partner, verdict, reason) if wrong else [],
        "since_s": partner.seconds("since_ms"),
        "last_answer_s": partner.seconds("last_answer_ms"),
        "last_down_reason": partner.text("last_down_reason"),
        "ports": partner.num("ports"),
        "path_mtu": partner.num("path_mtu"),
        "version": partner.num("version"),
        "setup_us": partner.num("setup_us"),
        "sessions": partner.num("sessions"),
        "role": partner.text("role"),
        "address": address_of(partner),
    }


def judge_client(client):
    states = [str(state) for state in client.sub("partners").values()]
    return {
        "name": client.text("name"),
        "ports": client.num("ports"),
        "memory_bytes": client.num("memory_bytes"),
        "partners": {name.removeprefix("partner_"): str(state)
                     for name, state in sorted(client.sub("partners").items())},
        "counts": dict(collections.Counter(states)),
    }  # fmt: skip


def overall(status, partners, clients, still):
    """up: all sessions and nothing to complain of; down: none."""
    if still:
        return "down"
    state = status.text("state")
    if state not in STATES:
        return "down"
    worries = any(p["verdict"] in WORTH_WARNING for p in partners)
    worries |= any("refused" in c["counts"] for c in clients)
    return "degraded" if state == "up" and worries else state


def gather(node):
    """Ask a node all that the screen shows."""
    status = node.status()
    partners = node.partners()
    for partner in partners:
        if partner.num("id") is None:  # it only says that the control core stands still
            partner["id"] = in_order(partner.key)[-1]
    # Details only where they are needed: a stage's name, the offered versions.
    detailed = []
    for partner in partners:
        if partner.num("id") is not None and partner.get("verdict") != "up" and len(detailed) < 64:
            try:
                partner.update(node.partner(partner.num("id")))
            except TelemetryError as error:
                if "stands still" not in str(error):
                    raise
            detailed.append(partner)
    try:
        config = node.config()
    except TelemetryError:
        config = Record()  # an older node
    return judge(status, partners, node.clients(), node.port(), config)


def judge(status, partners, clients, port, config):
    age = status.seconds("control_age_ms")
    still = age is not None and age > STILL_S
    parts = [judge_partner(partner) for partner in partners]
    users = [judge_client(client) for client in clients]
    mtu = max([p["path_mtu"] or 0 for p in parts], default=0)
    return {
        "state": overall(status, parts, users, still),
        "control_still_s": age if still else None,
        "node": {
            "id": status.num("id"), "name": status.text("name"), "cluster": status.text("cluster"),
            "role": status.text("role"), "version": status.text("version"), "pid": status.num("pid"),
            "uptime_s": status.num("uptime_s"), "partners": status.num("partners"),
            "partners_up": status.num("partners_up"),
        },
        "port": {
            "name": port.text("name"), "driver": port.text("driver"), "mac": config.sub("port").text("mac", port.text("mac")),
            "ip": port.text("ip"), "mtu_bytes": port.num("mtu_bytes"),
            "link_up": bool(port.num("link_up")), "path_mtu": mtu or None,
        },
        "partners": parts,
        "clients": users,
    }  # fmt: skip


def ranges(numbers):
    """2, 3, 4, 9 as "2-4, 9"."""
    parts, numbers = [], sorted(number for number in numbers if number is not None)
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def name_of(parts):
    return ("partner " if len(parts) == 1 else "partners ") + ranges(part["id"] for part in parts)


def render(report, screen):
    lines = [*render_node(report, screen), ""]
    wrong = [p for p in report["partners"] if not p["connected"] or p["todo"]]
    fine = [p for p in report["partners"] if p["connected"] and not p["todo"]]
    groups = collections.defaultdict(list)
    for part in wrong:
        groups[part["connected"], part["headline"], part["advice"] if "advice" in part else ""].append(part)
    for parts in groups.values():
        lines += [*render_wrong(parts, screen), ""]
    lines += render_fine(fine, screen)
    lines += render_clients(report, screen)
    while lines and not lines[-1]:
        lines.pop()
    return lines


def render_node(report, screen):
    node, port = report["node"], report["port"]
    total, up = node["partners"] or 0, node["partners_up"] or 0
    state = screen.paint(STYLES[report["state"]], report["state"].upper())
    name = screen.paint("bold", node["name"])
    lines = screen.wrap(f"{name}: {state}, {up} of {plural(total, 'partner')} connected", 2, "")
    if report["control_still_s"] is not None:
        still = meaning.STANDS_STILL
        lines += labelled("why", f"{still.what} (for {duration(report['control_still_s'])})", screen)
        lines += bullets(still.todo, screen)
    lines += screen.wrap(
        f"node {node['id']} of cluster {node['cluster']}, {node['role']}; ccm-node {node['version']},"
        f" process {node['pid']}, running for {duration(node['uptime_s'])}", 2,
    )  # fmt: skip
    link = "link up" if port["link_up"] else screen.paint("bad", "NO LINK")
    lines += screen.wrap(
        f"port {port['name']} ({port['driver']}), {link}, {port['mac']}, {port['ip']},"
        f" MTU {port['mtu_bytes']}", 2,
    )  # fmt: skip
    return lines


def labelled(label, text, screen):
    return screen.wrap(text, 2 + LABEL, f"  {label:<{LABEL}}")


def bullets(steps, screen):
    lines = []
    for count, step in enumerate(steps, 1):
        lines += screen.wrap(step, 5 + LABEL, f"  {'do' if count == 1 else '':<{LABEL}}{count}. ")
    return lines


def render_wrong(parts, screen):
    """Partners of which the same is to be said, together."""
    part = parts[0]
    since = max(p["since_s"] or 0 for p in parts) if "since_s" in part else None
    if part["connected"]:
        head = screen.paint("warn", "connected, but " + part["headline"])
    else:
        head = screen.paint("bad", "NOT CONNECTED: " + part["headline"])
        head += f", for {duration(since)}" if since is not None else ""
    lines = screen.wrap(f"{name_of(parts)}: {head}", 2, "")
    lines += labelled("why", part["what"], screen)
    if len(parts) == 1 and part.get("address") and not part["connected"]:
        lines += labelled("at", part["address"], screen)
    advice = meaning.advice(part.get("advice"), part.get("verdict"))
    if advice:
        lines += labelled("advice", advice, screen)
    was = part.get("last_down_reason")
    if was not in (None, "none", "?", part["reason"]):
        text = meaning.lookup(meaning.REASONS, was).what
        if text not in part["what"]:  # it would say the same twice
            lines += labelled("before", f"the last session ended by {was}: {text}", screen)
    return lines + bullets(part["todo"], screen)


def render_fine(parts, screen):
    lines = []
    if len(parts) > CONNECTED_MAX:
        return [*screen.wrap(f"{name_of(parts)}: {screen.paint('good', 'connected')}", 2, ""), ""]
    for part in parts:
        head = screen.paint("good", "connected")
        if part["verdict"] != "up":
            head += f" ({part['headline']})"
        text = f"{name_of([part])}: {head} for {duration(part['since_s'])}"
        text += f"; {plural(part['ports'] or 0, 'port')}, path MTU {part['path_mtu']}"
        if part["setup_us"]:
            text += f", set up in {duration(part['setup_us'] / 1e6)}"
        if part["last_answer_s"] is not None:
            text += f", last answer {duration(part['last_answer_s'])} ago"
        lines += screen.wrap(text, 2, "")
        if part["verdict"] not in ("up", "?"):
            lines += labelled("why", part["what"], screen)
    return [*lines, ""] if lines else []


def render_clients(report, screen):
    if not report["clients"]:
        return ["no clients are configured"]
    rows = []
    for client in report["clients"]:
        words = [
            f"{count} {meaning.CLIENT_STATES.get(state, state)}" if len(client["partners"]) > 1
            else meaning.CLIENT_STATES.get(state, state)
            for state, count in sorted(client["counts"].items())
        ]  # fmt: skip
        rows.append((client["name"], client["ports"], size(client["memory_bytes"]), ", ".join(words)))
    style = ((3, lambda cell: "warn" if cell.strip() != "connected" and "connected" not in cell else None),)
    return screen.table(("client", "ports", "memory", "with the partner"), rows, "<>><", styles=style)
