/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two sessions (lib/ccm/ccm_session.c, ccm_rules.c) over the bootstrap queue pair, on nodes that
 * crash, stop and return at any step, with packets that get lost, late or repeated. README.md
 * beside this file says what stands for what; scripts/model runs all variants.
 *
 * Attempts (nonces) have labels: 1 the current one of their owner, OLD_* earlier ones that are
 * still spoken of in two places or more, JUNK one that is spoken of in one place only, so that
 * nothing can equal it any more. Labels are given anew after each step; hence the state space is
 * finite although attempts, crashes and losses are not counted. An echo is one bit, "the attempt
 * in which the receiver is now", because nothing else is ever asked of it.
 */

/* How often each fault may happen; 9: without limit. */
#ifndef CRASH
#define CRASH 9   /* a node dies, with its memory */
#endif
#ifndef GIVEUP
#define GIVEUP 9  /* a bound node gives up: silence, port error, link down, failed verbs */
#endif
#ifndef BREAK
#define BREAK 9   /* a READ or WRITE fails, and a new PSN sequence begins */
#endif
#ifndef LOSE
#define LOSE 9    /* a WRITE is overwritten before anybody looks at it, or half of it is late */
#endif
#ifndef LATE
#define LATE 9    /* a copy of a request stays in the network, for as long as it likes */
#endif
#ifndef STOP
#define STOP 0    /* a node is told to leave */
#endif

/* Claims that are checked, as bits: S1 is 2, S2 is 4, and so on. */
#ifndef CLAIMS
#define CLAIMS 1022
#endif
#define CLAIM(k, what) assert((CLAIMS & (1 << k)) == 0 || (what))

/* state of a session, with that of its ports */
#define OFF        0  /* no process: memory gone, nobody answers */
#define CLOSING    1
#define SEARCH     2
#define BOUND      3
#define CREATING   4
#define CREATED    5
#define CONNECTING 6
#define CONNECTED  7
#define READY      8
#define UP         9
#define LEAVING    10
#define IS_BOUND(i) (st[i] >= BOUND && st[i] <= UP)

/* phase in a record: doc/wire-format.md, section 3 */
#define P_DOWN    0
#define P_SEARCH  2
#define P_BOUND   3
#define P_PORTS   4
#define P_READY   5
#define P_UP      6
#define P_LEAVING 8
#define PHASE(i) (st[i] <= CLOSING -> P_DOWN : (st[i] == SEARCH -> P_SEARCH : \
	(st[i] <= CREATING -> P_BOUND : (st[i] <= CONNECTED -> P_PORTS : \
	(st[i] == READY -> P_READY : (st[i] == UP -> P_UP : P_LEAVING))))))
/* directory that a node offers: 0 none, 1 clients, 2 clients and ports */
#define OFFER(i) (IS_BOUND(i) -> (st[i] >= CREATED -> 2 : 1) : 0)

#define NOW  1
#define TEMP 9
#define JUNK 10

/* Rules that can be switched off where labels are compared; `o` owns the attempts. */
#if defined(NONONCE)        /* status words without identity */
#define EQ(o, a, b) ((a) != 0 && (b) != 0)
#elif defined(KEEPNONCE)    /* R1: one nonce per boot, kept over a teardown */
#define EQ(o, a, b) ((a) != 0 && ((a) == (b) || ((boot[o] >> (a)) & (boot[o] >> (b)) & 1)))
#else
#define EQ(o, a, b) ((a) == (b) && (a) != 0 && (a) != JUNK)
#endif
#if defined(NONONCE) || defined(NOECHO)   /* R2 */
#define ECHO(e) true
#else
#define ECHO(e) (e)
#endif
#if defined(NONONCE) || defined(NOECHO) || defined(KEEPNONCE) || defined(DIRANY)
#define TIDY 0
#else
#define TIDY 1 /* forget what a record says without a current echo: nobody will look at it */
#endif

