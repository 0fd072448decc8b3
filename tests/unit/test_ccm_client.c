/* SPDX-License-Identifier: BSD-3-Clause */
#include "ccm_bench.h"
#include "eal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The largest client that ccm_memory_size() takes. */
static const uint64_t memory_max = SIZE_MAX / 2 / CCM_MAX_PARTNERS / CCM_MAX_CLIENTS;

static uint64_t
one(void *ctx)
{
	(void)ctx;
	return 1;
}

static uint8_t backing[CCM_PAGE] __attribute__((aligned(CCM_PAGE)));

/* A manager that is never polled: its channels are not touched, and of its memory only the size. */
static struct ccm *
manager(uint32_t n_partners, size_t client_memory)
{
	static struct ccm_config cfg;
	static uint8_t bootstrap[4 * CCM_PEER_SIZE] __attribute__((aligned(CCM_PAGE)));
	struct ccm_env env = {.rand64 = one, .n_engines = 1, .memory = bootstrap};
	struct ccm *ccm;

	assert_true(n_partners <= 4);
	memset(bootstrap, 0, sizeof(bootstrap));
	cfg = (struct ccm_config){
		.node_id = 1,
		.name = "node",
		.cluster = "lab",
		.path_mtu = 1024,
		.rkey = 1,
		.timing = {.beat_us = 1000,
			.dead_after_us = 10000,
			.retry_us = 200,
			.search_us = 1000},
		.n_partners = n_partners,
	};
	for (uint32_t i = 0; i < n_partners; i++)
		cfg.partners[i] = (struct ccm_partner_config){.id = (uint16_t)(2 + i), .qpn = 2};
	env.memory_size = n_partners * CCM_PEER_SIZE + client_memory;
	assert_int_equal(ccm_create(&cfg, &env, &ccm), 0);
	return ccm;
}

static struct ccm_client_config
client(const char *name, uint16_t ports, uint64_t memory)
{
	struct ccm_client_config cfg = {.ports = ports, .memory = memory};

	snprintf(cfg.name, sizeof(cfg.name), "%s", name);
	return cfg;
}

static int
add(struct ccm *ccm, const struct ccm_client_config *cfg)
{
	struct ccm_client *handle = (struct ccm_client *)(void *)backing;
	uint32_t n = ccm->n_clients;
	size_t used = ccm->memory_used;
	int rc = ccm_client_register(ccm, cfg, NULL, NULL, &handle);

	/* Nothing is left of one that was not taken. */
	assert_int_equal(ccm->n_clients, rc == 0 ? n + 1 : n);
	if (rc != 0) {
		assert_null(handle);
		assert_int_equal(ccm->memory_used, used);
	} else {
		assert_ptr_equal(handle, &ccm->clients[n]);
	}
	return rc;
}

static void
memory_size__is_exact(void **state)
{
	static const struct {
		uint32_t n_partners;
		uint32_t n_clients;
		uint64_t memory[2];
		size_t pages; /* of clients, per partner */
	} cases[] = {
		{1, 0, {0}, 0},
		{3, 0, {0}, 0},
		{1, 1, {1}, 1},
		{1, 1, {4096}, 1},
		{1, 1, {4097}, 2},
		{1, 2, {4095, 8193}, 4},
		{64, 2, {65536, 4096}, 17},
	};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		struct ccm_config cfg = {.n_partners = cases[i].n_partners};
		struct ccm_client_config clients[2];

		for (uint32_t c = 0; c < 2; c++)
			clients[c] = client("c", 1, cases[i].memory[c]);
		assert_int_equal(ccm_memory_size(&cfg, clients, cases[i].n_clients),
			cases[i].n_partners * (CCM_PEER_SIZE + cases[i].pages * CCM_PAGE));
	}
}

static void
memory_size__no_partners_need_none(void **state)
{
	struct ccm_config cfg = {.n_partners = 0};
	struct ccm_client_config c = client("c", 1, 4096);

	(void)state;
	assert_int_equal(ccm_memory_size(&cfg, &c, 1), 0);
}

static void
memory_size__overflow_gives_zero(void **state)
{
	static struct ccm_client_config clients[4096];
	struct ccm_config cfg = {.n_partners = CCM_MAX_PARTNERS};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(clients); i++)
		clients[i] = client("c", 1, memory_max);
	assert_int_equal(ccm_memory_size(&cfg, clients, CCM_MAX_CLIENTS),
		(size_t)CCM_MAX_PARTNERS *
			(CCM_PEER_SIZE +
				CCM_MAX_CLIENTS * ((memory_max + CCM_PAGE - 1) & -CCM_PAGE)));
	clients[1].memory = memory_max + 1;
	assert_int_equal(ccm_memory_size(&cfg, clients, 2), 0);
	clients[1].memory = UINT64_MAX;
	assert_int_equal(ccm_memory_size(&cfg, clients, 2), 0);
	clients[1].memory = memory_max;
	/* More clients than could be registered: still no wrapped sum. */
	assert_int_equal(ccm_memory_size(&cfg, clients, 40), 0);
	assert_int_equal(ccm_memory_size(&cfg, clients, 4096), 0);
}

