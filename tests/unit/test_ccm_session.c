/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The session state machine, input by input: every input in every state against a table of what
 * the rules R1 to R10 ask for, then rule by rule.
 *
 * The states that were seen to follow each other make doc/session-states.dot; with the arguments
 * --dot FILE the test writes it instead of comparing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ccm_session.h"
#include "ccm_verdict.h"

#ifndef SOURCE_ROOT
#	define SOURCE_ROOT "."
#endif

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum {
	BEAT = 1000 * 1000, /* ns */
	DEAD = 10 * BEAT,
	SEARCH = 50 * BEAT,
	CONFLICT_WINDOW = 1000 * BEAT, /* the longest of a second and ten detection times */
	CLUSTER = 4711,
	ME = 1,
	PARTNER = 2,
	/* Attempts, ours and the partner's; each drawn once. */
	MINE = 0x11,
	SPARE = 0x12,
	THEIRS = 0x71,
	THEIRS_NEXT = 0x72,
	STRANGER = 0x99,
	DIR_CRC = 0xd1, /* of our directory */
	/* What one abandon or stop may ask for, whatever the state. */
	TELL = CCM_ACT_EVENT | CCM_ACT_PUBLISH,
};

/* ---- the session under test ---- */

static const struct ccm_directory_client clients[] = {{"nvlog", 2, 65536}};
/* The same ports follow from these, as long as the partner has no "mon". */
static const struct ccm_directory_client more_clients[] = {{"mon", 1, 4096}, {"nvlog", 2, 65536}};

static struct {
	struct ccm_session s;
	uint64_t now;
	uint64_t next_nonce;
	bool clients_up;
	uint32_t ups;
} t;

static bool seen_move[CCM_STATE_COUNT][CCM_STATE_COUNT];

static uint64_t
map_hash(void)
{
	struct ccm_port_map map;

	ccm_port_map_make(clients, 1, clients, 1, &map);
	return ccm_port_map_hash(&map);
}

/* One input, with what must hold for any. */
static uint32_t
feed_input(struct ccm_input in)
{
	struct ccm_session *s = &t.s;
	enum ccm_state from = s->state;
	uint64_t nonce = s->nonce, spare = s->spare_nonce;
	uint32_t act = ccm_session_step(s, &in, t.now);
	enum ccm_state at = from;

	for (uint32_t i = 0; i < s->n_moves; i++) {
		assert_int_equal(s->moves[i].from, at);
		at = (enum ccm_state)s->moves[i].to;
		assert_true(ccm_session_move_legal(s->moves[i].from, at));
		seen_move[s->moves[i].from][at] = true;
	}
	assert_int_equal(at, s->state);
	assert_int_equal((act & CCM_ACT_EVENT) != 0, s->n_moves != 0);
	assert_int_equal((act & CCM_ACT_CLIENTS_DOWN) != 0, from == CCM_UP && s->state != CCM_UP);
	assert_int_equal((act & CCM_ACT_CLIENTS_UP) != 0, from != CCM_UP && s->state == CCM_UP);
	t.clients_up = (t.clients_up || (act & CCM_ACT_CLIENTS_UP)) &&
		!(act & CCM_ACT_CLIENTS_DOWN);
	assert_int_equal(t.clients_up, s->state == CCM_UP);
	t.ups += (act & CCM_ACT_CLIENTS_UP) != 0;
	/* R1: a new attempt always takes the spare nonce and asks for another spare. */
	assert_int_equal(s->nonce != nonce, (act & CCM_ACT_NONCE) != 0);
	if (act & CCM_ACT_NONCE) {
		assert_int_equal(s->nonce, spare);
		assert_int_equal(s->bound, 0);
		s->spare_nonce = t.next_nonce++;
	}
	/* The manager's part. */
	if ((act & CCM_ACT_DIRECTORY) && s->bound != 0)
		s->dir_crc = DIR_CRC;
	return act;
}

static uint32_t
feed(enum ccm_input_kind kind)
{
	return feed_input((struct ccm_input){.kind = kind});
}

static uint32_t
feed_record(enum ccm_input_kind kind, struct ccm_record rec)
{
	return feed_input((struct ccm_input){.kind = kind, .record = &rec});
}

static uint32_t
feed_dir(struct ccm_directory dir)
{
	return feed_input((struct ccm_input){.kind = CCM_IN_DIRECTORY, .directory = &dir});
}

/* A TIMER by which the next beat and our own tick are due. */
static uint32_t
feed_due(void)
{
	t.s.next_tick_ns = t.now;
	if (t.s.io == CCM_IO_IDLE)
		t.s.next_beat_ns = t.now;
	return feed(CCM_IN_TIMER);
}

static struct ccm_record
record(uint64_t nonce, uint64_t echo, enum ccm_state phase)
{
	static uint64_t seq, beat;

	return (struct ccm_record){
		.seq = ++seq,
		.nonce = nonce,
		.echo = echo,
		.cluster_hash = CLUSTER,
		.map_hash = phase >= CCM_BOUND && phase <= CCM_UP ? map_hash() : 0,
		.beat = ++beat,
		.src_id = PARTNER,
		.dst_id = ME,
		.version_min = 1,
		.version_max = 1,
		.version = echo != 0 && phase >= CCM_BOUND && phase <= CCM_UP ? 1 : 0,
		.path_mtu = 1024,
		.phase = (uint8_t)phase,
		.name = "partner",
	};
}

static struct ccm_directory
directory(bool with_ports)
{
	struct ccm_directory dir = {
		.nonce = THEIRS,
		.echo = MINE,
		.crc = with_ports ? 0xc2 : 0xc1,
		.n_clients = 1,
		.n_ports = with_ports ? 2 : 0,
		.clients = {{"nvlog", 2, 65536}},
	};

	for (uint16_t i = 0; i < 2 && with_ports; i++)
		dir.ports[i] = (struct ccm_directory_port){0, i, 16u + i, 0, 1, 4096, 32768};
	return dir;
}

static void
init(void)
{
	static const struct ccm_session_config cfg = {
		.node_id = ME,
		.partner_id = PARTNER,
		.version_min = 1,
		.version_max = 1,
		.path_mtu = 4096,
		.cluster_hash = CLUSTER,
		.beat_ns = BEAT,
		.dead_after_ns = DEAD,
		.search_ns = SEARCH,
		.name = "me",
	};

	memset(&t, 0, sizeof(t));
	t.now = 1000 * MS;
	t.next_nonce = SPARE + 1;
	ccm_session_init(&t.s, &cfg, clients, 1, MINE, SPARE);
}

/* ---- every input in every state ---- */

/* Where a session can be: a letter in the table's head. Capitals: a READ is under way. */
enum spot {
	DOWN,		/* D */
	SEARCH_NEW,	/* s never READ anything */
	SEARCH_READ,	/* S READ 1 is under way */
	SEARCH_WRITE,	/* v WRITE 1 is under way */
	FOLLOW,		/* f WRITE 1 is done */
	FOLLOW_READ,	/* g READ 2 is under way */
	REFUSED,	/* r the partner's version is not ours */
	REFUSED_READ,	/* R */
	BOUND,		/* b no directory yet */
	BOUND_READ,	/* B */
	CREATING,	/* c */
	CREATING_READ,	/* C */
	CREATED,	/* p the partner's ports are not known yet */
	CONNECTING,	/* q */
	CONNECTED_READ, /* Q */
	READY,		/* y */
	READY_READ,	/* Y */
	UP,		/* u */
	UP_READ,	/* U */
	UP_WRITE,	/* x */
	CLOSING,	/* k ports are being destroyed */
	CLOSING_READ,	/* K */
	LEAVING,	/* l as well */
	LEAVING_READ,	/* L no ports, and the partner has not noticed */
	SPOTS
};

/* The phase in which the partner was READ last there; what follows is a step on from it. */
static enum ccm_state
partner_phase(enum spot spot)
{
	if (spot <= FOLLOW_READ || spot == LEAVING_READ)
		return CCM_SEARCH;
	if (spot <= CONNECTED_READ)
		return CCM_BOUND;
	return spot <= READY_READ ? CCM_PORTS : CCM_UP;
}

static void
read_and_write(struct ccm_record rec)
{
	assert_true(feed_due() & CCM_ACT_READ);
	t.now += 10 * US;
	assert_true(feed_record(CCM_IN_READ_OK, rec) & CCM_ACT_WRITE);
	t.now += 10 * US;
	feed(CCM_IN_WRITE_OK);
}

static void
go_bound(enum spot spot)
{
	read_and_write(record(THEIRS, MINE, CCM_BOUND));
	read_and_write(record(THEIRS, MINE, CCM_BOUND));
	if (spot >= CREATING)
		feed_dir(directory(false));
	if (spot >= CREATED)
		feed(CCM_IN_PORTS_CREATED);
	if (spot >= CONNECTING)
		feed_dir(directory(true));
	if (spot >= CONNECTED_READ)
		feed(CCM_IN_PORTS_CONNECTED);
	if (spot >= READY)
		read_and_write(record(THEIRS, MINE, CCM_PORTS));
	if (spot >= UP) {
		feed_record(CCM_IN_SLOT, record(THEIRS, MINE, CCM_READY));
		read_and_write(record(THEIRS, MINE, CCM_UP));
	}
	if (spot == CLOSING || spot == CLOSING_READ)
		feed(CCM_IN_PORT_ERROR);
	if (spot == LEAVING)
		feed(CCM_IN_STOP);
}