typedef record {
	unsigned n : 4;  /* nonce */
	unsigned e : 1;  /* echo is the receiver's current attempt */
	unsigned p : 4;  /* phase */
	unsigned d : 2;  /* dir_crc: directory offered */
	unsigned h : 2;  /* dir_seen: directory held */
	unsigned x : 2   /* WRITE only: the directory that goes before the record, 0 none */
}

byte st[2];
bit told[2];            /* ghost: clients have been told up */
byte mean[2];           /* attempt bound to (R3), or in SEARCH the one followed */
byte held[2];           /* partner's directory that the session has taken over */
record seen[2];         /* last READ of the partner's OUT */
record slot[2];         /* what the partner has written */
record area[2];         /* directory area: n, e, d */
byte io[2];             /* beat: 0 idle, 1 READ answered, answer under way, 2 WRITE under way */
record fly[2];          /* what is under way */
byte psn[2];            /* partner's responder expects: 0 anything, 1 my sequence, 2 another */
record old;             /* a late copy of a request of node old_of */
bit old_of;
unsigned old_k : 2;     /* 0 none, 1 READ, 2 WRITE */
#ifdef NOTIFY
byte nt[2];             /* a WRITE beside the beat is under way: 1 first, 2 behind fly */
record note[2];
bit wanted[2];          /* one is due */
bit synced[2];          /* a READ has come back in this PSN sequence */
byte wrote[2];          /* WRITEs of the beat done in this attempt, 2 is the most: `steps` */
#endif
#ifdef DATA
record data;            /* a packet between client ports: n sender, e "to the current ports" */
bit data_of, data_k;
#endif
#ifdef EDGE
record last[2];
#endif
#ifdef DIRONCE
byte sent[2];
#endif
#ifdef KEEPNONCE
short boot[2];          /* labels of this boot */
#endif

/* Ghost: what each attempt of the partner has really done about my current attempt. */
#define KNOWS  1        /* meant it */
#define MADE   2        /* created ports for it */
#define CHECKED 4       /* verified its ports */
#define SHOWN  8        /* answered a READ of it while having ports for it */
#define GH(i, l) gh[(i) * 11 + (l)]
byte gh[22];

byte n_crash = CRASH, n_giveup = GIVEUP, n_break = BREAK, n_lose = LOSE, n_late = LATE,
	n_stop = STOP;
bit calm;               /* liveness: no fault any more */
#define MAY(n) (n > 0 && !calm)
#define SPEND(n) if :: n < 9 -> n-- :: else fi

/* Of no meaning between steps. A breadth-first search takes no hidden variables. */
#ifdef SHORTEST
#define scratch
#define WIPE \
	k_ = 0; \
	do :: k_ <= JUNK -> cn[k_] = 0; mp[k_] = 0; g2[k_] = 0; k_++ :: else -> break od; \
	nx = 0; k_ = 0; back_ = 0; due_ = 0; was_ = 0
#else
#define scratch hidden
#define WIPE skip
#endif
scratch short cn[11], mp[11], g2[11], nx, k_;
scratch byte back_, due_, was_;

inline copy(a, b) { a.n = b.n; a.e = b.e; a.p = b.p; a.d = b.d; a.h = b.h; a.x = b.x }
inline clear(a) { a.n = 0; a.e = 0; a.p = 0; a.d = 0; a.h = 0; a.x = 0 }
/* A record for whose receiver the echo means nothing says who the partner is, no more (R2). */
inline tidy(a) {
	if
	:: TIDY && !a.e -> a.p = 0; a.d = 0; a.h = 0; if :: a.x != 0 -> a.x = 1 :: else fi
	:: else
	fi
}
inline tidy_read(a) { if :: TIDY && !a.e -> a.d = 0; a.h = 0 :: else fi }
inline stale(a) { a.e = 0; tidy(a) }

/* ---- labels ---- */

