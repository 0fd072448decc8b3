# SPDX-License-Identifier: BSD-3-Clause
"""Take the partner away from a running ccm-bench, and give it back: how soon is it noticed, and how
soon is the session up again? Killed, the link goes with it; stopped, there is only silence."""
import queue
import signal
import threading
import time

from bench_pair import BRISK, BenchError, node_config

PATIENCE_S = 30
STAY_S = 0.1


class Events:
    """Lines "up 123 none" of ccm-bench as they come, on a thread of their own."""

    def __init__(self, out):
        self.lines = queue.Queue()
        threading.Thread(target=self._read, args=(out,), daemon=True).start()

    def _read(self, out):
        try:
            for line in out:
                words = line.split()
                if len(words) == 3 and words[0] in ("up", "down") and words[1].isdigit():
                    self.lines.put((words[0], int(words[1]), words[2]))
        except ValueError:  # closed
            pass

    def wait(self, kind, after_ns=0):
        """Time and reason of the next one of this kind, not before a moment."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                event = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise BenchError(f"failover: no \"{kind}\" within {PATIENCE_S} s") from None
            if event[0] == kind and event[1] >= after_ns:
                return event[1], event[2]


def settle(events):
    """Until the session has been up for a while: a busy machine may end one by itself."""
    while True:
        time.sleep(STAY_S)
        last = None
        while not events.lines.empty():
            last = events.lines.get()
        if last is None or last[0] == "up":
            if last is None:
                return
        else:
            events.wait("up")


def run(pair, n):
    """n times each. Returns what stands in the report."""
    pair.serial += 1
    serial = pair.serial
    server_config = pair.write_config("server.json", node_config(1, BRISK, "target"))
    client_config = pair.write_config("client.json", node_config(2, BRISK))

    def start_server():
        return pair.start("app/node/ccm-node", "server", server_config,
                          ["--log-level", "warning"], serial=serial)

    server = start_server()
    client = pair.start("app/bench/ccm-bench", "client", client_config,
                        ["--op", "failover", "-n", "1000000"], serial=serial)
    events = Events(client.stdout)
    cycles = []
    events.wait("up")
    for how in ["killed"] * n + ["stopped"] * n:
        settle(events)
        gone_ns = time.monotonic_ns()
        if how == "killed":
            pair.end(server, signal.SIGKILL)
        else:
            server.send_signal(signal.SIGSTOP)
        noticed_ns, reason = events.wait("down", gone_ns)
        time.sleep(STAY_S)
        back_ns = time.monotonic_ns()
        if how == "killed":
            server = start_server()
        else:
            server.send_signal(signal.SIGCONT)
        up_ns, _ = events.wait("up", back_ns)
        cycles.append({"how": how, "reason": reason, "notice_us": (noticed_ns - gone_ns) / 1e3,
                       "ready_us": (up_ns - back_ns) / 1e3})
    pair.end(client)
    pair.end(server)
    return {"dead_after_us": BRISK["dead_after_us"], "beat_us": BRISK["beat_us"],
            "cycles": cycles}