static void
go(enum spot spot)
{
	struct ccm_record rec = record(THEIRS, 0, CCM_SEARCH);
	bool reads = strchr("SgvRBCQYUxKL", "DsSvfgrRbBcCpqQyYuUxkKlL"[spot]) != NULL;

	init();
	if (spot == DOWN)
		return;
	feed(CCM_IN_START);
	if (spot == REFUSED || spot == REFUSED_READ)
		rec.version_min = rec.version_max = 2;
	if (spot >= BOUND && spot != LEAVING_READ)
		go_bound(spot);
	else if (spot >= FOLLOW)
		read_and_write(rec);
	t.now += 10 * US;
	if (spot == LEAVING_READ)
		feed(CCM_IN_STOP);
	if (reads)
		assert_true(feed_due() & CCM_ACT_READ);
	if (spot == SEARCH_WRITE)
		feed_record(CCM_IN_READ_OK, rec);
	if (spot == UP_WRITE)
		feed_record(CCM_IN_READ_OK, record(THEIRS, MINE, CCM_UP));
	t.now += 10 * US;
	t.s.next_tick_ns = t.now + 1;
	t.s.next_beat_ns = t.now + 1;
}

enum input {
	I_START,
	I_TIMER,
	I_TIMER_DUE,
	I_TIMER_SILENCE,
	I_TIMER_HUNG,
	I_TIMER_STALL,
	I_READ, /* those up to I_READ_LAST: a record that is intact */
	I_READ_BOUND,
	I_READ_PORTS,
	I_READ_MAP,
	I_READ_AGREED,
	I_READ_ECHO,
	I_READ_NONCE,
	I_READ_BACK,
	I_READ_DOWN,
	I_READ_LEAVING,
	I_READ_REFUSED,
	I_READ_CLUSTER,
	I_READ_SRC,
	I_READ_DST,
	I_READ_RANGE,
	I_READ_LAST = I_READ_RANGE,
	I_EMPTY,
	I_MAGIC,
	I_LAYOUT,
	I_TORN,
	I_CRC,
	I_VALUE,
	I_READ_FAILED,
	I_READ_ACCESS,
	I_WRITE_OK,
	I_WRITE_FAILED,
	I_WRITE_ACCESS,
	I_SLOT_SAME,
	I_SLOT_FOLLOWS,
	I_SLOT_READY,
	I_SLOT_MAP,
	I_SLOT_AGREED,
	I_SLOT_ECHO,
	I_SLOT_NONCE,
	I_SLOT_CLUSTER,
	I_DIR,
	I_DIR_PORTS,
	I_DIR_NONCE,
	I_DIR_ECHO,
	I_DIR_CLIENTS,
	I_DIR_MISFIT,
	I_DIR_MAP,
	I_CREATED,
	I_CONNECTED,
	I_FAILED,
	I_DESTROYED,
	I_PORT_ERROR,
	I_LINK_DOWN,
	I_LINK_UP,
	I_STOP,
	I_CLIENTS_MORE,
	I_CLIENTS_NONE,
	INPUTS
};

static uint32_t
apply_timer(enum input input)
{
	if (input == I_TIMER)
		return feed(CCM_IN_TIMER);
	if (input == I_TIMER_DUE)
		return feed_due();
	t.now = t.s.last_beat_ns + DEAD + 1;
	if (t.s.last_beat_ns == 0)
		t.now = t.s.since_ns + DEAD + 1;
	if (input == I_TIMER_HUNG && t.s.bound != 0)
		t.s.last_answer_ns = t.now;
	if (input != I_TIMER_STALL)
		return feed_due();
	/* The last turn was just after the last beat. */
	t.s.next_tick_ns = t.now - DEAD + BEAT;
	return feed(CCM_IN_TIMER);
}

static uint32_t
apply_read(enum spot spot, enum input input)
{
	bool bound = spot >= BOUND && spot != LEAVING_READ;
	struct ccm_record rec = record(THEIRS, bound ? MINE : 0, partner_phase(spot));

	switch ((int)input) {
	case I_READ:
		if (spot == REFUSED_READ)
			rec.version_min = rec.version_max = 2;
		break;
	case I_READ_BOUND:
		rec = record(THEIRS, MINE, CCM_BOUND);
		break;
	case I_READ_PORTS:
		rec = record(THEIRS, MINE, CCM_PORTS);
		break;
	case I_READ_MAP:
		rec = record(THEIRS, MINE, CCM_UP);
		rec.map_hash++;
		break;
	case I_READ_AGREED:
		rec = record(THEIRS, MINE, CCM_UP);
		rec.version = 0;
		break;
	case I_READ_ECHO:
		rec = record(THEIRS, STRANGER, CCM_UP);
		break;
	case I_READ_NONCE:
		rec = record(THEIRS_NEXT, 0, CCM_SEARCH);
		break;
	case I_READ_BACK:
		rec = record(THEIRS, MINE, CCM_SEARCH);
		break;
	case I_READ_DOWN:
		rec.phase = CCM_DOWN;
		break;
	case I_READ_LEAVING:
		rec.phase = CCM_LEAVING;
		break;
	case I_READ_REFUSED:
		rec.phase = CCM_REFUSED;
		break;
	case I_READ_CLUSTER:
		rec.cluster_hash++;
		break;
	case I_READ_SRC:
		rec.src_id++;
		break;
	case I_READ_DST:
		rec.dst_id++;
		break;
	case I_READ_RANGE:
		rec.version_min = rec.version_max = 2;
		break;
	}
	return feed_record(CCM_IN_READ_OK, rec);
}

static uint32_t
apply_slot(enum input input)
{
	struct ccm_record rec = record(THEIRS, MINE, CCM_READY);

	switch ((int)input) {
	case I_SLOT_SAME:
		rec = t.s.slot;
		if (rec.nonce == 0) /* nothing there to repeat */
			return 0;
		rec.beat++;
		rec.seq++;
		break;
	case I_SLOT_FOLLOWS:
		rec = record(THEIRS, MINE, CCM_SEARCH);
		break;
	case I_SLOT_MAP:
		rec.map_hash++;
		break;
	case I_SLOT_AGREED:
		rec.version = 0;
		break;
	case I_SLOT_ECHO:
		rec.echo = STRANGER;
		break;
	case I_SLOT_NONCE:
		rec.nonce = THEIRS_NEXT;
		break;
	case I_SLOT_CLUSTER:
		rec.cluster_hash++;
		break;
	}
	return feed_record(CCM_IN_SLOT, rec);
}

static uint32_t
apply_dir(enum input input)
{
	struct ccm_directory dir = directory(input != I_DIR);

	if (input == I_DIR_NONCE)
		dir.nonce = THEIRS_NEXT;
	if (input == I_DIR_ECHO)
		dir.echo = STRANGER;
	if (input == I_DIR_CLIENTS)
		dir.clients[0].memory++;
	if (input == I_DIR_MISFIT)
		dir.ports[1].length--;
	if (input == I_DIR_MAP)
		dir.clients[0].memory--;
	if (input == I_DIR_CLIENTS || input == I_DIR_MISFIT || input == I_DIR_MAP)
		dir.crc++;
	return feed_dir(dir);
}

static uint32_t
apply(enum spot spot, enum input input)
{
	static const enum ccm_input_kind plain[INPUTS] = {
		[I_START] = CCM_IN_START,
		[I_WRITE_OK] = CCM_IN_WRITE_OK,
		[I_WRITE_FAILED] = CCM_IN_WRITE_FAILED,
		[I_WRITE_ACCESS] = CCM_IN_WRITE_FAILED,
		[I_READ_FAILED] = CCM_IN_READ_FAILED,
		[I_READ_ACCESS] = CCM_IN_READ_FAILED,
		[I_CREATED] = CCM_IN_PORTS_CREATED,
		[I_CONNECTED] = CCM_IN_PORTS_CONNECTED,
		[I_FAILED] = CCM_IN_PORTS_FAILED,
		[I_DESTROYED] = CCM_IN_PORTS_DESTROYED,
		[I_PORT_ERROR] = CCM_IN_PORT_ERROR,
		[I_LINK_DOWN] = CCM_IN_LINK_DOWN,
		[I_LINK_UP] = CCM_IN_LINK_UP,
		[I_STOP] = CCM_IN_STOP,
		[I_CLIENTS_MORE] = CCM_IN_CLIENTS,
		[I_CLIENTS_NONE] = CCM_IN_CLIENTS,
	};
	static const struct ccm_record none;

	if (input >= I_TIMER && input <= I_TIMER_STALL)
		return apply_timer(input);
	if (input >= I_READ && input <= I_READ_LAST)
		return apply_read(spot, input);
	if (input >= I_EMPTY && input <= I_VALUE)
		return feed_input((struct ccm_input){
			.kind = CCM_IN_READ_OK,
			.record = &none,
			.verdict = (enum ccm_record_verdict)(input - I_EMPTY + CCM_RECORD_EMPTY),
		});
	if (input >= I_SLOT_SAME && input <= I_SLOT_CLUSTER)
		return apply_slot(input);
	if (input >= I_DIR && input <= I_DIR_MAP)
		return apply_dir(input);
	return feed_input((struct ccm_input){
		.kind = plain[input],
		.access = input == I_READ_ACCESS || input == I_WRITE_ACCESS,
		.clients = more_clients,
		.n_clients = input == I_CLIENTS_MORE ? 2 : 0,
	});
}

