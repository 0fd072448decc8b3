/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A partner for ccm-node on an ordinary RDMA device, with libibverbs: made from
 * doc/wire-format.md alone, to show that the session works with an implementation by others.
 *
 * One bootstrap queue pair carries the beat, and each client port is a queue pair with a region of
 * its own. One thread polls; nothing blocks but the verbs that change the state of a queue pair.
 */

#include "partner_record.h"
#include "partner_selftest.h"
#include "partner_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <infiniband/verbs.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define EXIT_NEVER_UP 1
#define EXIT_USAGE 2
#define EXIT_VERBS 3
#define EXIT_CRASH 9

#define BOOTSTRAP_MTU 256
#define PORT_MTU_DEFAULT 1024
#define PATTERN_SIZE 3000
#define DEFAULT_VA 0x10000000000
#define PRIVATE_SIZE 0x8000

/* Offsets in the private memory, which the partner cannot reach */
#define PRIVATE_RECORD 0x0000
#define PRIVATE_DIRECTORY 0x1000
#define PRIVATE_PATTERN 0x4000
#define PRIVATE_ECHO 0x6000

#define SECOND 1000000
#define RETRY_US SECOND	       /* between attempts to reach the partner at all */
#define STUCK_US (10 * SECOND) /* a request without any completion */
#define LATE_US 50000	       /* my own loop is late from here on, at least */
#define LEAVE_US (3 * SECOND)  /* to be heard when leaving */
#define WATCH_US (SECOND / 5)  /* between looks at the memory of the ports */
#define WATCH_SIZE 8192	       /* how much of each */
#define RNR_TIMER 12	       /* 0.64 ms; no receive is ever used */
#define READS_ACCEPTED 16      /* READs that the partner may have on its way */
#define REMOTE_ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)

enum step { STEP_NONE, STEP_READ, STEP_WRITE_DIRECTORY, STEP_WRITE_RECORD };

enum exercise { EXERCISE_NONE, EXERCISE_WRITE, EXERCISE_READ, EXERCISE_DONE };

struct options {
	const char *device;
	unsigned int port_num;
	unsigned int gid_index;
	unsigned int node_id;
	unsigned int peer_id;
	const char *cluster;
	const char *name;
	struct in_addr peer_ip;
	uint32_t peer_qpn;
	uint64_t peer_va;
	uint32_t peer_rkey;
	uint64_t va;
	unsigned int role;
	unsigned int seconds;
	unsigned int beat_us;
	unsigned int detect_ms;
	unsigned int mtu;
	unsigned int timeout;
	unsigned int retries;
	uint64_t offset;
	unsigned int n_clients;
	struct client clients[MAX_CLIENTS];
};

struct client_port {
	struct ibv_qp *qp;
	struct ibv_mr *mr;
	uint8_t *memory;
	size_t length;
	uint32_t psn;
	struct port theirs;
	uint32_t watched; /* CRC of the memory when it was last looked at */
	uint32_t said;	  /* CRC when it was last reported */
};

struct partner {
	struct options options;
	struct session session;
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_device_attr device;
	uint8_t reads_accepted;

	uint8_t *shared; /* the bootstrap region: REGION_SIZE bytes */
	uint8_t *private;
	struct ibv_mr *shared_mr;
	struct ibv_mr *private_mr;

	/* bootstrap connection */
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	enum step step; /* the request on its way */
	uint64_t generation;
	bool connected;
	bool was_connected;
	bool news;
	uint32_t rq_psn;
	uint32_t next_psn; /* of my next request, as long as none has failed */
	bool sequence_broken;
	bool known; /* the next three are those of the partner's record */
	uint64_t known_boot_id;
	uint32_t known_start_psn;
	uint32_t known_sequences;
	unsigned int failures; /* in a row */
	uint64_t n_failures;
	uint64_t n_beats;
	uint64_t posted_us;
	uint64_t next_us;    /* next beat, or next attempt to connect */
	uint64_t blocked_us; /* in verbs that wait for an answer, since the last turn of the loop */

	/* client ports */
	struct ibv_cq *port_cq;
	unsigned int n_ports;
	struct client_port ports[MAX_PORTS];
	uint64_t port_generation;
	enum exercise exercise;
	bool port_broken;
	uint64_t watch_us;

	uint64_t start_us;
	uint64_t leave_us;
	uint64_t leave_beats;
	bool input_closed;
	size_t input_length;
	char input[256];
	int verbs_failed;
};

static volatile sig_atomic_t stop_signal;

static void
on_signal(int number)
{
	stop_signal = number;
}

static uint64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t
random64(void)
{
	uint64_t value;

	if (getrandom(&value, sizeof(value), 0) != sizeof(value)) {
		fprintf(stderr, "error: getrandom: %s\n", strerror(errno));
		exit(EXIT_VERBS);
	}
	return value;
}

