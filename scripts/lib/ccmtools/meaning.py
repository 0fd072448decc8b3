# SPDX-License-Identifier: BSD-3-Clause
"""What verdicts and reasons mean, and what to do about them.

The names are those of lib/ccm/ccm_names.c; doc/operate.md has a section for each, with more words.
A test holds the three together.
"""
import collections

Meaning = collections.namedtuple("Meaning", "what todo")
ADDRESSES = (
    "Compare both configurations: its port.mac, port.ip, bootstrap.va and bootstrap.rkey must be our"
    " partners[].mac, ip, va and rkey for it, and its partners[].qpn for us our remote_qpn."
)
LOOK_THERE = "On the partner: `ccmctl status` and `ccmctl drops` (what it drops, and why)."
DOCTOR = "Run `ccmctl doctor` on both nodes."

VERDICTS = {
    "link_down": Meaning(
        "our own port has no link",
        ["Check cable, transceiver and switch port; over net_memif: is the other process running?", DOCTOR],
    ),
    "unreachable": Meaning(
        "it does not answer the READs of its status record",
        [
            "Is the partner powered, and is ccm-node running on it?",
            "Does the path carry UDP port 4791 between the two MAC addresses (VLAN, switch, firewall)?",
            LOOK_THERE,
        ],
    ),
    "not_started": Meaning(
        "its memory answers, but no connection manager has started there",
        ["Start ccm-node on the partner; if it was stopped on purpose, nothing is wrong here."],
    ),
    "refused": Meaning("it or we refuse the session", [LOOK_THERE]),
    "leaving": Meaning(
        "it stops orderly, or has stopped",
        ["Nothing if it was meant; otherwise start ccm-node on the partner again."],
    ),
    "hung": Meaning(
        "its NIC answers, but its control core stands still",
        [
            "On the partner: is another program on ccm-node's first lcore? Is the process stopped?",
            "If it does not come back: restart ccm-node there, or take over (fence it first).",
        ],
    ),
    "stuck": Meaning(
        "it boots, but has made no progress for longer than its stage may take",
        [
            "Look at the partner's console: what does that stage wait for?",
            "If the stage is slow but sound: raise its budget_ms (boot_stages, partner's file; SIGHUP).",
        ],
    ),
    "starting": Meaning("it is booting, at the beginning of a stage", ["Wait: it is within its budget."]),
    "progressing": Meaning("it is booting and makes progress", ["Wait: it is within its budget."]),
    "connecting": Meaning(
        "it has booted, and the session is being set up",
        ["Wait a second. If this stays: `ccmctl events` shows what ends each attempt."],
    ),
    "up": Meaning("it has booted, and the session is up", []),
}