/*
 * What must come of it, a letter per spot:
 *  .  nothing, but the WRITE after a READ (w)
 *  a  the attempt is abandoned, for `why`
 *  A  ... and the next beat begins
 *  t  a beat begins; our own counter ticks  p  it ticks
 *  n  only the reason changes, to `found`
 *  h  ... with the WRITE                    P  ... which is told at once
 *  o  the partner's attempt is followed     f  it is refused, for `why`
 *  z  no longer refused: `found`, with the WRITE   Z  without it
 *  b  bound                                 i  directory taken
 *  c  ports are to be created               k  they are to be connected
 *  d  our ports exist                       y  the partner's are verified
 *  U  clients are told                      q  our ports are gone
 *  s  searching begins                      x  leaving
 *  r  our directory is renewed and told
 */
/* clang-format off */
static const struct row {
	enum input input;
	enum ccm_reason why;
	enum ccm_reason found;
	const char *cells;
} rows[] = {
#define NO CCM_REASON_NONE
#define R(name) CCM_REASON_##name
	/*                                          DsSvfgrRbBcCpqQyYuUxkKlL */
	{I_START, NO, R(NO_ANSWER),                "s......................."},
	{I_TIMER, NO, NO,                          "........................"},
	{I_TIMER_DUE, NO, NO,                      ".tpptptptptpttptptpptptp"},
	{I_TIMER_SILENCE, R(NO_ANSWER), NO,        ".tpptptpAaAaAAaAaAaatptp"},
	{I_TIMER_HUNG, R(PARTNER_HUNG), NO,        ".tpptptpAaAaAAaAaAaatptp"},
	{I_TIMER_STALL, NO, NO,                    ".tpptptptptpttptptpptptp"},
	{I_READ, NO, NO,                           "..o..w.w.w.w..w.w.w..w.w"},
	{I_READ_BOUND, R(PARTNER_WENT_BACK), NO,   "..b..b.b.w.w..w.a.a..w.w"},
	{I_READ_PORTS, R(PARTNER_WENT_BACK), NO,   "..b..b.b.w.w..y.w.a..w.w"},
	{I_READ_MAP, R(PORT_MAP), NO,              "..b..b.b.w.w..a.w.w..w.w"},
	{I_READ_AGREED, R(PORT_MAP), NO,           "..b..b.b.w.w..a.w.w..w.w"},
	{I_READ_ECHO, R(PARTNER_WENT_BACK), R(WAITING), "..o..w.z.w.w..w.a.a..w.w"},
	{I_READ_NONCE, R(PARTNER_RESTARTED), R(WAITING), "..o..o.z.a.a..a.a.a..w.w"},
	{I_READ_BACK, R(PARTNER_WENT_BACK), R(WAITING), "..o..w.z.a.a..a.a.a..w.w"},
	{I_READ_DOWN, R(PARTNER_WENT_BACK), R(NOT_STARTED), "..h..h.z.a.a..a.a.a..w.w"},
	{I_READ_LEAVING, R(PARTNER_LEAVING), R(PARTNER_LEAVING), "..h..h.z.a.a..a.a.a..w.w"},
	{I_READ_REFUSED, R(PARTNER_REFUSED), R(PARTNER_REFUSED), "..h..h.z.a.a..a.a.a..w.w"},
	{I_READ_CLUSTER, R(WRONG_CLUSTER), NO,     "..f..f.P.a.a..a.a.a..w.w"},
	{I_READ_SRC, R(WRONG_NODE), NO,            "..f..f.P.a.a..a.a.a..w.w"},
	{I_READ_DST, R(WRONG_NODE), NO,            "..f..f.P.a.a..a.a.a..w.w"},
	{I_READ_RANGE, R(VERSION), NO,             "..f..f.w.w.w..w.w.w..w.w"},
	{I_EMPTY, NO, R(NOT_STARTED),              "..n..n.Z................"},
	{I_MAGIC, NO, R(BAD_RECORD),               "..n..n.Z................"},
	{I_LAYOUT, R(BAD_RECORD), NO,              "..f..f.P................"},
	{I_TORN, NO, R(BAD_RECORD),                "..n..n.Z................"},
	{I_CRC, NO, R(BAD_RECORD),                 "..n..n.Z................"},
	{I_VALUE, R(BAD_RECORD), NO,               "..f..f.P................"},
	{I_READ_FAILED, NO, R(NO_ANSWER),          "..n..n.Z................"},
	{I_READ_ACCESS, NO, R(ACCESS),             "..n..n.Z................"},
	{I_WRITE_OK, NO, NO,                       "........................"},
	{I_WRITE_FAILED, NO, R(NO_ANSWER),         "...n...................."},
	{I_WRITE_ACCESS, R(ACCESS), R(ACCESS),     "...n...............a...."},
	{I_SLOT_SAME, NO, NO,                      "........................"},
	{I_SLOT_FOLLOWS, NO, NO,                   "...bbb.................."},
	{I_SLOT_READY, NO, NO,                     "...bbb.........UU......."},
	{I_SLOT_MAP, NO, NO,                       "...bbb.................."},
	{I_SLOT_AGREED, NO, NO,                    "...bbb.................."},
	{I_SLOT_ECHO, NO, NO,                      "........................"},
	{I_SLOT_NONCE, NO, NO,                     "........................"},
	{I_SLOT_CLUSTER, NO, NO,                   "........................"},
	{I_DIR, NO, NO,                            "........cc.............."},
	{I_DIR_PORTS, NO, NO,                      "........cciik..........."},
	{I_DIR_NONCE, NO, NO,                      "........................"},
	{I_DIR_ECHO, NO, NO,                       "........................"},
	{I_DIR_CLIENTS, NO, NO,                    "........cciikiiiiiii...."},
	{I_DIR_MISFIT, R(PORT_MAP), NO,            "........cciia..........."},
	{I_DIR_MAP, NO, NO,                        "........cciiiiiiiiii...."},
	{I_CREATED, NO, NO,                        "..........dd............"},
	{I_CONNECTED, NO, NO,                      "........................"},
	{I_FAILED, R(PORT_FAILED), NO,             "..........aaaaaaaaaa...."},
	{I_DESTROYED, NO, NO,                      "....................qq.."},
	{I_PORT_ERROR, R(PORT_ERROR), NO,          "............aaaaaaaa...."},
	{I_LINK_DOWN, R(LINK_DOWN), R(LINK_DOWN),  ".nnnnn..aaaaaaaaaaaa...."},
	{I_LINK_UP, NO, NO,                        "........................"},
	{I_STOP, R(STOPPED), NO,                   ".xxxxxxxxxxxxxxxxxxxxx.."},
	{I_CLIENTS_MORE, NO, NO,                   "........rrrrrrrrrrrr...."},
	{I_CLIENTS_NONE, R(CLIENTS_CHANGED), NO,   "........rraaaaaaaaaa...."},
#undef NO
#undef R
};
/* clang-format on */

struct outcome {
	enum ccm_state state;
	enum ccm_reason reason;
	uint32_t act;
};

