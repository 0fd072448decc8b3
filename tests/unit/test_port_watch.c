/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The watch over the link against a made-up port, and the guard of munmap(), both with EAL's own
 * interrupt thread.
 */
#include "eal.h"
#include "memif_guard.h"
#include "port_gate.h"
#include "port_watch.h"
#include "remu_port.h"

#include <rte_alarm.h>
#include <rte_interrupts.h>
#include <rte_log.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { MS = 1000000, PAGE = 4096, PATIENCE_MS = 5000 };

int app_logtype;

/* The made-up port. */
static struct {
	_Atomic bool link;
	bool memif;
	bool client;
	_Atomic enum remu_port_trouble trouble;
	_Atomic int restarts;
	_Atomic bool restarted_on_intr_thread;
	_Atomic int closed;
} fake;

bool
remu_port_link_up(const struct remu_port *port)
{
	(void)port;
	return fake.link;
}

bool
remu_port_is_memif(const struct remu_port *port)
{
	(void)port;
	return fake.memif;
}

bool
remu_port_is_memif_client(const struct remu_port *port)
{
	(void)port;
	return fake.client;
}

int
remu_port_restart(struct remu_port *port)
{
	(void)port;
	fake.restarted_on_intr_thread = rte_thread_is_intr();
	fake.restarts++;
	if (fake.trouble == REMU_PORT_NEEDS_RESET) {
		fake.trouble = REMU_PORT_WELL;
		fake.link = true;
	}
	return 0;
}

enum remu_port_trouble
remu_port_trouble(const struct remu_port *port)
{
	(void)port;
	return fake.trouble;
}

void
remu_port_close(struct remu_port *port)
{
	(void)port;
	fake.closed++;
}

static struct port_gate gate;
static struct port_watch watch;

static void
make(bool memif, bool client)
{
	fake.memif = memif;
	fake.client = client;
	fake.link = false;
	fake.restarts = 0;
	fake.trouble = REMU_PORT_WELL;
	assert_int_equal(port_gate_init(&gate, 1, !memif), 0);
	port_watch_init(&watch, (struct remu_port *)&fake, &gate);
}

/* Poll in virtual time until the interrupt thread has restarted the port so often. */
static bool
restarts_reach(uint64_t *now, int n)
{
	for (int i = 0; i < PATIENCE_MS && fake.restarts < n; i++) {
		port_watch_poll(&watch, *now += 10 * MS);
		usleep(1000);
	}
	return fake.restarts >= n;
}

static void
poll__gate_opens_with_the_link(void **state)
{
	(void)state;
	make(true, false);
	assert_false(port_watch_poll(&watch, 100 * MS));
	assert_false(port_gate_is_open(&gate));
	fake.link = true;
	assert_false(port_watch_poll(&watch, 101 * MS)); /* it does not look every time */
	assert_true(port_watch_poll(&watch, 110 * MS));
	assert_true(port_gate_is_open(&gate));
	fake.link = false;
	assert_false(port_watch_poll(&watch, 120 * MS));
	usleep(20000);
	assert_int_equal(fake.restarts, 0); /* a server waits for its client */
	port_gate_fini(&gate);
}

static void
poll__client_without_link_is_restarted(void **state)
{
	uint64_t now = 100 * MS;

	(void)state;
	make(true, true);
	assert_true(restarts_reach(&now, 2));
	assert_true(fake.restarted_on_intr_thread);
	fake.link = true;
	port_watch_poll(&watch, now += 10 * MS);
	assert_true(port_gate_is_open(&gate));
	usleep(20000);
	fake.restarts = 0;
	for (int i = 0; i < 20; i++)
		port_watch_poll(&watch, now += 100 * MS);
	usleep(20000);
	assert_int_equal(fake.restarts, 0); /* not while it has a link */
	port_gate_fini(&gate);
}