REASONS = {
    "none": Meaning("nothing is wrong", []),
    "no_answer": Meaning("no READ of its status record has been answered", [ADDRESSES]),
    "link_down": VERDICTS["link_down"],
    "not_started": VERDICTS["not_started"],
    "bad_record": Meaning(
        "what stands at the agreed address is not a record of this layout, or is damaged",
        [
            "Compare our partners[].va and rkey with the partner's bootstrap.va and rkey.",
            "Compare the versions of both programs: `ccm-node --version`.",
        ],
    ),
    "wrong_node": Meaning(
        "the node that answers has, or expects, another node id",
        [
            "Compare our partners[].id with its node.id, and its partners[].id for us with our node.id.",
            "Do two machines have the same MAC or IP address?",
        ],
    ),
    "wrong_cluster": Meaning(
        "the node that answers belongs to another cluster",
        [
            "Compare node.cluster in both files; if they are meant to differ, the MAC address or VLAN is"
            " one of the other cluster's."
        ],
    ),
    "version": Meaning(
        "both speak no common version of the session protocol",
        ["Compare protocol.version_min and version_max of both nodes; update the older program."],
    ),
    "access": Meaning(
        "the partner refuses our key or address",
        ["Compare our partners[].va and rkey for it with its bootstrap.va and rkey."],
    ),
    "partner_refused": Meaning("the partner refuses us; its reason is shown", [LOOK_THERE]),
    "partner_leaving": Meaning(
        "the partner stopped orderly", ["Nothing if it was meant; otherwise start it again."]
    ),
    "partner_restarted": Meaning(
        "the partner began a new attempt: it was restarted, or lost us for a moment",
        ["If this repeats: `ccmctl events` on both nodes; which one gives up first, and why?"],
    ),
    "partner_went_back": Meaning(
        "the partner left the session under way", ["`ccmctl events` on the partner says why it did."]
    ),
    "partner_hung": VERDICTS["hung"],
    "port_map": Meaning(
        "both sides computed different ports from the client lists",
        [
            "Wait a second: lists may have been on their way. If it stays: `ccmctl clients` on both"
            " nodes, and compare the versions of both programs."
        ],
    ),
    "port_failed": Meaning(
        "our ports could not be made or connected",
        [
            "Do our clients' memory and ports fit node.memory_limit and EAL's memory (-m)?",
            "`ccmctl clients` shows whom it concerns.",
        ],
    ),
    "clients_changed": Meaning(
        "a client came or went, so the ports are others now; the session comes back at once",
        ["Nothing, unless it repeats: then a client registers and leaves over and over."],
    ),
    "stopped": Meaning("this node stops", ["Start it again if it was not meant."]),
    "waiting": Meaning(
        "the partner has been found; the handshake is under way",
        ["Wait a second. If this stays: `ccmctl timing` shows the step, `ccmctl events` the rest."],
    ),
    "port_error": Meaning(
        "a client port failed: a refused request, or a packet lost too often",
        [
            "`ccmctl drops` on both nodes: remote_access or invalid_request is a wrong request of a"
            " client, icrc and the like a bad cable."
        ],
    ),
    "timing": Meaning(
        "its heartbeat is too slow for our detection time: it would be taken for dead over and over",
        [
            "timing.dead_after_us here must be at least three times timing.beat_us of the partner:"
            " give both nodes the same timers."
        ],
    ),
    "own_id": Meaning(
        "the node that answers has our own node id",
        [
            "Every node has a node.id of its own: compare both files.",
            "Does the partner's MAC address lead back to this machine, or to a copy of it?",
        ],
    ),
    "conflict": Meaning(
        "two nodes answer in turn as this partner",
        [
            "Find the second machine with this partner's MAC or IP address: `ccmctl nodes` there, the"
            " switch's MAC table, `ip neigh`.",
            "Was a node cloned, or started twice with one configuration?",
        ],
    ),
    "no_progress": Meaning(
        "the partner is there, but the set-up does not go on",
        [
            "`ccmctl timing` and `ccmctl events` on both nodes: at which step does it stand?",
            "Does every packet get through both ways? `ccmctl drops` on both nodes, `--pcap` for a look.",
        ],
    ),
}

# Of a node's own control core, told by nobody but the age of what it last did.
STANDS_STILL = Meaning(
    "this node's control core stands still: what is shown here is old",
    [
        "Is the process stopped (SIGSTOP, debugger)? Is another program on its first lcore?",
        "`ccmctl doctor`; if it does not come back, restart ccm-node.",
    ],
)

ADVICE = {
    "keep": "keep: the partner is there, or on its way",
    "take_over": "take over its work, but fence it first: a cut cable looks the same from here",
    "unsure": "unsure whether to take over its work: the fault may be on this side",
}
# Where the partner is known to be alive, so that a cut cable does not look the same.
TAKE_OVER = {
    "hung": "take over its work, but fence it first: it may wake up, and its memory is still there",
    "stuck": "take over its work, but fence it first: it runs, and may get on after all",
}

# Of a session, as this node has it: from the search to UP in this order.
STATES = {
    "down": "nothing is asked and nothing offered: the node begins or has stopped",
    "closing": "the last attempt's ports are being destroyed",
    "search": "READs the partner's status record until there is one that fits",
    "bound": "both mean the same attempt; lists of clients are exchanged",
    "ports": "our ports exist; the partner's are awaited",
    "ready": "our ports are joined to the partner's; its word is awaited that it sees that too",
    "up": "the session is there, and clients have been told",
    "refused": "one of the two does not want the other: see the reason",
    "leaving": "this node stops, and tells its partners",
}

# Steps of a set-up, as `ccmctl timing` shows them: how they are called, and what they are.
STEPS = {
    "read_one": ("READ 1", "read the partner's status record"),
    "write_one": ("WRITE 1", "write our record into its slot"),
    "read_two": ("READ 2", "read it again: does it mean us?"),
    "write_two": ("WRITE 2", "write ours again: we mean it"),
    "client_info": ("client info", "the partner's clients are known"),
    "create_ports": ("create ports", "our ports exist"),
    "connect_ports": ("connect ports", "they are joined to the partner's"),
    "ready": ("ready", "verified by both; clients told UP"),
}

