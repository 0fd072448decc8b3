/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bootstrap queue pair of one partner: its regions, the record and directory that it shows,
 * and the READs and WRITEs of the beat. A failed work request stops its requester; it then goes on
 * with a new PSN sequence, while the responder serves the partner all the time.
 */
#include "ccm_priv.h"

#include <string.h>

enum {
	MAX_RD_ATOMIC = 16,		  /* the responder's memory of READs */
	OPEN_VERBS = CCM_REGION_KEYS + 2, /* regions, open, connect */
};

/*
 * Begin a new PSN sequence. The record tells its first PSN, for partners whose responder does not
 * follow by itself (R8).
 */
static int
post_connect(struct ccm *ccm, struct ccm_peer *peer, uint64_t cookie)
{
	struct remu_qp_attr attr = {
		.peer_gid = roce_gid_ipv4(peer->cfg.ip),
		.path_mtu = CCM_BOOTSTRAP_MTU,
		.peer_qpn = peer->cfg.remote_qpn,
		.sq_psn = (uint32_t)ccm__rand_nonzero(ccm) & 0xffffff,
		.timeout_us = ccm->cfg.timing.retry_us,
		.retry_cnt = ccm->cfg.timing.retry_cnt,
		.max_rd_atomic = MAX_RD_ATOMIC,
		.max_dest_rd_atomic = MAX_RD_ATOMIC,
	};

	int rc;

	memcpy(attr.peer_mac, peer->cfg.mac, sizeof(attr.peer_mac));
	rc = remu_channel_qp_connect(peer->channel, peer->cfg.qpn, &attr, cookie);
	if (rc != 0)
		return rc;
	peer->session.start_psn = attr.sq_psn;
	peer->session.sequences++;
	ccm__publish(peer);
	return 0;
}

static int
post_open_verb(struct ccm *ccm, struct ccm_peer *peer, uint32_t verb)
{
	const struct {
		uint8_t *addr;
		uint32_t offset;
		uint32_t length;
		uint32_t access;
	} regions[CCM_REGION_KEYS] = {
		{peer->out, CCM_OUT_OFFSET, CCM_RECORD_SIZE,
			REMU_ACCESS_REMOTE_READ | REMU_ACCESS_RESYNC},
		{peer->slot, CCM_SLOT_OFFSET, CCM_RECORD_SIZE, REMU_ACCESS_REMOTE_WRITE},
		{peer->dir, CCM_DIR_OFFSET, CCM_REGION_SIZE - CCM_DIR_OFFSET,
			REMU_ACCESS_REMOTE_WRITE},
	};
	uint64_t cookie = ccm__cookie(CCM_COOKIE_OPEN, peer->index, verb);
	uint32_t pd = (peer->index + 1) << 16;

	if (verb < CCM_REGION_KEYS)
		return remu_channel_mr_register(peer->channel,
			&(struct remu_mr_config){
				.addr = regions[verb].addr,
				.va = ccm->cfg.va + regions[verb].offset,
				.length = regions[verb].length,
				.rkey = ccm->cfg.rkey + verb,
				.pd = pd,
				.access = regions[verb].access,
			},
			cookie);
	if (verb == CCM_REGION_KEYS)
		return remu_channel_qp_open(peer->channel,
			&(struct remu_qp_config){
				.qpn = peer->cfg.qpn,
				.pd = pd,
				.access = REMU_ACCESS_REMOTE_READ | REMU_ACCESS_REMOTE_WRITE,
				.flags = REMU_QP_BOOTSTRAP,
			},
			cookie);
	return post_connect(ccm, peer, cookie);
}

void
ccm__publish(struct ccm_peer *peer)
{
	struct ccm_record rec;
	uint8_t image[CCM_RECORD_SIZE];

	ccm_session_record(&peer->session, &rec);
	ccm_record_encode(&rec, image);
	ccm_record_store(peer->out, image);
	peer->dirty = true;
}