#define IS_OLD(x) (x > NOW && x < JUNK)
/* What is read once more makes a second place of it. */
#define ONE(x) if :: IS_OLD(x) -> cn[x]++ :: else fi
#define TWO(x) if :: IS_OLD(x) -> cn[x] = cn[x] + 2 :: else fi
#define NAME(x) if :: IS_OLD(x) && cn[x] < 2 -> x = JUNK \
	:: IS_OLD(x) && cn[x] >= 2 -> \
		if :: mp[x] == 0 -> mp[x] = nx; nx++ :: else fi; x = mp[x] \
	:: else fi
#define AGE(x) if :: x == NOW -> x = TEMP :: else fi
#ifdef KEEPNONCE
#define MANY 2
#else
#define MANY 0
#endif

/* `one` or `two` for every place that speaks of an attempt of node o; q is the other node. */
#ifdef NOTIFY
#define PLACE_NOTE(o, two) if :: nt[o] -> two(note[o].n) :: else fi
#else
#define PLACE_NOTE(o, two) skip
#endif
#ifdef DATA
#define PLACE_DATA(o, two) if :: data_k && data_of == o -> two(data.n) :: else fi
#else
#define PLACE_DATA(o, two) skip
#endif
#define PLACES(o, q, one, two) \
	one(mean[q]); two(seen[q].n); one(slot[q].n); one(area[q].n); \
	if :: io[q] == 1 -> two(fly[q].n) :: else fi; \
	if :: io[o] == 2 -> two(fly[o].n) :: else fi; \
	if :: old_k == 2 && old_of == o -> two(old.n) :: else fi; \
	PLACE_NOTE(o, two); PLACE_DATA(o, two)

inline relabel(o, q) {
	k_ = 2;
	do :: k_ <= TEMP -> cn[k_] = MANY; mp[k_] = 0; g2[k_] = 0; k_++ :: else -> break od;
	nx = 2;
	PLACES(o, q, ONE, TWO);
	PLACES(o, q, NAME, NAME);
	assert(nx <= TEMP);
	k_ = 2;
	do
	:: k_ <= TEMP && mp[k_] != 0 -> g2[mp[k_]] = GH(q, k_); k_++
	:: k_ <= TEMP && mp[k_] == 0 -> k_++
	:: else -> break
	od;
	k_ = 2;
	do :: k_ <= TEMP -> GH(q, k_) = g2[k_]; k_++ :: else -> break od;
#ifdef KEEPNONCE
	nx = boot[o] & 2; k_ = 2;
	do
	:: k_ <= TEMP && mp[k_] != 0 -> nx = nx | (((boot[o] >> k_) & 1) << mp[k_]); k_++
	:: k_ <= TEMP && mp[k_] == 0 -> k_++
	:: else -> break
	od;
	boot[o] = nx
#endif
}

/* The current attempt of node i is over: what speaks of it speaks of an old one. */
inline outdate(i, q, died) {
	PLACES(i, q, AGE, AGE);
	GH(q, TEMP) = GH(q, NOW); GH(q, NOW) = 0;
	k_ = NOW;
	do :: k_ <= JUNK -> GH(i, k_) = 0; k_++ :: else -> break od;
#ifdef KEEPNONCE
	if
	:: died -> boot[i] = 0
	:: else -> boot[i] = boot[i] | (1 << TEMP) | 2
	fi;
#endif
	if
#ifdef KEEPNONCE
	:: !died /* the nonce stays, so every echo of it does too */
#endif
	:: else ->
		stale(slot[i]);
		stale(area[i]);
		if :: TIDY -> area[i].n = 0 :: else fi;
		if :: io[i] == 1 -> fly[i].e = 0; tidy_read(fly[i]) :: else fi;
		if :: io[q] == 2 -> stale(fly[q]) :: else fi;
		if :: old_k == 2 && old_of == q -> stale(old) :: else fi;
#ifdef NOTIFY
		if :: nt[q] -> stale(note[q]) :: else fi;
#endif
	fi;
#ifdef DATA
	if :: data_k && data_of == q -> data.e = 0 :: else fi
#endif
}