static void say(const struct partner *partner, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void
say(const struct partner *partner, const char *format, ...)
{
	uint64_t since = now_us() - partner->start_us;
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(" at %" PRIu64 ".%03" PRIu64 "\n", since / SECOND, since % SECOND / 1000);
}

static int
verbs_error(const char *what, int error)
{
	fprintf(stderr, "error: %s: %s (%d)\n", what, strerror(error), error);
	return -1;
}

static enum ibv_mtu
mtu_code(unsigned int bytes)
{
	switch (bytes) {
	case 256:
		return IBV_MTU_256;
	case 512:
		return IBV_MTU_512;
	case 1024:
		return IBV_MTU_1024;
	case 2048:
		return IBV_MTU_2048;
	default:
		return IBV_MTU_4096;
	}
}

static void *
map_memory(uint64_t address, size_t length)
{
	void *memory = MAP_FAILED;

	if (address != 0)
		memory = mmap((void *)(uintptr_t)address, length, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (memory == MAP_FAILED)
		memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);
	return memory == MAP_FAILED ? NULL : memory;
}

/* ------------------------------------------------------------------------- queue pairs */

static struct ibv_qp *
create_qp(struct partner *partner, struct ibv_cq *cq)
{
	struct ibv_qp_init_attr attr = {
		.send_cq = cq,
		.recv_cq = cq,
		.cap = {.max_send_wr = 8, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1},
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};
	struct ibv_qp *qp;

	qp = ibv_create_qp(partner->pd, &attr);
	if (qp == NULL)
		verbs_error("ibv_create_qp", errno);
	return qp;
}

static int
qp_to_init(const struct partner *partner, struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = (uint8_t)partner->options.port_num,
		.qp_access_flags = REMOTE_ACCESS,
	};
	int error;

	error = ibv_modify_qp(qp, &attr,
		IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
	return error == 0 ? 0 : verbs_error("ibv_modify_qp to INIT", error);
}

/* Returns an errno value, so that the caller may tell "no way to the partner yet" from the rest. */
static int
qp_to_rtr(const struct partner *partner, struct ibv_qp *qp, unsigned int mtu, uint32_t qpn,
	uint32_t rq_psn)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = mtu_code(mtu),
		.dest_qp_num = qpn,
		.rq_psn = rq_psn,
		.max_dest_rd_atomic = partner->reads_accepted,
		.min_rnr_timer = RNR_TIMER,
		.ah_attr =
			{
				.is_global = 1,
				.port_num = (uint8_t)partner->options.port_num,
				.grh =
					{
						.sgid_index = (uint8_t)partner->options.gid_index,
						.hop_limit = 64,
					},
			},
	};

	/* the GID of an IPv4 address a.b.c.d is ::ffff:a.b.c.d */
	attr.ah_attr.grh.dgid.raw[10] = 0xff;
	attr.ah_attr.grh.dgid.raw[11] = 0xff;
	memcpy(attr.ah_attr.grh.dgid.raw + 12, &partner->options.peer_ip, 4);
	return ibv_modify_qp(qp, &attr,
		IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
}

static int
qp_to_rts(const struct partner *partner, struct ibv_qp *qp, uint32_t sq_psn)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.timeout = (uint8_t)partner->options.timeout,
		.retry_cnt = (uint8_t)partner->options.retries,
		.rnr_retry = 6,
		.sq_psn = sq_psn,
		.max_rd_atomic = 1,
	};
	int error;

	error = ibv_modify_qp(qp, &attr,
		IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
	return error == 0 ? 0 : verbs_error("ibv_modify_qp to RTS", error);
}

static int
post(struct ibv_qp *qp, enum ibv_wr_opcode opcode, uint64_t id, const struct ibv_mr *mr,
	const void *local, size_t length, uint64_t remote, uint32_t rkey)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)local,
		.length = (uint32_t)length,
		.lkey = mr->lkey,
	};
	struct ibv_send_wr *bad;
	struct ibv_send_wr wr = {
		.wr_id = id,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = opcode,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = {.remote_addr = remote, .rkey = rkey},
	};

	return ibv_post_send(qp, &wr, &bad);
}

/* ------------------------------------------------------------------------- client ports */

static void
destroy_ports(void *arg)
{
	struct partner *partner = arg;
	struct client_port *port;
	int error;

	for (port = partner->ports; port < partner->ports + partner->n_ports; port++) {
		error = port->qp != NULL ? ibv_destroy_qp(port->qp) : 0;
		if (error != 0)
			verbs_error("ibv_destroy_qp", error);
		error = port->mr != NULL ? ibv_dereg_mr(port->mr) : 0;
		if (error != 0)
			verbs_error("ibv_dereg_mr", error);
		if (port->memory != NULL)
			munmap(port->memory, port->length);
	}
	memset(partner->ports, 0, sizeof(partner->ports));
	partner->n_ports = 0;
	partner->port_generation++;
	partner->exercise = EXERCISE_NONE;
	partner->port_broken = false;
}

static uint32_t
port_crc(const struct client_port *port)
{
	return crc32c(port->memory, port->length < WATCH_SIZE ? port->length : WATCH_SIZE);
}

static int
make_port(struct partner *partner, struct client_port *port, size_t length)
{
	port->length = length;
	port->memory = map_memory(0, length);
	if (port->memory == NULL)
		return verbs_error("memory of a port", errno);
	port->mr = ibv_reg_mr(partner->pd, port->memory, length, REMOTE_ACCESS);
	if (port->mr == NULL)
		return verbs_error("ibv_reg_mr of a port", errno);
	port->qp = create_qp(partner, partner->port_cq);
	if (port->qp == NULL || qp_to_init(partner, port->qp) != 0)
		return -1;
	port->psn = (uint32_t)random64() & PSN_MAX;
	port->watched = port_crc(port);
	port->said = port->watched;
	return 0;
}

static int
make_ports(void *arg, const struct map *map, struct port *ports)
{
	struct partner *partner = arg;
	struct client_port *port;
	unsigned int i;

	for (i = 0; i < map->n; i++) {
		port = &partner->ports[partner->n_ports++];
		if (make_port(partner, port, map->entries[i].length) != 0)
			return -1; /* the session has destroy_ports() called */
		ports[i] = (struct port){
			.qpn = port->qp->qp_num,
			.psn = port->psn,
			.rkey = port->mr->rkey,
			.va = (uintptr_t)port->memory,
			.length = port->length,
		};
	}
	return 0;
}

