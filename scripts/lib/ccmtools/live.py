# SPDX-License-Identifier: BSD-3-Clause
"""What goes on until interrupted: events as they come, and the screen that redraws itself."""
import contextlib
import json
import os
import select
import sys
import time

from . import status, views
from .node import Node
from .telemetry import TelemetryError
from .text import duration, size

CLEAR = "\033[H\033[J"
ENTER = "\033[?1049h\033[?25l"  # another screen, without a cursor
LEAVE = "\033[?25h\033[?1049l"
EVENTS = 8  # of the latest, below the status


class Follower:
    """Events that are new since the last look, whatever becomes of the node in between."""

    def __init__(self):
        self.seen = 0
        self.pid = None
        self.gone = False

    def news(self, node):
        pid = node.status().num("pid")
        restarted = self.pid is not None and pid != self.pid
        if restarted:
            self.seen = 0
        self.pid = pid
        events = node.events(self.seen)
        if events:
            self.seen = events[-1].num("seq", self.seen)
        return restarted, events


def follow(find, timeout, screen, count, as_json):
    """events -f: for ever. Waits for a node that has gone."""
    follower, path, node = Follower(), find(), None
    first = True
    while True:
        try:
            node = node or Node(path, timeout, total=float("inf"))
            restarted, events = follower.news(node)
            if follower.gone or restarted:
                note(
                    screen,
                    as_json,
                    "the node has been started again" if restarted else "the node answers again",
                )
            follower.gone = False
            for event in events[-count:] if first and count else events:
                if as_json:
                    event["time"] = views.wall_time(event)
                    screen.say(json.dumps(event))
                else:
                    screen.say(views.event_lines(event, screen))
            first = False
        except TelemetryError as error:
            if first:
                raise
            if node:
                node.telemetry.close()
            node = None
            if not follower.gone:
                note(screen, as_json, f"no answer from the node: {error}")
            follower.gone = True
        time.sleep(0.5 if node else 1.0)


def note(screen, as_json, text):
    if as_json:
        screen.say(json.dumps({"note": text, "time": time.time()}))
    else:
        screen.say(screen.paint("dim", f"{time.strftime('%H:%M:%S')}.---  -- {text}"))


class Rates:
    """Packets and bytes per second between two looks."""

    def __init__(self):
        self.last = None

    def line(self, stats):
        now = time.monotonic()
        new = [
            stats.num(name, 0)
            for name in ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "retransmits")
        ]
        old, self.last = self.last, (now, new)
        if not old or now - old[0] < 0.01 or any(b < a for a, b in zip(old[1], new)):
            return "traffic: measuring"
        rx, tx, rxb, txb, again = ((b - a) / (now - old[0]) for a, b in zip(old[1], new))
        return (
            f"traffic: in {rx:.0f} packets/s, {size(int(rxb))}/s; out {tx:.0f} packets/s,"
            f" {size(int(txb))}/s; repeated {again:.0f}/s"
        )


@contextlib.contextmanager
def keyboard():
    """Single keys of a terminal, restored at the end; nothing where there is none."""
    try:
        import termios
        import tty

        fd = sys.stdin.fileno()
        before = termios.tcgetattr(fd)
    except (ImportError, OSError, ValueError, termios.error):
        yield None
        return
    try:
        tty.setcbreak(fd)
        yield fd
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def wait(seconds, fd):
    """Whether somebody wants to quit."""
    if fd is None:
        time.sleep(seconds)
        return False
    ready, _, _ = select.select([fd], [], [], seconds)
    if not ready:
        return False
    key = os.read(fd, 16)
    return not key or key[:1] in b"qQ\x1b"


def frame(node, screen, rates):
    """(the report, its lines, those of each of the latest events)"""
    report = status.gather(node)
    lines = status.render(report, screen)
    lines += ["", *screen.wrap(rates.line(node.stats()), 2, "")]
    return report, lines, [views.event_lines(event, screen) for event in node.events()[-EVENTS:]]


def with_events(lines, events, room=None):
    """The latest events below, as many as there is room for."""
    shown = []
    for event in reversed(events):
        if room is not None and len(lines) + 1 + len(shown) + len(event) > room:
            break
        shown = event + shown
    return [*lines, "", *shown] if shown else lines


def fit(lines, events, screen, interval):
    """As many lines as the window has, with a last one that says how to leave."""
    foot = f"{time.strftime('%H:%M:%S')}  every {duration(interval)}; q quits"
    room = screen.rows - 2
    if len(lines) > room:
        lines = [*lines[: room - 1], screen.paint("dim", "... (a taller window shows more)")]
    return [*with_events(lines, events, room), "", screen.paint("dim", foot)]


def watch(find, timeout, screen, interval, count, as_json=False):
    """Redraw for ever, or count times. On no terminal, one screen after the other; as JSON, one report
    in each line."""
    node, rates, shown, path, code = None, Rates(), 0, find(), 3
    full = screen.tty and os.environ.get("TERM", "dumb") != "dumb" and not as_json
    with keyboard() as fd:
        try:
            if full:
                screen.out.write(ENTER)
            while True:
                try:
                    node = node or Node(path, timeout, total=float("inf"))
                    report, lines, events = frame(node, screen, rates)
                    code = status.CODES[report["state"]]
                except TelemetryError as error:
                    if node:
                        node.telemetry.close()
                    node, code = None, 3
                    lines, events = screen.wrap(f"no answer from the node: {error}"), []
                    report = {"error": f"no answer from the node: {error}"}
                if as_json:
                    screen.say(json.dumps({"time": round(time.time(), 3), **report}))
                elif full:
                    screen.out.write(CLEAR)
                    # No newline behind the last line: it would move the first one out of the window.
                    screen.out.write("\n".join(fit(lines, events, screen, interval)))
                    screen.out.flush()
                else:
                    screen.say([*with_events(lines, events), "-" * min(screen.columns, 40)])
                shown += 1
                if shown == count or wait(interval, fd if full else None):
                    return code
        finally:
            if node:
                node.telemetry.close()
            if full:
                screen.out.write(LEAVE)
                screen.out.flush()