/* After every step: labels anew, and what must hold always. */
inline done() {
	relabel(0, 1); relabel(1, 0);
	WIPE;
	/* S2: both up: each means the attempt in which the other is. */
	CLAIM(2, !(st[0] == UP && st[1] == UP) || (mean[0] == NOW && mean[1] == NOW))
}

/* ---- the rules: ccm_rules.c ---- */

/* S9: clients are told up and down in turns. */
inline tell_down(i) {
	CLAIM(9, told[i] == (st[i] == UP));
	told[i] = 0
}
inline abandon(i, q) {                        /* ccm__abandon, ccm__new_attempt: R1 */
	printf("node %d gives the attempt up in state %d\n", i, st[i]);
	tell_down(i);
	if :: st[i] == BOUND -> st[i] = SEARCH :: else -> st[i] = CLOSING fi;
	mean[i] = 0; held[i] = 0;
	clear(seen[i]);                       /* steps = 0: earlier READs do not count */
#ifdef NOTIFY
	wrote[i] = 0;
#endif
#ifdef DIRONCE
	sent[i] = 0;
#endif
	outdate(i, q, false)
}

#define SLOT_COUNTS(i, l) (EQ(1 - i, slot[i].n, l) && ECHO(slot[i].e))

#ifdef BINDANY              /* R3: the slot needs the nonce just READ, but no echo */
#define SLOT_BINDS(i) EQ(1 - i, slot[i].n, mean[i])
#else
#define SLOT_BINDS(i) SLOT_COUNTS(i, mean[i])
#endif
#if defined(TRUSTWRITE)     /* R4: the partner's WRITE is as good as a READ */
#define VERIFIED(i) ((SLOT_COUNTS(i, mean[i]) && slot[i].p >= P_PORTS && slot[i].p <= P_UP) || \
	(ECHO(seen[i].e) && seen[i].p >= P_PORTS))
#elif defined(NOVERIFY)     /* R4: not at all */
#define VERIFIED(i) true
#else
#define VERIFIED(i) (ECHO(seen[i].e) && seen[i].p >= P_PORTS)
#endif
#ifdef NOSLOT               /* R5: up as soon as I have verified the partner */
#define CONFIRMED(i) true
#else
#define CONFIRMED(i) (SLOT_COUNTS(i, mean[i]) && slot[i].p >= P_READY && slot[i].p <= P_UP)
#endif
#ifdef IGNORE               /* R6: another nonce is not looked at */
#define REPLACED(i) false
#else
#define REPLACED(i) (!EQ(1 - i, seen[i].n, mean[i]))
#endif

inline bind(i, q) {
	printf("node %d binds to %d\n", i, mean[i]);
	st[i] = BOUND;
	if :: mean[i] == NOW -> GH(q, NOW) = GH(q, NOW) | KNOWS :: else fi;
	/* S5: to one that means, or meant, this attempt of mine. */
	CLAIM(5, GH(i, mean[i]) & KNOWS)
}