static int
connect_ports(void *arg, const struct port *theirs, unsigned int mtu)
{
	struct partner *partner = arg;
	struct client_port *port;
	unsigned int i;
	int error;

	for (i = 0; i < partner->n_ports; i++) {
		port = &partner->ports[i];
		port->theirs = theirs[i];
		error = qp_to_rtr(partner, port->qp, mtu, theirs[i].qpn, theirs[i].psn);
		if (error != 0)
			return verbs_error("ibv_modify_qp of a port to RTR", error);
		if (qp_to_rts(partner, port->qp, port->psn) != 0)
			return -1;
	}
	return 0;
}

static const char *
port_name(const struct partner *partner, unsigned int n)
{
	static char name[NAME_SIZE + 8];

	snprintf(name, sizeof(name), "%s.%u", partner->session.map.entries[n].name,
		partner->session.map.entries[n].index);
	return name;
}

static size_t
exercise_size(const struct partner *partner)
{
	uint64_t room = partner->ports[0].theirs.length;

	if (partner->options.offset >= room)
		return 0;
	room -= partner->options.offset;
	return room < PATTERN_SIZE ? (size_t)room : PATTERN_SIZE;
}

static void
port_failed(struct partner *partner, const char *what, const char *why)
{
	say(partner, "port %s %s failed: %s", port_name(partner, 0), what, why);
	partner->exercise = EXERCISE_DONE;
	partner->port_broken = true;
}

static void
exercise_post(struct partner *partner, enum exercise exercise)
{
	const struct client_port *port = &partner->ports[0];
	bool write = exercise == EXERCISE_WRITE;
	int error;

	partner->exercise = exercise;
	error = post(port->qp, write ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ,
		partner->port_generation << 8 | exercise, partner->private_mr,
		partner->private + (write ? PRIVATE_PATTERN : PRIVATE_ECHO), exercise_size(partner),
		port->theirs.va + partner->options.offset, port->theirs.rkey);
	if (error != 0) {
		verbs_error("ibv_post_send on a port", error);
		port_failed(partner, write ? "write" : "read", strerror(error));
	}
}

/* The session is up: write a pattern of its own into the partner's first port, and read it back. */
static void
session_is_up(void *arg)
{
	struct partner *partner = arg;
	uint8_t *pattern = partner->private + PRIVATE_PATTERN;
	unsigned int i, salt = (unsigned int)random64() & 0xff;

	if (partner->n_ports == 0 || exercise_size(partner) == 0) {
		partner->exercise = EXERCISE_DONE;
		return;
	}
	for (i = 0; i < PATTERN_SIZE; i++)
		pattern[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + salt);
	memset(partner->private + PRIVATE_ECHO, 0, PATTERN_SIZE);
	exercise_post(partner, EXERCISE_WRITE);
}

static void
exercise_compare(struct partner *partner)
{
	const uint8_t *pattern = partner->private + PRIVATE_PATTERN;
	const uint8_t *echo = partner->private + PRIVATE_ECHO;
	size_t i, size = exercise_size(partner);

	partner->exercise = EXERCISE_DONE;
	for (i = 0; i < size; i++)
		if (pattern[i] != echo[i])
			break;
	if (i == size)
		printf("port %s write ok read ok\n", port_name(partner, 0));
	else
		say(partner, "port %s write ok read differs from byte %zu on",
			port_name(partner, 0), i);
}

static void
poll_ports(struct partner *partner)
{
	struct ibv_wc wc;
	int n;

	while ((n = ibv_poll_cq(partner->port_cq, 1, &wc)) > 0) {
		if (wc.wr_id >> 8 != partner->port_generation)
			continue;
		if (wc.status != IBV_WC_SUCCESS)
			port_failed(partner, partner->exercise == EXERCISE_WRITE ? "write" : "read",
				ibv_wc_status_str(wc.status));
		else if (partner->exercise == EXERCISE_WRITE)
			exercise_post(partner, EXERCISE_READ);
		else if (partner->exercise == EXERCISE_READ)
			exercise_compare(partner);
	}
	if (n < 0)
		partner->verbs_failed = verbs_error("ibv_poll_cq of the ports", errno);
	if (partner->port_broken) {
		partner->port_broken = false;
		session_end(&partner->session, REASON_PORT_ERROR);
	}
}

/* Report what the partner writes into my ports, once it has stood still between two looks. */
static void
watch_ports(struct partner *partner, uint64_t now)
{
	struct client_port *port;
	size_t i, filled, size;
	uint32_t crc;

	if (now - partner->watch_us < WATCH_US)
		return;
	partner->watch_us = now;
	for (port = partner->ports; port < partner->ports + partner->n_ports; port++) {
		crc = port_crc(port);
		if (crc == port->watched && crc != port->said) {
			size = port->length < WATCH_SIZE ? port->length : WATCH_SIZE;
			for (i = 0, filled = 0; i < size; i++)
				filled += port->memory[i] != 0;
			say(partner, "port %s holds %zu bytes that are not zero, crc 0x%08" PRIx32,
				port_name(partner, (unsigned int)(port - partner->ports)), filled,
				crc);
			port->said = crc;
		}
		port->watched = crc;
	}
}

/* ------------------------------------------------------------------------- bootstrap */

static void
publish(struct partner *partner)
{
	uint8_t bytes[RECORD_SIZE];

	session_record(&partner->session, bytes);
	record_publish((uint64_t *)(void *)(partner->shared + OUT_OFFSET), bytes);
}

static void
drain(struct ibv_cq *cq)
{
	struct ibv_wc wc;

	while (ibv_poll_cq(cq, 1, &wc) > 0)
		;
}