/* A cell in full. */
static struct outcome
expected(const struct row *row, enum spot spot, const struct ccm_session *before)
{
	bool has_ports = spot >= CREATING && spot <= UP_WRITE;
	bool was_bound = spot >= BOUND && spot <= UP_WRITE;
	bool read = row->input >= I_READ && row->input <= I_READ_LAST;
	char cell = row->cells[spot];
	struct outcome x = {before->state, before->reason, 0};

	if (read && strchr("ownhfzbayP", cell) != NULL)
		x.act |= CCM_ACT_WRITE; /* the READ is there, so the WRITE follows */
	switch (cell) {
	case '.':
	case 'w':
		break;
	case 'A':
	case 'a':
		x.state = has_ports ? CCM_CLOSING : CCM_SEARCH;
		x.reason = row->why;
		x.act |= TELL | CCM_ACT_NONCE;
		x.act |= has_ports ? CCM_ACT_DESTROY : 0;
		x.act |= before->state == CCM_UP ? CCM_ACT_CLIENTS_DOWN : 0;
		x.act |= cell == 'A' ? CCM_ACT_READ : 0;
		break;
	case 't':
		x.act |= CCM_ACT_PUBLISH | CCM_ACT_READ;
		break;
	case 'p':
	case 'i':
		x.act |= CCM_ACT_PUBLISH;
		break;
	case 'n':
	case 'h':
		x.reason = row->found;
		break;
	case 'P':
		x.reason = row->why;
		x.act |= CCM_ACT_PUBLISH;
		break;
	case 'o':
		x.reason = CCM_REASON_WAITING;
		x.act |= CCM_ACT_PUBLISH;
		break;
	case 'f':
		x.state = CCM_REFUSED;
		x.reason = row->why;
		x.act |= TELL;
		break;
	case 'z':
	case 'Z':
	case 's':
		x.state = CCM_SEARCH;
		x.reason = row->found;
		x.act |= TELL;
		break;
	case 'b':
		x.state = CCM_BOUND;
		x.reason = CCM_REASON_WAITING;
		x.act |= TELL | CCM_ACT_DIRECTORY;
		break;
	case 'c':
		x.act |= CCM_ACT_CREATE | CCM_ACT_PUBLISH;
		break;
	case 'k':
		x.act |= CCM_ACT_CONNECT | CCM_ACT_PUBLISH;
		break;
	case 'd':
		x.state = CCM_PORTS;
		x.act |= TELL | CCM_ACT_DIRECTORY | CCM_ACT_NOTIFY;
		break;
	case 'y':
		x.state = CCM_READY;
		x.act |= TELL;
		break;
	case 'U':
		x.state = CCM_UP;
		x.reason = CCM_REASON_NONE;
		x.act |= TELL | CCM_ACT_CLIENTS_UP | CCM_ACT_NOTIFY;
		break;
	case 'q':
		x.state = CCM_SEARCH;
		x.act |= TELL;
		break;
	case 'r':
		x.act |= CCM_ACT_DIRECTORY | CCM_ACT_PUBLISH | CCM_ACT_NOTIFY;
		break;
	case 'x':
		x.state = CCM_LEAVING;
		x.reason = row->why;
		x.act |= TELL;
		x.act |= has_ports ? CCM_ACT_DESTROY : 0;
		x.act |= was_bound ? CCM_ACT_NOTIFY : 0;
		x.act |= before->state == CCM_UP ? CCM_ACT_CLIENTS_DOWN : 0;
		break;
	default:
		fail_msg("no such letter: %c", cell);
	}
	return x;
}

static void
table__every_input_in_every_state(void **state)
{
	uint32_t bad = 0;

	(void)state;
	assert_int_equal(COUNT(rows), INPUTS);
	for (uint32_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(rows[i].input, i);
		assert_int_equal(strlen(rows[i].cells), SPOTS);
		for (enum spot spot = DOWN; spot < SPOTS; spot++) {
			struct ccm_session before;
			struct outcome want;
			uint32_t act;

			go(spot);
			before = t.s;
			want = expected(&rows[i], spot, &before);
			act = apply(spot, rows[i].input);
			if (t.s.state == want.state && t.s.reason == want.reason && act == want.act)
				continue;
			bad++;
			print_error("input %u, spot %u (%c): %s/%s/%03x instead of %s/%s/%03x\n", i,
				spot, rows[i].cells[spot], ccm_state_name(t.s.state),
				ccm_reason_name(t.s.reason), act, ccm_state_name(want.state),
				ccm_reason_name(want.reason), want.act);
		}
	}
	assert_int_equal(bad, 0);
}

/* ---- rule by rule ---- */

static void
r1__new_nonce_for_every_attempt(void **state)
{
	static const enum ccm_input_kind ends[] = {CCM_IN_PORT_ERROR, CCM_IN_LINK_DOWN,
		CCM_IN_PORTS_FAILED, CCM_IN_STOP};

	(void)state;
	for (uint32_t i = 0; i < COUNT(ends); i++)
		for (enum spot spot = BOUND; spot <= UP_WRITE; spot++) {
			struct ccm_record rec;

			go(spot);
			feed(ends[i]);
			if (t.s.state == CCM_LEAVING) {
				feed(CCM_IN_PORTS_DESTROYED);
				t.now = t.s.leave_by_ns;
				feed(CCM_IN_TIMER);
				assert_int_equal(t.s.state, CCM_DOWN);
				feed(CCM_IN_START);
			}
			if (t.s.state != CCM_SEARCH && t.s.state != CCM_CLOSING)
				continue; /* that input ends no attempt here */
			assert_int_equal(t.s.nonce, SPARE);
			assert_int_equal(t.s.spare_nonce, SPARE + 1);
			assert_int_equal(t.s.n_attempts, 2);
			/* Nothing of the old one is told. */
			ccm_session_record(&t.s, &rec);
			assert_true(rec.nonce == SPARE && rec.echo == 0 && rec.map_hash == 0);
			assert_true(rec.dir_crc == 0 && rec.dir_seen == 0 && rec.version == 0);
			assert_false(ccm_session_directory_due(&t.s));
		}
}

static void
r2__only_records_for_this_attempt_count(void **state)
{
	(void)state;
	go(FOLLOW);
	feed_record(CCM_IN_SLOT, record(THEIRS, STRANGER, CCM_READY));
	read_and_write(record(THEIRS, 0, CCM_SEARCH));
	assert_int_equal(t.s.state, CCM_SEARCH);
	go(READY);
	feed_record(CCM_IN_SLOT, record(THEIRS, STRANGER, CCM_UP));
	read_and_write(record(THEIRS, MINE, CCM_READY));
	assert_int_equal(t.s.state, CCM_READY);
	go(FOLLOW);
	feed(CCM_IN_LINK_UP);
	read_and_write(record(THEIRS, STRANGER, CCM_UP));
	assert_int_equal(t.s.state, CCM_SEARCH);
}

static void
r3__bind_once_and_only_to_what_was_read(void **state)
{
	(void)state;
	/* A record in the slot alone binds nobody: not before the first READ ... */
	go(SEARCH_NEW);
	feed_record(CCM_IN_SLOT, record(THEIRS, MINE, CCM_READY));
	assert_int_equal(t.s.state, CCM_SEARCH);
	assert_int_equal(t.s.next_beat_ns, t.now); /* it makes us look */
	/* ... not when the READ showed another attempt ... */
	go(FOLLOW);
	feed_record(CCM_IN_SLOT, record(THEIRS_NEXT, MINE, CCM_SEARCH));
	assert_int_equal(t.s.state, CCM_SEARCH);
	/* ... not when that READ was for an attempt of ours that is over ... */
	go(UP);
	feed(CCM_IN_PORT_ERROR);
	feed(CCM_IN_PORTS_DESTROYED);
	feed_record(CCM_IN_SLOT, record(THEIRS, SPARE, CCM_SEARCH));
	assert_int_equal(t.s.state, CCM_SEARCH);
	/* ... but when it comes before the READ of the same nonce, it counts then. */
	read_and_write(record(THEIRS, 0, CCM_SEARCH));
	assert_int_equal(t.s.state, CCM_BOUND);
	assert_int_equal(t.s.bound, THEIRS);
	/* Unbound, a changed partner is followed without a new nonce. */
	go(FOLLOW);
	read_and_write(record(THEIRS_NEXT, 0, CCM_SEARCH));
	assert_int_equal(t.s.follow, THEIRS_NEXT);
	assert_int_equal(t.s.nonce, MINE);
	/* A partner that is bound to us is enough, whatever the slot says. */
	read_and_write(record(THEIRS, MINE, CCM_BOUND));
	assert_int_equal(t.s.bound, THEIRS);
}

static void
r4__verified_after_a_read_with_ports(void **state)
{
	static const enum ccm_state phases[] = {CCM_PORTS, CCM_READY, CCM_UP};

	(void)state;
	for (uint32_t i = 0; i < COUNT(phases); i++) {
		/* The READ first, then our own ports. */
		go(CONNECTING);
		read_and_write(record(THEIRS, MINE, phases[i]));
		assert_int_equal(t.s.state, CCM_PORTS);
		assert_int_equal(feed(CCM_IN_PORTS_CONNECTED), TELL | CCM_ACT_NOTIFY);
		assert_int_equal(t.s.state, CCM_READY);
		/* The other way round. */
		go(CONNECTED_READ);
		assert_int_equal(feed_record(CCM_IN_READ_OK, record(THEIRS, MINE, phases[i])),
			TELL | CCM_ACT_WRITE);
		assert_int_equal(t.s.state, CCM_READY);
	}
	/* The slot says all of it, but no READ has. */
	go(CONNECTED_READ);
	feed_record(CCM_IN_SLOT, record(THEIRS, MINE, CCM_READY));
	assert_int_equal(t.s.state, CCM_PORTS);
	/* It had said so before: then both moves are one step. */
	assert_int_equal(feed_record(CCM_IN_READ_OK, record(THEIRS, MINE, CCM_READY)),
		TELL | CCM_ACT_WRITE | CCM_ACT_CLIENTS_UP);
	assert_int_equal(t.s.state, CCM_UP);
	assert_int_equal(t.s.n_moves, 2);
}

static void
r5__up_only_when_the_partner_has_verified_ours(void **state)
{
	(void)state;
	for (uint32_t phase = CCM_DOWN; phase < CCM_STATE_COUNT; phase++) {
		go(READY);
		feed_record(CCM_IN_SLOT, record(THEIRS, MINE, phase));
		assert_int_equal(t.s.state,
			phase == CCM_READY || phase == CCM_UP ? CCM_UP : CCM_READY);
		/* What a READ says about it is not enough. */
		go(READY_READ);
		feed_record(CCM_IN_READ_OK, record(THEIRS, MINE, CCM_UP));
		assert_int_equal(t.s.state, CCM_READY);
	}
}