inline decide(i, q) {                         /* ccm__decide */
	if
	:: seen[i].n != 0 && st[i] == SEARCH && seen[i].p >= P_SEARCH && seen[i].p <= P_UP ->
		mean[i] = seen[i].n;
		if :: mean[i] == NOW -> GH(q, NOW) = GH(q, NOW) | KNOWS :: else fi;
		if
		:: SLOT_BINDS(i) || (seen[i].p >= P_BOUND && ECHO(seen[i].e)) ->
			bind(i, q)
		:: else
		fi
	:: else
	fi;
	if
	:: seen[i].n != 0 && IS_BOUND(i) ->
		if
		:: REPLACED(i) || seen[i].p == P_LEAVING || seen[i].p == P_DOWN ||
			(st[i] >= READY && !ECHO(seen[i].e)) -> abandon(i, q)
		:: else ->
			if :: st[i] == BOUND && held[i] != 0 -> st[i] = CREATING :: else fi;
			if :: st[i] == CREATED && held[i] == 2 -> st[i] = CONNECTING :: else fi;
			if
			:: st[i] == CONNECTED && VERIFIED(i) ->
				st[i] = READY;
				if
				:: mean[i] == NOW -> GH(q, NOW) = GH(q, NOW) | CHECKED
				:: else
				fi
			:: else
			fi;
			if
			:: st[i] == READY && CONFIRMED(i) ->
				CLAIM(9, !told[i]);
				st[i] = UP; told[i] = 1;
				printf("node %d is UP with %d\n", i, mean[i]);
				/* S1: it has created its ports for this attempt of mine. */
				CLAIM(1, GH(i, mean[i]) & MADE);
				/* S3: it has verified mine. */
				CLAIM(3, GH(i, mean[i]) & CHECKED);
				/* S4: it has answered a READ of this attempt, with its ports. */
				CLAIM(4, GH(i, mean[i]) & SHOWN)
			:: else
			fi
		fi
	:: else
	fi
}

/* poll_directory, on_directory: the record says which directory, the area holds it. */
#define NAMED(i, r) (EQ(1 - i, r.n, mean[i]) && r.d != 0 && area[i].d == r.d && \
	EQ(1 - i, area[i].n, r.n) && ECHO(area[i].e))
#ifdef DIRANY               /* take any directory, whatever attempt it is of and for */
#define TAKEN(i) (area[i].d != 0)
#else
#define TAKEN(i) (EQ(1 - i, slot[i].n, mean[i]) -> NAMED(i, slot[i]) : NAMED(i, seen[i]))
#endif
inline take_directory(i, q) {
	if
	:: st[i] >= BOUND && st[i] <= CREATED && area[i].d != held[i] && TAKEN(i) ->
		held[i] = area[i].d;
		/* S6: the ports to connect to are those of the attempt bound, made for mine. */
		CLAIM(6, held[i] < 2 || (area[i].n == mean[i] && area[i].e));
		decide(i, q)
	:: else
	fi
}

/* ---- records ---- */

inline publish(i, a) {                           /* ccm_session_record */
	a.n = NOW; a.e = (mean[i] == NOW); a.p = PHASE(i);
	a.d = OFFER(i); a.h = held[i]; a.x = 0;
#ifdef KEEPNONCE
	a.e = (mean[i] != 0 && ((boot[1 - i] >> mean[i]) & 1));
#endif
}

inline write(i, q, a) {                       /* post_write, ccm_session_directory_due */
	publish(i, a);
	due_ = IS_BOUND(i) &&
		!(EQ(q, seen[i].n, mean[i]) && seen[i].e && seen[i].h == OFFER(i)) &&
		!(EQ(q, slot[i].n, mean[i]) && slot[i].e && slot[i].h == OFFER(i));
#ifdef DIRONCE              /* R7: the directory goes out once */
	due_ = due_ && sent[i] != OFFER(i);
	if :: due_ -> sent[i] = OFFER(i) :: else fi;
#endif
	if :: due_ -> a.x = OFFER(i) :: else fi;
	tidy(a)
}

#ifdef NOTIFY
#ifdef NOGATE               /* R8: WRITEs do not wait for the READ that takes the PSN over */
#define MAY_POST(i) (!nt[i])
#else
#define MAY_POST(i) (!nt[i] && synced[i])
#endif
#define POST(i, q) if \
	:: wanted[i] && MAY_POST(i) -> wanted[i] = 0; nt[i] = (io[i] == 2 -> 2 : 1); \
		write(i, q, note[i]) \
	:: else fi
#define NEWS(i, q) if \
	:: st[i] > was_ && (wrote[i] == 2 || (wrote[i] == 1 && io[i] == 2)) -> \
		wanted[i] = 1; POST(i, q) \
	:: else fi
