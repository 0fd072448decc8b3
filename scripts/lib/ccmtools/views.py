# SPDX-License-Identifier: BSD-3-Clause
"""The other answers as tables: partners, clients, ports, events, timing, drops, latency, boot.

Each function takes the node and returns (data for --json, function of a screen that gives lines).
"""
import time

from . import meaning
from .node import in_order
from .telemetry import TelemetryError
from .text import clean, duration, plural, size


def state_style(cell):
    word = cell.strip()
    return "good" if word in ("up", "connected") else "bad" if word in ("refused", "hung") else None


def word_of(partner, field):
    """What a word in an answer about a partner means."""
    value = partner.text(field, "")
    if field == "advice":
        return meaning.advice(value, partner.text("verdict")) or ""
    if field == "verdict":
        return meaning.lookup(meaning.VERDICTS, value).what
    if field.endswith("reason") and (value != "none" or field == "reason"):
        return meaning.lookup(meaning.REASONS, value).what
    return meaning.STATES.get(value, "") if field == "state" else ""


def explain(word):
    """What a word means that ccmctl, the log, telemetry or metrics show; all words without one."""
    found = meaning.explain(word)

    def render(screen):
        if word is None:
            rows = [(kind, name, known.what) for kind, name, known in found]
            return screen.table(("kind", "word", "what it means"), rows)
        lines = []
        for kind, name, known in found:
            lines += ["", *screen.wrap(f"{name}, {kind}: {known.what}", 2, "")]
            for count, step in enumerate(known.todo, 1):
                lines += screen.wrap(step, 5, f"  {count}. ")
        return lines[1:]

    return {"words": [{"word": name, "kind": kind, **known._asdict()} for kind, name, known in found]}, render


def partners(node, number=None):
    records = [node.partner(number)] if number is not None else node.partners()

    def render(screen):
        if number is not None:
            rows = [(name, value, word_of(records[0], name)) for name, value in records[0].items()]
            return screen.table(("field", "value", "which means"), rows)
        rows = [
            (
                p.num("id"),
                p.text("state"),
                p.text("verdict"),
                p.text("reason"),
                p.text("advice"),
                duration(p.seconds("since_ms")),
                duration(p.seconds("last_answer_ms")),
                p.num("sessions"),
                p.num("ports"),
                p.num("path_mtu"),
            )
            for p in records
        ]
        heads = (
            "id",
            "state",
            "verdict",
            "reason",
            "advice",
            "since",
            "answered",
            "sessions",
            "ports",
            "mtu",
        )
        return screen.table(heads, rows, "><<<<>>>>>", styles=((1, state_style), (2, state_style)))

    return {"partners": records}, render


def clients(node):
    records = node.clients()

    def render(screen):
        rows = []
        for c in records:
            states = [str(s) for s in c.sub("partners").values()]
            words = ", ".join(
                f"{name.removeprefix('partner_')}: {state}"
                for name, state in sorted(c.sub("partners").items())
                if state != "connected"
            )
            rows.append(
                (
                    c.text("name"),
                    c.text("kind", "-"),
                    c.num("ports"),
                    size(c.num("memory_bytes")),
                    f"{states.count('connected')} of {len(states)}",
                    c.num("posted"),
                    c.num("completed"),
                    c.num("errors"),
                    words or "-",
                )
            )
        heads = ("client", "kind", "ports", "memory", "connected", "posted", "completed", "errors", "others")
        return screen.table(heads, rows, "<<>>>>>><") if rows else ["no clients are registered"]

    return {"clients": records}, render


def ports(node, number=None):
    records = node.ports(number or 0)

    def render(screen):
        rows = [
            (
                p.num("partner_id"),
                p.text("client"),
                p.num("index"),
                "up" if p.num("connected") else "not yet",
                hexadecimal(p.num("qpn")),
                hexadecimal(p.num("remote_qpn")),
                size(p.num("length_bytes")),
                p.num("completed"),
                p.num("errors"),
            )
            for p in records
        ]
        heads = ("partner", "client", "port", "state", "qpn", "its qpn", "memory", "done", "errors")
        lines = screen.table(heads, rows, "><><>>>>>", styles=((3, state_style),))
        return lines if rows else ["no ports: no session is that far (ccmctl status)"]

    return {"ports": records}, render


def hexadecimal(value):
    return None if value is None else f"{value:#x}"


def wall_time(event, now=None):
    """When it was, by this machine's clock."""
    age = event.seconds("age_us")
    return None if age is None else (now or time.time()) - age


def event_lines(event, screen, now=None):
    when = wall_time(event, now)
    stamp = "--:--:--.---"
    if when is not None:
        stamp = time.strftime("%H:%M:%S", time.localtime(when)) + f".{int(when % 1 * 1000):03d}"
    to = event.text("to")
    style = (
        "good"
        if to == "up"
        else "bad"
        if to in ("closing", "refused", "hung", "stuck", "unreachable")
        else None
    )
    what = "" if event.get("kind") == "state" else "verdict "
    reason = event.text("reason")
    line = f"{stamp}  partner {event.num('partner_id')}  {what}{event.text('from')} -> "
    line += screen.paint(style, to) if style else to
    return screen.wrap(line + (f"  ({reason})" if reason not in ("none", "?") else ""), 2, "")


def events(node, count):
    records = node.events()
    shown = records[-count:] if count else records
    now = time.time()
    for event in shown:
        when = wall_time(event, now)
        if when is not None:
            event["time"] = round(when, 6)

    def render(screen):
        lines = [line for event in shown for line in event_lines(event, screen, now)]
        return lines or ["no events yet"]

    return {"events": shown, "total": len(records)}, render


