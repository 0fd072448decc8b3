/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * --pcap FILE[,SIZE]: all frames of the port in pcapng, for Wireshark. The data lcores put copies into
 * rings and never wait; a thread of its own writes them. When the file has half the size it becomes
 * FILE.1, and a new one begins: so both together hold the latest traffic, SIZE at most.
 */

#include "capture_ring.h"

#include <stddef.h>
#include <stdint.h>

struct capture;

enum {
	CAPTURE_ERROR_LEN = 256,
	CAPTURE_FILE_LEN = 1024, /* longest file name */
};

#define CAPTURE_SIZE_DEFAULT (UINT64_C(64) << 20)
#define CAPTURE_SIZE_MIN (UINT64_C(256) << 10)
#define CAPTURE_SIZE_MAX (UINT64_C(1) << 40)

struct capture_config {
	const char *file;
	uint64_t max_bytes;	  /* of both files together */
	uint32_t n_rings;	  /* one per data lcore */
	uint64_t (*now_ns)(void); /* the clock of the frames' times */
	const char *interface;	  /* name of the port, for people; copied */
};

/* Counters go on over all files. */
struct capture_status {
	uint64_t frames;
	uint64_t bytes;
	uint64_t dropped; /* frames that were not written: no room in a ring, or the disk failed */
	uint64_t files;	  /* begun */
	int error;	  /* errno that ended the writing; 0: none */
};

/*
 * Create the file, anew and readable for its owner only; its name must stay. Nothing is written before
 * capture_start().
 *
 * Returns 0 or a negative errno, with one line in error.
 */
int capture_create(const struct capture_config *cfg, struct capture **out, char *error,
	size_t error_len);

/* Start to write. Returns 0 or a negative errno. */
int capture_start(struct capture *c);

/* Write what is left and end; the data lcores have stopped. NULL is harmless. */
void capture_destroy(struct capture *c);

/* For data lcore i. */
struct capture_ring *capture_ring_of(struct capture *c, uint32_t i);

/* From any thread. */
void capture_read(const struct capture *c, struct capture_status *out);
