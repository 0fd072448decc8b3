# SPDX-License-Identifier: BSD-3-Clause
"""ccm-exporter: metrics of a node for Prometheus, over HTTP at /metrics.

The node may come and go: while it does not answer there is ccm_up 0. Everything is bounded: clients at
a time, the time for each, and how often the node is asked, however many ask us.
"""
import argparse
import http.server
import re
import signal
import socket
import sys
import threading
import time

from . import VERSION, metrics
from .cli import USAGE, Parser, seconds
from .node import Node, find_node
from .telemetry import TelemetryError
from .text import clean

CLIENTS_MAX = 8
CLIENT_SECONDS = 10.0
FRESH_SECONDS = 0.5  # an answer this old is given to others too
PAGE = """<html><head><title>ccm-exporter</title></head>
<body><h1>ccm-exporter</h1><p><a href="/metrics">Metrics</a></p></body></html>
"""


class Source:
    """Asks the node, one at a time."""

    def __init__(self, file_prefix, path, timeout):
        self.where = (file_prefix, path, timeout)
        self.timeout = timeout
        self.lock = threading.Lock()
        self.last = None
        self.why = None  # the last complaint, so that it is logged once

    def families(self):
        with self.lock:
            if self.last and time.monotonic() - self.last[0] < FRESH_SECONDS:
                return self.last[1]
            families = self._ask()
            self.last = (time.monotonic(), families)
            return families

    def _ask(self):
        try:
            with Node(find_node(*self.where), self.timeout, total=self.timeout) as node:
                families = metrics.collect(node)
            if self.why:
                log("the node answers")
            self.why = None
            return families
        except TelemetryError as error:
            why = clean(str(error), 300)
            if why != self.why:
                log(why)
            self.why = why
            return metrics.down()


def log(text):
    print(f"ccm-exporter: {text}", file=sys.stderr, flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    server_version = f"ccm-exporter/{VERSION}"
    sys_version = ""
    timeout = CLIENT_SECONDS

    def do_GET(self):  # pylint: disable=invalid-name
        path = self.path.split("?", maxsplit=1)[0]
        if path == "/metrics":
            # As Prometheus asks; whoever does not know OpenMetrics gets the older format.
            openmetrics = "application/openmetrics-text" in self.headers.get("Accept", "")
            text = metrics.write(self.server.source.families(), openmetrics)
            self.reply(200, metrics.OPENMETRICS if openmetrics else metrics.TEXT, text)
        elif path == "/":
            self.reply(200, "text/html; charset=utf-8", PAGE)
        elif path == "/-/healthy":
            self.reply(200, "text/plain; charset=utf-8", "ok\n")
        else:
            self.reply(404, "text/plain; charset=utf-8", "not found: try /metrics\n")

    do_HEAD = do_GET

    def reply(self, code, kind, text):
        data = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *args):  # pylint: disable=arguments-differ
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16

    def __init__(self, address, source):
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.source = source
        self.places = threading.BoundedSemaphore(CLIENTS_MAX)
        super().__init__(address, Handler)

    def process_request(self, request, client_address):
        # A client that does nothing keeps its place for CLIENT_SECONDS; others wait in the queue.
        if not self.places.acquire(timeout=CLIENT_SECONDS):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, request, client_address):
        pass  # a client that has gone


def address(text):
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]*)):(\d{1,5})", text)
    if not match or int(match.group(3)) > 65535:
        raise argparse.ArgumentTypeError("an address is HOST:PORT, [IPv6]:PORT, or :PORT for all")
    return match.group(1) or match.group(2) or "0.0.0.0", int(match.group(3))


def parse(argv):
    parser = Parser(
        prog="ccm-exporter", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-p", "--file-prefix", metavar="PREFIX", help="of the node; not needed when only one runs here"
    )
    where.add_argument("--socket", metavar="PATH", help="its telemetry socket")
    parser.add_argument("--listen", type=address, default=("127.0.0.1", 9976), metavar="HOST:PORT",
                        help="where to serve (127.0.0.1:9976)")  # fmt: skip
    parser.add_argument(
        "--timeout", type=seconds, default=5.0, metavar="S", help="for all of the node's answers (5)"
    )
    parser.add_argument(
        "--once", action="store_true", help="print the metrics and exit: 0, or 3 without an answer"
    )
    parser.add_argument(
        "--format", choices=("openmetrics", "text"), default="openmetrics", help="of --once"
    )
    parser.add_argument("--version", action="version", version=f"ccm-exporter {VERSION}")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    source = Source(args.file_prefix, args.socket, args.timeout)
    if args.once:
        sys.stdout.write(metrics.write(source.families(), args.format == "openmetrics"))
        return 3 if source.why else 0
    try:
        server = Server(args.listen, source)
    except OSError as error:
        log(f"{args.listen[0]}:{args.listen[1]}: {error.strerror or error}")
        return USAGE if isinstance(error, socket.gaierror) else 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    log(f"listening on {server.server_address[0]}:{server.server_address[1]}")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 130
    finally:
        server.server_close()
    return 0