static void
r6__abandon_on_a_read_never_on_the_slot(void **state)
{
	(void)state;
	for (enum spot spot = BOUND; spot <= UP_WRITE; spot++)
		for (uint32_t phase = CCM_DOWN; phase < CCM_STATE_COUNT; phase++)
			for (uint32_t i = 0; i < 4; i++) {
				enum ccm_io io;

				if (phase == CCM_CLOSING)
					continue;
				go(spot);
				io = t.s.io;
				feed_record(CCM_IN_SLOT,
					record(i & 1 ? THEIRS_NEXT : THEIRS,
						i & 2 ? STRANGER : MINE, phase));
				assert_int_equal(t.s.nonce, MINE);
				assert_int_equal(t.s.bound, THEIRS);
				if (io == CCM_IO_IDLE && (i & 1))
					assert_true(feed(CCM_IN_TIMER) & CCM_ACT_READ);
			}
	/* The furthest phase is what counts: it never goes back, not even one step. */
	for (uint32_t peak = CCM_BOUND; peak <= CCM_UP; peak++)
		for (uint32_t phase = CCM_SEARCH; phase <= CCM_UP; phase++) {
			go(BOUND);
			read_and_write(record(THEIRS, MINE, peak));
			read_and_write(record(THEIRS, MINE, phase));
			assert_int_equal(t.s.nonce != MINE, phase < peak);
		}
}

static void
r6__beats_that_stand_still_are_told_from_silence(void **state)
{
	struct ccm_record rec = record(THEIRS, MINE, CCM_UP);

	(void)state;
	/* READs go on and show the same beat. */
	go(UP);
	read_and_write(rec);
	for (uint32_t i = 0; i < 12 && t.s.state == CCM_UP; i++) {
		t.now += BEAT;
		if (feed(CCM_IN_TIMER) & CCM_ACT_READ) {
			feed_record(CCM_IN_READ_OK, rec);
			feed(CCM_IN_WRITE_OK);
		}
	}
	assert_int_equal(t.s.last_down_reason, CCM_REASON_PARTNER_HUNG);
	/* As long as it moves, nothing happens. */
	go(UP);
	for (uint32_t i = 0; i < 1000; i++) {
		t.now += BEAT - 20 * US;
		read_and_write(record(THEIRS, MINE, CCM_UP));
		assert_int_equal(t.s.state, CCM_UP);
	}
}

static void
r7__every_beat_writes_and_the_directory_goes_until_it_is_seen(void **state)
{
	struct ccm_record rec = record(THEIRS, MINE, CCM_BOUND);

	(void)state;
	for (uint32_t i = 0; i < 10; i++) {
		go(UP_READ);
		for (uint32_t k = 0; k < i; k++) {
			assert_true(feed_record(CCM_IN_READ_OK, record(THEIRS, MINE, CCM_UP)) &
				CCM_ACT_WRITE);
			/* The acknowledgement decides nothing. */
			assert_int_equal(feed(CCM_IN_WRITE_OK), 0);
			assert_true(feed_due() & CCM_ACT_READ);
		}
	}
	go(BOUND);
	for (uint32_t i = 0; i < 10; i++) {
		assert_true(ccm_session_directory_due(&t.s));
		read_and_write(record(THEIRS, MINE, CCM_BOUND));
	}
	rec.dir_seen = DIR_CRC;
	read_and_write(rec);
	assert_false(ccm_session_directory_due(&t.s));
	/* It can change back: a late WRITE may have replaced it there. */
	read_and_write(record(THEIRS, MINE, CCM_BOUND));
	assert_true(ccm_session_directory_due(&t.s));
	/* The slot may tell, if it is meant for us. */
	rec.echo = STRANGER;
	feed_record(CCM_IN_SLOT, rec);
	assert_true(ccm_session_directory_due(&t.s));
	rec.echo = MINE;
	rec.seq++;
	feed_record(CCM_IN_SLOT, rec);
	assert_false(ccm_session_directory_due(&t.s));
}

static void
r10__who_was_away_accuses_nobody(void **state)
{
	(void)state;
	for (uint64_t away = BEAT; away <= 100 * (uint64_t)BEAT; away += BEAT / 4) {
		go(UP_READ);
		t.s.next_tick_ns = t.now + BEAT / 2;
		t.now += away;
		feed(CCM_IN_TIMER);
		assert_int_equal(t.s.state, CCM_UP);
	}
	/* A loop that sleeps until the deadline is a little late each time; it does notice. */
	for (uint64_t late = 0; late <= BEAT; late += BEAT / 8) {
		uint64_t begin;

		go(UP_READ);
		begin = t.now;
		for (uint32_t turns = 0; turns < 100 && t.s.state == CCM_UP; turns++) {
			t.now = ccm_session_deadline(&t.s) + late;
			feed(CCM_IN_TIMER);
		}
		assert_true(t.now - begin <= 3 * (uint64_t)DEAD);
		assert_int_equal(t.s.last_down_reason, CCM_REASON_NO_ANSWER);
	}
	/* One that is always very late does too, since it is not excused wholly each time. */
	go(UP_READ);
	for (uint32_t turns = 0; turns < 100000 && t.s.state == CCM_UP; turns++) {
		t.now = ccm_session_deadline(&t.s) + BEAT + BEAT / 2;
		feed(CCM_IN_TIMER);
	}
	assert_int_not_equal(t.s.state, CCM_UP);
}

/* A stall of ours puts an accusation off, and takes none back. */
static void
r10__a_stall_changes_no_verdict(void **state)
{
	(void)state;
	go(UP_READ);
	t.s.seen.boot_stage = t.s.seen.boot_stages = 0;
	for (uint32_t stall = 0; stall < 4; stall++) {
		t.s.next_tick_ns = t.now + BEAT;
		t.now += BEAT + 12 * (uint64_t)DEAD / 10;
		feed(CCM_IN_TIMER);
		assert_int_equal(ccm_judge(&t.s, true, t.now).verdict, CCM_VERDICT_UP);
	}
	/* Now it is really silent. */
	go(UP_READ);
	while (t.s.state == CCM_UP) {
		t.now += BEAT / 2;
		feed(CCM_IN_TIMER);
	}
	feed(CCM_IN_PORTS_DESTROYED);
	assert_int_equal(ccm_judge(&t.s, true, t.now).verdict, CCM_VERDICT_UNREACHABLE);
	for (uint32_t stall = 0; stall < 4; stall++) {
		t.now += stall % 2 ? 2 * (uint64_t)BEAT : 20 * (uint64_t)DEAD;
		feed(CCM_IN_TIMER);
		assert_int_equal(ccm_judge(&t.s, true, t.now).verdict, CCM_VERDICT_UNREACHABLE);
	}
}

/* ---- beats, pauses, deadlines ---- */

static void
steps__each_follows_the_success_of_the_one_before(void **state)
{
	static const struct ccm_record none;
	struct ccm_record rec = record(THEIRS, 0, CCM_SEARCH);

	(void)state;
	/* Whatever fails, the next is READ 1. */
	for (uint32_t fail = 0; fail < 5; fail++) {
		go(SEARCH_NEW);
		feed_due();
		if (fail == 0)
			feed(CCM_IN_READ_FAILED);
		if (fail == 1)
			feed_input((struct ccm_input){.kind = CCM_IN_READ_OK,
				.verdict = CCM_RECORD_CRC,
				.record = &none});
		if (fail >= 2) {
			feed_record(CCM_IN_READ_OK, rec);
			assert_int_equal(t.s.steps, 1);
			feed(fail == 2 ? CCM_IN_WRITE_FAILED : CCM_IN_WRITE_OK);
		}
		if (fail >= 3) {
			assert_int_equal(t.s.steps, 2);
			feed_due();
			if (fail == 3)
				feed(CCM_IN_READ_FAILED);
		}
		if (fail == 4) {
			feed_record(CCM_IN_READ_OK, rec);
			assert_int_equal(t.s.steps, 3);
			feed(CCM_IN_WRITE_FAILED);
		}
		assert_int_equal(t.s.steps, 0);
		assert_int_equal(t.s.io, CCM_IO_IDLE);
	}
	/* Results of what is not under way are ignored. */
	go(SEARCH_READ);
	assert_int_equal(feed(CCM_IN_WRITE_OK), 0);
	assert_int_equal(t.s.io, CCM_IO_READING);
	go(SEARCH_WRITE);
	assert_int_equal(feed_record(CCM_IN_READ_OK, rec), 0);
	assert_int_equal(t.s.io, CCM_IO_WRITING);
}

