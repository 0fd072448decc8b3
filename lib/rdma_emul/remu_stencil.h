/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Frames that differ from the one before in PSN, extension headers and payload alone are stamped:
 * the headers up to the destination queue pair are copied from a stencil, and their part of the
 * ICRC is known. What has no stencil (IPv6, VLAN tags, atomics, CNPs) goes the long way, through
 * roce_encode(), and looks the same on the wire.
 *
 * The IP identification is always 0: it means nothing in datagrams that must not be fragmented
 * (RFC 6864, section 4.1), and the ICRC covers it.
 */

#include "remu_mbuf.h"
#include "remu_priv.h"
#include "roce_bytes.h"
#include "roce_icrc.h"

/* What a stencil was cut for; never 0. */
static inline uint32_t
remu__stencil_key(uint8_t opcode, bool solicited, uint32_t payload_len)
{
	return UINT32_C(1) << 31 | (uint32_t)solicited << 30 | payload_len << 8 | opcode;
}

/*
 * Cut a stencil from the queue pair's flow. @return false when its frames cannot be stamped
 */
bool remu__stencil_cut(struct remu_stencil *st, const struct roce_flow *flow, uint32_t peer_qpn,
	uint8_t opcode, bool solicited, uint32_t payload_len);

/* @return NULL when the pool is empty; that is counted */
static inline struct rte_mbuf *
remu__stamp_alloc(struct remu_engine *e)
{
	struct rte_mbuf *m = rte_mbuf_raw_alloc(e->cfg.pool);

	e->stats.tx_no_mbuf += m == NULL;
	return m;
}

/*
 * Start a frame in an mbuf from the pool: all of it but extension headers and payload.
 * @return where the frame begins
 */
static inline uint8_t *
remu__stamp(const struct remu_engine *e, const struct remu_stencil *st, struct rte_mbuf *m,
	uint32_t psn, bool ackreq)
{
	uint8_t *frame;

	remu__mbuf_begin(e, m, st->frame_len);
	frame = rte_pktmbuf_mtod(m, uint8_t *);
	memcpy(frame, st->head, ROCE_HEAD_LEN);
	roce_store_be32(frame + ROCE_HEAD_LEN, (uint32_t)ackreq << 31 | psn);
	return frame;
}

/* Where the extension headers begin. */
static inline uint8_t *
remu__stamp_extension(uint8_t *frame)
{
	return frame + ROCE_HEAD_LEN + 4;
}

/* Zeros behind the payload, and behind the ICRC up to what Ethernet asks for. */
static inline void
remu__stamp_fill(const struct remu_stencil *st, uint8_t *frame)
{
	uint8_t *icrc = frame + st->icrc_off;

	memset(icrc - st->pad, 0, st->pad);
	if (st->frame_len == ROCE_MIN_FRAME)
		memset(icrc + ROCE_ICRC_LEN, 0,
			(size_t)(ROCE_MIN_FRAME - ROCE_ICRC_LEN - st->icrc_off));
}

/* The ICRC, when all else is there. */
static inline void
remu__stamp_seal(const struct remu_stencil *st, uint8_t *frame)
{
	uint8_t *rest = frame + ROCE_HEAD_LEN;

	roce_store_le32(frame + st->icrc_off,
		roce_icrc_rest(st->crc, rest, (size_t)st->icrc_off - ROCE_HEAD_LEN));
}

/* Finish a frame, and count it. */
static inline void
remu__stamp_end(struct remu_engine *e, const struct remu_stencil *st, uint8_t *frame)
{
	if (unlikely(st->pad != 0 || st->frame_len == ROCE_MIN_FRAME))
		remu__stamp_fill(st, frame);
	remu__stamp_seal(st, frame);
	e->stats.tx_packets++;
	e->stats.tx_bytes += st->frame_len;
}
