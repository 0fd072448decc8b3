/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Model of a bad network: one struct link is one direction between two ends. It takes frames,
 * decides what becomes of each, and hands them out when they are due. It knows no DPDK, reads no
 * clock (time is an argument in nanoseconds and never goes back) and allocates nothing: frames are
 * copied into a pool that the caller gave, which several links may share.
 *
 * Randomness: the draw for purpose p of the link's packet i is output number 32 i + p of
 * splitmix64, from a seed that was mixed once. So a decision depends on the seed, on the packet's
 * index and on the settings of that one fault: switching on another fault or changing the
 * configuration later leaves it as it was. All arithmetic is on integers: the same calls give the
 * same result with each compiler and at each level of optimisation.
 *
 * Of each packet it is asked, in this order: is it too long for the pool, is the link cut, is the
 * packet in the mask or the list, random loss, loss in a burst, longer than the clip, what says
 * the hook, is the queue full, is the pool empty? The first yes is the one that is counted. Lost
 * packets take no time on the wire.
 *
 * Order: delays alone let no frame pass another; a frame waits for the ones before it. With a
 * window of k, each may be passed by at most k later ones, by their delays or by being held back.
 * Copies and frames that the hook made "loose" know no order.
 *
 * Not thread-safe; all links of a pool belong to one thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
	LINK_PPM = 1000000,
	LINK_WINDOW_MAX = 64,
	LINK_LIST_MAX = 64,
	LINK_COPIES_MAX = 4,
};

#define LINK_NEVER UINT64_MAX

/* Why a packet was lost. */
enum link_loss {
	LINK_KEPT,
	LINK_LOST_SIZE, /* empty, or longer than the pool's frames */
	LINK_LOST_PARTITION,
	LINK_LOST_MASK,
	LINK_LOST_LIST,
	LINK_LOST_RANDOM,
	LINK_LOST_BURST,
	LINK_LOST_CLIP,
	LINK_LOST_HOOK,
	LINK_LOST_QUEUE, /* queue full: tail drop */
	LINK_LOST_POOL,	 /* pool empty */
	LINK_LOSS_COUNT
};

/* What was done to a frame's bytes. */
enum link_damage {
	LINK_INTACT,
	LINK_FLIPPED, /* one bit turned */
	LINK_CUT,     /* tail gone */
	LINK_FORGED,  /* one bit turned, then sealed again */
	LINK_DAMAGE_COUNT
};

/* What becomes of a packet: drawn by the link, then shown to the hook, which may change it. */
struct link_fate {
	enum link_loss loss;
	enum link_damage damage;
	uint32_t damage_at; /* bit to turn, counted from the frame's start; or bytes left */
	bool loose;	    /* others may pass it, by any number, and it them */
	uint32_t hold;	    /* later frames that it is held back behind; the window at most */
	uint64_t delay_ns;
	uint32_t copies;
	uint64_t copy_delay_ns[LINK_COPIES_MAX]; /* after the frame itself */
};

/* A packet as the hook sees it; index counts all packets given to the link, from 0. */
struct link_packet {
	uint64_t index;
	const uint8_t *data;
	uint32_t len;
	uint64_t now;
};

typedef void (*link_hook_fn)(void *ctx, const struct link_packet *packet, struct link_fate *fate);

/* Makes a changed frame valid again. */
typedef void (*link_seal_fn)(void *ctx, uint8_t *data, uint32_t len);

/* All zero: a perfect wire without delay. Rates are in parts per million of the packets. */
struct link_config {
	/* Loss. */
	uint32_t loss_ppm;
	uint32_t burst_begin_ppm; /* Gilbert-Elliott, per packet: from good to bad */
	uint32_t burst_end_ppm;	  /* from bad to good */
	uint32_t burst_loss_ppm;  /* while bad */
	uint64_t loss_mask;	  /* packet i is lost when bit i modulo mask_bits is set */
	uint32_t mask_bits;	  /* 1 to 64; 0: no mask */
	uint32_t n_lost;
	uint64_t lost[LINK_LIST_MAX]; /* indices of packets to lose, in any order */
	uint32_t clip;		      /* longest frame that passes, bytes; 0: no limit */

	/* Copies: 1 to copies_max of them, each this long after the frame. */
	uint32_t duplicate_ppm;
	uint32_t copies_max; /* 0: 1 */
	uint64_t duplicate_min_ns;
	uint64_t duplicate_max_ns;

	/* Order. */
	uint32_t reorder_ppm;	 /* held back behind 1 to reorder_window later frames */
	uint32_t reorder_window; /* up to LINK_WINDOW_MAX */
	uint64_t reorder_ns;	 /* held no longer than that when fewer follow; 0: 1 ms */

	/* Delay: fixed, plus 0 to jitter, plus an exponential tail. */
	uint64_t delay_ns;
	uint64_t jitter_ns;
	uint64_t tail_ns;     /* mean of the tail before it is capped; up to 2^40 */
	uint64_t tail_cap_ns; /* longest tail; 0: none (44 times the mean) */

	/* Rate and the queue before it. */
	uint64_t rate_bps;    /* bits per second; 0: without limit */
	uint64_t queue_limit; /* bytes not yet on the wire; 0: without limit */

