/* SPDX-License-Identifier: BSD-3-Clause */
#include "pcap.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	SNAP_LEN = 65535,
	ETHERNET = 1,
	SECOND = 1000000000,
};

#define MAGIC_NS 0xa1b23c4du /* readers tell nanoseconds and byte order from it */

struct pcap_writer {
	FILE *file;
	bool failed;
};

struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, accuracy;
	uint32_t snap_len;
	uint32_t link_type;
};

struct record_header {
	uint32_t seconds, nanoseconds;
	uint32_t stored_len, len;
};

_Static_assert(sizeof(struct file_header) == 24, "layout of the file");
_Static_assert(sizeof(struct record_header) == 16, "layout of the file");

static void
put(struct pcap_writer *w, const void *data, size_t len)
{
	if (len != 0 && fwrite(data, len, 1, w->file) != 1)
		w->failed = true;
}

int
pcap_writer_open(const char *path, struct pcap_writer **out)
{
	const struct file_header header = {
		.magic = MAGIC_NS,
		.major = 2,
		.minor = 4,
		.snap_len = SNAP_LEN,
		.link_type = ETHERNET,
	};
	struct pcap_writer *w = calloc(1, sizeof(*w));
	int error;

	*out = NULL;
	if (w == NULL)
		return -ENOMEM;
	w->file = fopen(path, "wb");
	if (w->file == NULL) {
		error = errno;
		free(w);
		return -error;
	}
	put(w, &header, sizeof(header));
	*out = w;
	return 0;
}

int
pcap_writer_add(struct pcap_writer *w, const void *data, uint32_t len, uint64_t now)
{
	struct record_header header = {
		.seconds = (uint32_t)(now / SECOND),
		.nanoseconds = (uint32_t)(now % SECOND),
		.stored_len = len < SNAP_LEN ? len : SNAP_LEN,
		.len = len,
	};

	put(w, &header, sizeof(header));
	put(w, data, header.stored_len);
	return w->failed ? -EIO : 0;
}

int
pcap_writer_close(struct pcap_writer *w)
{
	bool failed;

	if (w == NULL)
		return 0;
	failed = fclose(w->file) != 0 || w->failed;
	free(w);
	return failed ? -EIO : 0;
}