static void
beats__follow_at_once_while_there_is_news(void **state)
{
	static const struct ccm_record none;
	struct ccm_record rec = record(THEIRS, 0, CCM_SEARCH);

	(void)state;
	go(SEARCH_NEW);
	read_and_write(rec);
	assert_int_equal(t.s.next_beat_ns, t.now);
	rec.beat++;
	read_and_write(rec);
	assert_int_equal(t.s.next_beat_ns, t.s.beat_start_ns + BEAT);
	/* A silent partner is asked less and less often ... */
	for (uint64_t pause = BEAT; pause < SEARCH; pause *= 2) {
		t.now = t.s.next_beat_ns;
		feed_due();
		feed(CCM_IN_READ_FAILED);
		assert_int_equal(t.s.next_beat_ns, t.now + pause);
	}
	t.now = t.s.next_beat_ns;
	feed_due();
	feed(CCM_IN_READ_FAILED);
	assert_int_equal(t.s.next_beat_ns, t.now + SEARCH);
	/* ... until it writes to us ... */
	feed_record(CCM_IN_SLOT, record(THEIRS, 0, CCM_SEARCH));
	assert_int_equal(t.s.next_beat_ns, t.now);
	/* ... which counts as well when it does so during a READ that fails, */
	feed_due();
	feed_record(CCM_IN_SLOT, record(THEIRS, MINE, CCM_SEARCH));
	feed(CCM_IN_READ_FAILED);
	assert_int_equal(t.s.next_beat_ns, t.now);
	/* ... or the link comes back. */
	t.s.search_pause_ns = SEARCH;
	feed_due();
	feed(CCM_IN_READ_FAILED);
	assert_int_equal(t.s.next_beat_ns, t.now + SEARCH);
	feed(CCM_IN_LINK_UP);
	assert_int_equal(t.s.next_beat_ns, t.now);
	/* One that goes on writing, without news, is asked every beat. */
	t.s.search_pause_ns = SEARCH;
	feed_due();
	feed(CCM_IN_READ_FAILED);
	feed_record(CCM_IN_SLOT, record(THEIRS, MINE, CCM_SEARCH));
	assert_int_equal(t.s.next_beat_ns, t.s.beat_start_ns + BEAT);
	t.now = t.s.next_beat_ns;
	feed_due();
	feed(CCM_IN_READ_FAILED);
	assert_int_equal(t.s.next_beat_ns, t.now + BEAT);
	/* A record that was just being written does not count as silence. */
	t.s.search_pause_ns = SEARCH;
	feed_due();
	feed_input((struct ccm_input){.kind = CCM_IN_READ_OK,
		.verdict = CCM_RECORD_TORN,
		.record = &none});
	assert_int_equal(t.s.next_beat_ns, t.now + BEAT);
	/* Searching goes on at once when the ports are gone. */
	go(CLOSING);
	feed(CCM_IN_PORTS_DESTROYED);
	assert_int_equal(t.s.next_beat_ns, t.now);
}

/* The partner is there for our attempt of now; with `up` for all of it. */
static void
come_back(bool up)
{
	struct ccm_directory dir = directory(true);

	read_and_write(record(THEIRS, t.s.nonce, CCM_BOUND));
	assert_int_equal(t.s.state, CCM_BOUND);
	if (!up)
		return;
	dir.echo = t.s.nonce;
	feed_dir(dir);
	feed(CCM_IN_PORTS_CREATED);
	feed(CCM_IN_PORTS_CONNECTED);
	read_and_write(record(THEIRS, t.s.nonce, CCM_UP));
	feed_record(CCM_IN_SLOT, record(THEIRS, t.s.nonce, CCM_UP));
	assert_int_equal(t.s.state, CCM_UP);
}

/* Attempts that keep failing are put off longer and longer; the partner cannot hurry us. */
static void
hold__no_storm_of_attempts(void **state)
{
	(void)state;
	for (uint32_t up = 0; up < 2; up++) {
		uint64_t last = 0;

		go(UP);
		for (uint32_t i = 1; i <= 24; i++) {
			uint64_t hold;

			feed(CCM_IN_LINK_DOWN);
			feed(CCM_IN_PORTS_DESTROYED);
			assert_int_equal(t.s.state, CCM_SEARCH);
			hold = t.s.hold_until_ns > t.now ? t.s.hold_until_ns - t.now : 0;
			assert_int_equal(hold != 0, i > 3);
			assert_true(hold >= last && hold <= SEARCH);
			last = hold;
			if (hold != 0) {
				t.s.beat_start_ns = t.now;
				assert_false(feed(CCM_IN_TIMER) & CCM_ACT_READ);
				/* At the pace of the beat it goes on looking, but does not bind. */
				t.now += BEAT;
				assert_true(feed(CCM_IN_TIMER) & CCM_ACT_READ);
				feed_record(CCM_IN_READ_OK, record(THEIRS, t.s.nonce, CCM_SEARCH));
				feed(CCM_IN_WRITE_OK);
				feed_record(CCM_IN_SLOT, record(THEIRS, t.s.nonce, CCM_SEARCH));
				assert_int_equal(t.s.state, CCM_SEARCH);
				assert_false(feed(CCM_IN_TIMER) & CCM_ACT_READ);
				t.now = t.s.hold_until_ns;
			}
			come_back(up); /* UP for a moment is no better than not at all */
		}
		assert_int_equal(last, SEARCH);
	}
	/* A session that has lasted makes it all good. */
	t.now += DEAD;
	feed(CCM_IN_LINK_DOWN);
	assert_int_equal(t.s.failures, 1);
	assert_true(t.s.hold_until_ns <= t.now);
}

/* Who sleeps until the deadline neither misses anything nor spins. */
static void
deadline__is_never_in_the_past(void **state)
{
	(void)state;
	for (enum spot spot = DOWN; spot < SPOTS; spot++) {
		uint32_t turns = 0;
		uint64_t begin;

		go(spot);
		begin = t.now;
		while (t.now < begin + 100 * MS && ccm_session_deadline(&t.s) != UINT64_MAX) {
			uint64_t at = ccm_session_deadline(&t.s);

			t.now = at > t.now ? at : t.now;
			feed(CCM_IN_TIMER);
			assert_true(ccm_session_deadline(&t.s) > t.now);
			turns++;
		}
		assert_true(turns <= 220);
		if (spot == DOWN || spot == LEAVING_READ)
			assert_int_equal(t.s.state, CCM_DOWN);
	}
}

/* ---- the rest ---- */

static void
down__nothing_happens_to_a_session_that_has_stopped(void **state)
{
	(void)state;
	go(LEAVING_READ);
	t.now = t.s.leave_by_ns;
	feed(CCM_IN_TIMER);
	assert_int_equal(t.s.state, CCM_DOWN);
	assert_int_equal(t.s.io, CCM_IO_READING);
	assert_int_equal(feed_record(CCM_IN_READ_OK, record(THEIRS, MINE, CCM_BOUND)), 0);
	assert_int_equal(t.s.io, CCM_IO_IDLE);
	for (enum ccm_input_kind kind = CCM_IN_TIMER; kind < CCM_IN_COUNT; kind++) {
		struct ccm_directory dir = directory(true);
		struct ccm_record rec = record(THEIRS, MINE, CCM_UP);

		assert_int_equal(feed_input((struct ccm_input){.kind = kind,
					 .record = &rec,
					 .directory = &dir,
					 .clients = clients,
					 .n_clients = 1}),
			0);
		assert_int_equal(t.s.reason, CCM_REASON_STOPPED);
	}
	assert_true(ccm_session_deadline(&t.s) == UINT64_MAX);
}

static void
leaving__ends_when_the_partner_knows(void **state)
{
	struct ccm_record rec;

	(void)state;
	go(UP);
	feed(CCM_IN_STOP);
	ccm_session_record(&t.s, &rec);
	assert_true(rec.phase == CCM_LEAVING && rec.nonce == MINE && rec.echo == THEIRS);
	read_and_write(record(THEIRS_NEXT, 0, CCM_SEARCH));
	feed(CCM_IN_TIMER);
	assert_int_equal(t.s.state, CCM_LEAVING); /* ports are there still */
	feed(CCM_IN_PORTS_DESTROYED);
	feed(CCM_IN_TIMER);
	assert_int_equal(t.s.state, CCM_DOWN);
	/* Without an answer it ends in time. */
	go(UP);
	feed(CCM_IN_STOP);
	feed(CCM_IN_PORTS_DESTROYED);
	t.now += 19 * MS;
	feed_due();
	assert_int_equal(t.s.state, CCM_LEAVING);
	t.now += 1 * MS;
	feed(CCM_IN_TIMER);
	assert_int_equal(t.s.state, CCM_DOWN);
	/* Nobody was ever there. */
	go(SEARCH_NEW);
	feed(CCM_IN_STOP);
	feed(CCM_IN_TIMER);
	assert_int_equal(t.s.state, CCM_DOWN);
}

static void
reasons__say_what_is_so_now(void **state)
{
	struct ccm_record rec;

	(void)state;
	/* The partner is told why we refuse it, and nothing but that. */
	go(REFUSED);
	ccm_session_record(&t.s, &rec);
	assert_true(rec.phase == CCM_REFUSED && rec.reason == CCM_REASON_VERSION);
	feed_due();
	feed(CCM_IN_READ_FAILED);
	ccm_session_record(&t.s, &rec);
	assert_true(rec.phase == CCM_SEARCH && rec.reason == CCM_REASON_NONE);
	/* No link stays the reason while READs get no answer, and no longer than that. */
	go(UP);
	feed(CCM_IN_LINK_DOWN);
	feed(CCM_IN_PORTS_DESTROYED);
	feed_due();
	feed(CCM_IN_READ_FAILED);
	assert_int_equal(t.s.reason, CCM_REASON_LINK_DOWN);
	go(UP);
	feed(CCM_IN_LINK_DOWN);
	feed(CCM_IN_LINK_UP);
	feed(CCM_IN_PORTS_DESTROYED);
	assert_int_equal(t.s.reason, CCM_REASON_NO_ANSWER);
	/* CLOSING is nobody's business: the partner sees that we are down. */
	go(CLOSING);
	ccm_session_record(&t.s, &rec);
	assert_int_equal(rec.phase, CCM_DOWN);
}

