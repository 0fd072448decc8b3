/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Two engines joined by two links of the link model, one per direction, under one virtual clock.
 * Processing takes no time: what an engine wants to send is on its link at the moment of the event
 * that made it so. There is no static data; as many as one likes may exist side by side.
 */

#include <link.h>
#include <rdma_emul.h>

#include <stdbool.h>
#include <stdint.h>

struct pcap_writer;

struct duo_config {
	/* Of both engines; pool is the caller's, addresses and owner of QPNs are filled in. */
	struct remu_engine_config engine;
	struct link_config link[2]; /* link[i] leads from end i to the other one */
	uint64_t seed;		    /* of the links */
	uint64_t start_ns;	    /* the clock's first value */
	uint32_t mtu;		    /* largest path MTU in use */
	uint32_t ce_ppm; /* ECN-capable frames that get marked "congestion experienced" */
	bool ipv6;
	bool tagged;	  /* 802.1Q */
	const char *pcap; /* file for all frames as they were sent; NULL: none */
};

struct duo {
	struct duo_config cfg;
	struct remu_engine *engine[2];
	struct link link[2];
	uint64_t now;
	uint64_t trace;	 /* hash of all frames sent: who, when, bytes */
	uint64_t frames; /* sent by both */
	uint32_t spins;	 /* steps since time or a frame moved; more than a few: an engine's fault */
	/* Private. */
	uint64_t marks; /* random numbers for ce_ppm */
	struct roce_flow flow;
	struct link_pool slots;
	void *memory;
	struct pcap_writer *pcap;
};

/* Returns 0, or a negative errno of what failed. Anything but 0 needs no duo_close(). */
int duo_open(struct duo *d, const struct duo_config *cfg);

/* Close engines, links and file. Returns 0, or -EIO when the file is not complete. */
int duo_close(struct duo *d);

/*
 * Make a queue pair at each end and bring both to RTS. Fills in the peer, rq_psn and the tag.
 * Returns 0, or the error of the call that failed.
 */
int duo_join(struct duo *d, const struct remu_qp_config cfg[2], struct remu_qp_attr attr[2],
	struct remu_qp *qp[2]);

/*
 * Let both engines send, go to the next moment at which something happens, or to `until` if that
 * comes first, and deliver what arrives. Returns false when nothing will ever happen again.
 */
bool duo_step(struct duo *d, uint64_t until);
