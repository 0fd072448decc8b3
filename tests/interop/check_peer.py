# SPDX-License-Identifier: BSD-3-Clause
"""Both ends as requester and as responder: all operations at all sizes, errors, and a bad cable.

Each function yields (what was done, whether it held, detail).
"""

import time

from lab import GUEST_IP, GUEST_MAC, OUR_IP, OUR_MAC, LabError

MEMORY = 4 << 20
SIZES = (0, 1, 64, 1023, 1024, 1025, 4096, 65536, 1 << 20)
RED = 64  # bytes behind the data that must stay as they are
M64 = (1 << 64) - 1
REM_INV_REQ, REM_ACCESS, REM_OP, RETRY_EXC = 9, 10, 11, 12

# What the cable does, each way. netem: the guest's kernel loses too, on its side.
CABLES = {
    "1 % loss": {"loss": 1},
    "5 % loss": {"loss": 5},
    "2 % duplicated, 5 % overtaken": {"duplicate": 2, "reorder": 5, "window": 8},
    "all three": {"loss": 1, "duplicate": 2, "reorder": 5, "window": 8, "jitter_us": 200},
    "netem 2 % loss, 1 % duplicated": {},
}
NETEM = "netem loss 2% duplicate 1%"
PATIENCE = 21  # retries of ours over a bad cable: the machine may not run the guest for 0.1 s


class Pair:
    """The two ends, connected to each other; `requester` does, `responder` is done to."""

    def __init__(self, lab, mtu):
        self.lab, self.mtu = lab, mtu
        self.ours = lab.our_peer(1500 if mtu <= 1024 else 4500)
        self.guest = lab.guest_peer()
        self.seed = 0
        self.psn = 0xFFFF00  # soon wraps
        self.guest_begins = self.our_begin = 0

    def connect(self, fresh=False, our_retry=None, **attributes):
        if fresh:
            self.ours.reset()
            self.guest.reset()
        self.psn = self.psn * 5 + 1 & 0xFFFFFF
        ours, guest = self.ours.me, self.guest.me
        first = {"psn": self.psn, "my_psn": self.psn ^ 0x800000}
        self.ours.ask("connect", qpn=guest["qpn"], va=guest["va"], rkey=guest["rkey"], ip=GUEST_IP,
                      mac=GUEST_MAC, mtu=self.mtu, **first, **attributes,
                      **({"retry": our_retry} if our_retry else {}))
        self.guest.ask("connect", qpn=ours["qpn"], va=ours["va"], rkey=ours["rkey"], ip=OUR_IP,
                       mac=OUR_MAC, mtu=self.mtu, psn=first["my_psn"], my_psn=first["psn"],
                       **attributes)

    def ways(self):
        """(name of the requester, requester, responder), both ways round."""
        return (("rxe", self.guest, self.ours), ("ccm", self.ours, self.guest))

    def fresh_data(self, *peers, length):
        for peer in peers:
            self.seed += 1
            peer.ask("fill", at=0, len=min(length, MEMORY), seed=self.seed)

    def close(self):
        """Both ends end; nothing may be wrong with that either."""
        stats = self.ours.ask("stats")
        self.ours.begin("quit")
        self.lab.stop_ours(self.ours.talker)
        self.guest.begin("quit")
        text, status = self.lab.guest.done()
        if status != 0:
            raise LabError(f"the guest's peer ended with status {status}: {text}")
        return stats


def digest(peer, length, at=0):
    return peer.ask("hash", at=at, len=length)["hash"]


def must(what, expected, got):
    if expected != got:
        raise LabError(f"{what}: expected {expected}, got {got}")


