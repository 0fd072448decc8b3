/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Writes Ethernet frames with times of their own into a classic pcap file with nanoseconds, which
 * tshark and tcpdump read. One thread per file.
 */

#include <stdint.h>

struct pcap_writer;

/* Create or empty a file. Returns 0 or a negative errno; *out is NULL on failure. */
int pcap_writer_open(const char *path, struct pcap_writer **out);

/* Add a frame that was seen at this time, nanoseconds since any epoch. Returns 0 or -EIO. */
int pcap_writer_add(struct pcap_writer *w, const void *data, uint32_t len, uint64_t now);

/* Returns 0, or -EIO when something of the file could not be written. NULL is harmless. */
int pcap_writer_close(struct pcap_writer *w);