CLIENT_STATES = {
    "no_session": "no session",
    "waiting": "waits for a client of this name on the partner",
    "connecting": "connecting",
    "connected": "connected",
    "refused": "refused: less than 4 KiB of memory per port is what both offer",
}

# Drops that tell of a fault, with what it may be; the others happen on every network.
DROPS = {
    "runt": "damaged frames, or a device that cuts them",
    "not_ip": "other protocols on this port",
    "vlan": "VLAN tags: the switch port must be untagged",
    "ip_header": "IP options or a damaged header",
    "fragment": "the partner's MTU is larger than the path's: lower port.mtu",
    "not_udp": "other protocols on this port",
    "udp_port": "other UDP traffic to our address",
    "udp_length": "damaged frames",
    "opcode": "an RDMA transport that is not spoken here",
    "transport_version": "damaged frames",
    "payload": "damaged frames, or a broken peer",
    "segments": "frames in pieces that cannot be joined: scattered receive",
    "icrc": "damaged on the way: cable, transceiver, or a middle box that changes packets",
    "dst_mac": "frames for another MAC address: compare partners[].mac with our port.mac",
    "dst_ip": "frames for another IP address: compare partners[].ip with our port.ip",
    "pkey": "a peer with another partition key",
    "qpn": "no such queue pair: compare the partner's remote_qpn with our qpn; a few after a restart"
    " are normal",
    "qp_state": "queue pair not ready: a few while a session begins or ends are normal",
    "src_mac": "another machine with the queue pair of a partner: a wrong or duplicate MAC address",
    "src_ip": "another machine with the queue pair of a partner: a wrong or duplicate IP address",
    "src_port": "UDP source port changed within a connection",
    "psn_ahead": "packets were lost on the way to us",
    "not_synced": "a partner's request before its first READ: a few at its start are normal",
    "duplicate": "repeated requests, too old to be answered again: a slow path or a busy CPU",
    "invalid_request": "requests that were refused: a broken peer",
    "remote_access": "requests with a wrong key or address, or beyond a region",
    "rnr": "a SEND without a receive request",
    "rate_limited": "more bad requests than are answered: a broken or hostile peer",
    "responder_busy": "more requests at a time than are answered",
    "response_stale": "late answers: a few are normal",
    "response_gap": "answers were lost on the way to us",
    "response_bad": "answers that do not fit their request",
    "syndrome": "answers with a code that is not known",
}


# Frames that were lost before anybody looked at them, or on their way out.
LOST = {
    "rx_missed": "the device's queue was full: the data lcore is too slow, or was away",
    "rx_errors": "came damaged: cable, transceiver",
    "rx_no_mbuf": "no buffers were left: give EAL more memory (-m)",
    "tx_errors": "could not be sent: link, driver; dmesg",
    "inbox_full": "another data lcore did not take them in time: is its CPU shared?",
    "tx_stalled": "the device took none for a while: no link, or over net_memif nobody at the other end",
}


def advice(name, verdict):
    """Words for a take-over that fit what the partner is doing; None for no advice."""
    return TAKE_OVER.get(verdict, ADVICE[name]) if name == "take_over" else ADVICE.get(name)


def _tables():
    """Of all words that are explained: by kind, name and meaning."""
    plain = {"state of a session": STATES, "advice": ADVICE, "state of a client": CLIENT_STATES,
             "step": {name: f"{title}: {text}" for name, (title, text) in STEPS.items()}, "drop": DROPS, "loss": LOST}  # fmt: skip
    tables = {kind: {name: Meaning(text, []) for name, text in table.items()} for kind, table in plain.items()}
    return {"verdict": VERDICTS, "reason": REASONS, **tables}


def explain(word):
    """[(what kind of word it is, the word, its Meaning)]: one word may be of several kinds; all without one."""
    return [(kind, name, table[name]) for kind, table in _tables().items() for name in table
            if word in (None, name)]  # fmt: skip


def lookup(table, name):
    """Names of later versions are shown as they are."""
    return table.get(name) or Meaning(f"{name} (not known to this version of ccmctl)", [])