static bool
no_way_yet(int error)
{
	return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH ||
		error == ENETDOWN;
}

/*
 * Take the queue pair through RESET, INIT, RTR and RTS. It expects the partner's requests from
 * the PSN on that its record gives, once there is a record. Mine begin at a new PSN after a
 * failure; otherwise they just go on, so that two partners which both follow the rule do not make
 * each other begin anew for ever.
 */
static void
bootstrap_connect(struct partner *partner, uint64_t now)
{
	struct ibv_qp_attr attr = {.qp_state = IBV_QPS_RESET};
	bool anew = partner->sequence_broken || partner->session.sequences == 0;
	uint32_t sq_psn = anew ? (uint32_t)random64() & PSN_MAX : partner->next_psn;
	int error;

	partner->step = STEP_NONE;
	partner->generation++;
	error = ibv_modify_qp(partner->qp, &attr, IBV_QP_STATE);
	if (error != 0) {
		partner->verbs_failed = verbs_error("ibv_modify_qp to RESET", error);
		return;
	}
	drain(partner->cq);
	partner->rq_psn = partner->known ? partner->known_start_psn : 0;
	if (qp_to_init(partner, partner->qp) != 0) {
		partner->verbs_failed = -1;
		return;
	}
	error = qp_to_rtr(partner, partner->qp, BOOTSTRAP_MTU, partner->options.peer_qpn,
		partner->rq_psn);
	if (error != 0) {
		if (!no_way_yet(error))
			partner->verbs_failed = -1;
		if (partner->failures++ == 0 || partner->verbs_failed != 0)
			verbs_error("ibv_modify_qp to RTR", error);
		session_read_failed(&partner->session);
		partner->next_us = now + RETRY_US;
		return;
	}
	if (qp_to_rts(partner, partner->qp, sq_psn) != 0) {
		partner->verbs_failed = -1;
		return;
	}
	if (anew) {
		partner->session.start_psn = sq_psn;
		partner->session.sequences++;
	}
	partner->next_psn = sq_psn;
	partner->sequence_broken = false;
	publish(partner);
	partner->connected = true;
	if (partner->failures == 0)
		say(partner, "bootstrap rq_psn 0x%06" PRIx32 " sq_psn 0x%06" PRIx32,
			partner->rq_psn, sq_psn);
}

static void
request_failed(struct partner *partner, const char *why, uint64_t now)
{
	static const char *const steps[] = {"", "READ of the record", "WRITE of the directory",
		"WRITE of the record"};

	partner->n_failures++;
	if (partner->failures++ == 0)
		say(partner, "bootstrap %s failed: %s", steps[partner->step], why);
	session_read_failed(&partner->session);
	partner->connected = false;
	partner->sequence_broken = true;
	partner->step = STEP_NONE;
	partner->next_us = now + partner->options.beat_us;
}

static void
request(struct partner *partner, enum step step, uint64_t now)
{
	const struct options *options = &partner->options;
	uint64_t id = partner->generation << 8 | step;
	const uint8_t *directory;
	size_t length = RECORD_SIZE;
	uint32_t packets;
	int error;

	partner->step = step;
	partner->posted_us = now;
	switch (step) {
	case STEP_READ:
		error = post(partner->qp, IBV_WR_RDMA_READ, id, partner->private_mr,
			partner->private + PRIVATE_RECORD, RECORD_SIZE,
			options->peer_va + OUT_OFFSET, options->peer_rkey);
		break;
	case STEP_WRITE_DIRECTORY:
		length = session_directory(&partner->session, &directory);
		memcpy(partner->private + PRIVATE_DIRECTORY, directory, length);
		error = post(partner->qp, IBV_WR_RDMA_WRITE, id, partner->private_mr,
			partner->private + PRIVATE_DIRECTORY, length,
			options->peer_va + DIRECTORY_OFFSET, options->peer_rkey + 2);
		break;
	default:
		error = post(partner->qp, IBV_WR_RDMA_WRITE, id, partner->shared_mr,
			partner->shared + OUT_OFFSET, RECORD_SIZE, options->peer_va + SLOT_OFFSET,
			options->peer_rkey + 1);
		break;
	}
	if (error != 0) {
		verbs_error("ibv_post_send", error);
		request_failed(partner, strerror(error), now);
		return;
	}
	/* a WRITE takes a PSN for each of its packets, and a READ one for each of its answer */
	packets = (uint32_t)((length + BOOTSTRAP_MTU - 1) / BOOTSTRAP_MTU);
	partner->next_psn = (partner->next_psn + packets) & PSN_MAX;
}

/* The partner's requests begin anew: true when the queue pair must be made to expect them. */
static bool
sequence_changed(struct partner *partner)
{
	const struct record *record = &partner->session.partner;

	if (partner->session.verdict != VERDICT_OK || record->sequences == 0 ||
		(partner->known && partner->known_boot_id == record->boot_id &&
			partner->known_sequences == record->sequences &&
			partner->known_start_psn == record->start_psn))
		return false;
	partner->known = true;
	partner->known_boot_id = record->boot_id;
	partner->known_sequences = record->sequences;
	partner->known_start_psn = record->start_psn;
	return true;
}

static void
end_beat(struct partner *partner, uint64_t now)
{
	partner->step = STEP_NONE;
	partner->n_beats++;
	partner->next_us = partner->news ? now : partner->next_us + partner->options.beat_us;
	if (partner->next_us < now)
		partner->next_us = now;
}