#else
#define NEWS(i, q) skip
#endif

/* The record is in the slot of node q, the directory before it in its area. */
inline put_directory(i, q, a) {
	if
	:: a.x != 0 ->
		area[q].n = a.n; area[q].e = a.e; area[q].d = a.x;
		if :: TIDY && !a.e -> clear(area[q]) :: else fi
	:: else
	fi
}
inline put(i, q, a) {
	was_ = st[q];
	put_directory(i, q, a);
	copy(slot[q], a); slot[q].x = 0;
	tidy(slot[q]);
	if
	:: ECHO(slot[q].e) -> decide(q, i)    /* on_slot */
	:: else
	fi;
	take_directory(q, i);
	NEWS(q, i)
}

/* ---- failures ---- */

inline new_sequence(i) {
	if :: psn[i] == 1 -> psn[i] = 2 :: else fi;
#ifdef NOTIFY
	synced[i] = 0; nt[i] = 0; clear(note[i]);
#endif
	io[i] = 0; clear(fly[i])
}
inline fail_beat(i) {                         /* fail_beat: steps = 0 */
	new_sequence(i);
#ifdef NOTIFY
	wrote[i] = (st[i] == READY || st[i] == UP -> 2 : 0);
#endif
	if :: !IS_BOUND(i) -> clear(seen[i]) :: else fi
}
inline crash(i, q) {
	printf("node %d crashes in state %d\n", i, st[i]);
	st[i] = OFF; told[i] = 0; mean[i] = 0; held[i] = 0;
	clear(seen[i]); clear(slot[i]); clear(area[i]);
	new_sequence(i);
	psn[q] = 0;
#ifdef NOTIFY
	wanted[i] = 0; wrote[i] = 0;
#endif
#ifdef EDGE
	clear(last[i]);
#endif
#ifdef DIRONCE
	sent[i] = 0;
#endif
	outdate(i, q, true)
}

/* ---- what happens ---- */

#ifdef EDGE                 /* R7: only what has changed is written */
#define SAME(i) (last[i].n == fly[i].n && last[i].e == fly[i].e && last[i].p == fly[i].p && \
	last[i].d == fly[i].d && last[i].h == fly[i].h && last[i].x == fly[i].x)
#endif

#ifdef NOTIFY
#define WROTE(i) if :: wrote[i] < 2 -> wrote[i]++ :: else fi; \
	if :: nt[i] == 2 -> nt[i] = 1 :: else fi
#define NOTE_FIRST(i) (nt[i] == 1)
#else
#define WROTE(i) skip
#define NOTE_FIRST(i) false
#endif

