# SPDX-License-Identifier: BSD-3-Clause
"""A node's answers as metrics for Prometheus: OpenMetrics 1.0, or the older text format.

Names follow Prometheus' conventions: base units, _total for what only counts up, one label per
dimension. A value that a node does not tell is left out, never made up.
"""
import collections
import time

from . import meaning
from .status import STATES
from .telemetry import TelemetryError

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
PORTS_MAX = 256  # round trips are told one by one up to here

Family = collections.namedtuple("Family", "name kind unit help samples")
"""kind: gauge, counter or info; name: without _total or _info; samples: (labels, value)."""

PARTNER_COUNTERS = (
    ("sessions", "ccm_partner_sessions", "Times that the session with this partner came up."),
    ("attempts", "ccm_partner_attempts", "Attempts to bring up a session with this partner."),
    ("beats", "ccm_partner_beats", "Heartbeats with both READ and WRITE done."),
    ("reads_failed", "ccm_partner_read_failures", "READs of this partner's record that failed."),
    ("writes_failed", "ccm_partner_write_failures", "WRITEs to this partner that failed."),
    ("records_bad", "ccm_partner_bad_records", "Records of this partner that did not verify."),
    ("conflicts", "ccm_partner_conflicts", "Times that two nodes were found to answer as this partner."),
)
CLIENT_COUNTERS = (
    ("ups", "ccm_client_ups", "Times that this client was told UP."),
    ("downs", "ccm_client_downs", "Times that this client was told DOWN."),
    ("posted", "ccm_client_requests_posted", "Work requests that this client posted."),
    ("completed", "ccm_client_requests_completed", "Work requests of this client that succeeded."),
    ("errors", "ccm_client_requests_failed", "Work requests of this client that failed or were flushed."),
)
EXERCISE_COUNTERS = (
    ("rounds", "ccm_exercise_rounds", "Rounds of test data written, read back and compared."),
    ("verified_bytes", "ccm_exercise_verified_bytes", "Test data that came back right."),
    ("mismatches", "ccm_exercise_mismatches", "Rounds of test data that came back wrong."),
    ("errors", "ccm_exercise_errors", "READs and WRITEs of test data that failed."),
)
RDMA_COUNTERS = (
    ("rx_packets", "ccm_rdma_receive_packets", "RoCEv2 packets taken from the port."),
    ("rx_bytes", "ccm_rdma_receive_bytes", "Bytes of them."),
    ("tx_packets", "ccm_rdma_transmit_packets", "RoCEv2 packets sent."),
    ("tx_bytes", "ccm_rdma_transmit_bytes", "Bytes of them."),
    ("tx_no_mbuf", "ccm_rdma_transmit_no_buffer", "Packets put off because the pool was empty."),
    ("writes_executed", "ccm_rdma_writes_executed", "WRITEs of peers carried out."),
    ("reads_executed", "ccm_rdma_reads_executed", "READs of peers answered."),
    ("reads_revoked", "ccm_rdma_reads_revoked", "READs of peers ended because their region was revoked."),
    ("sends_executed", "ccm_rdma_sends_executed", "SENDs of peers received."),
    ("atomics_executed", "ccm_rdma_atomics_executed", "Atomic operations of peers carried out."),
    ("duplicates", "ccm_rdma_duplicates", "Repeated requests that were answered again."),
    ("acks_sent", "ccm_rdma_acks_sent", "Acknowledgements sent."),
    ("naks_sent", "ccm_rdma_naks_sent", "Negative acknowledgements sent."),
    ("naks_received", "ccm_rdma_naks_received", "Negative acknowledgements received."),
    ("rnr_naks_sent", "ccm_rdma_rnr_naks_sent", "Receiver-not-ready answers sent."),
    ("rnr_naks_received", "ccm_rdma_rnr_naks_received", "Receiver-not-ready answers received."),
    ("cnps_sent", "ccm_rdma_cnps_sent", "Congestion notifications sent."),
    ("cnps_received", "ccm_rdma_cnps_received", "Congestion notifications received."),
    ("timeouts", "ccm_rdma_timeouts", "Requests whose answer did not come in time."),
    ("retransmits", "ccm_rdma_retransmits", "Requests sent again."),
    ("probes", "ccm_rdma_probes", "Answers asked for because they were overdue by the round trip."),
    (
        "rx_reordered",
        "ccm_rdma_receive_reordered",
        "Requests that came early and were carried out in order.",
    ),
    ("arp_answered", "ccm_rdma_arp_answered", "ARP requests answered."),
    ("resyncs", "ccm_rdma_resyncs", "Packet sequences taken over from a READ of the record."),
    ("wc_success", "ccm_rdma_completions", "Work requests of ours that succeeded."),
    ("wc_error", "ccm_rdma_completion_errors", "Work requests of ours that failed."),
)
RDMA_GAUGES = (("rx_held", "ccm_rdma_receive_held", "Requests kept until the gap before them is closed."),)
DEVICE_COUNTERS = (
    ("rx_packets", "ccm_device_receive_packets", "Frames received by the port."),
    ("rx_bytes", "ccm_device_receive_bytes", "Bytes of them."),
    ("rx_missed", "ccm_device_receive_missed", "Frames lost because a queue of the device was full."),
    ("rx_errors", "ccm_device_receive_errors", "Frames that came damaged."),
    ("rx_no_mbuf", "ccm_device_receive_no_buffer", "Frames lost because the pool was empty."),
    ("tx_packets", "ccm_device_transmit_packets", "Frames sent by the port."),
    ("tx_bytes", "ccm_device_transmit_bytes", "Bytes of them."),
    ("tx_errors", "ccm_device_transmit_errors", "Frames that could not be sent."),
    ("handed_over", "ccm_lcore_handed_over", "Frames that another data lcore took care of."),
    ("inbox_full", "ccm_lcore_inbox_full", "Frames lost on the way to another data lcore."),
    ("tx_stalled", "ccm_lcore_transmit_stalled", "Frames dropped because the device took none."),
)
# What a node tells and no metric shows, on purpose: a nonce is another one each time, and the partner's
# own state is part of the verdict.
UNUSED_STATS = {"drops", "total_engines", "engines", "next"}
UNUSED_PARTNER = {"nonce", "partner_nonce", "partner_state"}
UNUSED_CLIENT = {"partners_up"}  # of the states of its partners


