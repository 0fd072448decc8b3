# SPDX-License-Identifier: BSD-3-Clause
"""ccmctl: ask a node of this machine how it stands.

Exit status of status and watch: 0 up, 1 degraded, 2 down, 3 no node or no answer. Of doctor: 0 all
ok, 1 warnings, 2 errors. Of the other commands: 0 done, 1 not done, 3 no node or no answer. Of all:
64 wrong usage, 70 a fault of ccmctl itself.
"""
import argparse
import contextlib
import difflib
import io
import json
import os
import re
import signal
import sys
import time
import traceback

from . import VERSION, bundle, doctor, live, meaning, status, views
from .node import Node, find_node, local_nodes
from .telemetry import TelemetryError
from .text import Screen, clean, duration, plural
from .text import size as human_size

NO_ANSWER, USAGE, OWN_FAULT = 3, 64, 70
NAME = re.compile(r"^[A-Za-z0-9._-]{1,31}$")


class Parser(argparse.ArgumentParser):
    """2 means "down", so wrong usage is something else."""

    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def seconds(text):
    value = float(text)
    if not 0.05 <= value <= 3600:
        raise argparse.ArgumentTypeError("seconds are from 0.05 to 3600")
    return value


def number(low, high):
    def parse(text):
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"allowed: {low} to {high}")
        return value

    parse.__name__ = "number"
    return parse


def name(text):
    if not NAME.match(text):
        raise argparse.ArgumentTypeError("a name is 1 to 31 of A-Z a-z 0-9 . _ -")
    return text


