/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers to /remu/...: from the counters of engines, data lcores and the port.
 */
#include "ccm.h"
#include "config.h"
#include "lcore.h"
#include "rdma_emul.h"
#include "remu_port.h"
#include "tel_answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { QPS_MAX = CCM_MAX_PARTNERS * (1 + CCM_MAX_PORTS) /* of an engine */ };

#define STAT(member) \
	{ \
#		member, offsetof(struct remu_stats, member), TEL_U64 \
	}

static const struct tel_field stat_fields[] = {
	STAT(rx_packets),
	STAT(rx_bytes),
	STAT(tx_packets),
	STAT(tx_bytes),
	STAT(tx_no_mbuf),
	STAT(writes_executed),
	STAT(reads_executed),
	STAT(reads_revoked),
	STAT(sends_executed),
	STAT(atomics_executed),
	STAT(duplicates),
	STAT(acks_sent),
	STAT(naks_sent),
	STAT(naks_received),
	STAT(rnr_naks_sent),
	STAT(rnr_naks_received),
	STAT(cnps_sent),
	STAT(cnps_received),
	STAT(timeouts),
	STAT(retransmits),
	STAT(probes),
	STAT(rx_held),
	STAT(rx_reordered),
	STAT(arp_answered),
	STAT(resyncs),
	STAT(wc_success),
	STAT(wc_error),
	{0},
};

static uint64_t
engines_sum(size_t offset)
{
	const struct tel_field f = {.offset = offset, .type = TEL_U64};
	uint64_t sum = 0;

	for (uint32_t e = 0; e < app_source->n_engines; e++)
		sum += tel_field_value(&f, remu_engine_stats(app_source->engines[e]));
	return sum;
}

static uint64_t
drop_sum(uint32_t reason)
{
	return engines_sum(offsetof(struct remu_stats, drops) + reason * sizeof(uint64_t));
}

static uint64_t
drops_total(void)
{
	uint64_t sum = 0;

	for (uint32_t r = REMU_DROP_NONE + 1; r < REMU_DROP_COUNT; r++)
		sum += drop_sum(r);
	return sum;
}

const char *
tel_answer_stats(struct tel_object *top, const struct tel_args *args)
{
	uint32_t n = app_source->n_engines;
	uint32_t e = args->n > 0 ? args->v[0] : 0;
	struct tel_list list;

	for (const struct tel_field *f = stat_fields; f->name != NULL; f++)
		tel_put_u64(top, f->name, engines_sum(f->offset));
	tel_put_u64(top, "drops", drops_total());
	tel_put_u64(top, "total_engines", n);
	list = tel_list_new(top);
	for (; e < n; e++) {
		struct tel_object o = tel_object_new();
		char key[TEL_KEY_LEN];

		tel_put_fields(&o, stat_fields, remu_engine_stats(app_source->engines[e]));
		snprintf(key, sizeof(key), "engine_%u", e);
		if (!tel_list_add(&list, key, &o))
			break;
	}
	if (e < n)
		tel_put_u64(top, "next", e);
	tel_put_object(top, "engines", &list.object);
	return NULL;
}

const char *
tel_answer_drops(struct tel_object *top, const struct tel_args *args)
{
	(void)args;
	for (uint32_t r = REMU_DROP_NONE + 1; r < REMU_DROP_COUNT; r++)
		tel_put_u64(top, remu_drop_name(r), drop_sum(r));
	return NULL;
}

#define QP(member) \
	{ \
#		member, offsetof(struct remu_qp_info, member), TEL_U32 \
	}

static const struct tel_field qp_fields[] = {
	QP(qpn),
	QP(peer_qpn),
	QP(next_psn),
	QP(una_psn),
	QP(epsn),
	QP(msn),
	QP(outstanding),
	QP(recv_posted),
	QP(window),
	QP(srtt_ns),
	{"path_mtu", offsetof(struct remu_qp_info, path_mtu), TEL_U16},
	{"bootstrap", offsetof(struct remu_qp_info, bootstrap), TEL_U8},
	{0},
};

/* The queue pairs of an engine, whose first one is number `before` of all. */
static void
list_qps(struct tel_list *list, uint32_t engine, const struct remu_qp_info *qps, uint32_t n,
	uint32_t before, uint32_t from, uint32_t *next)
{
	for (uint32_t i = 0; i < n && !list->full; i++) {
		struct tel_object o;
		char key[TEL_KEY_LEN];

		if (before + i < from)
			continue;
		o = tel_object_new();
		tel_put_u64(&o, "engine", engine);
		tel_put_text(&o, "state", remu_qp_state_name(qps[i].state));
		tel_put_fields(&o, qp_fields, &qps[i]);
		snprintf(key, sizeof(key), "qp_%u", qps[i].qpn);
		if (!tel_list_add(list, key, &o))
			*next = before + i;
	}
}