class Collection:
    """Families in the order in which they were first added to."""

    def __init__(self):
        self.families = {}

    def add(self, name, kind, text, value, unit="", /, **labels):
        if value is None:
            return
        family = self.families.setdefault(name, Family(name, kind, unit, text, []))
        family.samples.append((labels, value))

    def counters(self, rows, record, **labels):
        for key, name, text in rows:
            unit = "bytes" if name.endswith("_bytes") else ""
            self.add(name, "counter", text, record.num(key), unit, **labels)

    def states(self, name, text, values, present, label, /, **labels):
        """One sample per state, 1 for the present one; also for a state of a later version."""
        for value in [*values, *([] if present in values or present == "?" else [present])]:
            self.add(name, "gauge", text, int(value == present), **labels, **{label: value})


def collect(node):
    """All metrics of a node that answers. What it does not know is left out."""
    c = Collection()
    begun = time.monotonic()
    c.add("ccm_up", "gauge", "Whether the node answers on its telemetry socket.", 1)
    status = node.status()
    add_node(c, status)
    partners = node.partners()
    for partner in partners:
        add_partner(c, partner)
    for record in node.timing():
        for step in meaning.STEPS:
            c.add("ccm_setup_step_duration_seconds", "gauge", "Each step of the last set-up of a session.",
                  record.seconds(f"{step}_ns"), "seconds", partner=record.num("id"), step=step)  # fmt: skip
    for client in node.clients():
        add_client(c, client)
    c.counters(EXERCISE_COUNTERS, node.exercise()[0])
    stats = node.stats()
    c.counters(RDMA_COUNTERS, stats)
    for key, name, text in RDMA_GAUGES:
        c.add(name, "gauge", text, stats.num(key))
    drops = node.drops()
    for reason in drops:
        c.add(
            "ccm_rdma_drops",
            "counter",
            "Received frames that were dropped.",
            drops.num(reason),
            reason=reason,
        )
    add_device(c, node.port())
    add_round_trips(c, node, partners)
    optional(lambda: add_boot(c, node.boot()))
    optional(lambda: add_reload(c, node.reload()))
    optional(lambda: add_capture(c, node.ask("/ccm/capture")))
    events = node.events(0)
    if events:
        c.add("ccm_events", "counter", "State and verdict changes.", events[-1].num("seq"))
    add_scrape(c, begun)
    return list(c.families.values())