def timing(node):
    records = node.timing()
    status = {p.num("id"): p for p in node.partners()}

    def render(screen):
        lines = []
        for record in records:
            number = record.num("id")
            total = record.seconds("setup_ns")
            if lines:
                lines.append("")
            if not total:
                lines.append(f"partner {number}: no session has come up yet")
                continue
            partner = status.get(number)
            lines += screen.wrap(
                f"partner {number}: the last set-up took {duration(total)}"
                f" ({plural(partner.count('sessions') if partner else 0, 'session')},"
                f" {plural(partner.count('attempts') if partner else 0, 'attempt')})"
            )
            rows = [(name, duration(record.seconds(key + "_ns")), what) for key, (name, what) in meaning.STEPS.items()]
            lines += screen.table(("step", "took", "what"), rows, "<><", 2)
        return lines or ["no partners"]

    return {"timing": records}, render


def drops(node):
    counters = node.drops()
    port = node.port()

    def render(screen):
        some = [
            (name, counters.num(name), meaning.DROPS.get(name, ""))
            for name in counters
            if counters.num(name)
        ]
        lost = [(name, port.num(name), what) for name, what in meaning.LOST.items() if port.num(name)]
        lines = screen.table(("dropped", "frames", "what it may be"), some, "<><") if some else []
        lines = lines or [screen.paint("good", "no frame has been dropped")]
        if lost:
            lines += ["", *screen.table(("lost at the port", "frames", "what it may be"), lost, "<><")]
        return lines

    return {"drops": counters, "port": {name: port.num(name) for name in meaning.LOST}}, render


def latency(node):
    """Smoothed round trips, measured on the traffic itself, per queue pair."""
    qps = node.qps()
    own = {p.num("qpn"): p for p in node.ports()}
    numbers = {}
    for partner in node.partners():
        if partner.num("id") is None:
            continue
        try:
            detail = node.partner(partner.num("id"))
        except TelemetryError:
            continue
        numbers[detail.num("qpn")] = (detail.num("id"), partner)
    rows = []
    for qp in qps:
        port, boot = own.get(qp.num("qpn")), numbers.get(qp.num("qpn"))
        srtt = qp.num("srtt_ns")
        entry = {
            "qpn": qp.num("qpn"),
            "engine": qp.num("engine"),
            "rtt_ns": srtt or None,
            "partner_id": None,
            "use": "?",
            "setup_us": None,
        }
        if port:
            entry.update(
                partner_id=port.num("partner_id"), use=f"{port.text('client')} {port.num('index')}"
            )
        elif boot:
            entry.update(partner_id=boot[0], use="heartbeat", setup_us=boot[1].num("setup_us") or None)
        rows.append(entry)
    rows.sort(key=lambda e: (e["partner_id"] or 0, e["use"] != "heartbeat", e["use"]))

    def render(screen):
        table = [
            (
                e["partner_id"],
                e["use"],
                hexadecimal(e["qpn"]),
                duration(e["rtt_ns"] / 1e9) if e["rtt_ns"] else "not yet",
                duration(e["setup_us"] / 1e6) if e["setup_us"] else "-",
            )
            for e in rows
        ]
        lines = screen.table(
            ("partner", "queue pair of", "qpn", "round trip", "last set-up"), table, "><>>>"
        )
        note = "round trip: smoothed, from packet to acknowledgement, the partner's time to answer included"
        return [*lines, *screen.wrap(note)] if rows else ["no queue pairs"]

    return {"latency": rows}, render


def boot(node):
    answer = node.boot()

    def render(screen):
        total = answer.num("total", 0)
        if not total:
            return screen.wrap("this node tells no boot stages (boot_stages in the configuration)")
        now = answer.num("stage", 0)
        lines = screen.wrap(
            f"stage {now} of {total}: {answer.text('name')}, progress {answer.num('progress')},"
            f" budget {duration(answer.seconds('budget_ms')) if answer.num('budget_ms') else 'none'}"
        )
        for i in range(1, min(total, 64) + 1):
            mark = "->" if i == now else "  "
            lines.append(f"  {mark} {i} {answer.sub('stages').text(f'stage_{i}')}")
        return lines

    return answer, render


def config(node):
    """Settings in force, section by section."""
    answer = node.config()

    def render(screen):
        rows = []
        for section in answer:
            part = answer.sub(section)
            rows += [(f"{section}.{key}", part.get(key)) for key in part]
            rows += [(section, answer.get(section))] if not part else []
        return screen.table(("setting", "in force"), rows)

    return answer, render


def capture(node):
    """Frames captured by --pcap."""
    answer = node.ask("/ccm/capture")
    parts = answer.sub("file")
    answer["file"] = "".join(parts.text(name, "") for name in sorted(parts, key=in_order))

    def render(screen):
        if not answer.num("active"):
            return screen.wrap("frames are not captured: start ccm-node with --pcap FILE[,SIZE]")
        text = (
            f"{answer.num('frames')} frames, {answer.num('dropped')} lost, in {clean(answer['file'], 1100)}"
        )
        lines = screen.wrap(f"{text} and .1, {size(answer.num('max_bytes'))} at most")
        problem = answer.text("problem")
        return (
            lines
            if problem == "none"
            else [*lines, *screen.wrap(screen.paint("bad", f"it has ended: {problem}"))]
        )

    return answer, render