const char *
tel_answer_qps(struct tel_object *top, const struct tel_args *args)
{
	struct remu_qp_info *qps = calloc(QPS_MAX, sizeof(*qps));
	uint32_t from = args->n > 0 ? args->v[0] : 0;
	uint32_t total = 0, next = UINT32_MAX;
	struct tel_list list;

	if (qps == NULL)
		return "out of memory";
	list = tel_list_new(top);
	for (uint32_t e = 0; e < app_source->n_engines; e++) {
		uint32_t n = remu_engine_qps(app_source->engines[e], 0, qps, QPS_MAX);

		list_qps(&list, e, qps, n, total, from, &next);
		total += n;
	}
	free(qps);
	tel_put_u64(top, "total", total);
	if (next != UINT32_MAX)
		tel_put_u64(top, "next", next);
	tel_put_object(top, "qps", &list.object);
	return NULL;
}

#define PORT(key, member, type) \
	{ \
		key, offsetof(struct remu_port_info, member), type \
	}

_Static_assert(sizeof(bool) == 1, "TEL_U8");

static const struct tel_field port_fields[] = {
	PORT("port_id", port_id, TEL_U16),
	PORT("queues", n_queues, TEL_U16),
	PORT("mtu_bytes", mtu, TEL_U16),
	PORT("rx_ring", rx_ring, TEL_U16),
	PORT("tx_ring", tx_ring, TEL_U16),
	PORT("mac_set", mac_set, TEL_U8),
	PORT("promiscuous", promiscuous, TEL_U8),
	PORT("rss", rss, TEL_U8),
	PORT("rss_types", rss_types, TEL_HEX),
	PORT("steering_rules", rules, TEL_U32),
	PORT("link_events", link_events, TEL_U8),
	PORT("started", started, TEL_U8),
	PORT("link_up", link_up, TEL_U8),
	PORT("rx_offloads", rx_offloads, TEL_HEX),
	PORT("tx_offloads", tx_offloads, TEL_HEX),
	PORT("rx_packets", rx_packets, TEL_U64),
	PORT("rx_bytes", rx_bytes, TEL_U64),
	PORT("rx_missed", rx_missed, TEL_U64),
	PORT("rx_errors", rx_errors, TEL_U64),
	PORT("rx_no_mbuf", rx_no_mbuf, TEL_U64),
	PORT("tx_packets", tx_packets, TEL_U64),
	PORT("tx_bytes", tx_bytes, TEL_U64),
	PORT("tx_errors", tx_errors, TEL_U64),
	{0},
};

static const char *const trouble_names[] = {
	[REMU_PORT_WELL] = "none",
	[REMU_PORT_NEEDS_RESET] = "reset",
	[REMU_PORT_REMOVED] = "removed",
};

/* Who keeps other frames from the lcores. What comes all the same the engines drop. */
static const char *
filter_name(const struct remu_port_info *info)
{
	if (info->steering == REMU_PORT_STEERING_ISOLATE)
		return "rules";
	return info->mac_set && !info->promiscuous ? "mac" : "software";
}

/* What became of frames between the port and the engines. */
static void
put_lcores(struct tel_object *top)
{
	struct data_counters sum = {0};

	for (uint32_t i = 0; i < app_source->n_engines; i++) {
		const struct data_counters *c = &app_source->lcores[i].counters;

		sum.handed_over += c->handed_over;
		sum.inbox_full += c->inbox_full;
		sum.tx_stalled += c->tx_stalled;
	}
	tel_put_u64(top, "handed_over", sum.handed_over);
	tel_put_u64(top, "inbox_full", sum.inbox_full);
	tel_put_u64(top, "tx_stalled", sum.tx_stalled);
}

const char *
tel_answer_port(struct tel_object *top, const struct tel_args *args)
{
	struct remu_port_info info;

	(void)args;
	remu_port_info(app_source->port, &info);
	tel_put_text(top, "name", info.name);
	tel_put_text(top, "driver", info.driver);
	tel_put_mac(top, "mac", info.mac);
	tel_put_ip(top, "ip", app_source->cfg->port.ip);
	tel_put_text(top, "steering", node_steerings[info.steering]);
	tel_put_text(top, "steering_match", info.match);
	tel_put_text(top, "steering_why", info.why);
	tel_put_text(top, "filter", filter_name(&info));
	tel_put_text(top, "trouble", trouble_names[info.trouble]);
	if (info.link_mbps == UINT32_MAX)
		tel_put_int(top, "link_mbps", -1);
	else
		tel_put_u64(top, "link_mbps", info.link_mbps);
	tel_put_fields(top, port_fields, &info);
	put_lcores(top);
	return NULL;
}
