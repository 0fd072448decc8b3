/* SPDX-License-Identifier: BSD-3-Clause */
#include "remu_stencil.h"

bool
remu__stencil_cut(struct remu_stencil *st, const struct roce_flow *flow, uint32_t peer_qpn,
	uint8_t opcode, bool solicited, uint32_t payload_len)
{
	const struct roce_fields f = {
		.opcode = opcode,
		.solicited = solicited,
		.migreq = true,
		.pkey = ROCE_PKEY_DEFAULT,
		.dest_qpn = peer_qpn,
	};
	uint8_t frame[ROCE_HDR_MAX];

	if (flow->len != ROCE_L2L4_LEN)
		return false;
	st->payload_off = (uint16_t)roce_encode(flow, &f, 0, payload_len, frame);
	memcpy(st->head, frame, ROCE_HEAD_LEN);
	st->pad = -payload_len & 3;
	st->icrc_off = (uint16_t)(st->payload_off + payload_len + st->pad);
	st->frame_len = (uint16_t)roce_frame_len(flow, opcode, payload_len);
	st->crc = roce_icrc_head(frame + ROCE_ETH_LEN);
	st->key = remu__stencil_key(opcode, solicited, payload_len);
	return true;
}
