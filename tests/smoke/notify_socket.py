#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A service manager's ear: writes each datagram that comes to a socket as a line to a file.

usage: notify_socket.py SOCKET FILE    SOCKET: a path, or @NAME for an abstract one

A line is the time (CLOCK_MONOTONIC, microseconds), the sender's process number, and the text with a
bar in place of each newline.
"""
import socket
import struct
import sys
import time


def main():
    name, path = sys.argv[1:]
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    sock.bind("\0" + name[1:] if name.startswith("@") else name)
    with open(path, "a", encoding="utf-8") as file:
        print("listening", file=file, flush=True)
        while True:
            text, ancillary, _, _ = sock.recvmsg(65536, 1024)
            pid = struct.unpack("3i", ancillary[0][2])[0]
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            line = text.decode(errors="replace").replace("\n", "|")
            print(now, pid, line, file=file, flush=True)


if __name__ == "__main__":
    main()
