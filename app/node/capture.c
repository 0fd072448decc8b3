/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture.h"

#include "background.h"
#include "log.h"

#include <rte_common.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	RING_BYTES = 8 << 20, /* per data lcore: some milliseconds at full speed */
	LOOK_US = 5000,
	BUFFER = 1 << 18,
	BLOCK_MAX = 128, /* bytes of a block without a frame */
};

/* Blocks and options of pcapng (draft-ietf-opsawg-pcapng). */
enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_STATISTICS = 5,
	BLOCK_PACKET = 6,
	ORDER_MAGIC = 0x1a2b3c4d,
	LINKTYPE_ETHERNET = 1,
	OPTION_END = 0,
	OPTION_USERAPPL = 4,
	OPTION_IF_NAME = 2,
	OPTION_IF_TSRESOL = 9,
	OPTION_PACKET_FLAGS = 2,
	OPTION_STAT_DROP = 5,
	TSRESOL_NS = 9,
};

struct capture {
	/* constant */
	struct capture_config cfg;
	char older[CAPTURE_FILE_LEN + 2];
	char interface[64];
	uint64_t wall_ns; /* wall clock when now_ns() is 0 */
	struct capture_ring *rings;
	/* writer */
	pthread_t thread;
	bool started;
	FILE *file;
	uint64_t file_bytes;
	struct capture_frame frame;
	/* writer, read by any thread */
	_Atomic uint64_t frames;
	_Atomic uint64_t bytes;
	_Atomic uint64_t lost; /* taken from a ring and not written */
	_Atomic uint64_t files;
	_Atomic int error;
	_Atomic bool stop;
};

/* A block under construction. */
struct block {
	uint8_t bytes[BLOCK_MAX];
	uint32_t len;
};

static void
add(struct block *b, const void *from, size_t len)
{
	memcpy(b->bytes + b->len, from, len);
	b->len += (uint32_t)len;
}

static void
add32(struct block *b, uint32_t value)
{
	add(b, &value, sizeof(value));
}

static void
add_option(struct block *b, uint16_t code, const void *from, size_t len)
{
	static const uint8_t zeros[4];

	add(b, &code, sizeof(code));
	add(b, &(uint16_t){(uint16_t)len}, sizeof(uint16_t));
	add(b, from, len);
	add(b, zeros, -len & 3);
}

static void
end_options(struct block *b)
{
	add32(b, OPTION_END); /* the length, which is 0, in the upper half */
}

/* Type and length stand in front, the length behind it too. */
static struct block
begin(uint32_t type)
{
	struct block b = {.len = 0};

	add32(&b, type);
	add32(&b, 0);
	return b;
}

static void
write_out(struct capture *c, const void *from, size_t len)
{
	if (fwrite(from, 1, len, c->file) != len)
		atomic_store_explicit(&c->error, errno != 0 ? errno : EIO, memory_order_relaxed);
	c->file_bytes += len;
	atomic_fetch_add_explicit(&c->bytes, len, memory_order_relaxed);
}

static void
end(struct capture *c, struct block *b)
{
	uint32_t total = b->len + 4;

	memcpy(b->bytes + 4, &total, sizeof(total));
	add32(b, total);
	write_out(c, b->bytes, b->len);
}

static void
write_heads(struct capture *c)
{
	static const char program[] = "ccm-node " CCM_PROGRAM_VERSION;
	struct block b = begin(BLOCK_SECTION);

	add32(&b, ORDER_MAGIC);
	add32(&b, 1);	       /* version 1.0 */
	add32(&b, UINT32_MAX); /* length of the section: not known */
	add32(&b, UINT32_MAX);
	add_option(&b, OPTION_USERAPPL, program, sizeof(program) - 1);
	end_options(&b);
	end(c, &b);
	b = begin(BLOCK_INTERFACE);
	add32(&b, LINKTYPE_ETHERNET);
	add32(&b, 0); /* frames of any length */
	add_option(&b, OPTION_IF_NAME, c->interface, strlen(c->interface));
	add_option(&b, OPTION_IF_TSRESOL, &(uint8_t){TSRESOL_NS}, 1);
	end_options(&b);
	end(c, &b);
}

