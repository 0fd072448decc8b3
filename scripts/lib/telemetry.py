#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Ask a DPDK process questions over its telemetry socket (version 2).

usage: telemetry.py [--file-prefix P | --socket PATH] [--timeout S] CMD[,PARAMETERS]...

Prints one line of JSON per command. Exit status 1, with one line on standard error, when there is
no socket or no answer. As a module: Telemetry(path).ask("/ethdev/list").
"""
import argparse
import json
import os
import socket
import sys

SOCKET_NAME = "dpdk_telemetry.v2"


class TelemetryError(Exception):
    """No socket, no answer, or an answer that is not JSON."""


def socket_paths(file_prefix="rte"):
    """Where a process with this file prefix may have its socket, likeliest first."""
    bases = ["/var/run"] if os.geteuid() == 0 else []
    bases += [os.environ.get("RUNTIME_DIRECTORY"), os.environ.get("XDG_RUNTIME_DIR"), "/tmp"]
    return [os.path.join(base, "dpdk", file_prefix, SOCKET_NAME) for base in bases if base]


def find_socket(file_prefix="rte"):
    paths = socket_paths(file_prefix)
    for path in paths:
        if os.path.exists(path):
            return path
    raise TelemetryError(f"no telemetry socket of file prefix {file_prefix}: {', '.join(paths)}")


class Telemetry:
    """One connection. The process greets first; then every command has one reply."""

    def __init__(self, path, timeout=20.0):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.sock.settimeout(timeout)
            self.sock.connect(path)
            self.greeting = self._receive(4096)
            self.max_output = int(self.greeting["max_output_len"])
        except (OSError, KeyError, TypeError, ValueError, TelemetryError) as error:
            self.sock.close()
            raise TelemetryError(f"{path}: {error or type(error).__name__}") from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def _receive(self, size):
        data = self.sock.recv(size)
        if not data:
            raise TelemetryError("connection closed")
        try:
            return json.loads(data.rstrip(b"\0").decode())
        except ValueError as error:
            raise TelemetryError(f"answer is not JSON ({error}): {data[:80]!r}") from error

    def ask(self, command):
        """The whole reply, {command: value}."""
        try:
            self.sock.send(command.encode())
            return self._receive(self.max_output + 1024)
        except (OSError, TelemetryError) as error:
            raise TelemetryError(f"{command}: {error or type(error).__name__}") from error


def main():
    parser = argparse.ArgumentParser(description="Client of DPDK's telemetry socket.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--file-prefix", default="rte", help="of the DPDK process (rte)")
    where.add_argument("--socket", help="path of the socket")
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds per answer (20)")
    parser.add_argument("commands", nargs="+", metavar="CMD[,PARAMETERS]")
    args = parser.parse_args()
    try:
        path = args.socket or find_socket(args.file_prefix)
        with Telemetry(path, args.timeout) as telemetry:
            for command in args.commands:
                print(json.dumps(telemetry.ask(command)), flush=True)
    except TelemetryError as error:
        print(f"telemetry: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
