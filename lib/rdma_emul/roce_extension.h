/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Extension headers, which stand between BTH and payload, to fields. In a header because each
 * packet received takes this step, known connection or not.
 */

#include "roce_bytes.h"
#include "roce_packet.h"

/** Those that out->op has, from `ext` on: its header_len counts and has been checked. */
static inline void
roce_decode_extensions(const uint8_t *ext, struct roce_packet *out)
{
	struct roce_fields *f = &out->f;
	uint32_t traits = out->op->traits;

	if (traits & ROCE_T_RETH) {
		const struct roce_reth *reth = (const struct roce_reth *)ext;

		f->va = roce_load_be64(reth->va);
		f->rkey = roce_load_be32(reth->rkey);
		f->dma_len = roce_load_be32(reth->dma_len);
		ext += sizeof(*reth);
	}
	if (traits & ROCE_T_AETH) {
		const struct roce_aeth *aeth = (const struct roce_aeth *)ext;

		f->syndrome = aeth->syndrome;
		f->msn = roce_load_be24(aeth->msn);
		ext += sizeof(*aeth);
	}
	if (traits & ROCE_T_ATOMIC_ETH) {
		const struct roce_atomic_eth *atomic = (const struct roce_atomic_eth *)ext;

		f->va = roce_load_be64(atomic->va);
		f->rkey = roce_load_be32(atomic->rkey);
		f->swap_add = roce_load_be64(atomic->swap_add);
		f->compare = roce_load_be64(atomic->compare);
	}
	if (traits & ROCE_T_ATOMIC_ACK)
		f->swap_add = roce_load_be64(ext);
	if (traits & ROCE_T_IMM)
		f->imm = roce_load_be32(ext);
}
