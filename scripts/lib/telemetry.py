#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Ask a DPDK process questions over its telemetry socket (version 2).

usage: telemetry.py [--file-prefix P | --socket PATH] [--timeout S] CMD[,PARAMETERS]...

Prints one line of JSON per command. Exit status 1, with one line on standard error, when there is
no socket or no answer. As a module: Telemetry(path).ask("/ethdev/list").
"""
import argparse
import json
import sys

from ccmtools.telemetry import Telemetry, TelemetryError, find_socket, socket_paths

__all__ = ["Telemetry", "TelemetryError", "find_socket", "socket_paths"]


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