static void
read_done(struct partner *partner, uint64_t now)
{
	struct session *session = &partner->session;
	uint8_t area[DIRECTORY_AREA];
	uint8_t slot[RECORD_SIZE];
	const uint8_t *directory;

	if (partner->failures != 0)
		say(partner, "bootstrap READ of the record succeeds");
	partner->failures = 0;
	record_snapshot((const uint64_t *)(const void *)(partner->shared + SLOT_OFFSET), slot);
	memcpy(area, partner->shared + DIRECTORY_OFFSET, sizeof(area));
	partner->news = session_read(session, partner->private + PRIVATE_RECORD, slot, area,
		sizeof(area), now);
	publish(partner);
	if (sequence_changed(partner)) {
		partner->connected = false;
		partner->step = STEP_NONE;
		partner->next_us = now;
	} else if (session->verdict != VERDICT_OK || session->partner.sequences == 0) {
		end_beat(partner, now); /* nobody there to write to, or not yet */
	} else {
		request(partner,
			session_directory(session, &directory) != 0 ? STEP_WRITE_DIRECTORY
								    : STEP_WRITE_RECORD,
			now);
	}
}

static void
poll_bootstrap(struct partner *partner, uint64_t now)
{
	struct ibv_wc wc;
	int n;

	while ((n = ibv_poll_cq(partner->cq, 1, &wc)) > 0) {
		if (wc.wr_id != (partner->generation << 8 | partner->step))
			continue;
		if (wc.status != IBV_WC_SUCCESS)
			request_failed(partner, ibv_wc_status_str(wc.status), now);
		else if (partner->step == STEP_READ)
			read_done(partner, now);
		else if (partner->step == STEP_WRITE_DIRECTORY)
			request(partner, STEP_WRITE_RECORD, now);
		else
			end_beat(partner, now);
	}
	if (n < 0)
		partner->verbs_failed = verbs_error("ibv_poll_cq", errno);
	if (partner->step != STEP_NONE && now - partner->posted_us > STUCK_US)
		request_failed(partner, "no completion", now);
}

static void
run_bootstrap(struct partner *partner, uint64_t now)
{
	poll_bootstrap(partner, now);
	if (partner->step != STEP_NONE || now < partner->next_us || partner->verbs_failed != 0)
		return;
	if (!partner->connected) {
		bootstrap_connect(partner, now);
		partner->blocked_us = now_us() - now;
		if (!partner->connected)
			return;
	}
	partner->next_us = now;
	session_beat(&partner->session);
	publish(partner);
	request(partner, STEP_READ, now);
}

/* ------------------------------------------------------------------------- set up */

static struct ibv_context *
open_device(const char *name)
{
	struct ibv_context *context = NULL;
	struct ibv_device **list;
	int i, n = 0;

	list = ibv_get_device_list(&n);
	if (list == NULL) {
		verbs_error("ibv_get_device_list", errno);
		return NULL;
	}
	for (i = 0; i < n; i++)
		if (strcmp(ibv_get_device_name(list[i]), name) == 0)
			break;
	if (i == n)
		fprintf(stderr, "error: no RDMA device %s\n", name);
	else
		context = ibv_open_device(list[i]);
	if (i < n && context == NULL)
		verbs_error("ibv_open_device", errno);
	ibv_free_device_list(list);
	return context;
}

static int
query_device(struct partner *partner)
{
	const struct options *options = &partner->options;
	static const union ibv_gid none;
	struct ibv_port_attr port;
	union ibv_gid gid;
	unsigned int active, mtu;
	int error;

	error = ibv_query_device(partner->context, &partner->device);
	if (error != 0)
		return verbs_error("ibv_query_device", error);
	error = ibv_query_port(partner->context, (uint8_t)options->port_num, &port);
	if (error != 0)
		return verbs_error("ibv_query_port", error);
	if (ibv_query_gid(partner->context, (uint8_t)options->port_num, (int)options->gid_index,
		    &gid) != 0)
		return verbs_error("ibv_query_gid", errno);
	if (memcmp(&gid, &none, sizeof(gid)) == 0) {
		fprintf(stderr, "error: %s has no GID %u\n", options->device, options->gid_index);
		return -1;
	}
	if (port.state != IBV_PORT_ACTIVE)
		fprintf(stderr, "warning: %s is %s\n", options->device,
			ibv_port_state_str(port.state));
	active = 128U << (port.active_mtu >= IBV_MTU_256 && port.active_mtu <= IBV_MTU_4096
				 ? port.active_mtu
				 : IBV_MTU_256);
	mtu = options->mtu != 0 ? options->mtu : PORT_MTU_DEFAULT;
	partner->session.path_mtu = (uint16_t)(mtu < active ? mtu : active);
	partner->reads_accepted = READS_ACCEPTED;
	if (partner->device.max_qp_rd_atom < READS_ACCEPTED)
		partner->reads_accepted = (uint8_t)partner->device.max_qp_rd_atom;
	return 0;
}

static int
set_up(struct partner *partner)
{
	partner->context = open_device(partner->options.device);
	if (partner->context == NULL || query_device(partner) != 0)
		return -1;
	fcntl(partner->context->async_fd, F_SETFL,
		fcntl(partner->context->async_fd, F_GETFL) | O_NONBLOCK);
	partner->pd = ibv_alloc_pd(partner->context);
	if (partner->pd == NULL)
		return verbs_error("ibv_alloc_pd", errno);
	partner->shared = map_memory(partner->options.va, REGION_SIZE);
	partner->private = map_memory(0, PRIVATE_SIZE);
	if (partner->shared == NULL || partner->private == NULL)
		return verbs_error("memory", errno);
	partner->shared_mr = ibv_reg_mr(partner->pd, partner->shared, REGION_SIZE, REMOTE_ACCESS);
	partner->private_mr = ibv_reg_mr(partner->pd, partner->private, PRIVATE_SIZE,
		IBV_ACCESS_LOCAL_WRITE);
	if (partner->shared_mr == NULL || partner->private_mr == NULL)
		return verbs_error("ibv_reg_mr", errno);
	partner->cq = ibv_create_cq(partner->context, 16, NULL, NULL, 0);
	partner->port_cq = ibv_create_cq(partner->context, 4 * MAX_PORTS, NULL, NULL, 0);
	if (partner->cq == NULL || partner->port_cq == NULL)
		return verbs_error("ibv_create_cq", errno);
	partner->qp = create_qp(partner, partner->cq);
	return partner->qp != NULL ? 0 : -1;
}

