/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The gate between lcores and port: closing waits for those behind it, and only for those.
 */
#include "eal.h"
#include "port_gate.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

enum { SOON_US = 20000, LATE_US = 5000000, ROUNDS = 200 };

static struct port_gate gate;

static void
init__open_or_closed(void **state)
{
	(void)state;
	assert_int_equal(port_gate_init(&gate, 2, true), 0);
	assert_true(port_gate_is_open(&gate));
	port_gate_fini(&gate);
	assert_int_equal(port_gate_init(&gate, 2, false), 0);
	assert_false(port_gate_is_open(&gate));
	port_gate_fini(&gate);
}

static void
close__waits_for_who_is_behind(void **state)
{
	(void)state;
	assert_int_equal(port_gate_init(&gate, 2, true), 0);
	assert_true(port_gate_close(&gate, SOON_US)); /* nobody has entered */
	port_gate_open(&gate, port_gate_state(&gate));
	port_gate_enter(&gate, 1);
	assert_false(port_gate_close(&gate, SOON_US));
	assert_false(port_gate_is_open(&gate)); /* closed all the same */
	port_gate_leave(&gate, 1);
	assert_true(port_gate_close(&gate, SOON_US));
	port_gate_fini(&gate);
}

static void
open__outdated_decision_does_nothing(void **state)
{
	uint32_t before;

	(void)state;
	assert_int_equal(port_gate_init(&gate, 1, false), 0);
	before = port_gate_state(&gate);
	port_gate_open(&gate, before);
	assert_true(port_gate_is_open(&gate));
	assert_true(port_gate_close(&gate, SOON_US));
	port_gate_open(&gate, before); /* decided before it was closed again */
	assert_false(port_gate_is_open(&gate));
	port_gate_open(&gate, port_gate_state(&gate));
	assert_true(port_gate_is_open(&gate));
	port_gate_open(&gate, port_gate_state(&gate)); /* is open: nothing to do */
	assert_true(port_gate_is_open(&gate));
	port_gate_fini(&gate);
}

static _Atomic bool stop, inside, taken_away, violated;

/* An lcore that uses the port whenever the gate is open. */
static void *
lcore(void *arg)
{
	(void)arg;
	port_gate_enter(&gate, 0);
	while (!atomic_load(&stop)) {
		if (port_gate_is_open(&gate)) {
			atomic_store(&inside, true);
			if (atomic_load(&taken_away))
				atomic_store(&violated, true);
			atomic_store(&inside, false);
		}
		port_gate_quiescent(&gate, 0);
	}
	port_gate_leave(&gate, 0);
	return NULL;
}

static void
close__nobody_is_inside_afterwards(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(port_gate_init(&gate, 1, true), 0);
	assert_int_equal(pthread_create(&thread, NULL, lcore, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		assert_true(port_gate_close(&gate, LATE_US));
		atomic_store(&taken_away, true);
		assert_false(atomic_load(&inside));
		usleep(20);
		assert_false(atomic_load(&inside));
		atomic_store(&taken_away, false);
		port_gate_open(&gate, port_gate_state(&gate));
		usleep(20);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	assert_false(atomic_load(&violated));
	port_gate_fini(&gate);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(init__open_or_closed),
		cmocka_unit_test(close__waits_for_who_is_behind),
		cmocka_unit_test(open__outdated_decision_does_nothing),
		cmocka_unit_test(close__nobody_is_inside_afterwards),
	};

	return cmocka_run_group_tests_name("port_gate", tests, eal_setup, eal_teardown);
}
