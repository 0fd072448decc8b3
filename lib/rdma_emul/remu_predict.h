/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Most frames begin like one before them: the same addresses, ports, lengths, opcode and queue pair.
 * When the first 50 bytes of a frame, to the queue pair's number, and its length are those of one
 * that has passed all checks on them, the outcome of those checks is known, and so is the ICRC over
 * these bytes (header prediction, after V. Jacobson, RFC 1144 section 3.2.2). What lies behind them
 * (PSN, extension headers, payload, ICRC) is checked each time, as is what can change on our side.
 *
 * Frames whose heads keep changing, such as those of a sender that counts IP identifications, are
 * noticed and not remembered.
 */

#include "remu_priv.h"
#include "remu_shortcut.h"
#include "roce_bytes.h"
#include "roce_icrc.h"

#include <assert.h>

/* What differs between the kinds of frames of a connection, and with senders that count frames. */
static inline uint64_t
remu__predict_candidate(const uint8_t *frame)
{
	uint64_t ip; /* length, identification, flags, TTL, protocol */

	memcpy(&ip, frame + ROCE_ETH_LEN + 2, sizeof(ip));
	return ip;
}

/* Where a frame of at least ROCE_MIN_FRAME bytes would be remembered. */
static inline struct remu_prediction *
remu__predict_slot(struct remu_engine *e, const uint8_t *frame)
{
	const struct roce_bth *bth = (const struct roce_bth *)(frame + ROCE_L2L4_LEN);
	uint32_t key = roce_load_be32(&bth->fecn_becn) ^ (uint32_t)bth->opcode << 24;

	return &e->predictions[(key * UINT32_C(0x9e3779b1)) >> 26 & (REMU_PREDICTIONS - 1)];
}
_Static_assert((int)REMU_PREDICTIONS == 1 << (32 - 26), "as many as the hash has values");
_Static_assert((int)ROCE_HEAD_LEN == 50, "as roce_same_50() has it");

static inline bool
remu__predict_fits(const struct remu_prediction *p, const struct rte_mbuf *m)
{
	return p->frame_len == m->data_len &&
		roce_same_50(p->head, rte_pktmbuf_mtod(m, const uint8_t *));
}

/* A frame that has passed all checks up to its queue pair, and could be seen again. */
static inline void
remu__predict_learn(struct remu_engine *e, struct remu_prediction *p, struct remu_qp *qp,
	const struct rte_mbuf *m, const struct roce_packet *pkt)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	uint64_t candidate = remu__predict_candidate(frame);

	if (pkt->l3 != frame + ROCE_ETH_LEN || *pkt->l3 != 0x45)
		return;
	if (p->candidate != candidate) {
		p->candidate = candidate;
		return;
	}
	memcpy(p->head, frame, sizeof(p->head));
	p->frame_len = m->data_len;
	p->payload_off = (uint16_t)(pkt->payload - frame);
	p->rest_len = (uint16_t)(ROCE_ETH_LEN + pkt->icrc_span - ROCE_HEAD_LEN);
	p->crc = roce_icrc_head(pkt->l3);
	p->qp = qp;
	e->predicted_qps[p - e->predictions] = qp;
	p->at_once = remu__at_once(qp, pkt);
	p->pkt = *pkt;
}

/* The checks on frames to or from this queue pair may come out otherwise now. */
static inline void
remu__predict_forget(struct remu_engine *e, const struct remu_qp *qp)
{
	for (uint32_t i = 0; i < REMU_PREDICTIONS; i++)
		if (e->predicted_qps[i] == qp) {
			e->predicted_qps[i] = NULL;
			e->predictions[i] = (struct remu_prediction){0};
		}
}