static void
terms__a_partner_with_a_slower_beat_than_our_detection_time_is_refused(void **state)
{
	struct ccm_record rec;

	(void)state;
	go(SEARCH_READ);
	rec = record(THEIRS, 0, CCM_SEARCH);
	rec.beat_us = DEAD / 3 / US + 1;
	feed_record(CCM_IN_READ_OK, rec);
	assert_true(t.s.state == CCM_REFUSED && t.s.reason == CCM_REASON_TIMING);
	feed(CCM_IN_WRITE_OK);
	feed_due();
	rec = record(THEIRS, 0, CCM_SEARCH);
	rec.beat_us = DEAD / 3 / US;
	feed_record(CCM_IN_READ_OK, rec);
	assert_int_equal(t.s.state, CCM_SEARCH);
	/* And it can see ours. */
	ccm_session_record(&t.s, &rec);
	assert_int_equal(rec.beat_us, BEAT / US);
}

static void
terms__a_record_with_our_own_id_is_told_from_a_strangers(void **state)
{
	struct ccm_record rec = record(THEIRS, 0, CCM_SEARCH);

	(void)state;
	go(SEARCH_READ);
	rec.src_id = ME;
	rec.dst_id = PARTNER;
	feed_record(CCM_IN_READ_OK, rec);
	assert_true(t.s.state == CCM_REFUSED && t.s.reason == CCM_REASON_OWN_ID);
}

/* A READ that shows this life of the partner, bound to our attempt or searching. */
static void
read_life(uint64_t boot_id)
{
	struct ccm_record rec = record(THEIRS, 0, CCM_SEARCH);

	t.now += BEAT;
	t.s.last_beat_ns = t.now; /* a stall of ours is none of this */
	feed_due();
	rec.boot_id = boot_id;
	feed_record(CCM_IN_READ_OK, rec);
	feed(CCM_IN_WRITE_OK);
}

static void
conflict__lives_that_come_back_are_two_nodes(void **state)
{
	uint64_t told;

	(void)state;
	init();
	feed(CCM_IN_START);
	/* One that starts again and again does not come back as an earlier one. */
	for (uint64_t id = 1; id <= 100; id++)
		read_life(id);
	/* An answer that is a late copy, now and then, is no other node. */
	for (uint32_t i = 0; i < 10; i++) {
		read_life(100);
		read_life(99);
		read_life(100);
		t.now += UINT64_C(2) * CONFLICT_WINDOW;
	}
	assert_true(t.s.n_conflicts == 0 && t.s.state == CCM_SEARCH);
	for (uint32_t i = 0; i < 3; i++)
		read_life(i & 1 ? 100 : 101);
	assert_int_equal(t.s.n_conflicts, 0);
	for (uint32_t i = 0; i < 3; i++)
		read_life(i & 1 ? 101 : 100);
	assert_true(t.s.n_conflicts == 1 && t.s.state == CCM_REFUSED);
	assert_int_equal(t.s.reason, CCM_REASON_CONFLICT);
	/* When only one is left, it is a partner again after a while. */
	told = t.now;
	while (t.s.state == CCM_REFUSED)
		read_life(101);
	assert_in_range(t.now - told, 9 * DEAD, 11 * DEAD);
	assert_int_equal(t.s.n_conflicts, 1);
}

static void
conflict__ends_an_attempt(void **state)
{
	(void)state;
	go(UP);
	t.s.conflict_until_ns = t.now + DEAD;
	feed_due();
	feed_record(CCM_IN_READ_OK, record(THEIRS, MINE, CCM_UP));
	assert_true(t.s.state == CCM_CLOSING && t.s.reason == CCM_REASON_CONFLICT);
}

/* A partner whose heart beats, but who never says what comes next. */
static void
setup__that_stands_still_begins_again(void **state)
{
	static const enum spot spots[] = {BOUND, CREATED, READY, UP};

	(void)state;
	for (uint32_t i = 0; i < COUNT(spots); i++) {
		enum ccm_state before;
		uint64_t start;

		go(spots[i]);
		before = t.s.state;
		start = t.s.since_ns;
		while (t.s.state == before && t.now < start + UINT64_C(3) * CONFLICT_WINDOW) {
			t.now += BEAT;
			assert_true(ccm_session_deadline(&t.s) <= start + CONFLICT_WINDOW + 1 ||
				before == CCM_UP);
			t.s.last_beat_ns = t.now;
			feed(CCM_IN_TIMER);
		}
		if (spots[i] == UP) {
			assert_int_equal(t.s.state, CCM_UP);
			continue;
		}
		assert_in_range(t.now - start, CONFLICT_WINDOW, CONFLICT_WINDOW + 2 * BEAT);
		assert_int_equal(t.s.last_down_reason, CCM_REASON_NO_PROGRESS);
	}
}

static void
times__belong_to_the_set_up_they_measure(void **state)
{
	(void)state;
	go(UP);
	assert_true(t.s.setup_ns > 0 && t.s.setup_ns < 1 * MS);
	/* The next attempt takes over a READ that is under way; its time counts from that READ. */
	t.now += 3600 * 1000 * MS;
	t.s.last_beat_ns = t.now;
	feed_due();
	feed(CCM_IN_PORT_ERROR);
	feed(CCM_IN_PORTS_DESTROYED);
	t.now += 10 * US;
	feed_record(CCM_IN_READ_OK, record(THEIRS_NEXT, 0, CCM_SEARCH));
	assert_int_equal(t.s.setup_start_ns, t.now - 10 * US);
	assert_int_equal(t.s.step_acc_ns[CCM_STEP_READ1], 10 * US);
}

static void
clients__up_and_down_alternate(void **state)
{
	uint64_t rng = 1;

	/* feed_input() checks; here it only has to be led through many states. */
	(void)state;
	init();
	for (uint32_t i = 0; i < 300000; i++) {
		enum ccm_input_kind kind;
		struct ccm_directory dir = directory(i & 1);
		struct ccm_record rec;

		rng = rng * 6364136223846793005u + 1442695040888963407u;
		kind = (enum ccm_input_kind)((rng >> 33) % CCM_IN_COUNT);
		if ((rng >> 40) % 8 != 0 && kind >= CCM_IN_PORTS_FAILED &&
			kind != CCM_IN_PORTS_DESTROYED)
			kind = CCM_IN_TIMER;
		/* Mostly what leads on from here. */
		if ((rng >> 45) % 4 != 0 && t.s.io != CCM_IO_IDLE)
			kind = t.s.io == CCM_IO_READING ? CCM_IN_READ_OK : CCM_IN_WRITE_OK;
		rec = record(THEIRS, (rng >> 44) % 16 ? t.s.nonce : STRANGER,
			(rng >> 50) % 16 ? CCM_UP : (enum ccm_state)((rng >> 54) % 7 + 2));
		dir.echo = t.s.nonce;
		t.now += BEAT / 8;
		if (t.s.state >= CCM_READY && (rng >> 60) == 0)
			rec.nonce++;
		rec.dir_crc = dir.crc;
		feed_input((struct ccm_input){.kind = kind,
			.record = &rec,
			.directory = &dir,
			.clients = clients,
			.n_clients = (rng >> 58) % 8 != 0});
	}
	assert_true(t.ups > 100);
}

/* ---- clients that come and go ---- */

/* The partner's directory, of which follows another map when its memory is not 65536. */
static uint32_t
feed_their_clients(uint64_t memory, uint32_t crc)
{
	struct ccm_directory dir = directory(true);

	dir.clients[0].memory = memory;
	dir.crc = crc;
	return feed_dir(dir);
}

static struct ccm_record
record_with_dir(enum ccm_state phase, uint32_t dir_crc)
{
	struct ccm_record rec = record(THEIRS, MINE, phase);

	rec.dir_crc = dir_crc;
	return rec;
}

static void
clients__another_map_ends_the_attempt_when_a_read_confirms_it(void **state)
{
	static const struct {
		enum spot spot;
		enum ccm_state phase; /* of the partner */
	} cases[] = {{CREATING, CCM_BOUND}, {CREATED, CCM_BOUND}, {CONNECTING, CCM_PORTS},
		{READY, CCM_PORTS}, {UP, CCM_UP}};

	(void)state;
	for (uint32_t i = 0; i < COUNT(cases); i++) {
		enum ccm_state before;

		go(cases[i].spot);
		before = t.s.state;
		feed_their_clients(32768, 0xd5);
		/* It may be old: look at once, and nothing else. */
		assert_int_equal(t.s.next_beat_ns, t.now);
		read_and_write(record_with_dir(cases[i].phase, 0xc2));
		read_and_write(record_with_dir(cases[i].phase, 0));
		assert_int_equal(t.s.state, before);
		assert_true(feed_due() & CCM_ACT_READ);
		feed_record(CCM_IN_READ_OK, record_with_dir(cases[i].phase, 0xd5));
		assert_int_equal(t.s.state, CCM_CLOSING);
		assert_int_equal(t.s.last_down_reason, CCM_REASON_CLIENTS_CHANGED);
		/* The other way round: the READ has told already. */
		go(cases[i].spot);
		read_and_write(record_with_dir(cases[i].phase, 0xd5));
		feed_their_clients(32768, 0xd5);
		assert_int_equal(t.s.state, CCM_CLOSING);
		assert_int_equal(t.s.last_down_reason, CCM_REASON_CLIENTS_CHANGED);
		/* Nothing of that is left for the next attempt. */
		assert_false(t.s.map_off);
	}
}