def transfer(pair, requester, responder, op, size, count=1, depth=16):
    """One kind of message `count` times, side by side; data, length and what lies behind."""
    total = size * count
    source, sink = (responder, requester) if op == "read" else (requester, responder)
    pair.fresh_data(source, sink, length=total + RED)
    behind = digest(sink, RED, at=total)
    receives = op in ("send", "send_imm", "write_imm")
    if receives:
        responder.ask("recv", at=0, len=0 if op == "write_imm" else size, count=count,
                      step=0 if op == "write_imm" else size)
    imm = 0xC0DE0000 + size & 0xFFFFFFFF
    did = requester.ask("do", op=op, len=size, at=0, to=0, count=count, step=size, depth=depth,
                        imm=imm)
    must("completions", {"status": "0", "done": str(count)}, did)
    if receives:
        got = responder.ask("reap", count=count)
        must("receive completion", ("0", str(size)), (got["status"], got["len"]))
        if op.endswith("imm"):
            must("immediate data", ("1", hex(imm)), (got["with_imm"], got["imm"]))
        else:
            must("immediate data", "0", got["with_imm"])
    must("data", digest(source, total), digest(sink, total))
    must("what lies behind", behind, digest(sink, RED, at=total))


def atomics(requester, responder, count=1):
    """CmpSwap that matches and that does not, FetchAdd over the end of 64 bits."""
    at = 4096

    def get(peer, where):
        return int(peer.ask("get", at=where)["value"], 16)

    def once(op, before, expected, **args):
        responder.ask("set", at=at, value=before)
        must(op, {"status": "0", "done": "1"},
             requester.ask("do", op=op, len=8, at=0, to=at, **args))
        must(f"{op}: the value found", before, get(requester, 0))
        must(f"{op}: the value left", expected, get(responder, at))

    for i in range(count):
        value = (i + 1) * 0x0123456789ABCDEF & M64
        once("cas", value, value ^ M64, compare=value, value=value ^ M64)
        once("cas", value, value, compare=value ^ 1, value=0)
        once("fadd", M64 - i, 4, value=i + 5)
    # Many on one place: each executed exactly once.
    responder.ask("set", at=at, value=0)
    must("fadd", {"status": "0", "done": str(100 * count)},
         requester.ask("do", op="fadd", len=8, at=0, to=at, step=0, count=100 * count, value=3))
    must("fadd: the sum", 300 * count, get(responder, at))


def data(lab):
    """All operations at all sizes, both ways round, path MTU 1024 and 4096."""
    for mtu in (1024, 4096):
        pair = Pair(lab, mtu)
        pair.connect()
        for name, requester, responder in pair.ways():
            for op in ("write", "write_imm", "read", "send", "send_imm"):
                good, detail = 0, ""
                for size in SIZES:
                    try:
                        transfer(pair, requester, responder, op, size)
                        good += 1
                    except LabError as err:
                        detail = f"{size} bytes: {err}"
                        if "no answer" in detail or "has ended" in detail:
                            raise
                        pair.connect(fresh=True)
                yield (f"{name} does {op}, MTU {mtu}", good == len(SIZES),
                       detail or f"{good} sizes, 0 to 1 MiB")
            try:
                atomics(requester, responder, count=5)
                yield f"{name} does cas and fadd, MTU {mtu}", True, "515 atomics"
            except LabError as err:
                yield f"{name} does cas and fadd, MTU {mtu}", False, str(err)
                pair.connect(fresh=True)
        pair.close()


def not_ready(lab):
    """A SEND that waits for its receive request: RNR NAK and retry."""
    pair = Pair(lab, 1024)
    pair.connect()
    for name, requester, responder in pair.ways():
        pair.fresh_data(requester, responder, length=3000)
        requester.begin("do", op="send", len=3000, at=0)
        time.sleep(0.2)
        responder.ask("recv", at=0, len=3000)
        did = requester.answer()
        got = responder.ask("reap")
        same = digest(requester, 3000) == digest(responder, 3000)
        yield (f"{name} sends before there is a receive request", same and did["status"] == "0",
               f"status {did['status']}, {got['len']} bytes")
    stats = pair.close()
    yield "our RNR NAKs were sent", int(stats["rnr_naks_sent"]) > 0, f"{stats['rnr_naks_sent']}"