	/* Damage: at most one of the three. */
	uint32_t flip_ppm;
	uint32_t cut_ppm; /* 1 byte to all but one */
	uint32_t forge_ppm;
	uint32_t damage_from; /* bytes at the front that are spared, in frames longer than that */
	link_seal_fn seal;    /* needed by forge_ppm */

	/* The line. */
	bool partition;		/* lost: what is sent, and what would arrive, while it is set */
	uint64_t clog_until_ns; /* what would arrive before this time waits until it */

	link_hook_fn hook;
	void *ctx; /* of both callbacks */
};

/*
 * sent + duplicated = delivered + all lost + in flight. A frame that is lost after its copies were
 * made is counted on its own.
 */
struct link_stats {
	uint64_t sent;
	uint64_t delivered;
	uint64_t lost[LINK_LOSS_COUNT]; /* by enum link_loss */
	uint64_t duplicated;		/* copies made */
	uint64_t held;
	uint64_t reordered;		       /* delivered after a later one; without copies */
	uint64_t corrupted[LINK_DAMAGE_COUNT]; /* by enum link_damage; copies too */
	uint64_t in_flight;
	uint64_t sent_bytes;
	uint64_t delivered_bytes;
};

struct link_frame;

struct link_pool {
	struct link_frame *free;
	uint32_t frame_max;
	uint32_t n_frames;
	uint32_t n_free;
};

/* A frame held back until others have passed it. */
struct link_held {
	struct link_frame *frame;
	uint64_t behind; /* place of the frame that it waits for */
	uint64_t due;	 /* when it would have come */
};

struct link {
	struct link_config cfg;
	struct link_pool *pool;
	struct link_frame *queue; /* heap: first due at its root */
	struct link_stats stats;
	uint64_t seed;
	uint64_t trace;
	uint64_t order;	  /* breaks ties of frames due at the same time */
	uint64_t highest; /* index of the last frame in order that was delivered, plus 1 */
	uint64_t partition_since;
	uint64_t clog_since;
	bool bad; /* state of the burst model */
	/* Serialisation. */
	uint64_t busy_until;
	uint64_t bit_ns_left; /* remainder of the division by the rate */
	/* Order: due times of the last frames by their place; all before `settled` in one maximum. */
	uint64_t placed;
	uint64_t settled;
	uint64_t settled_due;
	uint64_t due[2 * LINK_WINDOW_MAX];
	uint32_t n_held;
	struct link_held held[LINK_WINDOW_MAX];
};

/* Bytes of memory for a pool. */
size_t link_pool_size(uint32_t n_frames, uint32_t frame_max);

/*
 * Make a pool.
 *
 * memory     aligned to 16 bytes; stays the caller's and must outlive the links
 * frame_max  longest frame, bytes
 */
void link_pool_init(struct link_pool *pool, void *memory, uint32_t n_frames, uint32_t frame_max);

/* Make a link. Returns 0, or -EINVAL as link_config(). */
int link_init(struct link *l, struct link_pool *pool, uint64_t seed, const struct link_config *cfg);

/* Give the frames in flight back to the pool. */
void link_close(struct link *l);

/*
 * Change the configuration. Frames in flight keep what was drawn for them, but follow the new
 * partition and clog; held frames are let go when the window changes. A partition lasts from the
 * call that sets it up to the call that ends it, also for frames that nobody has asked for since.
 *
 * Returns 0; -EINVAL (nothing has changed): a rate above LINK_PPM, a window, list or mask beyond
 * its limit, minimum above maximum, a mean tail above 2^40, forge_ppm without seal.
 */
int link_config(struct link *l, const struct link_config *cfg, uint64_t now);

/* The same for one setting. A clog may be shortened; LINK_NEVER lasts until then. */
void link_partition(struct link *l, bool on, uint64_t now);
void link_clog(struct link *l, uint64_t until, uint64_t now);

/* Take a frame, which is copied. Returns whether it is on its way. */
bool link_send(struct link *l, const void *data, uint32_t len, uint64_t now);

/*
 * Fetch the next frame that is due. Returns its length, and as much of it as there is room for in
 * `buf`; 0 when there is none.
 */
uint32_t link_recv(struct link *l, void *buf, uint32_t cap, uint64_t now);

/* When the next frame is due: then or later link_recv() has to be called. LINK_NEVER: none. */
uint64_t link_next(const struct link *l);

const struct link_stats *link_stats(const struct link *l);

/* Hash over all frames delivered: bytes, time of arrival and time of the call that fetched it. */
uint64_t link_trace_hash(const struct link *l);

/* Names for messages. */
const char *link_loss_name(enum link_loss loss);
const char *link_damage_name(enum link_damage damage);

/*
 * Draw which faults are on and how strong they are: each with one chance in two. Sets all faults
 * but partition and clog; leaves delay_ns, damage_from and callbacks, and forges only when there
 * is a seal. Writes one line, seed and faults, unless `out` is NULL.
 */
void link_swarm(uint64_t seed, struct link_config *cfg, FILE *out);

/* The faults of a configuration in one line without newline; "none" for a perfect link. */
void link_describe(const struct link_config *cfg, char *buf, size_t size);