static void
clients__an_old_directory_holds_up_but_ends_nothing(void **state)
{
	struct ccm_record rec;

	(void)state;
	go(READY);
	feed_their_clients(32768, 0xd5);
	feed_record(CCM_IN_SLOT, record_with_dir(CCM_READY, 0xc2));
	assert_int_equal(t.s.state, CCM_READY);
	/* What we hold is told, so the partner repeats what it has. */
	ccm_session_record(&t.s, &rec);
	assert_int_equal(rec.dir_seen, 0xd5);
	assert_int_equal(rec.map_hash, map_hash());
	feed_their_clients(65536, 0xc2);
	assert_int_equal(t.s.state, CCM_UP);
	assert_int_equal(t.s.n_attempts, 1);
}

static void
clients__ports_keep_their_places_when_the_lists_change(void **state)
{
	struct ccm_directory dir = directory(true);

	(void)state;
	go(UP);
	feed_input((
		struct ccm_input){.kind = CCM_IN_CLIENTS, .clients = more_clients, .n_clients = 2});
	assert_int_equal(t.s.map.entries[1].mine, 1);
	dir.clients[1] = dir.clients[0];
	dir.clients[0] = (struct ccm_directory_client){"a", 1, 4096};
	dir.n_clients = 2;
	dir.ports[0].client = dir.ports[1].client = 1;
	dir.crc = 0xd6;
	feed_dir(dir);
	assert_int_equal(t.s.map.entries[1].theirs, 1);
	assert_int_equal(t.s.theirs.crc, 0xd6);
	/* Neither is a port another one's all of a sudden. */
	dir.ports[1].client = 0;
	dir.ports[1].index = 0;
	dir.crc = 0xd7;
	feed_dir(dir);
	assert_int_equal(t.s.theirs.crc, 0xd6);
	assert_int_equal(t.s.state, CCM_UP);
	/* A client that leaves: the partner need not have told anything. */
	feed_input((
		struct ccm_input){.kind = CCM_IN_CLIENTS, .clients = more_clients, .n_clients = 1});
	assert_int_equal(t.s.state, CCM_CLOSING);
}

/*
 * The partner has made its map from an older list of ours, and has other ports than we think, or
 * none: what its clients ask for still counts.
 */
static void
clients__other_ports_do_not_hide_other_clients(void **state)
{
	static const enum spot spots[] = {CONNECTING, CONNECTED_READ, READY, UP};

	(void)state;
	for (uint32_t i = 0; i < COUNT(spots); i++)
		for (uint32_t way = 0; way < 2; way++) {
			struct ccm_directory dir = directory(false);
			struct ccm_record rec = record(THEIRS, MINE, CCM_UP);

			go(spots[i]);
			dir.crc = 0xd8;
			feed_dir(dir); /* the same clients, but the ports are gone: old */
			assert_int_equal(t.s.theirs.crc, 0xc2);
			dir.clients[0].ports = 1;
			dir.crc = 0xd9;
			feed_dir(dir);
			assert_int_equal(t.s.theirs.crc, 0xd9);
			assert_int_equal(t.s.theirs.n_ports, 2); /* ours may be on their way */
			if (way == 0)
				rec.dir_crc = 0xd9;
			else
				rec.map_hash++;
			if (t.s.io == CCM_IO_IDLE)
				feed_due();
			feed_record(CCM_IN_READ_OK, rec);
			assert_int_equal(t.s.state, CCM_CLOSING);
			assert_int_equal(t.s.last_down_reason, CCM_REASON_CLIENTS_CHANGED);
		}
}

/* A change while nobody is bound goes into the next directory. */
static void
clients__change_while_unbound(void **state)
{
	static const enum spot spots[] = {DOWN, SEARCH_NEW, FOLLOW, REFUSED, CLOSING, LEAVING};

	(void)state;
	for (uint32_t i = 0; i < COUNT(spots); i++) {
		go(spots[i]);
		assert_int_equal(feed_input((struct ccm_input){.kind = CCM_IN_CLIENTS,
					 .clients = more_clients,
					 .n_clients = 2}),
			0);
		assert_ptr_equal(t.s.clients, more_clients);
		assert_int_equal(t.s.n_clients, 2);
	}
}

/* ---- the diagram ---- */

static size_t
draw(char *out, size_t size)
{
	size_t len = 0;

	len += (size_t)snprintf(out + len, size - len,
		"/* SPDX-License-Identifier: BSD-3-Clause */\n"
		"/* Made by test_ccm_session --dot FILE; the test fails when it is out of date. "
		"*/\n"
		"digraph session {\n");
	for (uint32_t from = 0; from < CCM_STATE_COUNT; from++)
		for (uint32_t to = 0; to < CCM_STATE_COUNT; to++)
			if (seen_move[from][to])
				len += (size_t)snprintf(out + len, size - len, "\t%s -> %s;\n",
					ccm_state_name(from), ccm_state_name(to));
	return len + (size_t)snprintf(out + len, size - len, "}\n");
}

static const char *dot_file; /* to be written */

/* Runs last: all moves have been seen by now. */
static void
diagram__is_what_was_seen(void **state)
{
	char want[4096], is[4096];
	size_t len = draw(want, sizeof(want)), n;
	FILE *f;

	(void)state;
	if (dot_file != NULL) {
		f = fopen(dot_file, "wb");
		assert_non_null(f);
		assert_int_equal(fwrite(want, 1, len, f), len);
		assert_int_equal(fclose(f), 0);
		return;
	}
	for (uint32_t from = 0; from < CCM_STATE_COUNT; from++)
		for (uint32_t to = 0; to < CCM_STATE_COUNT; to++)
			assert_int_equal(seen_move[from][to], ccm_session_move_legal(from, to));
	f = fopen(SOURCE_ROOT "/doc/session-states.dot", "rb");
	assert_non_null(f);
	n = fread(is, 1, sizeof(is) - 1, f);
	fclose(f);
	is[n] = '\0';
	assert_string_equal(is, want);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table__every_input_in_every_state),
		cmocka_unit_test(r1__new_nonce_for_every_attempt),
		cmocka_unit_test(r2__only_records_for_this_attempt_count),
		cmocka_unit_test(r3__bind_once_and_only_to_what_was_read),
		cmocka_unit_test(r4__verified_after_a_read_with_ports),
		cmocka_unit_test(r5__up_only_when_the_partner_has_verified_ours),
		cmocka_unit_test(r6__abandon_on_a_read_never_on_the_slot),
		cmocka_unit_test(r6__beats_that_stand_still_are_told_from_silence),
		cmocka_unit_test(r7__every_beat_writes_and_the_directory_goes_until_it_is_seen),
		cmocka_unit_test(r10__who_was_away_accuses_nobody),
		cmocka_unit_test(r10__a_stall_changes_no_verdict),
		cmocka_unit_test(steps__each_follows_the_success_of_the_one_before),
		cmocka_unit_test(beats__follow_at_once_while_there_is_news),
		cmocka_unit_test(hold__no_storm_of_attempts),
		cmocka_unit_test(deadline__is_never_in_the_past),
		cmocka_unit_test(down__nothing_happens_to_a_session_that_has_stopped),
		cmocka_unit_test(leaving__ends_when_the_partner_knows),
		cmocka_unit_test(reasons__say_what_is_so_now),
		cmocka_unit_test(
			terms__a_partner_with_a_slower_beat_than_our_detection_time_is_refused),
		cmocka_unit_test(terms__a_record_with_our_own_id_is_told_from_a_strangers),
		cmocka_unit_test(conflict__lives_that_come_back_are_two_nodes),
		cmocka_unit_test(conflict__ends_an_attempt),
		cmocka_unit_test(setup__that_stands_still_begins_again),
		cmocka_unit_test(times__belong_to_the_set_up_they_measure),
		cmocka_unit_test(clients__up_and_down_alternate),
		cmocka_unit_test(clients__another_map_ends_the_attempt_when_a_read_confirms_it),
		cmocka_unit_test(clients__an_old_directory_holds_up_but_ends_nothing),
		cmocka_unit_test(clients__ports_keep_their_places_when_the_lists_change),
		cmocka_unit_test(clients__other_ports_do_not_hide_other_clients),
		cmocka_unit_test(clients__change_while_unbound),
		cmocka_unit_test(diagram__is_what_was_seen),
	};

	dot_file = argc > 2 && strcmp(argv[1], "--dot") == 0 ? argv[2] : NULL;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