/* The beat of a node: READ, WRITE, over and over. */
proctype beat(bit me)
{
	bit you = 1 - me;
end:	do
	:: atomic {
	if
	/* READ: the partner's engine answers it, whatever its control core does. */
	:: d_step { st[me] > OFF && io[me] == 0 && !NOTE_FIRST(me) && st[you] != OFF ->
		printf("node %d READs: state %d\n", me, st[you]);
#ifdef NORESYNC             /* R8: the READ is answered, but does not take the PSN over */
		if :: psn[me] == 0 -> psn[me] = 1 :: else fi;
#else
		psn[me] = 1;
#endif
		if
		:: st[you] >= CREATED && st[you] <= UP && mean[you] == NOW ->
			GH(me, NOW) = GH(me, NOW) | SHOWN
		:: else
		fi;
		publish(you, fly[me]); tidy_read(fly[me]);
		io[me] = 1 }
	/* READ: nobody there. */
	:: d_step { st[me] > OFF && io[me] == 0 && !NOTE_FIRST(me) && st[you] == OFF ->
		fail_beat(me) }
	/* Its answer arrives, and the beat's WRITE goes out. */
	:: d_step { io[me] == 1 ->
		printf("node %d has READ nonce %d echo %d phase %d\n", me, fly[me].n, fly[me].e,
			fly[me].p);
		back_ = IS_BOUND(me) && fly[me].p < seen[me].p && EQ(you, fly[me].n, mean[me]);
		CLAIM(7, !back_);             /* S7: an attempt never goes back */
		copy(seen[me], fly[me]);
		io[me] = 2; fly[me].n = 0;
#ifdef NOTIFY
		synced[me] = 1;
#endif
#ifdef BINDSLOT             /* R3: the slot alone */
		if
		:: st[me] == SEARCH && slot[me].n != 0 ->
			mean[me] = slot[me].n; bind(me, you)
		:: else
		fi;
#endif
		if :: back_ -> abandon(me, you) :: else -> decide(me, you) fi;
		take_directory(me, you);
		write(me, you, fly[me]);
#ifdef EDGE
		if :: SAME(me) -> io[me] = 0; clear(fly[me]) :: else -> copy(last[me], fly[me]) fi;
#endif
		skip }
	/* The WRITE is carried out and acknowledged. */
	:: d_step { io[me] == 2 && !NOTE_FIRST(me) && st[you] != OFF && psn[me] == 1 ->
		printf("node %d WRITEs nonce %d echo %d phase %d\n", me, fly[me].n, fly[me].e,
			fly[me].p);
		io[me] = 0; put(me, you, fly[me]); clear(fly[me]); WROTE(me) }
	/* It looks like a duplicate, which is acknowledged only; */
	:: d_step { io[me] == 2 && !NOTE_FIRST(me) && st[you] != OFF && psn[me] != 1 ->
		printf("node %d WRITEs in vain\n", me);
		io[me] = 0; clear(fly[me]); WROTE(me) }
	/* or it looks as if something were missing before it, or nobody is there. */
	:: d_step { io[me] == 2 && !NOTE_FIRST(me) && (st[you] == OFF || psn[me] != 1) ->
		printf("node %d fails to WRITE\n", me);
		fail_beat(me) }
#ifdef NOTIFY
	/*
	 * WRITEs beside the beat: after news, but never before the four steps have been taken.
	 * Requests of one connection are carried out in the order of posting.
	 */
	:: d_step { wanted[me] && MAY_POST(me) -> POST(me, you) }
	:: d_step { nt[me] == 1 && st[you] != OFF && psn[me] == 1 ->
		printf("node %d notifies nonce %d echo %d phase %d\n", me, note[me].n, note[me].e,
			note[me].p);
		nt[me] = 0; put(me, you, note[me]); clear(note[me]) }
	:: d_step { nt[me] == 1 && (st[you] == OFF || psn[me] != 1) ->
		nt[me] = 0; clear(note[me]) }
#endif
	fi;
	d_step { done() } }
	od
}

/* Verbs of a node that are carried out, and its restart. */
proctype work(bit me)
{
	bit you = 1 - me;
end:	do
	:: atomic {
	if
	:: d_step { st[me] == CREATING ->      /* on_ports_created */
		was_ = st[me]; st[me] = CREATED;
		if :: mean[me] == NOW -> GH(you, NOW) = GH(you, NOW) | MADE :: else fi;
		decide(me, you); NEWS(me, you) }
	:: d_step { st[me] == CONNECTING ->    /* on_ports_connected */
		was_ = CONNECTED; st[me] = CONNECTED; decide(me, you); NEWS(me, you) }
	:: d_step { st[me] == CLOSING ->       /* on_ports_destroyed */
		st[me] = SEARCH }
	:: d_step { st[me] == LEAVING ->       /* leave_done, and the process ends */
		crash(me, you) }
	:: d_step { st[me] == OFF ->
		printf("node %d starts\n", me);
		st[me] = SEARCH;
#ifdef KEEPNONCE
		boot[me] = 2;
#endif
		skip }
	fi;
	d_step { done() } }
	od
}