def common_options():
    """Before and after the command's name alike."""
    common = argparse.ArgumentParser(add_help=False)
    add = common.add_argument
    where = common.add_mutually_exclusive_group()
    where.add_argument(
        "-p",
        "--file-prefix",
        default=argparse.SUPPRESS,
        metavar="PREFIX",
        help="of the node, as EAL's option; not needed when only one runs here",
    )
    where.add_argument("--socket", default=argparse.SUPPRESS, metavar="PATH", help="its telemetry socket")
    add("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    add("--timeout", type=seconds, default=argparse.SUPPRESS, metavar="S", help="seconds per answer (10)")
    add(
        "--colour",
        "--color",
        choices=("auto", "always", "never"),
        default=argparse.SUPPRESS,
        help="auto: on a terminal, without NO_COLOR",
    )
    add("--columns", type=number(20, 1000), default=argparse.SUPPRESS, metavar="N", help=argparse.SUPPRESS)
    return common


def build_parser():
    common = common_options()
    parser = Parser(
        prog="ccmctl",
        parents=[common],
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ccmctl {VERSION}")
    parser.set_defaults(run=run_status)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    def add(word, text, run):
        sub = commands.add_parser(word, parents=[common], help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    add("status", "is it connected, and if not why, and what to do (also without COMMAND)", run_status)
    sub = add("partners", "the sessions as a table, or all about one partner", run_partners)
    sub.add_argument("id", nargs="?", type=number(1, 65535))
    add("clients", "who uses the sessions", run_view(lambda node, args: views.clients(node)))
    sub = add(
        "ports",
        "the clients' ports, of all partners or of one",
        run_view(lambda node, args: views.ports(node, args.id)),
    )
    sub.add_argument("id", nargs="?", type=number(1, 65535))
    sub = add("events", "what happened, oldest first", run_events)
    sub.add_argument("-f", "--follow", action="store_true", help="go on as they come, also over restarts")
    sub.add_argument(
        "-n", "--lines", type=number(0, 100000), default=0, metavar="N", help="the last N (all)"
    )
    add(
        "timing",
        "how long each step of the last set-up took",
        run_view(lambda node, args: views.timing(node)),
    )
    add("drops", "dropped frames by reason", run_view(lambda node, args: views.drops(node)))
    add("latency", "round trips per queue pair", run_view(lambda node, args: views.latency(node)))
    sub = add("boot", "how far this node has booted; set STAGE [PROGRESS]: tell it", run_boot)
    sub.add_argument("action", nargs="?", choices=("set",))
    sub.add_argument("stage", nargs="?", type=name)
    sub.add_argument("progress", nargs="?", type=number(0, 2**32 - 1), default=0)
    add(
        "capture",
        "the node's own capture of frames (--pcap)",
        run_view(lambda node, args: views.capture(node)),
    )
    add(
        "config",
        "settings in force, with what the file left out",
        run_view(lambda node, args: views.config(node)),
    )
    add(
        "reload",
        "have the node read its configuration again (SIGHUP), and say what became of it",
        run_reload,
    )
    sub = add("watch", "the status, drawn again and again", run_watch)
    sub.add_argument("-i", "--interval", type=seconds, default=1.0, metavar="S", help="seconds between (1)")
    sub.add_argument(
        "-c",
        "--count",
        type=number(0, 1000000),
        default=0,
        metavar="N",
        help="end after N screens (0: never)",
    )
    sub = add(
        "doctor", "is this machine fit for a node; with a running one or with its configuration", run_doctor
    )
    sub.add_argument("--config", metavar="FILE", help="of the node (default: that of the running one)")
    sub.add_argument("--device", metavar="NAME", help="its port: a PCI address or a network interface")
    sub.add_argument("--root", default="/", metavar="DIR", help=argparse.SUPPRESS)
    sub.add_argument("eal", nargs="*", metavar="-- EAL ARGUMENTS", help="as for ccm-node")
    sub = add("support-bundle", "all that somebody needs who was not there, in one file", run_bundle)
    sub.add_argument("-o", "--output", metavar="FILE", help="a new file (ccm-support-NODE-TIME.tar.gz)")
    sub.add_argument("--config", metavar="FILE", help="the node's configuration, to be added")
    sub.add_argument("--log", metavar="FILE", help="the node's log, to be added (its end)")
    sub.add_argument("--secrets", action="store_true", help="with the keys of memory regions")
    sub = add("explain", "what a word means that is shown here, and what to do; all words without one", run_explain)
    sub.add_argument("word", nargs="?")
    add("nodes", "which nodes run on this machine", run_nodes)
    return parser


# ---- commands: each returns an exit status


def show(args, data, render):
    if args.json:
        args.screen.say(json.dumps(data, indent=2))
    else:
        args.screen.say(render(args.screen))


def complain(args, text):
    """One line for people; with --json an object too, since whoever reads that reads nothing else."""
    if args.json:
        args.screen.say(json.dumps({"error": text}))
    print(f"ccmctl: {text}", file=sys.stderr)


def open_node(args):
    return Node(find_node(args.file_prefix, args.socket, args.timeout), args.timeout)


def run_status(args):
    with open_node(args) as node:
        report = status.gather(node)
    show(args, report, lambda screen: status.render(report, screen))
    return status.CODES[report["state"]]


def run_view(view):
    def run(args):
        with open_node(args) as node:
            data, render = view(node, args)
        show(args, data, render)
        return 0

    return run


def run_partners(args):
    return run_view(lambda node, _: views.partners(node, args.id))(args)


def run_events(args):
    if args.follow:
        return live.follow(
            lambda: find_node(args.file_prefix, args.socket, args.timeout),
            args.timeout,
            args.screen,
            args.lines,
            args.json,
        )
    return run_view(lambda node, _: views.events(node, args.lines))(args)


def run_boot(args):
    if not args.action:
        return run_view(lambda node, _: views.boot(node))(args)
    if not args.stage:
        args.parser.error("boot set: name of the stage is missing")
    with open_node(args) as node:
        told = node.set_boot(args.stage, args.progress)
    show(args, told, lambda _: [f"told: {told.text('name')}, progress {told.num('progress')}"])
    return 0


def run_reload(args):
    """0: what may change while the node runs has been taken over; 1: refused, all is as before."""
    with open_node(args) as node:
        before, pid = node.reload().num("count"), node.status().num("pid")
        if pid is None or pid < 2:
            raise TelemetryError("the node does not tell its process")
        try:
            os.kill(pid, signal.SIGHUP)
        except OSError as error:
            complain(args, f"process {pid}: {error.strerror}")
            return 1
        while (answer := node.reload()).num("count") == before:
            time.sleep(0.05)  # bounded by the node's deadline
    result = answer.text("result")
    show(args, answer, lambda screen: screen.wrap(f"{result}: {clean(answer.get('text'), 2000)}"))
    return 0 if result in ("applied", "unchanged") else 1


def run_watch(args):
    return live.watch(
        lambda: find_node(args.file_prefix, args.socket, args.timeout),
        args.timeout,
        args.screen,
        args.interval,
        args.count,
        args.json,
    )


def examine(args):
    """With a running node where there is one: the one asked for, or the only one, unless a
    configuration or arguments are given for one that is still to start."""
    wanted = args.file_prefix or args.socket
    given = args.config or args.device or args.eal
    path = None
    try:
        if wanted or not given:
            path = find_node(args.file_prefix, args.socket, args.timeout)
    except TelemetryError:
        if wanted:
            raise
    if path is None:
        return doctor.examine(None, args.config, args.device, args.eal, args.root)
    with Node(path, args.timeout) as node:
        return doctor.examine(node, args.config, args.device, args.eal, args.root)


def run_doctor(args):
    findings = examine(args)
    show(args, doctor.as_data(findings), lambda screen: doctor.render(findings, screen))
    return doctor.worst(findings)


def examine_for_bundle(args, path):
    """The doctor's lines and data."""
    try:
        with Node(path, args.timeout) if path else contextlib.nullcontext() as node:
            findings = doctor.examine(node, args.config)
    except TelemetryError:
        findings = doctor.examine(None, args.config)
    return doctor.render(findings, Screen(io.StringIO(), colour=False, columns=100)), doctor.as_data(
        findings
    )


def run_bundle(args):
    path = None
    try:
        path = find_node(args.file_prefix, args.socket, args.timeout)
    except TelemetryError as error:
        # A bundle is wanted most when nothing runs.
        print(f"ccmctl: {clean(str(error), 500)}; only the machine is described", file=sys.stderr)
    made, who = bundle.collect(
        path, args.timeout, args.config, args.log, args.secrets, lambda: examine_for_bundle(args, path)
    )
    try:
        file, size = bundle.save(made, who, args.output)
    except OSError as error:
        complain(args, f"{clean(str(error.filename), 200)}: {error.strerror}")
        return 1
    data = {"file": file, "bytes": size, "parts": sorted(made.parts), "notes": made.notes}

    def render(screen):
        lines = [f"{file}: {plural(len(made.parts), 'file')}, {human_size(size)}"]
        keys = "with" if args.secrets else "without"
        return lines + screen.wrap(
            f"Look at it before you give it away: host, network and cluster are"
            f" described in it, {keys} the keys of memory regions."
        )

    show(args, data, render)
    return 0


def run_explain(args):
    data, render = views.explain(args.word)
    if not data["words"]:
        near = difflib.get_close_matches(args.word, [name for _, name, _ in meaning.explain(None)], 3)
        hint = f"; did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""
        complain(args, f"no such word: {clean(args.word, 60)}{hint}")
        return 1
    show(args, data, render)
    return 0


def run_nodes(args):
    seen = local_nodes(min(args.timeout, 3.0))
    data = [
        {
            "file_prefix": prefix,
            "socket": path,
            "what": what,
            **({"node": answer} if what == "node" else {"why": answer}),
        }
        for prefix, path, what, answer in seen
    ]

    def render(screen):
        rows = [
            (
                prefix,
                answer.text("name"),
                answer.num("id"),
                answer.text("cluster"),
                answer.text("state"),
                answer.num("pid"),
                duration(answer.num("uptime_s")),
            )
            for prefix, _, what, answer in seen
            if what == "node"
        ]
        heads = ("file prefix", "node", "id", "cluster", "state", "pid", "runs for")
        lines = screen.table(heads, rows, "<<><<>>") if rows else ["no ccm-node runs here"]
        for prefix, _, what, why in seen:
            if what not in ("node", "dead"):
                lines += screen.wrap(f"{clean(prefix)}: {clean(why)}", 2, "")
        dead = sum(what == "dead" for _, _, what, _ in seen)
        return lines + ([f"sockets left behind by dead processes: {dead}"] if dead else [])

    show(args, {"nodes": data}, render)
    return 0 if any(what == "node" for _, _, what, _ in seen) else NO_ANSWER


def parse(argv):
    parser = build_parser()
    args = parser.parse_args(argv)
    defaults = {
        "file_prefix": None,
        "socket": None,
        "json": False,
        "timeout": 10.0,
        "colour": "auto",
        "columns": None,
    }
    for key, value in defaults.items():
        if not hasattr(args, key):
            setattr(args, key, value)
    args.parser = parser
    colour = {"auto": None, "always": True, "never": False}[args.colour]
    args.screen = Screen(colour=colour, columns=args.columns)
    return args


def main(argv=None):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leaves the terminal as it was
    try:
        args = parse(argv)
        try:
            return args.run(args)
        except TelemetryError as error:
            complain(args, clean(str(error), 500))
            return NO_ANSWER
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read has gone; nothing more may be written at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:  # pylint: disable=broad-except
        # Python's own status for this is 1, which means "degraded" here.
        traceback.print_exc()
        return OWN_FAULT