static uint64_t
dropped(const struct capture *c)
{
	uint64_t sum = atomic_load_explicit(&c->lost, memory_order_relaxed);

	for (uint32_t i = 0; i < c->cfg.n_rings; i++)
		sum += atomic_load_explicit(&c->rings[i].dropped, memory_order_relaxed);
	return sum;
}

static void
add_time(struct block *b, uint64_t wall_ns)
{
	add32(b, (uint32_t)(wall_ns >> 32));
	add32(b, (uint32_t)wall_ns);
}

static void
write_statistics(struct capture *c)
{
	struct block b = begin(BLOCK_STATISTICS);
	uint64_t n = dropped(c);

	add32(&b, 0);
	add_time(&b, c->wall_ns + c->cfg.now_ns());
	add_option(&b, OPTION_STAT_DROP, &n, sizeof(n));
	end_options(&b);
	end(c, &b);
}

static uint32_t
packet_block_len(const struct capture_frame *f)
{
	/* type, length, interface, time, both lengths; the frame; flags, end; length */
	return 28 + RTE_ALIGN_CEIL(f->kept, 4) + 12 + 4;
}

static void
write_packet(struct capture *c, struct capture_frame *f)
{
	uint32_t padded = RTE_ALIGN_CEIL(f->kept, 4), total = packet_block_len(f);
	struct block b = begin(BLOCK_PACKET);

	memcpy(b.bytes + 4, &total, sizeof(total));
	add32(&b, 0);
	add_time(&b, c->wall_ns + f->time_ns);
	add32(&b, f->kept);
	add32(&b, f->len);
	write_out(c, b.bytes, b.len);
	memset(f->data + f->kept, 0, padded - f->kept);
	write_out(c, f->data, padded);
	b.len = 0;
	add_option(&b, OPTION_PACKET_FLAGS, &(uint32_t){f->direction}, sizeof(uint32_t));
	end_options(&b);
	add32(&b, total);
	write_out(c, b.bytes, b.len);
	atomic_fetch_add_explicit(&c->frames, 1, memory_order_relaxed);
}

/* A new file. Nobody else may read it: it shows what is in the clients' memory. */
static int
open_file(struct capture *c)
{
	int fd = open(c->cfg.file,
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (c->file = fdopen(fd, "w")) == NULL) {
		close(fd);
		return -EINVAL;
	}
	setvbuf(c->file, NULL, _IOFBF, BUFFER);
	c->file_bytes = 0;
	atomic_fetch_add_explicit(&c->files, 1, memory_order_relaxed);
	write_heads(c);
	return 0;
}

static void
close_file(struct capture *c)
{
	if (c->file == NULL)
		return;
	write_statistics(c);
	if (fclose(c->file) != 0 && c->error == 0)
		atomic_store_explicit(&c->error, errno, memory_order_relaxed);
	c->file = NULL;
}

/* Half the room is used: what there is becomes the older file. */
static void
rotate(struct capture *c)
{
	int rc;

	close_file(c);
	rc = rename(c->cfg.file, c->older) != 0 ? -errno : open_file(c);
	if (rc != 0)
		atomic_store_explicit(&c->error, -rc, memory_order_relaxed);
}

/* The ring with the oldest frame; NULL: all are empty. */
static struct capture_ring *
oldest(struct capture *c)
{
	struct capture_ring *found = NULL;
	uint64_t first = 0, at;

	for (uint32_t i = 0; i < c->cfg.n_rings; i++) {
		if (!capture_ring_peek(&c->rings[i], &at) || (found != NULL && at >= first))
			continue;
		found = &c->rings[i];
		first = at;
	}
	return found;
}

static bool
failed(const struct capture *c)
{
	return atomic_load_explicit(&c->error, memory_order_relaxed) != 0;
}