def errors(lab):
    """What is refused, and how the requester's completion says so."""
    pair = Pair(lab, 1024)
    fresh = False
    for name, requester, responder in pair.ways():
        cases = (
            ("wrong rkey", REM_ACCESS, {"op": "write", "len": 64, "rkey": 0x7FFFFF13}),
            ("READ with a wrong rkey", REM_ACCESS, {"op": "read", "len": 64, "rkey": 0x7FFFFF13}),
            ("WRITE one byte too far", REM_ACCESS,
             {"op": "write", "len": 65, "to": MEMORY - 64}),
            ("READ one byte too far", REM_ACCESS, {"op": "read", "len": 65, "to": MEMORY - 64}),
            ("WRITE of 4 packets, the last too far", REM_ACCESS,
             {"op": "write", "len": 4096, "to": MEMORY - 4095}),
            ("WRITE without the right", REM_ACCESS, {"op": "write", "len": 8, "rkey": "rkey_ro"}),
            ("READ without the right", REM_ACCESS, {"op": "read", "len": 8, "rkey": "rkey_wo"}),
            ("atomic without the right", REM_ACCESS, {"op": "fadd", "len": 8, "rkey": "rkey_ro"}),
            ("atomic not aligned", REM_INV_REQ, {"op": "cas", "len": 8, "to": 4}),
            # The specification (table 58) wants an invalid request; Soft-RoCE says otherwise.
            ("SEND longer than the receive request", REM_INV_REQ if name == "rxe" else REM_OP,
             {"op": "send", "len": 100}),
            ("nobody there", RETRY_EXC, {"op": "write", "len": 8}),
        )
        for what, expected, args in cases:
            pair.connect(fresh=fresh, timeout=10, retry=3)
            fresh = True
            args = dict(args)
            if isinstance(args.get("rkey"), str):
                args["rkey"] = responder.me[args["rkey"]]
            if args["op"] == "send":
                responder.ask("recv", at=0, len=99)
            if expected == RETRY_EXC:
                responder.reset()  # its number is gone
            pair.fresh_data(requester, responder, length=MEMORY)
            before = digest(responder, MEMORY)
            did = requester.ask("do", at=0, **{"to": 0, **args})
            # A SEND that is too long may have filled its buffer; nothing else may change.
            intact = args["op"] == "send" or digest(responder, MEMORY) == before
            yield (f"{name}: {what}", did["status"] == str(expected) and intact,
                   f"status {did['status']}" + ("" if intact else ", memory was touched"))
    pair.close()


def bad_cable(lab):
    """The same operations over a cable that loses, repeats and reorders, each way."""
    for cable, settings in CABLES.items():
        netem = not settings
        # Soft-RoCE asks for all of a READ again after each answer that another has overtaken.
        large = 1 << 18 if "reorder" in settings else 1 << 20
        for mtu in (1024, 4096):
            if netem:  # by its full name: the shell would take its own
                lab.guest.run(f"/bin/tc qdisc replace dev eth0 root {NETEM}")
            pair = Pair(lab, mtu)
            pair.connect(timeout=12, our_retry=PATIENCE)  # 17 ms each
            for name, requester, responder in pair.ways():
                lab.set_wire(**settings)
                try:
                    for op, size, count in (("write", 20000, 40), ("read", 20000, 40),
                                            ("send", 3001, 60), ("write_imm", 5000, 60),
                                            ("write", large, 1), ("read", large, 1)):
                        transfer(pair, requester, responder, op, size, count)
                    atomics(requester, responder)
                    yield f"{name} over {cable}, MTU {mtu}", True, "202 messages, 103 atomics"
                except LabError as err:
                    yield f"{name} over {cable}, MTU {mtu}", False, f"{err}"
                    if "no answer" in str(err) or "has ended" in str(err):
                        raise
                    pair.connect(fresh=True, timeout=12, our_retry=PATIENCE)
                finally:
                    lab.set_wire()
            stats = pair.close()
            if netem:
                lab.guest.run("/bin/tc qdisc delete dev eth0 root")
            yield (f"it was {cable}, MTU {mtu}",
                   int(stats["retransmits"]) + int(stats["duplicates"]) > 0,
                   f"we repeated {stats['retransmits']} requests, answered "
                   f"{stats['duplicates']} duplicates, kept {stats['reordered']}")
