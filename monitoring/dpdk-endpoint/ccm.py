# SPDX-License-Identifier: BSD-3-Clause
"""ccm for DPDK's own dpdk-telemetry-exporter.py: copy this file into
/usr/share/dpdk/telemetry-endpoints. It needs nothing else.

Each metric becomes dpdk_ccm_NAME there. scripts/ccm-exporter tells more, and in OpenMetrics.
"""

PAGES_MAX = 64
STATES = ("down", "closing", "search", "bound", "ports", "ready", "up", "refused", "leaving")
NODE = {
    "partners": ("Partners that are configured.", "gauge"),
    "partners_up": ("Partners whose session is up.", "gauge"),
    "uptime_s": ("How long the node has been running, seconds.", "gauge"),
    "control_age_ms": ("Time since the control core turned, milliseconds.", "gauge"),
}
PARTNER = {
    "sessions": ("Times that the session with this partner came up.", "counter"),
    "attempts": ("Attempts to bring up a session with this partner.", "counter"),
    "beats": ("Heartbeats with both READ and WRITE done.", "counter"),
    "reads_failed": ("READs of this partner's record that failed.", "counter"),
    "writes_failed": ("WRITEs to this partner that failed.", "counter"),
    "records_bad": ("Records of this partner that did not verify.", "counter"),
    "conflicts": ("Times that two nodes were found to answer as this partner.", "counter"),
    "last_answer_ms": ("Time since its record was READ, milliseconds; -1: never.", "gauge"),
    "setup_us": ("READ 1 to UP in the last set-up, microseconds.", "gauge"),
    "ports": ("Ports of this session.", "gauge"),
    "path_mtu": ("Agreed path MTU, bytes.", "gauge"),
    "boot_stage": ("How far the partner has booted, on its own scale.", "gauge"),
}
CLIENT = {
    "ups": ("Times that this client was told UP.", "counter"),
    "downs": ("Times that this client was told DOWN.", "counter"),
    "posted": ("Work requests that this client posted.", "counter"),
    "completed": ("Work requests of this client that succeeded.", "counter"),
    "errors": ("Work requests of this client that failed or were flushed.", "counter"),
}
RDMA = {
    "rx_packets": ("RoCEv2 packets taken from the port.", "counter"),
    "tx_packets": ("RoCEv2 packets sent.", "counter"),
    "rx_bytes": ("Bytes of RoCEv2 packets taken from the port.", "counter"),
    "tx_bytes": ("Bytes of RoCEv2 packets sent.", "counter"),
    "timeouts": ("Requests whose answer did not come in time.", "counter"),
    "retransmits": ("Requests sent again.", "counter"),
    "naks_sent": ("Negative acknowledgements sent.", "counter"),
    "naks_received": ("Negative acknowledgements received.", "counter"),
    "wc_error": ("Work requests of ours that failed.", "counter"),
}


def info():
    """Metrics by name: what they are, and gauge or counter."""
    found = {f"node_{key}": value for key, value in NODE.items()}
    found["partner_state"] = ("State of the session: 1 for the present one.", "gauge")
    found.update({f"partner_{key}": value for key, value in PARTNER.items()})
    found.update({f"client_{key}": value for key, value in CLIENT.items()})
    found.update({f"rdma_{key}": value for key, value in RDMA.items()})
    found["rdma_drops"] = ("Received frames that were dropped.", "counter")
    found["link_up"] = ("Whether the port has a link.", "gauge")
    return found


def pages(sock, command, key):
    """Elements of a list that may have several pages."""
    first = None
    for _ in range(PAGES_MAX):
        page = sock.cmd(command, first)
        if not isinstance(page, dict) or not isinstance(page.get(key), dict):
            return
        yield from (element for element in page[key].values() if isinstance(element, dict))
        first = page.get("next")
        if first is None:
            return


def values(prefix, table, record, labels):
    return [(f"{prefix}_{key}", record[key], labels) for key in table if isinstance(record.get(key), int)]


def metrics(sock):
    """(name, value, labels) of all that the node tells."""
    found = values("node", NODE, sock.cmd("/ccm/status") or {}, {})
    for partner in pages(sock, "/ccm/partners", "partners"):
        labels = {"partner": partner.get("id", "?")}
        found += values("partner", PARTNER, partner, labels)
        for state in STATES if "state" in partner else ():
            found.append(("partner_state", int(partner["state"] == state), {**labels, "state": state}))
    for client in pages(sock, "/ccm/clients", "clients"):
        found += values("client", CLIENT, client, {"client": client.get("name", "?")})
    found += values("rdma", RDMA, sock.cmd("/remu/stats") or {}, {})
    for reason, count in (sock.cmd("/remu/drops") or {}).items():
        found.append(("rdma_drops", count, {"reason": reason}))
    port = sock.cmd("/remu/port") or {}
    if isinstance(port.get("link_up"), int):
        found.append(("link_up", port["link_up"], {}))
    # Grouped by name, as the text format wants it.
    order = list(info())
    return sorted(found, key=lambda entry: order.index(entry[0]))