static void
drain(struct capture *c)
{
	struct capture_ring *ring;
	bool was_well = !failed(c);

	while ((ring = oldest(c)) != NULL) {
		capture_ring_take(ring, &c->frame);
		if (!failed(c) &&
			c->file_bytes + packet_block_len(&c->frame) + BLOCK_MAX >
				c->cfg.max_bytes / 2)
			rotate(c);
		if (failed(c))
			atomic_fetch_add_explicit(&c->lost, 1, memory_order_relaxed);
		else
			write_packet(c, &c->frame);
	}
	if (c->file != NULL && !failed(c) && fflush(c->file) != 0)
		atomic_store_explicit(&c->error, errno, memory_order_relaxed);
	if (was_well && failed(c))
		NODE_LOG(WARNING, "capture ends: %s: %s", c->cfg.file, strerror(c->error));
}

static void *
capture_main(void *arg)
{
	struct capture *c = arg;
	bool stop;

	do {
		stop = atomic_load_explicit(&c->stop, memory_order_acquire);
		drain(c);
		if (!stop)
			usleep(LOOK_US);
	} while (!stop);
	close_file(c);
	return NULL;
}

static uint64_t
wall_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int
init(struct capture *c)
{
	int rc;

	for (uint32_t i = 0; i < c->cfg.n_rings; i++) {
		rc = capture_ring_init(&c->rings[i], RING_BYTES);
		if (rc != 0)
			return rc;
	}
	rc = open_file(c);
	if (rc == 0 && (fflush(c->file) != 0 || failed(c)))
		rc = -errno;
	return rc;
}

int
capture_create(const struct capture_config *cfg, struct capture **out, char *error,
	size_t error_len)
{
	struct capture *c = calloc(1, sizeof(*c));
	int rc = -ENOMEM;

	*out = NULL;
	if (c != NULL)
		c->rings = aligned_alloc(64, cfg->n_rings * sizeof(c->rings[0]));
	if (c != NULL && c->rings != NULL) {
		memset(c->rings, 0, cfg->n_rings * sizeof(c->rings[0]));
		c->cfg = *cfg;
		snprintf(c->interface, sizeof(c->interface), "%s", cfg->interface);
		snprintf(c->older, sizeof(c->older), "%s.1", cfg->file);
		c->wall_ns = wall_clock() - cfg->now_ns();
		rc = init(c);
	}
	if (rc == 0) {
		*out = c;
		return 0;
	}
	snprintf(error, error_len, "--pcap %s: %s", cfg->file,
		rc == -EINVAL ? "not a regular file" : strerror(-rc));
	capture_destroy(c);
	return rc;
}

int
capture_start(struct capture *c)
{
	int rc = background_start(&c->thread, "ccm-capture", capture_main, c);

	c->started = rc == 0;
	return rc;
}

void
capture_destroy(struct capture *c)
{
	struct timespec limit;

	if (c == NULL)
		return;
	if (c->started) {
		atomic_store_explicit(&c->stop, true, memory_order_release);
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec += 1;
		if (pthread_timedjoin_np(c->thread, NULL, &limit) != 0)
			return; /* the disk hangs: it ends with the process */
	}
	close_file(c);
	for (uint32_t i = 0; c->rings != NULL && i < c->cfg.n_rings; i++)
		capture_ring_fini(&c->rings[i]);
	free(c->rings);
	free(c);
}

struct capture_ring *
capture_ring_of(struct capture *c, uint32_t i)
{
	return &c->rings[i];
}

void
capture_read(const struct capture *c, struct capture_status *out)
{
	*out = (struct capture_status){
		.frames = atomic_load_explicit(&c->frames, memory_order_relaxed),
		.bytes = atomic_load_explicit(&c->bytes, memory_order_relaxed),
		.dropped = dropped(c),
		.files = atomic_load_explicit(&c->files, memory_order_relaxed),
		.error = atomic_load_explicit(&c->error, memory_order_relaxed),
	};
}
