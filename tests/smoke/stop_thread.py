#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stop ONE thread of a process for some seconds; its other threads run on. Linux only.

usage: stop_thread.py [--tid TID | --name NAME] PID SECONDS

The main thread by default. Prints `stopped` when the thread stands and `resumed` when it runs again.
Works by ptrace: PTRACE_SEIZE and PTRACE_INTERRUPT, so no signal is sent and none is lost; should
this process die meanwhile, the kernel resumes the thread.
"""
import argparse
import ctypes
import os
import signal
import sys
import time

PTRACE_DETACH = 17
PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
PTRACE_EVENT_STOP = 128
WALL = 0x40000000  # wait for threads too

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, tid, data=0):
    ctypes.set_errno(0)
    if libc.ptrace(request, tid, None, data) == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def thread_named(pid, name):
    """The one thread of the process with this name."""
    found = []
    for tid in sorted(map(int, os.listdir(f"/proc/{pid}/task"))):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="utf-8") as file:
            if file.read().rstrip("\n") == name:
                found.append(tid)
    if len(found) != 1:
        raise OSError(0, f"{len(found)} threads are called {name}")
    return found[0]


def stop(tid, seconds):
    ptrace(PTRACE_SEIZE, tid)
    pending = 0
    ended = False
    try:
        ptrace(PTRACE_INTERRUPT, tid)
        _, status = os.waitpid(tid, WALL)
        if not os.WIFSTOPPED(status):
            raise OSError(0, "the thread has ended")
        # Stopped on its way to a signal instead: hand that on when it resumes.
        if status >> 16 != PTRACE_EVENT_STOP:
            pending = os.WSTOPSIG(status)
        print("stopped", flush=True)
        end = time.monotonic() + seconds
        while not ended and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.01))
            # Its parent learns of its death only after us.
            done, status = os.waitpid(tid, WALL | os.WNOHANG)
            ended = done == tid and not os.WIFSTOPPED(status)
    finally:
        try:
            ptrace(PTRACE_DETACH, tid, pending)
        except ProcessLookupError:
            ended = True
    if ended:
        raise OSError(0, "the thread has ended")
    print("resumed", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Stop one thread of a process for a while.")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--tid", type=int, help="thread id (the main thread)")
    which.add_argument("--name", help="thread name, as in /proc/PID/task/TID/comm")
    parser.add_argument("pid", type=int)
    parser.add_argument("seconds", type=float)
    args = parser.parse_args()
    # SystemExit lets the thread go on its way out.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        tid = thread_named(args.pid, args.name) if args.name else args.tid or args.pid
        if not os.path.exists(f"/proc/{args.pid}/task/{tid}"):
            raise OSError(0, f"process {args.pid} has no thread {tid}")
        stop(tid, args.seconds)
    except OSError as error:
        print(f"stop_thread: {args.pid}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
