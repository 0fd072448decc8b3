# SPDX-License-Identifier: BSD-3-Clause
"""Client of DPDK's telemetry socket (version 2), for sockets that may be slow, broken or hostile.

Everything is bounded: the time of each question from connect() on, the bytes of a reply and how
deep it nests. Whatever goes wrong is a TelemetryError with one line.
"""
import glob
import json
import os
import socket
import stat
import time

SOCKET_NAME = "dpdk_telemetry.v2"
REPLY_MAX = 1 << 20  # bytes: no DPDK says more
GREETING_MAX = 4096
RETRY_PAUSE = 0.05  # seconds, while all places of the process are taken


class TelemetryError(Exception):
    """No socket, no answer, or an answer that makes no sense."""


def one_line(error):
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:300]


def base_folders(of_others=False):
    """Where our DPDK processes have their runtime folders, likeliest first; and those of root.

    The variable CCM_RUNTIME_PATH, folders with a colon in between, is instead of all this.
    """
    if os.environ.get("CCM_RUNTIME_PATH"):
        return os.environ["CCM_RUNTIME_PATH"].split(":")
    bases = ["/var/run"] if os.geteuid() == 0 else []
    bases += [os.environ.get("RUNTIME_DIRECTORY"), os.environ.get("XDG_RUNTIME_DIR"), "/tmp"]
    bases += ["/var/run"] if of_others else []
    return list(dict.fromkeys(base for base in bases if base))


def socket_paths(file_prefix="rte"):
    """Where a process with this file prefix may have its socket, likeliest first."""
    return [os.path.join(base, "dpdk", file_prefix, SOCKET_NAME) for base in base_folders()]


def find_socket(file_prefix="rte"):
    paths = socket_paths(file_prefix)
    for path in paths:
        if os.path.exists(path):
            return path
    raise TelemetryError(f"no telemetry socket of file prefix {file_prefix}: {', '.join(paths)}")


def all_sockets():
    """Every telemetry socket that can be seen: (file prefix, path)."""
    found = {}
    for base in base_folders(of_others=True):
        # With --in-memory a second process of one prefix gets a number: dpdk_telemetry.v2:1
        pattern = os.path.join(glob.escape(base), "dpdk", "*", SOCKET_NAME + "*")
        for path in sorted(glob.glob(pattern)):
            try:
                info = os.stat(path)
            except OSError:
                continue
            if stat.S_ISSOCK(info.st_mode):
                prefix = os.path.basename(os.path.dirname(path))
                found.setdefault((info.st_dev, info.st_ino), (prefix, path))
    return sorted(found.values())


def hidden_folders():
    """Runtime folders that we may not look into."""
    folders = [os.path.join(base, "dpdk") for base in base_folders(of_others=True)]
    return [name for name in folders if os.path.isdir(name) and not os.access(name, os.R_OK | os.X_OK)]


def refuse_constant(name):
    raise ValueError(f"{name} is not JSON")


def decode(data):
    """The value of a reply; numbers are finite."""
    try:
        return json.loads(data.rstrip(b"\0").decode("utf-8"), parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        what = type(error).__name__ if isinstance(error, RecursionError) else one_line(error)
        raise TelemetryError(f"answer is not JSON ({what}): {data[:40]!r}") from error


class Telemetry:
    """One connection. The process greets first; then every command has one reply.

    timeout is for one question, or for connecting with the greeting. A deadline, on the monotonic
    clock, bounds them all together.
    """

    def __init__(self, path, timeout=20.0, deadline=None):
        self.path = path
        self.timeout = timeout
        self.deadline = deadline
        self.sock = None
        try:
            self._connect(self._end())
        except TelemetryError as error:
            self.close()
            raise TelemetryError(f"{path}: {error}") from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def _end(self):
        end = time.monotonic() + self.timeout
        return end if self.deadline is None else min(end, self.deadline)

    def _left(self, end):
        left = end - time.monotonic()
        if left <= 0:
            raise TelemetryError(self._late())
        return left

    def _late(self):
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return "gave up: too much time for all answers together"
        return f"no answer within {self.timeout:g} s"

    def _connect(self, end):
        while True:
            try:
                self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                self.sock.settimeout(self._left(end))
                self.sock.connect(self.path)
                greeting = self._receive(GREETING_MAX, end)
                break
            except (BlockingIOError, EOFError, ConnectionResetError, BrokenPipeError) as error:
                # Its queue is full, or it has hung up: DPDK serves ten clients at a time.
                self.close()
                if end - time.monotonic() <= RETRY_PAUSE:
                    raise TelemetryError("all places for clients are taken (DPDK has ten)") from error
                time.sleep(RETRY_PAUSE)
            except (OSError, ValueError) as error:
                raise TelemetryError(self._reason(error)) from error
        limit = greeting.get("max_output_len") if isinstance(greeting, dict) else None
        if not isinstance(limit, int) or isinstance(limit, bool) or not 0 < limit <= REPLY_MAX:
            raise TelemetryError(f"does not greet like a DPDK process: {str(greeting)[:80]!r}")
        self.greeting = greeting
        self.max_output = limit

    def _reason(self, error):
        if isinstance(error, TimeoutError):
            return self._late()
        if isinstance(error, ConnectionRefusedError):
            return "nobody listens: left behind by a process that has died"
        if isinstance(error, PermissionError):
            return f"{one_line(error)}: try as root, or as the user of the node"
        return one_line(error)

    def _receive(self, size, end):
        self.sock.settimeout(self._left(end))
        data, _, flags, _ = self.sock.recvmsg(size + 1)
        if not data:
            raise EOFError
        if len(data) > size or flags & socket.MSG_TRUNC:
            raise TelemetryError(f"reply of more than {size} bytes")
        return decode(data)

    def ask(self, command):
        """The whole reply, {command: value}."""
        end = self._end()
        try:
            if self.sock is None:
                raise TelemetryError("connection closed")
            self.sock.settimeout(self._left(end))
            self.sock.send(command.encode())
            return self._receive(self.max_output + 1024, end)
        except EOFError as error:
            self.close()
            raise TelemetryError(f"{command}: connection closed") from error
        except (OSError, ValueError, TelemetryError) as error:
            # A late reply would be taken for that of the next command.
            self.close()
            text = str(error) if isinstance(error, TelemetryError) else self._reason(error)
            raise TelemetryError(f"{command}: {text}") from error

    def value(self, command):
        """What the reply says, without the command's name around it."""
        reply = self.ask(command)
        name = command.split(",", maxsplit=1)[0]
        if not isinstance(reply, dict) or list(reply) != [name]:
            raise TelemetryError(f"{command}: answers another question: {str(reply)[:60]!r}")
        return reply[name]