static void
register__takes_what_fits_exactly(void **state)
{
	struct ccm_client_config cfg = client("log", 3, 3 * CCM_PORT_MEMORY_MIN + 1);
	struct ccm *ccm = manager(2, (size_t)2 * 4 * CCM_PAGE);
	struct ccm_client *handle;

	(void)state;
	assert_int_equal(ccm_client_register(ccm, &cfg, NULL, &cfg, &handle), 0);
	assert_string_equal(handle->want.name, "log");
	assert_int_equal(handle->want.ports, 3);
	assert_int_equal(handle->want.memory, 3 * CCM_PORT_MEMORY_MIN + 1);
	assert_ptr_equal(handle->ctx, &cfg);
	/* The sessions see the same list. */
	assert_memory_equal(&ccm->wants[0], &handle->want, sizeof(handle->want));
	assert_int_equal(ccm->memory_used, ccm->env.memory_size);
	assert_int_equal(ccm->memory_used, ccm_memory_size(&ccm->cfg, &cfg, 1));
	ccm_destroy(ccm);
}

static void
register__bytes_behind_the_name_do_not_count(void **state)
{
	struct ccm_client_config cfg = client("log", 1, CCM_PAGE);
	struct ccm *ccm = manager(1, (size_t)4 * CCM_PAGE);
	char rest[CCM_NAME_LEN - 3] = {0};

	(void)state;
	memset(cfg.name + 4, 'x', sizeof(cfg.name) - 4);
	assert_int_equal(add(ccm, &cfg), 0);
	assert_memory_equal(ccm->wants[0].name + 3, rest, sizeof(rest));
	cfg = client("log", 1, CCM_PAGE);
	assert_int_equal(add(ccm, &cfg), -EEXIST);
	ccm_destroy(ccm);
}

static void
register__range_errors(void **state)
{
	static const struct {
		const char *name;
		uint16_t ports;
		uint64_t memory;
		int rc;
	} cases[] = {
		{"", 1, CCM_PORT_MEMORY_MIN, -EINVAL},
		{"a b", 1, CCM_PORT_MEMORY_MIN, -EINVAL},
		{"a\xe4", 1, CCM_PORT_MEMORY_MIN, -EINVAL},
		{"c", 0, CCM_PORT_MEMORY_MIN, -EINVAL},
		{"c", 65, 65 * CCM_PORT_MEMORY_MIN, -EINVAL},
		{"c", UINT16_MAX, UINT64_MAX, -EINVAL},
		{"c", 1, 0, -EINVAL},
		{"c", 1, CCM_PORT_MEMORY_MIN - 1, -EINVAL},
		{"c", 2, 2 * CCM_PORT_MEMORY_MIN - 1, -EINVAL},
		{"c", 64, 64 * CCM_PORT_MEMORY_MIN - 1, -EINVAL},
		{"c", 1, UINT64_MAX, -ENOMEM},
		{"c", 1, UINT64_MAX / 2, -ENOMEM},
		{"c", 64, 64 * CCM_PORT_MEMORY_MIN, 0},
	};
	struct ccm *ccm = manager(1, (size_t)64 * CCM_PAGE);

	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		struct ccm_client_config cfg = client(cases[i].name, cases[i].ports,
			cases[i].memory);

		assert_int_equal(add(ccm, &cfg), cases[i].rc);
	}
	ccm_destroy(ccm);
}

static void
register__name_without_end(void **state)
{
	struct ccm *ccm = manager(1, (size_t)4 * CCM_PAGE);
	struct ccm_client_config cfg = client("", 1, CCM_PAGE);

	(void)state;
	memset(cfg.name, 'n', sizeof(cfg.name));
	assert_int_equal(add(ccm, &cfg), -EINVAL);
	cfg.name[CCM_NAME_LEN - 1] = '\0'; /* the longest */
	assert_int_equal(add(ccm, &cfg), 0);
	assert_int_equal(strlen(ccm->clients[0].want.name), CCM_NAME_LEN - 1);
	ccm_destroy(ccm);
}