def optional(add):
    """Commands that an older node, or one without the feature, does not know."""
    try:
        add()
    except TelemetryError as error:
        if "does not know" not in str(error):
            raise


def add_scrape(c, begun):
    c.add("ccm_exporter_scrape_duration_seconds", "gauge", "How long asking the node took.",
          round(time.monotonic() - begun, 6), "seconds")  # fmt: skip


def down():
    """What there is to say of a node that does not answer."""
    c = Collection()
    c.add("ccm_up", "gauge", "Whether the node answers on its telemetry socket.", 0)
    return list(c.families.values())


def add_node(c, status):
    c.add("ccm_node", "info", "Who the node is.", 1, id=status.num("id"), name=status.text("name"),
          cluster=status.text("cluster"), role=status.text("role"), version=status.text("version"))  # fmt: skip
    c.states("ccm_node_state", "State of all sessions together.", STATES, status.text("state"), "state")
    c.add("ccm_node_partners", "gauge", "Partners that are configured.", status.num("partners"))
    c.add("ccm_node_partners_up", "gauge", "Partners whose session is up.", status.num("partners_up"))
    c.add("ccm_node_uptime_seconds", "gauge", "How long the node has been running.", status.num("uptime_s"),
          "seconds")  # fmt: skip
    c.add("ccm_node_control_age_seconds", "gauge", "Time since the control core turned.",
          status.seconds("control_age_ms"), "seconds")  # fmt: skip


def add_partner(c, partner):
    number = partner.num("id")
    if number is None or partner.get("error"):
        return
    label = {"partner": number}
    c.add("ccm_partner_up", "gauge", "Whether the session with this partner is up.",
          int(partner.get("state") == "up"), **label)  # fmt: skip
    c.states(
        "ccm_partner_state",
        "State of the session.",
        meaning.STATES,
        partner.text("state"),
        "state",
        **label,
    )
    c.add("ccm_partner", "info", "Who the partner is, and the version of the session protocol that is agreed.", 1,
          role=partner.text("role"), version=partner.num("version", 0), **label)  # fmt: skip
    c.states("ccm_partner_verdict", "What is to be said of the partner.", meaning.VERDICTS, partner.text("verdict"),
             "verdict", **label)  # fmt: skip
    c.states("ccm_partner_advice", "Whether to take its work over.", meaning.ADVICE, partner.text("advice"),
             "advice", **label)  # fmt: skip
    c.add("ccm_partner_reason", "info", "Why the session is not up, why the last one ended, and why the partner refuses us.", 1,
          reason=partner.text("reason"), last_down=partner.text("last_down_reason"),
          theirs=partner.text("partner_reason"), **label)  # fmt: skip
    c.counters(PARTNER_COUNTERS, partner, **label)
    c.add("ccm_partner_last_answer_age_seconds", "gauge", "Time since the partner's record was READ; absent: never.",
          partner.seconds("last_answer_ms"), "seconds", **label)  # fmt: skip
    c.add("ccm_partner_state_duration_seconds", "gauge", "How long the session has been in its state.",
          partner.seconds("since_ms"), "seconds", **label)  # fmt: skip
    c.add("ccm_partner_setup_duration_seconds", "gauge", "READ 1 to UP in the last set-up.",
          partner.seconds("setup_us") or None, "seconds", **label)  # fmt: skip
    c.add("ccm_partner_ports", "gauge", "Ports of this session.", partner.num("ports"), **label)
    c.add(
        "ccm_partner_path_mtu_bytes",
        "gauge",
        "Agreed path MTU of the ports.",
        partner.num("path_mtu"),
        "bytes",
        **label,
    )
    c.add("ccm_partner_boot_stage", "gauge", "How far the partner has booted, on its own scale.",
          partner.num("boot_stage"), **label)  # fmt: skip
    c.add(
        "ccm_partner_boot_progress",
        "gauge",
        "Its progress within the stage.",
        partner.num("boot_progress"),
        **label,
    )