static void
tear_down(struct partner *partner)
{
	if (partner->context == NULL)
		return;
	destroy_ports(partner);
	if (partner->qp != NULL)
		ibv_destroy_qp(partner->qp);
	if (partner->shared_mr != NULL)
		ibv_dereg_mr(partner->shared_mr);
	if (partner->private_mr != NULL)
		ibv_dereg_mr(partner->private_mr);
	if (partner->port_cq != NULL)
		ibv_destroy_cq(partner->port_cq);
	if (partner->cq != NULL)
		ibv_destroy_cq(partner->cq);
	if (partner->pd != NULL)
		ibv_dealloc_pd(partner->pd);
	ibv_close_device(partner->context);
}

/* ------------------------------------------------------------------------- main loop */

static void
say_status(const struct partner *partner)
{
	const struct session *session = &partner->session;

	say(partner,
		"status phase %s reason %s partner %s %s ports %u exercise %s ups %u attempts %u "
		"beats %" PRIu64 " failures %" PRIu64 " sequences %" PRIu32 " rq_psn 0x%06" PRIx32,
		phase_name(session->phase), reason_name(session->reason),
		session->has_partner ? session->partner.name : "-",
		session->has_partner ? phase_name(session->partner.phase) : "-", partner->n_ports,
		partner->exercise == EXERCISE_DONE ? "done" : "-", session->n_ups,
		session->n_attempts, partner->n_beats, partner->n_failures, session->sequences,
		partner->rq_psn);
}

static void
leave(struct partner *partner)
{
	if (partner->leave_us != 0)
		return;
	partner->leave_us = now_us();
	partner->leave_beats = partner->n_beats;
	partner->next_us = partner->leave_us;
	session_leave(&partner->session);
}

/* Everybody has heard of it, or nobody will. */
static bool
has_left(const struct partner *partner, uint64_t now)
{
	if (partner->leave_us == 0)
		return false;
	return now - partner->leave_us >= LEAVE_US ||
		(partner->session.partner_let_go && partner->n_beats >= partner->leave_beats + 2) ||
		(partner->failures != 0 && !partner->session.has_partner);
}

static void
handle_line(struct partner *partner, const char *line)
{
	if (strcmp(line, "quit") == 0)
		leave(partner);
	else if (strcmp(line, "crash") == 0)
		_exit(EXIT_CRASH);
	else if (strcmp(line, "status") == 0)
		say_status(partner);
	else if (line[0] != 0)
		fprintf(stderr, "error: unknown command '%s'\n", line);
}

static void
read_input(struct partner *partner)
{
	char *line, *end;
	ssize_t n;

	n = read(STDIN_FILENO, partner->input + partner->input_length,
		sizeof(partner->input) - 1 - partner->input_length);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		partner->input_closed = true;
		leave(partner);
		return;
	}
	partner->input_length += (size_t)n;
	partner->input[partner->input_length] = 0;
	for (line = partner->input; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = 0;
		if (end > line && end[-1] == '\r')
			end[-1] = 0;
		handle_line(partner, line);
	}
	partner->input_length -= (size_t)(line - partner->input);
	memmove(partner->input, line, partner->input_length);
	if (partner->input_length == sizeof(partner->input) - 1)
		partner->input_length = 0; /* far too long for a command */
}

static void
read_events(struct partner *partner)
{
	struct ibv_async_event event;
	struct ibv_qp *qp;

	while (ibv_get_async_event(partner->context, &event) == 0) {
		say(partner, "device event: %s", ibv_event_type_str(event.event_type));
		switch (event.event_type) {
		case IBV_EVENT_QP_FATAL:
		case IBV_EVENT_QP_REQ_ERR:
		case IBV_EVENT_QP_ACCESS_ERR:
			qp = event.element.qp;
			if (qp != partner->qp)
				partner->port_broken = true;
			else if (partner->step == STEP_NONE) {
				partner->connected = false;
				partner->sequence_broken = true;
			}
			break;
		default:
			break;
		}
		ibv_ack_async_event(&event);
	}
}

static void
loop(struct partner *partner)
{
	struct pollfd fds[2] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = partner->context->async_fd, .events = POLLIN},
	};
	uint64_t late = partner->options.beat_us > LATE_US ? partner->options.beat_us : LATE_US;
	uint64_t end_us, now = now_us(), last = now;

	end_us = partner->options.seconds != 0 ? now + (uint64_t)partner->options.seconds * SECOND
					       : UINT64_MAX;
	while (partner->verbs_failed == 0 && !has_left(partner, now)) {
		fds[0].fd = partner->input_closed ? -1 : STDIN_FILENO;
		fds[0].revents = 0;
		fds[1].revents = 0;
		poll(fds, 2, 1);
		if (fds[0].revents != 0)
			read_input(partner);
		if (fds[1].revents != 0)
			read_events(partner);
		now = now_us();
		if (now - last > late + partner->blocked_us)
			session_late(&partner->session, now);
		partner->blocked_us = 0;
		last = now;
		if (stop_signal != 0 || now >= end_us)
			leave(partner);
		run_bootstrap(partner, now);
		poll_ports(partner);
		watch_ports(partner, now);
		session_tick(&partner->session, now);
	}
}