void
ccm__encode_directory(struct ccm *ccm, struct ccm_peer *peer)
{
	struct ccm_directory dir = {
		.nonce = peer->session.nonce,
		.echo = peer->session.bound,
		.n_clients = ccm->n_wants,
	};

	if (peer->session.bound == 0)
		return;
	memcpy(dir.clients, ccm->wants, sizeof(dir.clients));
	ccm__ports_describe(ccm, peer, &dir);
	peer->dir_len = (uint32_t)ccm_directory_encode(&dir, peer->dir_image,
		&peer->session.dir_crc);
}

static bool
post_read(struct ccm_peer *peer)
{
	if (remu_channel_post(peer->channel, peer->cfg.qpn,
		    &(struct remu_wr){
			    .wr_id = ccm__cookie(CCM_COOKIE_READ, peer->index, 0),
			    .addr = peer->read_buf,
			    .remote_va = peer->cfg.va + CCM_OUT_OFFSET,
			    .length = CCM_RECORD_SIZE,
			    .rkey = peer->cfg.rkey,
			    .opcode = REMU_WR_RDMA_READ,
		    }) != 0)
		return false;
	peer->qp_pending++;
	return true;
}

static bool
post_write_part(struct ccm_peer *peer, enum ccm_write_kind kind, void *addr, uint32_t length,
	uint32_t offset, uint32_t rkey)
{
	if (remu_channel_post(peer->channel, peer->cfg.qpn,
		    &(struct remu_wr){
			    .wr_id = ccm__cookie(CCM_COOKIE_WRITE, peer->index, kind),
			    .addr = addr,
			    .remote_va = peer->cfg.va + offset,
			    .length = length,
			    .rkey = rkey,
			    .opcode = REMU_WR_RDMA_WRITE,
		    }) != 0)
		return false;
	peer->qp_pending++;
	peer->writes[kind].pending++;
	return true;
}

/* Every beat writes the whole record (R7), and the directory before it until it has arrived. */
static void
post_write(struct ccm_peer *peer, enum ccm_write_kind kind)
{
	struct ccm_write *write = &peer->writes[kind];
	struct ccm_record rec;

	if (write->pending != 0)
		return; /* its buffers are still on their way; `wanted` stays */
	write->failed = false;
	write->access = false;
	if (ccm_session_directory_due(&peer->session)) {
		memcpy(write->directory, peer->dir_image, peer->dir_len);
		if (!post_write_part(peer, kind, write->directory, peer->dir_len, CCM_DIR_OFFSET,
			    peer->cfg.directory_rkey))
			return;
	}
	ccm_session_record(&peer->session, &rec);
	ccm_record_encode(&rec, write->record);
	if (post_write_part(peer, kind, write->record, CCM_RECORD_SIZE, CCM_SLOT_OFFSET,
		    peer->cfg.slot_rkey))
		write->wanted = false;
}

void
ccm__pump(struct ccm *ccm, struct ccm_peer *peer)
{
	switch (peer->qp_state) {
	case CCM_QP_OPENING:
		if (peer->open_next == 0) /* whoever READs meets a valid record */
			ccm__publish(peer);
		while (peer->open_next < OPEN_VERBS &&
			post_open_verb(ccm, peer, peer->open_next) == 0) {
			peer->open_next++;
			peer->qp_pending++;
		}
		return;
	case CCM_QP_BROKEN:
		if (peer->qp_pending != 0)
			return;
		if (post_connect(ccm, peer, ccm__cookie(CCM_COOKIE_RECONNECT, peer->index, 0)) != 0)
			return;
		peer->qp_state = CCM_QP_RECONNECTING;
		peer->qp_pending++;
		peer->synced = false;
		return;
	case CCM_QP_RECONNECTING:
		return;
	case CCM_QP_READY:
		break;
	}
	/* The partner takes a new PSN sequence over from a READ only (R8). */
	for (uint32_t kind = 0; peer->synced && kind < CCM_WRITE_COUNT; kind++)
		if (peer->writes[kind].wanted)
			post_write(peer, kind);
	if (peer->read_wanted && post_read(peer))
		peer->read_wanted = false;
}

bool
ccm__opened(const struct ccm_peer *peer)
{
	return peer->open_next == OPEN_VERBS;
}