def add_client(c, client):
    label = {"client": client.text("name")}
    states = [str(state) for state in client.sub("partners").values()]
    for state in meaning.CLIENT_STATES:
        c.add("ccm_client_partners", "gauge", "Partners by how this client stands with them.", states.count(state),
              state=state, **label)  # fmt: skip
    c.add(
        "ccm_client_ports",
        "gauge",
        "Ports towards each partner that the client asked for.",
        client.num("ports"),
        **label,
    )
    c.add("ccm_client_memory_bytes", "gauge", "Memory towards each partner that it asked for.",
          client.num("memory_bytes"), "bytes", **label)  # fmt: skip
    c.counters(CLIENT_COUNTERS, client, **label)


def add_device(c, port):
    c.add("ccm_device", "info", "The Ethernet port.", 1, name=port.text("name"), driver=port.text("driver"))
    c.add("ccm_device_link_up", "gauge", "Whether the port has a link.", port.num("link_up"))
    speed = port.num("link_mbps")
    if speed is not None and speed > 0:
        c.add("ccm_device_speed_bytes", "gauge", "Speed of the link, per second.", speed * 125000, "bytes")
    c.add("ccm_device_mtu_bytes", "gauge", "IP MTU in use.", port.num("mtu_bytes"), "bytes")
    c.counters(DEVICE_COUNTERS, port)


def add_round_trips(c, node, partners):
    """Of bootstrap queue pairs per partner; of ports where there are not too many."""
    qps = {qp.num("qpn"): qp.seconds("srtt_ns") for qp in node.qps() if qp.num("srtt_ns")}
    for partner in partners:
        if partner.num("id") is None or partner.get("error"):
            continue
        try:
            number = node.partner(partner.num("id")).num("qpn")
        except TelemetryError:
            return
        c.add("ccm_partner_round_trip_seconds", "gauge", "Smoothed round trip of the heartbeat.", qps.get(number),
              "seconds", partner=partner.num("id"))  # fmt: skip
    ports = node.ports()
    for port in ports if len(ports) <= PORTS_MAX else ():
        c.add("ccm_port_round_trip_seconds", "gauge", "Smoothed round trip of a client's port.",
              qps.get(port.num("qpn")), "seconds", partner=port.num("partner_id"), client=port.text("client"),
              port=port.num("index"))  # fmt: skip


def add_boot(c, boot):
    c.add(
        "ccm_boot_stage", "gauge", "How far this node has booted; 0: it tells no stages.", boot.num("stage")
    )
    c.add("ccm_boot_stages", "gauge", "Stages there are.", boot.num("total"))
    c.add("ccm_boot_progress", "gauge", "Progress within the stage.", boot.num("progress"))


def add_reload(c, reload):
    c.add(
        "ccm_config_reloads", "counter", "Times that the configuration was read again.", reload.num("count")
    )
    if reload.num("count"):
        c.add("ccm_config_last_reload_successful", "gauge", "Whether the last time it was taken over.",
              int(reload.text("result") != "refused"))  # fmt: skip


def add_capture(c, capture):
    c.add("ccm_capture_frames", "counter", "Frames written to the capture file.", capture.num("frames"))
    c.add(
        "ccm_capture_dropped", "counter", "Frames that the capture could not keep.", capture.num("dropped")
    )
    c.add("ccm_capture_bytes", "counter", "Bytes written to capture files.", capture.num("bytes"), "bytes")


# ---- writing


def escape(value):
    return str(value).replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def number(value):
    return repr(float(value)) if isinstance(value, float) else str(value)


def write(families, openmetrics=True):
    """Text of the metrics."""
    lines = []
    for family in families:
        suffix = {"counter": "_total", "info": "_info"}.get(family.kind, "")
        # The older format knows no suffixes and no info: the sample's name is the family's.
        name = family.name if openmetrics else family.name + suffix
        kind = family.kind if openmetrics or family.kind != "info" else "gauge"
        lines.append(f"# HELP {name} {escape(family.help) if openmetrics else family.help}")
        lines.append(f"# TYPE {name} {kind}")
        if openmetrics and family.unit:
            lines.append(f"# UNIT {name} {family.unit}")
        for labels, value in family.samples:
            inner = ",".join(f'{key}="{escape(part)}"' for key, part in labels.items())
            lines.append(f"{family.name}{suffix}{{{inner}}} {number(value)}" if inner else
                         f"{family.name}{suffix} {number(value)}")  # fmt: skip
    if openmetrics:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"