static void
register__same_name_twice(void **state)
{
	struct ccm *ccm = manager(1, (size_t)8 * CCM_PAGE);
	struct ccm_client_config a = client("a", 1, CCM_PAGE), ab = client("ab", 1, CCM_PAGE);

	(void)state;
	assert_int_equal(add(ccm, &a), 0);
	assert_int_equal(add(ccm, &ab), 0);
	assert_int_equal(add(ccm, &a), -EEXIST);
	assert_int_equal(add(ccm, &ab), -EEXIST);
	ccm_destroy(ccm);
}

static void
register__seventeenth_client(void **state)
{
	struct ccm *ccm = manager(1, (size_t)32 * CCM_PAGE);
	struct ccm_client_config cfg;
	char name[8];

	(void)state;
	for (unsigned int i = 0; i <= CCM_MAX_CLIENTS; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		cfg = client(name, 1, CCM_PAGE);
		assert_int_equal(add(ccm, &cfg), i < CCM_MAX_CLIENTS ? 0 : -ENOSPC);
	}
	cfg = client("c0", 1, CCM_PAGE);
	assert_int_equal(add(ccm, &cfg), -EEXIST);
	ccm_destroy(ccm);
}

static void
register__sum_of_ports(void **state)
{
	struct ccm *ccm = manager(1, (size_t)256 * CCM_PAGE);
	struct ccm_client_config a = client("a", 40, 40 * CCM_PAGE);
	struct ccm_client_config b = client("b", 25, 25 * CCM_PAGE);

	(void)state;
	assert_int_equal(add(ccm, &a), 0);
	assert_int_equal(add(ccm, &b), -ENOSPC);
	b.ports = 24;
	assert_int_equal(add(ccm, &b), 0);
	b = client("c", 1, CCM_PAGE);
	assert_int_equal(add(ccm, &b), -ENOSPC);
	ccm_destroy(ccm);
}

static void
register__memory_that_does_not_fit(void **state)
{
	/* Room for three pages towards each of two partners. */
	struct ccm *ccm = manager(2, (size_t)2 * 3 * CCM_PAGE);
	struct ccm_client_config a = client("a", 1, 2 * CCM_PAGE);
	struct ccm_client_config b = client("b", 1, CCM_PAGE + 1);

	(void)state;
	assert_int_equal(add(ccm, &a), 0);
	assert_int_equal(add(ccm, &b), -ENOMEM);
	b.memory = CCM_PAGE;
	assert_int_equal(add(ccm, &b), 0);
	b = client("c", 1, CCM_PAGE);
	assert_int_equal(add(ccm, &b), -ENOMEM);
	ccm_destroy(ccm);
}

static void
register__without_partners_no_memory_is_needed(void **state)
{
	struct ccm *ccm = manager(0, 0);
	struct ccm_client_config cfg = client("a", 64, UINT64_MAX);

	(void)state;
	assert_int_equal(add(ccm, &cfg), 0);
	ccm_destroy(ccm);
}

static void
register__clients_share_the_memory_without_overlap(void **state)
{
	struct ccm_bench b;
	uint8_t used[64] = {0};

	(void)state;
	ccm_bench_open(&b, &(struct ccm_bench_config){.n_clients = 16, .ports = 4, .memory = 4096});
	ccm_bench_run_to(&b, CCM_UP, CCM_BENCH_MS);
	for (uint32_t c = 0; c < 16; c++) {
		assert_int_equal(b.clients[c].n_ports, 4);
		for (uint32_t p = 0; p < 4; p++) {
			const struct ccm_port *port = &b.clients[c].ports[p];
			size_t page = (size_t)(port->memory - b.memory - CCM_PEER_SIZE) / CCM_PAGE;

			assert_int_equal(port->index, p);
			assert_int_equal(port->length, 4096);
			assert_true(page < 64 && !used[page]);
			used[page] = 1;
		}
	}
	ccm_bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_size__is_exact),
		cmocka_unit_test(memory_size__no_partners_need_none),
		cmocka_unit_test(memory_size__overflow_gives_zero),
		cmocka_unit_test(register__takes_what_fits_exactly),
		cmocka_unit_test(register__bytes_behind_the_name_do_not_count),
		cmocka_unit_test(register__range_errors),
		cmocka_unit_test(register__name_without_end),
		cmocka_unit_test(register__same_name_twice),
		cmocka_unit_test(register__seventeenth_client),
		cmocka_unit_test(register__sum_of_ports),
		cmocka_unit_test(register__memory_that_does_not_fit),
		cmocka_unit_test(register__without_partners_no_memory_is_needed),
		cmocka_unit_test(register__clients_share_the_memory_without_overlap),
	};

	return cmocka_run_group_tests_name("ccm_client", tests, eal_setup, eal_teardown);
}