#ifdef NOTIFY
#define WANT(i) if :: wrote[i] == 2 -> wanted[i] = 1 :: else fi
#else
#define WANT(i) skip
#endif
#ifdef NORESYNC
#define RESYNCS(i) (psn[i] == 0)
#else
#define RESYNCS(i) true
#endif

proctype faults(bit me)
{
	bit you = 1 - me;
end:	do
	:: atomic {
	if
	:: d_step { MAY(n_crash) && st[me] > OFF -> SPEND(n_crash); crash(me, you) }
	:: d_step { MAY(n_giveup) && IS_BOUND(me) -> SPEND(n_giveup); abandon(me, you) }
	:: d_step { MAY(n_stop) && st[me] > OFF && st[me] < LEAVING -> SPEND(n_stop);
		printf("node %d leaves\n", me);
		WANT(me); tell_down(me);
		st[me] = LEAVING; held[me] = 0; clear(seen[me]) }
	:: d_step { MAY(n_break) && io[me] != 0 -> SPEND(n_break);
		printf("beat of node %d fails\n", me); fail_beat(me) }
	:: d_step { MAY(n_lose) && io[me] == 2 && !NOTE_FIRST(me) && st[you] != OFF ->
		SPEND(n_lose);
		printf("WRITE of node %d is lost\n", me); io[me] = 0; clear(fly[me]); WROTE(me) }
	:: d_step { MAY(n_lose) && io[me] == 2 && fly[me].x != 0 && st[you] != OFF &&
		psn[me] == 1 ->
		SPEND(n_lose); printf("half of node %d's WRITE arrives\n", me);
		put_directory(me, you, fly[me]); fly[me].x = 0; take_directory(you, me) }
	:: d_step { MAY(n_late) && old_k == 0 && st[me] > OFF && io[me] == 0 -> SPEND(n_late);
		printf("READ of node %d is late\n", me); old_k = 1; old_of = me }
	:: d_step { MAY(n_late) && old_k == 0 && io[me] == 2 -> SPEND(n_late);
		printf("WRITE of node %d is late\n", me); old_k = 2; old_of = me;
		copy(old, fly[me]) }
	/* A late READ takes the PSN over for a sequence that is over. */
	:: d_step { old_k == 1 && old_of == me ->
		printf("late READ of node %d arrives\n", me);
		if :: st[you] != OFF && RESYNCS(me) -> psn[me] = 2 :: else fi;
		old_k = 0; old_of = 0 }
	/* A late WRITE may fit the sequence expected, or not. */
	:: d_step { old_k == 2 && old_of == me && st[you] != OFF ->
		printf("late WRITE of node %d arrives: nonce %d echo %d phase %d\n", me, old.n,
			old.e, old.p);
		put(me, you, old); old_k = 0; old_of = 0; clear(old) }
	:: d_step { old_k == 2 && old_of == me ->
		old_k = 0; old_of = 0; clear(old) }
#ifdef DATA
	:: d_step { st[me] == UP && !data_k -> data_k = 1; data_of = me; data.n = NOW;
		data.e = (mean[me] == NOW) }
	:: d_step { data_k && data_of == me ->
		/* R9: number, PSN and key are those of one attempt. */
		if
#ifdef SAMEPORTS
		:: st[you] >= CONNECTED && st[you] <= UP ->
#else
		:: st[you] >= CONNECTED && st[you] <= UP && data.e ->
#endif
			printf("data of node %d is carried out\n", data_of);
			/* S8: it is of the attempt that the port is connected to. */
			CLAIM(8, data.n == mean[you])
		:: else
		fi;
		data_k = 0; data_of = 0; clear(data) }
#endif
#ifdef LIVE
	:: d_step { !calm -> calm = 1 }
#endif
	fi;
	d_step { done() } }
	od
}

init { atomic {
	run beat(0); run beat(1); run work(0); run work(1);
	run faults(0); run faults(1) } }

#ifdef LIVE
#define TOGETHER (st[0] == UP && st[1] == UP)
ltl together { <> [] (!calm || TOGETHER) }
#endif