static uint64_t
session_random64(void *arg)
{
	(void)arg;
	return random64();
}

static void
session_say(void *arg, const char *line)
{
	say(arg, "%s", line);
}

static const struct session_ops session_ops = {
	.make_ports = make_ports,
	.connect_ports = connect_ports,
	.destroy_ports = destroy_ports,
	.up = session_is_up,
	.random64 = session_random64,
	.say = session_say,
};

static int
run(struct partner *partner)
{
	const struct options *options = &partner->options;
	struct session *session = &partner->session;

	session->ops = &session_ops;
	session->arg = partner;
	session->my_id = (uint16_t)options->node_id;
	session->beat_us = options->beat_us;
	session->partner_id = (uint16_t)options->peer_id;
	session->role = (uint8_t)options->role;
	session->cluster_hash = hash64(options->cluster, strlen(options->cluster));
	session->detect_us = (uint64_t)options->detect_ms * 1000;
	session->n_clients = options->n_clients;
	memcpy(session->clients, options->clients, sizeof(session->clients));
	snprintf(session->name, sizeof(session->name), "%s", options->name);
	partner->start_us = now_us();
	if (set_up(partner) == 0) {
		printf("qpn 0x%06" PRIx32 " va 0x%" PRIxPTR " rkey 0x%08" PRIx32 "\n",
			partner->qp->qp_num, (uintptr_t)partner->shared, partner->shared_mr->rkey);
		session_start(session, partner->start_us);
		publish(partner);
		partner->next_us = partner->start_us;
		loop(partner);
	} else {
		partner->verbs_failed = -1;
	}
	tear_down(partner);
	if (partner->verbs_failed != 0)
		return EXIT_VERBS;
	return session->was_up ? EXIT_SUCCESS : EXIT_NEVER_UP;
}

/* ------------------------------------------------------------------------- options */

static void
usage(FILE *stream)
{
	fputs("usage: partner --node-id N --peer-id N --cluster NAME --name NAME --peer-ip "
	      "A.B.C.D\n"
	      "               --peer-qpn N --peer-va N --peer-rkey N\n"
	      "               [--client NAME:PORTS:MEMORY]... [OPTION]...\n"
	      "       partner --self-test [FILE]...\n"
	      "       partner --help\n"
	      "\n"
	      "  --device NAME    RDMA device (rxe0)\n"
	      "  --port N         its port (1)\n"
	      "  --gid-index N    its GID for the IPv4 address (1)\n"
	      "  --va N           where to put the bootstrap region, if that is free\n"
	      "  --role N         0 storage system, 1 application server (1)\n"
	      "  --seconds N      leave after so long (0: never)\n"
	      "  --beat-us N      heartbeat interval (5000)\n"
	      "  --detect-ms N    detection time (2000)\n"
	      "  --mtu N          path MTU of the ports (1024)\n"
	      "  --offset N       where in the partner's port the pattern is written (0)\n"
	      "  --timeout N      local ACK timeout, 4.096 us * 2^N (14: 67 ms)\n"
	      "  --retries N      retries of a request, 0 to 6 (4)\n"
	      "\n"
	      "The first line of output is: qpn 0xN va 0xN rkey 0xN. Commands on standard input:\n"
	      "status, quit (as its end does), crash. Exit status: 0 was UP, 1 never was,\n"
	      "2 usage, 3 verbs failed.\n",
		stream);
}

static bool
parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	return errno == 0 && end != text && *end == 0 && text[0] != '-' && *value >= low &&
		*value <= high;
}

static bool
parse_client(struct options *options, const char *text)
{
	struct client *client = &options->clients[options->n_clients];
	char copy[128];
	char *name, *ports, *memory, *rest;
	unsigned int i, total = 0;
	uint64_t value;

	if (options->n_clients == MAX_CLIENTS || strlen(text) >= sizeof(copy))
		return false;
	snprintf(copy, sizeof(copy), "%s", text);
	rest = copy;
	name = strsep(&rest, ":");
	ports = strsep(&rest, ":");
	memory = strsep(&rest, ":");
	if (memory == NULL || rest != NULL || !client_name_valid(name) ||
		!parse_number(ports, 1, MAX_PORTS, &value))
		return false;
	memset(client, 0, sizeof(*client));
	snprintf(client->name, sizeof(client->name), "%s", name);
	client->ports = (uint16_t)value;
	if (!parse_number(memory, 0, UINT64_MAX, &client->memory))
		return false;
	for (i = 0; i < options->n_clients; i++)
		if (strcmp(options->clients[i].name, name) == 0)
			return false;
	options->n_clients++;
	for (i = 0; i < options->n_clients; i++)
		total += options->clients[i].ports;
	return total <= MAX_PORTS;
}

static bool
mtu_valid(uint64_t mtu)
{
	return mtu >= 256 && mtu <= 4096 && (mtu & (mtu - 1)) == 0;
}

enum option_code {
	OPTION_DEVICE = 256,
	OPTION_CLUSTER,
	OPTION_NAME,
	OPTION_PEER_IP,
	OPTION_CLIENT,
	OPTION_PORT,
	OPTION_GID_INDEX,
	OPTION_NODE_ID,
	OPTION_PEER_ID,
	OPTION_PEER_QPN,
	OPTION_PEER_VA,
	OPTION_PEER_RKEY,
	OPTION_VA,
	OPTION_ROLE,
	OPTION_SECONDS,
	OPTION_BEAT_US,
	OPTION_DETECT_MS,
	OPTION_MTU,
	OPTION_OFFSET,
	OPTION_TIMEOUT,
	OPTION_RETRIES,
	OPTION_SELF_TEST,
	OPTION_HELP,
};

