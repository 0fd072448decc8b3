/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_measure.h"

#include "lcore.h"
#include "node.h"
#include "rdma_emul.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { BURST = 32 };

int
bench_measure_open(struct bench_measure *m, struct node *node, bool cross, size_t buffer_size)
{
	int rc = 0;

	m->node = node;
	m->cross = cross;
	m->buffer_size = buffer_size;
	m->buffer = mmap(NULL, buffer_size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (m->buffer == MAP_FAILED) {
		m->buffer = NULL;
		return -ENOMEM;
	}
	for (uint32_t i = 0; rc == 0 && i < node->n_engines; i++)
		rc = remu_cq_create(node->engines[i], BENCH_DEPTH_MAX, &m->cqs[i]);
	return rc;
}

/* The completion queues go with their engines. */
void
bench_measure_close(struct bench_measure *m)
{
	if (m->buffer != NULL)
		munmap(m->buffer, m->buffer_size);
	m->buffer = NULL;
}

static void
end(struct bench_measure *m, enum bench_phase phase)
{
	atomic_store_explicit(&m->phase, phase, memory_order_release);
}

__attribute__((format(printf, 2, 3))) static void
fail(struct bench_measure *m, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(m->why, sizeof(m->why), format, args);
	va_end(args);
	end(m, BENCH_FAILED);
}

static bool
runs(struct bench_measure *m)
{
	return bench_measure_phase(m) == BENCH_RUNNING;
}

static void
completed(struct bench_measure *m, uint8_t status, uint64_t tsc)
{
	if (unlikely(status != REMU_WC_SUCCESS)) {
		fail(m, "%s", remu_wc_status_name(status));
		return;
	}
	bench_run_ended(&m->run, tsc);
	if (unlikely(bench_run_over(&m->run)))
		end(m, BENCH_OVER);
}

void
bench_measure_event(struct bench_measure *m, const struct ccm_client_event *ev)
{
	switch (ev->kind) {
	case CCM_CLIENT_UP:
		m->latest = ev->ports[0];
		m->up = true;
		break;
	case CCM_CLIENT_DOWN:
		m->up = false;
		break;
	case CCM_CLIENT_COMPLETED:
		if (runs(m))
			completed(m, ev->status, rte_rdtsc());
		break;
	case CCM_CLIENT_RELEASED:
	case CCM_CLIENT_ADVICE:
	case CCM_CLIENT_GONE:
		break;
	}
}

int
bench_measure_start(struct bench_measure *m, const struct bench_point *point, uint64_t iterations,
	double seconds, const struct bench_clock *clock, struct bench_hist *hist)
{
	m->port = m->latest;
	m->owner = remu_qpn_owner(m->port.qpn, m->node->n_engines);
	if (point->size > m->port.length || point->size > m->buffer_size)
		return -EINVAL;
	if (m->cross && point->op != BENCH_READ && point->op != BENCH_WRITE)
		return -ENOTSUP;
	bench_run_init(&m->run, point, iterations, seconds, clock, hist);
	atomic_store_explicit(&m->phase, BENCH_RUNNING, memory_order_release);
	return 0;
}

static struct remu_wr
request(const struct bench_measure *m)
{
	static const uint8_t opcodes[BENCH_OP_COUNT] = {
		[BENCH_READ] = REMU_WR_RDMA_READ,
		[BENCH_WRITE] = REMU_WR_RDMA_WRITE,
		[BENCH_SEND] = REMU_WR_SEND,
		[BENCH_ATOMIC] = REMU_WR_FETCH_ADD,
	};

	return (struct remu_wr){
		.addr = m->buffer,
		.remote_va = m->port.remote_va,
		.length = m->run.point.size,
		.rkey = m->port.remote_rkey,
		.opcode = opcodes[m->run.point.op],
		.swap_add = 1,
	};
}

static void
post(struct bench_measure *m, struct remu_engine *engine, struct remu_qp *qp, uint32_t n)
{
	const struct remu_wr wr = request(m);
	uint64_t tsc = rte_rdtsc();

	for (uint32_t i = 0; i < n; i++) {
		int rc = remu_qp_post(engine, qp, &wr, node_clock_ns(&m->run.clock->ns, tsc));

		if (unlikely(rc != 0)) {
			fail(m, "%s", strerror(-rc));
			return;
		}
		bench_run_posted(&m->run, tsc);
	}
}

static struct remu_qp *
find_qp(struct bench_measure *m, struct remu_engine *engine, struct remu_cq *cq)
{
	struct remu_qp *qp = remu_qp_find(engine, m->port.qpn);

	if (likely(qp != NULL && m->ready == m->port.qpn))
		return qp;
	if (qp == NULL || remu_qp_set_cq(engine, qp, cq) != 0) {
		fail(m, "the port has gone");
		return NULL;
	}
	m->ready = m->port.qpn;
	return qp;
}

bool
bench_measure_data(struct bench_measure *m, struct data_lcore *d)
{
	struct remu_wc wc[BURST];
	struct remu_cq *cq;
	struct remu_qp *qp;
	uint32_t n, room;

	if (m->cross || !runs(m) || d->id != m->owner)
		return false;
	cq = m->cqs[d->id];
	n = remu_cq_poll(cq, wc, BURST);
	if (n != 0) {
		uint64_t tsc = rte_rdtsc();

		for (uint32_t i = 0; i < n; i++)
			completed(m, wc[i].status, tsc);
		if (!runs(m))
			return true;
	}
	room = bench_run_room(&m->run);
	if (room == 0)
		return n != 0;
	qp = find_qp(m, d->engine, cq);
	if (qp != NULL)
		post(m, d->engine, qp, room);
	return true;
}

bool
bench_measure_control(struct bench_measure *m)
{
	enum ccm_port_op op = m->run.point.op == BENCH_READ ? CCM_PORT_READ : CCM_PORT_WRITE;
	uint32_t room;
	uint64_t tsc;
	int rc;

	if (!runs(m))
		return false;
	if (!m->up) { /* what was under way is not reported */
		if (m->cross)
			fail(m, "the session has ended");
		return true;
	}
	room = m->cross ? bench_run_room(&m->run) : 0;
	tsc = room != 0 ? rte_rdtsc() : 0;
	for (uint32_t i = 0; i < room; i++) {
		rc = ccm_port_post(m->node->ccm, m->port.handle, op, m->buffer, 0,
			m->run.point.size, 0);
		if (rc != 0) {
			fail(m, "%s", strerror(-rc));
			break;
		}
		bench_run_posted(&m->run, tsc);
	}
	return room != 0;
}