static void
poll__device_is_reset_when_it_asks(void **state)
{
	uint64_t now = 100 * MS;

	(void)state;
	make(false, false);
	fake.link = true;
	assert_true(port_watch_poll(&watch, now));
	fake.link = false;
	fake.trouble = REMU_PORT_NEEDS_RESET;
	assert_false(port_watch_poll(&watch, now += 10 * MS));
	assert_true(restarts_reach(&now, 1));
	assert_true(fake.restarted_on_intr_thread);
	/* The lcores were kept away from it, and may come back. */
	for (int i = 0; i < PATIENCE_MS && !port_watch_poll(&watch, now += 10 * MS); i++)
		usleep(1000);
	assert_true(port_gate_is_open(&gate));
	assert_int_equal(fake.restarts, 1);
	port_gate_fini(&gate);
}

static void
poll__removed_device_is_left_alone(void **state)
{
	uint64_t now = 100 * MS;

	(void)state;
	make(false, false);
	fake.link = true;
	assert_true(port_watch_poll(&watch, now));
	assert_true(port_gate_is_open(&gate));
	fake.link = false;
	fake.trouble = REMU_PORT_REMOVED;
	for (int i = 0; i < 20; i++) {
		assert_false(port_watch_poll(&watch, now += 50 * MS));
		usleep(1000);
	}
	assert_false(port_gate_is_open(&gate));
	assert_int_equal(fake.restarts, 0);
	fake.closed = 0;
	assert_true(port_watch_close_port(&watch));
	assert_int_equal(fake.closed, 1);
	port_gate_fini(&gate);
}

static void
close__port_without_memif(void **state)
{
	(void)state;
	make(false, false);
	fake.closed = 0;
	assert_true(port_watch_close_port(&watch));
	assert_int_equal(fake.closed, 1);
	port_gate_fini(&gate);
}

/* An unmapping on the interrupt thread, as memif's driver does it. */
static struct {
	void *at;
	_Atomic bool done;
} mapping;

static void
unmap(void *arg)
{
	(void)arg;
	munmap(mapping.at, PAGE);
	mapping.done = true;
}

static bool
is_mapped(void *at)
{
	unsigned char vec;

	return mincore(at, PAGE, &vec) == 0;
}

static void
map_and_unmap(void)
{
	mapping.at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mapping.done = false;
	assert_int_equal(rte_eal_alarm_set(1, unmap, NULL), 0);
}

static void
wait_done(void)
{
	for (int i = 0; i < PATIENCE_MS && !mapping.done; i++)
		usleep(1000);
	assert_true(mapping.done);
}

static void
guard__unmaps_when_nobody_is_behind_the_gate(void **state)
{
	(void)state;
	make(false, false);
	memif_guard_arm(&gate);
	map_and_unmap();
	wait_done();
	assert_false(is_mapped(mapping.at));
	assert_false(port_gate_is_open(&gate));
	assert_int_equal(memif_guard_kept(), 0);

	/* An lcore that does not come out in time keeps the mapping. */
	port_gate_enter(&gate, 0);
	map_and_unmap();
	wait_done();
	assert_true(is_mapped(mapping.at));
	assert_int_equal(memif_guard_kept(), 1);

	/* Other threads are not held up. */
	munmap(mapping.at, PAGE);
	assert_false(is_mapped(mapping.at));
	port_gate_leave(&gate, 0);
	memif_guard_arm(NULL);
	port_gate_fini(&gate);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(poll__gate_opens_with_the_link),
		cmocka_unit_test(poll__client_without_link_is_restarted),
		cmocka_unit_test(poll__device_is_reset_when_it_asks),
		cmocka_unit_test(poll__removed_device_is_left_alone),
		cmocka_unit_test(close__port_without_memif),
		cmocka_unit_test(guard__unmaps_when_nobody_is_behind_the_gate),
	};

	return cmocka_run_group_tests_name("port_watch", tests, eal_setup, eal_teardown);
}