static bool
take_number(struct options *options, int option, const char *text)
{
	const struct {
		int option;
		uint64_t low;
		uint64_t high;
		unsigned int *value;
	} numbers[] = {
		{OPTION_PORT, 1, 255, &options->port_num},
		{OPTION_GID_INDEX, 0, 255, &options->gid_index},
		{OPTION_NODE_ID, 1, 65535, &options->node_id},
		{OPTION_PEER_ID, 1, 65535, &options->peer_id},
		{OPTION_PEER_QPN, 2, 0xfffffe, &options->peer_qpn},
		{OPTION_PEER_RKEY, 1, UINT32_MAX - 2, &options->peer_rkey},
		{OPTION_ROLE, 0, 1, &options->role},
		{OPTION_SECONDS, 0, 1000000, &options->seconds},
		{OPTION_BEAT_US, 1000, 10 * SECOND, &options->beat_us},
		{OPTION_DETECT_MS, 10, 1000000, &options->detect_ms},
		{OPTION_MTU, 256, 4096, &options->mtu},
		{OPTION_TIMEOUT, 1, 31, &options->timeout},
		{OPTION_RETRIES, 0, 6, &options->retries},
	};
	uint64_t value;
	size_t i;

	if (option == OPTION_PEER_VA)
		return parse_number(text, 0, UINT64_MAX - REGION_SIZE, &options->peer_va) &&
			options->peer_va % 4096 == 0;
	if (option == OPTION_VA)
		return parse_number(text, 0, UINT64_MAX - REGION_SIZE, &options->va) &&
			options->va % 4096 == 0;
	if (option == OPTION_OFFSET)
		return parse_number(text, 0, UINT64_MAX, &options->offset);
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (numbers[i].option != option)
			continue;
		if (!parse_number(text, numbers[i].low, numbers[i].high, &value))
			return false;
		*numbers[i].value = (unsigned int)value;
		return option != OPTION_MTU || mtu_valid(value);
	}
	return false;
}

static bool
take_option(struct options *options, int option, const char *text)
{
	switch (option) {
	case OPTION_DEVICE:
		options->device = text;
		return true;
	case OPTION_CLUSTER:
		options->cluster = text;
		return true;
	case OPTION_NAME:
		options->name = text;
		return text[0] != 0 && strlen(text) < NAME_SIZE;
	case OPTION_PEER_IP:
		return inet_pton(AF_INET, text, &options->peer_ip) == 1;
	case OPTION_CLIENT:
		return parse_client(options, text);
	default:
		return take_number(options, option, text);
	}
}

static const struct option long_options[] = {
	{"device", required_argument, NULL, OPTION_DEVICE},
	{"cluster", required_argument, NULL, OPTION_CLUSTER},
	{"name", required_argument, NULL, OPTION_NAME},
	{"peer-ip", required_argument, NULL, OPTION_PEER_IP},
	{"client", required_argument, NULL, OPTION_CLIENT},
	{"port", required_argument, NULL, OPTION_PORT},
	{"gid-index", required_argument, NULL, OPTION_GID_INDEX},
	{"node-id", required_argument, NULL, OPTION_NODE_ID},
	{"peer-id", required_argument, NULL, OPTION_PEER_ID},
	{"peer-qpn", required_argument, NULL, OPTION_PEER_QPN},
	{"peer-va", required_argument, NULL, OPTION_PEER_VA},
	{"peer-rkey", required_argument, NULL, OPTION_PEER_RKEY},
	{"va", required_argument, NULL, OPTION_VA},
	{"role", required_argument, NULL, OPTION_ROLE},
	{"seconds", required_argument, NULL, OPTION_SECONDS},
	{"beat-us", required_argument, NULL, OPTION_BEAT_US},
	{"detect-ms", required_argument, NULL, OPTION_DETECT_MS},
	{"mtu", required_argument, NULL, OPTION_MTU},
	{"offset", required_argument, NULL, OPTION_OFFSET},
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"retries", required_argument, NULL, OPTION_RETRIES},
	{"self-test", no_argument, NULL, OPTION_SELF_TEST},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

int
main(int argc, char *argv[])
{
	static struct partner partner = {
		.options =
			{
				.device = "rxe0",
				.port_num = 1,
				.gid_index = 1,
				.va = DEFAULT_VA,
				.role = 1,
				.beat_us = 5000,
				.detect_ms = 2000,
				.timeout = 14,
				.retries = 4,
			},
	};
	const struct options *options = &partner.options;
	bool test = false;
	int option;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == OPTION_SELF_TEST) {
			test = true;
		} else if (option == OPTION_HELP) {
			usage(stdout);
			return EXIT_SUCCESS;
		} else if (option == '?') {
			usage(stderr);
			return EXIT_USAGE;
		} else if (!take_option(&partner.options, option, optarg)) {
			fprintf(stderr, "error: cannot take '%s'\n", optarg);
			return EXIT_USAGE;
		}
	}
	if (test)
		return selftest(argc - optind, argv + optind) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	if (optind != argc || options->node_id == 0 || options->peer_id == 0 ||
		options->cluster == NULL || options->name == NULL || options->peer_qpn == 0 ||
		options->peer_ip.s_addr == 0 || options->peer_rkey == 0) {
		usage(stderr);
		return EXIT_USAGE;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	return run(&partner);
}
