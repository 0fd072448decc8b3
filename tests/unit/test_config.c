/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration files: the shared corpus in tests/data/config, the examples, and what cannot be a
 * file of the corpus because of its size or its kind.
 *
 * Every error is one exact line. Not here, because the file does not say it: devices and lcores
 * that do not exist or are given twice (EAL arguments), memory that the machine does not have (at
 * start), keys of two regions being equal (a configuration has one key, the others follow it).
 */
#include "config.h"
#include "place.h"
#include "quote.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DATA SOURCE_ROOT "/tests/data/config/"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define ID "1 to 65535"
#define PARTNER_ID ID ", each once, other than node.id"
#define NAME "1 to 31 of A-Z a-z 0-9 . _ -"
#define MAC "a unicast address such as 02:00:00:00:00:01"
#define PARTNER_MAC MAC ", each once, other than port.mac"
#define IP "a unicast IPv4 address such as 192.0.2.1"
#define PARTNER_IP IP ", each once, other than port.ip"
#define QPN "2 to 0xfffffe, each once"
#define RKEY "1 to 0xfffffffd"
#define VA "0x1000 to 0xffffffffffffb000, a multiple of 0x1000"
#define SIZE "4KiB to 1TiB"
#define PARTNERS "a list of 1 to 64 objects"
#define ROLE "storage or application"
#define ROOT_KEYS "node, port, bootstrap, partners, clients, boot_stages, timing, protocol"
#define NODE_KEYS "id, name, cluster, role, memory_limit, log_level"
#define PARTNER_KEYS "id, mac, ip, qpn, remote_qpn, va, rkey, slot_rkey, directory_rkey"

/*
 * The error of bad/<file>.json, in the order of the list of bad configurations, whose numbers the
 * comments give. 2 (directory), 3 (no read right), 4 (missing file), 12 (depth), 13 (long string)
 * and 39 (10^6 clients) have functions of their own; 37 (unknown device) and 38 (lcores) are not
 * of the file.
 */
static const struct {
	const char *file;
	const char *place; /* line:column */
	const char *at;	   /* key path; NULL: the text as a whole, or its syntax */
	const char *what;
	const char *allowed; /* NULL: syntax */
} bad[] = {
	/* 1 */
	{"empty", "1:1", NULL, "is empty", "a JSON object"},
	/* 5 */
	{"nul-byte", "2:31", NULL, "NUL byte; allowed: JSON text", NULL},
	{"nul-escape", "2:37", NULL, "escaped NUL in a string", NULL},
	/* 6 */
	{"truncated", "4:53", NULL, "premature end of input near '\"0xc0de0001'", NULL},
	/* 7 */
	{"trailing-comma", "2:51", NULL, "string or '}' expected near '}'", NULL},
	/* 8 */
	{"comment", "2:3", NULL, "string or '}' expected near '/'", NULL},
	{"trailing-garbage", "9:1", NULL, "end of file expected near '{'", NULL},
	/* 9 */
	{"duplicate-key", "2:24", NULL, "duplicate object key near '\"id\"'", NULL},
	/* 10; a UDP port is no key */
	{"unknown-key", "8:3", "nodes", "unknown key", ROOT_KEYS},
	{"unknown-key-in-partner", "6:141", "partners[0].remote-qpn", "unknown key", PARTNER_KEYS},
	{"unknown-key-udp-port", "3:59", "port.udp_port", "unknown key",
		"mac, ip, mtu, arp, steering"},
	{"unknown-key-unprintable", "2:52", "node.a\\x0ab\\x1b[31m\\xc3\\xa9", "unknown key",
		NODE_KEYS},
	{"unknown-key-long", "2:52", "node.kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...",
		"unknown key", NODE_KEYS},
	/* a comment is a string */
	{"comment-key-number", "2:24", "node.$comment", "7 is not a string", "any string"},
	{"comment-key-in-list", "9:61", "clients[0].$comment", "a list is not a string",
		"any string"},
	/* 11 */
	{"array-as-root", "1:1", NULL, "is a list", "a JSON object"},
	{"string-as-root", "1:6", NULL, "'[' or '{' expected near '\"node\"'", NULL},
	/* 14 */
	{"bad-utf8", "2:30", NULL, "unable to decode byte 0xff near '\"a'", NULL},
	/* 15 */
	{"byte-order-mark", "1:1", NULL, "byte order mark; allowed: UTF-8 without one", NULL},
	/* 16 */
	{"node-missing", "1:1", "node", "missing", "an object"},
	{"node-not-an-object", "2:11", "node", "a list is not an object", "an object"},
	{"node-null", "2:11", "node", "null is not an object", "an object"},
	{"id-missing", "2:11", "node.id", "missing", ID},
	/* 17 */
	{"id-negative", "2:18", "node.id", "-1 is out of range", ID},
	{"id-zero", "2:18", "node.id", "0 is out of range", ID},
	/* 18 */
	{"id-65536", "2:18", "node.id", "65536 is out of range", ID},
	/* 19 and huge numbers, NaN */
	{"id-fraction", "2:18", "node.id", "1.5 is not an integer", ID},
	{"id-real", "2:18", "node.id", "1.0 is not an integer", ID},
	/* 20 */
	{"id-string", "2:18", "node.id", "\"1\" is not an integer", ID},
	{"id-true", "2:18", "node.id", "true is not an integer", ID},
	{"id-1e400", "2:22", NULL, "real number overflow near '1e400'", NULL},
	{"id-huge-integer", "2:37", NULL, "too big integer near '99999999999999999999'", NULL},
	{"id-nan", "2:20", NULL, "invalid token near 'NaN'", NULL},
	{"name-empty", "2:29", "node.name", "\"\" is not a name", NAME},
	{"name-too-long", "2:29", "node.name", "\"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\" is not a name",
		NAME},
	{"name-space", "2:29", "node.name", "\"node a\" is not a name", NAME},
	{"name-quote", "2:29", "node.name", "\"node\"a\" is not a name", NAME},
	{"name-slash", "2:29", "node.name", "\"node/a\" is not a name", NAME},
	{"name-comma", "2:29", "node.name", "\"a,b\" is not a name", NAME},
	{"name-unprintable", "2:29", "node.name",
		"\"a\\x0ab\\x1b[31m\\xc3\\xa9\\\\\" is not a name", NAME},
	{"name-long", "2:29", "node.name",
		"\"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn...\" is not a name", NAME},
	{"cluster-missing", "2:11", "node.cluster", "missing", NAME},
	{"role-unknown", "2:60", "node.role", "\"client\" is unknown", ROLE},
	{"role-number", "2:60", "node.role", "0 is not a string", ROLE},
	{"log-level-unknown", "2:65", "node.log_level", "\"loud\" is unknown",
		"error or warning or notice or info or debug"},
	{"partners-missing", "1:1", "partners", "missing", PARTNERS},
	{"partners-empty", "5:15", "partners", "has 0 elements", PARTNERS},
	{"partners-not-a-list", "5:15", "partners", "an object is not a list", PARTNERS},
	{"partner-not-an-object", "5:16", "partners[0]", "7 is not an object", "an object"},
	{"partners-65", "1:176", "partners", "has 65 elements", PARTNERS},
	{"partner-key-missing", "7:5", "partners[1].rkey", "missing", RKEY},
	/* 21 */
	{"partner-id-own", "6:12", "partners[0].id", "1 is this node's own node.id", PARTNER_ID},
	/* 22 */
	{"partner-id-twice", "7:12", "partners[1].id", "2 is also in partners[0]", PARTNER_ID},
	/* 26 */
	{"partner-mac-own", "6:22", "partners[0].mac",
		"\"02:00:00:00:00:01\" is this node's own port.mac", PARTNER_MAC},
	{"partner-mac-twice", "7:22", "partners[1].mac",
		"\"02:00:00:00:00:02\" is also in partners[0]", PARTNER_MAC},
	{"partner-ip-own", "6:49", "partners[0].ip", "\"192.0.2.1\" is this node's own port.ip",
		PARTNER_IP},
	{"partner-ip-twice", "7:49", "partners[1].ip", "\"192.0.2.2\" is also in partners[0]",
		PARTNER_IP},
	/* 23 */
	{"mac-5-octets", "3:19", "port.mac", "\"02:00:00:00:01\" is not a unicast MAC address",
		MAC},
	{"mac-dashes", "3:19", "port.mac", "\"02-00-00-00-00-01\" is not a unicast MAC address",
		MAC},
	{"mac-not-hex", "3:19", "port.mac", "\"02:00:00:00:00:0g\" is not a unicast MAC address",
		MAC},
	/* 24 */
	{"mac-multicast", "3:19", "port.mac", "\"03:00:00:00:00:01\" is not a unicast MAC address",
		MAC},
	/* 25 */
	{"mac-zero", "3:19", "port.mac", "\"00:00:00:00:00:00\" is not a unicast MAC address", MAC},
	{"mac-broadcast", "3:19", "port.mac", "\"ff:ff:ff:ff:ff:ff\" is not a unicast MAC address",
		MAC},
	{"mac-number", "3:19", "port.mac", "2 is not a string", MAC},
	{"partner-mac-multicast", "6:22", "partners[0].mac",
		"\"01:00:5e:00:00:01\" is not a unicast MAC address", PARTNER_MAC},
	{"partner-mac-zero", "6:22", "partners[0].mac",
		"\"00:00:00:00:00:00\" is not a unicast MAC address", PARTNER_MAC},
	/* 27 */
	{"ip-malformed", "3:46", "port.ip", "\"192.0.2\" is not a unicast IPv4 address", IP},
	{"ip-octet-256", "3:46", "port.ip", "\"192.0.2.256\" is not a unicast IPv4 address", IP},
	{"ip-leading-zero", "3:46", "port.ip", "\"192.0.02.1\" is not a unicast IPv4 address", IP},
	{"ip-v6", "3:46", "port.ip", "\"2001:db8::1\" is not a unicast IPv4 address", IP},
	/* 28 */
	{"ip-multicast", "3:46", "port.ip", "\"224.0.0.1\" is not a unicast IPv4 address", IP},
	{"ip-zero", "3:46", "port.ip", "\"0.0.0.0\" is not a unicast IPv4 address", IP},
	{"ip-broadcast", "3:46", "port.ip", "\"255.255.255.255\" is not a unicast IPv4 address",
		IP},
	{"ip-loopback", "3:46", "port.ip", "\"127.0.0.1\" is not a unicast IPv4 address", IP},
	{"partner-ip-multicast", "6:49", "partners[0].ip",
		"\"239.1.2.3\" is not a unicast IPv4 address", PARTNER_IP},
	{"partner-ip-zero", "6:49", "partners[0].ip", "\"0.0.0.0\" is not a unicast IPv4 address",
		PARTNER_IP},
	/* 29 */
	{"qpn-0", "6:69", "partners[0].qpn", "0 is out of range", QPN},
	{"qpn-1", "7:69", "partners[1].qpn", "1 is out of range", QPN},
	{"qpn-multicast", "6:69", "partners[0].qpn", "\"0xffffff\" is out of range", QPN},
	/* 30 */
	{"qpn-25-bits", "6:69", "partners[0].qpn", "\"0x1000000\" is out of range", QPN},
	{"qpn-decimal-too-large", "6:69", "partners[0].qpn", "\"16777215\" is out of range", QPN},
	{"qpn-65-bits", "6:69", "partners[0].qpn", "\"0x10000000000000000\" is out of range", QPN},
	{"qpn-octal", "6:69", "partners[0].qpn",
		"\"0400\" is not an integer or a string such as \"0x100\"", QPN},
	{"qpn-words", "6:69", "partners[0].qpn",
		"\"0x100 \" is not an integer or a string such as \"0x100\"", QPN},
	/* 31 */
	{"qpn-twice", "7:69", "partners[1].qpn", "256 is also in partners[0]", QPN},
	{"remote-qpn-1", "6:92", "partners[0].remote_qpn", "\"0x1\" is out of range",
		"2 to 0xfffffe"},
	{"remote-qpn-25-bits", "6:92", "partners[0].remote_qpn", "16777216 is out of range",
		"2 to 0xfffffe"},
	/* 32 */
	{"rkey-0", "4:43", "bootstrap.rkey", "0 is out of range", RKEY},
	{"rkey-overflow", "4:43", "bootstrap.rkey", "\"0xfffffffe\" is out of range", RKEY},
	{"partner-rkey-0", "6:127", "partners[0].rkey", "\"0x0\" is out of range", RKEY},
	{"partner-rkey-33-bits", "6:127", "partners[0].rkey", "\"0x100000000\" is out of range",
		RKEY},
	/* 33 */
	{"va-unaligned", "4:23", "bootstrap.va", "\"0x100800\" is not aligned", VA},
	{"va-0", "4:23", "bootstrap.va", "0 is out of range", VA},
	{"va-negative", "4:23", "bootstrap.va", "-20480 is out of range", VA},
	{"va-wraps", "4:23", "bootstrap.va", "\"0xffffffffffffc000\" is out of range", VA},
	{"partner-va-unaligned", "6:107", "partners[0].va", "4097 is not aligned", VA},
	/* 34 */
	{"mtu-575", "3:66", "port.mtu", "575 is out of range", "576 to 9216"},
	{"mtu-9217", "3:66", "port.mtu", "9217 is out of range", "576 to 9216"},
	{"boot-stage-without-name", "8:19", "boot_stages[0].name", "missing",
		"1 to 31 of A-Z a-z 0-9 . _ -, each once"},
	{"boot-stage-twice", "8:48", "boot_stages[1].name", "\"kernel\" is also in boot_stages[0]",
		"1 to 31 of A-Z a-z 0-9 . _ -, each once"},
	{"boot-stage-budget", "8:51", "boot_stages[0].budget_ms", "86400001 is out of range",
		"0 to 86400000"},
	{"boot-stages-too-many", "8:18", "boot_stages", "has 33 elements",
		"a list of 0 to 32 objects"},
	{"arp-number", "3:66", "port.arp", "1 is not a boolean", "true or false"},
	{"steering-unknown", "3:71", "port.steering", "\"rss\" is unknown",
		"auto or flow or isolate or none"},
	{"steering-number", "3:71", "port.steering", "1 is not a string",
		"auto or flow or isolate or none"},
	{"arp-string", "3:66", "port.arp", "\"on\" is not a boolean", "true or false"},
	{"slot-rkey-0", "6:154", "partners[0].slot_rkey", "0 is out of range", "1 to 0xffffffff"},
	{"directory-rkey-33-bits", "6:159", "partners[0].directory_rkey",
		"\"0x100000000\" is out of range", "1 to 0xffffffff"},
	/* 35 */
	{"retry-us-0", "8:26", "timing.retry_us", "0 is out of range", "20 to 1000000"},
	{"retry-cnt-8", "8:27", "timing.retry_cnt", "8 is out of range", "0 to 7"},
	{"dead-after-too-long", "8:31", "timing.dead_after_us", "100000001 is out of range",
		"300 to 100000000"},
	{"beat-0", "8:25", "timing.beat_us", "0 is out of range", "100 to 10000000"},
	/* 36 */
	{"beat-equals-dead-after", "8:49", "timing.dead_after_us",
		"10000 is less than 3 times beat_us (10000)", "30000 to 100000000"},
	{"beat-too-slow", "8:48", "timing.dead_after_us",
		"2999 is less than 3 times beat_us (1000)", "3000 to 100000000"},
	{"retries-reach-dead-after", "8:66", "timing.retry_us",
		"1000, sent 8 times, is not less than dead_after_us (8000): one lost request "
		"would look like a dead partner",
		"20 to 999"},
	{"retry-equals-dead-after", "8:49", "timing.retry_us",
		"3000 is not less than dead_after_us (3000)", "20 to 2999"},
	{"search-below-beat", "8:44", "timing.search_us", "999 is less than beat_us (1000)",
		"1000 to 10000000"},
	{"idle-sleep-negative", "8:31", "timing.idle_sleep_us", "-1 is out of range",
		"0 to 1000000"},
	/* 39 */
	{"clients-17", "8:14", "clients", "has 17 elements", "a list of 0 to 16 objects"},
	{"client-name-twice", "11:14", "clients[2].name", "\"x\" is also in clients[0]",
		"1 to 31 of A-Z a-z 0-9 . _ -, each once"},
	{"client-kind-unknown", "8:67", "clients[0].kind", "\"program\" is unknown",
		"exercise or target"},
	{"client-kind-number", "8:67", "clients[0].kind", "1 is not a string",
		"exercise or target"},
	{"client-ports-0", "9:28", "clients[0].ports", "0 is out of range", "1 to 64"},
	{"client-ports-65", "9:28", "clients[0].ports", "65 is out of range", "1 to 64"},
	{"client-ports-sum", "8:14", "clients", "65 ports of all clients together are too many",
		"at most 64"},
	{"client-memory-too-little", "9:41", "clients[0].memory", "4KiB is too little for 2 ports",
		"at least 4KiB for each port"},
	{"client-memory-2KiB", "9:41", "clients[0].memory", "\"2KiB\" is out of range", SIZE},
	{"client-memory-unit", "9:41", "clients[0].memory",
		"\"16MB\" is not a number of bytes or a string such as \"16MiB\"", SIZE},
	{"client-memory-no-unit", "9:41", "clients[0].memory",
		"\"65536\" is not a number of bytes or a string such as \"16MiB\"", SIZE},
	{"client-memory-fraction", "9:41", "clients[0].memory",
		"\"1.5GiB\" is not a number of bytes or a string such as \"16MiB\"", SIZE},
	{"client-memory-overflow", "9:41", "clients[0].memory",
		"\"18014398509481988KiB\" is out of range", SIZE},
	{"client-memory-2TiB", "9:41", "clients[0].memory", "\"2TiB\" is out of range", SIZE},
	{"memory-over-default-limit", "9:14", "clients",
		"1026MiB of memory for all clients and partners is too much",
		"at most node.memory_limit, 1GiB"},
	{"memory-over-limit", "8:14", "clients",
		"68KiB of memory for all clients and partners is too much",
		"at most node.memory_limit, 64KiB"},
	{"memory-over-limit-most", "71:14", "clients",
		"1024TiB of memory for all clients and partners is too much",
		"at most node.memory_limit, 1TiB"},
	{"memory-limit-0", "2:68", "node.memory_limit", "0 is out of range", SIZE},
	/* 40 */
	{"version-min-over-max", "8:31", "protocol.version_min",
		"2 is greater than version_max (1)", "1 to 1"},
	{"version-0", "8:31", "protocol.version_min", "0 is out of range", ID},
	{"version-65536", "8:31", "protocol.version_max", "65536 is out of range", ID},
};

static struct node_config cfg;
static struct node_config_error error;
static char dir[] = "/tmp/ccm-config-XXXXXX";

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
assert_one_printable_line(const char *text)
{
	assert_true(text[0] != '\0');
	for (; *text != '\0'; text++)
		assert_true(*text >= ' ' && *text <= '~');
}

/* Load what must fail: quickly, leaving nothing behind but the line. */
static int
load_bad(const char *path)
{
	static const struct node_config zero;
	int before = open("/dev/null", O_RDONLY), after, rc;
	double start = seconds();

	close(before);
	memset(&cfg, 0xa5, sizeof(cfg));
	rc = node_config_load(path, &cfg, &error);
	after = open("/dev/null", O_RDONLY);
	close(after);
	assert_int_equal(after, before);
	assert_true(rc < 0);
	assert_true(seconds() - start < 1.5);
	assert_memory_equal(&cfg, &zero, sizeof(cfg));
	assert_one_printable_line(error.text);
	return rc;
}

static void
load_good(const char *path)
{
	int rc = node_config_load(path, &cfg, &error);

	assert_string_equal(error.text, "");
	assert_int_equal(rc, 0);
}

/* A file of n bytes in memory that has a path. */
static const char *
memory_file(const char *text, size_t n)
{
	static char path[64];
	static int fd = -1;

	if (fd >= 0)
		close(fd);
	fd = memfd_create("config", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), (ssize_t)n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static size_t
read_text(const char *path, char *text, size_t len)
{
	FILE *file = fopen(path, "r");
	size_t n;

	assert_non_null(file);
	n = fread(text, 1, len, file);
	assert_true(n > 0 && n < len);
	fclose(file);
	text[n] = '\0';
	return n;
}

/* The error is "<path>: <rest>". */
static void
assert_error(const char *path, const char *rest)
{
	size_t len = strlen(path);

	assert_int_equal(strncmp(error.text, path, len), 0);
	assert_string_equal(error.text + len, rest);
}

static void
load__bad_corpus(void **state)
{
	char path[PATH_MAX], rest[512];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad); i++) {
		snprintf(path, sizeof(path), DATA "bad/%s.json", bad[i].file);
		assert_int_equal(load_bad(path), -EINVAL);
		snprintf(rest, sizeof(rest), ":%s: %s%s%s%s%s", bad[i].place,
			bad[i].at != NULL ? bad[i].at : "", bad[i].at != NULL ? ": " : "",
			bad[i].what, bad[i].allowed != NULL ? "; allowed: " : "",
			bad[i].allowed != NULL ? bad[i].allowed : "");
		assert_error(path, rest);
	}
}

static void
load__every_file_of_the_corpus(void **state)
{
	char path[PATH_MAX];
	struct dirent *entry;
	unsigned int good = 0;
	size_t i;
	DIR *d;

	(void)state;
	d = opendir(DATA "good");
	assert_non_null(d);
	while ((entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), DATA "good/%s", entry->d_name);
		load_good(path);
		good++;
	}
	closedir(d);
	assert_true(good >= 5);

	d = opendir(DATA "bad");
	assert_non_null(d);
	while ((entry = readdir(d)) != NULL) {
		size_t len = strcspn(entry->d_name, ".");

		if (len == 0)
			continue;
		for (i = 0; i < COUNT(bad); i++) {
			if (strlen(bad[i].file) == len &&
				memcmp(bad[i].file, entry->d_name, len) == 0)
				break;
		}
		if (i == COUNT(bad))
			fail_msg("no expectation for bad/%s", entry->d_name);
	}
	closedir(d);
}

static void
load__defaults(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1}, partner_mac[6] = {2, 0, 0, 0, 0, 2};
	const struct ccm_partner_config *p = &cfg.ccm.partners[0];

	(void)state;
	memset(&cfg, 0xa5, sizeof(cfg));
	load_good(DATA "good/minimal.json");
	assert_int_equal(cfg.ccm.node_id, 1);
	assert_string_equal(cfg.ccm.name, "a");
	assert_string_equal(cfg.ccm.cluster, "lab");
	assert_int_equal(cfg.ccm.role, CCM_ROLE_STORAGE);
	assert_int_equal(cfg.memory_limit, 1 << 30);
	assert_memory_equal(cfg.port.mac, mac, sizeof(mac));
	assert_int_equal(cfg.port.ip, 0xc0000201);
	assert_int_equal(cfg.port.mtu, 1500);
	assert_true(cfg.port.arp);
	assert_int_equal(cfg.port.steering, REMU_PORT_STEERING_AUTO);
	assert_int_equal(cfg.ccm.va, 0x100000);
	assert_int_equal(cfg.ccm.rkey, 0xc0de0001);
	assert_int_equal(cfg.ccm.n_partners, 1);
	assert_int_equal(p->id, 2);
	assert_memory_equal(p->mac, partner_mac, sizeof(mac));
	assert_int_equal(p->ip, 0xc0000202);
	assert_int_equal(p->qpn, 0x100);
	assert_int_equal(p->remote_qpn, 0x100);
	assert_int_equal(p->va, 0x100000);
	assert_int_equal(p->rkey, 0xc0de0001);
	assert_int_equal(p->slot_rkey, 0xc0de0002);
	assert_int_equal(p->directory_rkey, 0xc0de0003);
	assert_int_equal(cfg.n_clients, 0);
	assert_int_equal(cfg.ccm.timing.beat_us, 1000);
	assert_int_equal(cfg.ccm.timing.dead_after_us, 10000);
	assert_int_equal(cfg.ccm.timing.retry_us, 200);
	assert_int_equal(cfg.ccm.timing.retry_cnt, 3);
	assert_int_equal(cfg.ccm.timing.search_us, 100000);
	assert_int_equal(cfg.idle_sleep_us, 0);
	assert_int_equal(cfg.log_level, NODE_LOG_INFO);
	assert_int_equal(cfg.ccm.version_min, CCM_VERSION_MIN);
	assert_int_equal(cfg.ccm.version_max, CCM_VERSION_MAX);
	assert_int_equal(cfg.ccm.path_mtu, 0);
	assert_int_equal(cfg.ccm.features, CCM_FEATURES);
	assert_int_equal(node_config_memory(&cfg), 0);
}

static void
load__limits(void **state)
{
	static const uint8_t mac[6] = {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff};
	const struct ccm_partner_config *p = &cfg.ccm.partners[0];

	(void)state;
	load_good(DATA "good/limits-high.json");
	assert_int_equal(cfg.ccm.node_id, 65535);
	assert_int_equal(strlen(cfg.ccm.name), 31);
	assert_int_equal(cfg.ccm.role, CCM_ROLE_APPLICATION);
	assert_int_equal(cfg.memory_limit, UINT64_C(1) << 40);
	assert_int_equal(cfg.port.mtu, 9216);
	assert_false(cfg.port.arp);
	assert_int_equal(cfg.port.steering, REMU_PORT_STEERING_ISOLATE);
	assert_int_equal(cfg.log_level, NODE_LOG_WARNING);
	assert_int_equal(p->slot_rkey, 1);
	assert_int_equal(p->directory_rkey, 0xffffffff);
	assert_int_equal(cfg.port.ip, 0xdfffffff);
	assert_true(cfg.ccm.va == UINT64_C(0xffffffffffffb000));
	assert_int_equal(cfg.ccm.rkey, 0xfffffffd);
	assert_int_equal(p->id, 65534);
	assert_memory_equal(p->mac, mac, sizeof(mac));
	assert_int_equal(p->ip, 0x01000000);
	assert_int_equal(p->qpn, 0xfffffe);
	assert_int_equal(p->remote_qpn, 0xfffffe);
	assert_int_equal(p->rkey, 0xfffffffd);
	assert_int_equal(cfg.n_clients, 1);
	assert_string_equal(cfg.clients[0].ccm.name, "A-Z.a_z");
	assert_int_equal(cfg.clients[0].ccm.ports, 64);
	assert_int_equal(cfg.clients[0].ccm.memory, UINT64_C(1) << 40);
	assert_int_equal(node_config_memory(&cfg), UINT64_C(1) << 40);
	assert_int_equal(cfg.ccm.timing.beat_us, 10000000);
	assert_int_equal(cfg.ccm.timing.dead_after_us, 100000000);
	assert_int_equal(cfg.ccm.timing.retry_us, 1000000);
	assert_int_equal(cfg.ccm.timing.retry_cnt, 7);
	assert_int_equal(cfg.ccm.timing.search_us, 10000000);
	assert_int_equal(cfg.idle_sleep_us, 1000000);
	assert_int_equal(cfg.n_boot_stages, 2);
	assert_string_equal(cfg.boot_stages[0].name, "firmware");
	assert_int_equal(cfg.boot_stages[0].budget_ms, 86400000);
	assert_int_equal(cfg.boot_stages[0].script_ms, 86400000);
	assert_int_equal(cfg.boot_stages[0].progress_ms, 86400000);
	assert_int_equal(cfg.boot_stages[1].budget_ms, 0);
	assert_int_equal(cfg.ccm.version_max, 65535);

	load_good(DATA "good/limits-low.json");
	assert_int_equal(cfg.memory_limit, 4096);
	assert_int_equal(cfg.ccm.va, 4096);
	assert_int_equal(p->qpn, 2);
	assert_int_equal(p->va, 4096);
	assert_int_equal(cfg.ccm.timing.beat_us, 100);
	assert_int_equal(cfg.ccm.timing.retry_cnt, 0);

	load_good(DATA "good/client-kinds.json");
	assert_int_equal(cfg.n_clients, 3);
	assert_int_equal(cfg.clients[0].kind, NODE_CLIENT_TARGET);
	assert_int_equal(cfg.clients[1].kind, NODE_CLIENT_EXERCISE);
	assert_int_equal(cfg.clients[2].kind, NODE_CLIENT_EXERCISE);

	load_good(DATA "good/most-partners-and-clients.json");
	assert_int_equal(cfg.ccm.n_partners, CCM_MAX_PARTNERS);
	assert_int_equal(cfg.n_clients, CCM_MAX_CLIENTS);
	assert_int_equal(cfg.ccm.partners[63].id, 65);
	assert_string_equal(cfg.clients[15].ccm.name, "c15");
	assert_int_equal(node_config_memory(&cfg), 64 * 16 * 16384);
}

static void
assert_partner_is(const struct ccm_partner_config *p, const struct node_config *node)
{
	assert_int_equal(p->id, node->ccm.node_id);
	assert_memory_equal(p->mac, node->port.mac, sizeof(p->mac));
	assert_int_equal(p->ip, node->port.ip);
	assert_int_equal(p->va, node->ccm.va);
	assert_int_equal(p->rkey, node->ccm.rkey);
}

static void
load__examples_match_each_other(void **state)
{
	static struct node_config a;
	char text[NODE_CONFIG_SUMMARY_LEN];

	(void)state;
	load_good(SOURCE_ROOT "/config/node-a.json");
	a = cfg;
	load_good(SOURCE_ROOT "/config/node-b.json");
	assert_partner_is(&a.ccm.partners[0], &cfg);
	assert_partner_is(&cfg.ccm.partners[0], &a);
	assert_int_equal(a.ccm.partners[0].remote_qpn, cfg.ccm.partners[0].qpn);
	assert_int_equal(cfg.ccm.partners[0].remote_qpn, a.ccm.partners[0].qpn);
	assert_memory_equal(&a.ccm.timing, &cfg.ccm.timing, sizeof(a.ccm.timing));
	assert_memory_equal(a.clients, cfg.clients, sizeof(a.clients));
	assert_string_equal(a.ccm.cluster, cfg.ccm.cluster);
	assert_int_equal(a.ccm.timing.beat_us, 10000);
	assert_int_equal(a.ccm.timing.dead_after_us, 250000);
	assert_int_equal(a.ccm.timing.retry_us, 2000);
	assert_int_equal(a.ccm.timing.retry_cnt, 7);
	assert_int_equal(a.idle_sleep_us, 50);
	node_config_summary(&a, text, sizeof(text));
	assert_string_equal(text,
		"node 1 node-a of cluster lab, storage, 192.0.2.1; partners: 1; "
		"clients: 2; ports: 3; memory: 16448KiB of 256MiB");
}

/* Each node of an example is what its partners take it for. */
static void
load__examples_of_a_kind_match(void **state)
{
	static const struct {
		const char *name;
		uint32_t nodes;
	} kinds[] = {{"memif", 2}, {"af_packet", 2}, {"nic", 2}, {"mlx5", 2}, {"three", 3}};
	static struct node_config nodes[3];
	char path[PATH_MAX];

	(void)state;
	for (size_t k = 0; k < COUNT(kinds); k++) {
		for (uint32_t i = 0; i < kinds[k].nodes; i++) {
			snprintf(path, sizeof(path), SOURCE_ROOT "/config/examples/%s-%u.json",
				kinds[k].name, i + 1);
			load_good(path);
			nodes[i] = cfg;
			assert_int_equal(cfg.ccm.node_id, i + 1);
			assert_int_equal(cfg.ccm.n_partners, kinds[k].nodes - 1);
		}
		for (uint32_t i = 0; i < kinds[k].nodes; i++) {
			for (uint32_t p = 0; p + 1 < kinds[k].nodes; p++) {
				const struct ccm_partner_config *mine = &nodes[i].ccm.partners[p];
				const struct node_config *other = &nodes[mine->id - 1];

				assert_partner_is(mine, other);
				assert_string_equal(other->ccm.cluster, nodes[i].ccm.cluster);
				assert_memory_equal(&other->ccm.timing, &nodes[i].ccm.timing,
					sizeof(other->ccm.timing));
				assert_memory_equal(other->clients, nodes[i].clients,
					sizeof(other->clients));
				for (uint32_t q = 0; q < other->ccm.n_partners; q++)
					if (other->ccm.partners[q].id == nodes[i].ccm.node_id)
						assert_int_equal(mine->remote_qpn,
							other->ccm.partners[q].qpn);
			}
		}
	}
}

/* Printed, a configuration loads into the same, and prints the same. */
static void
assert_prints(const char *path)
{
	static struct node_config first;
	json_t *json;
	char *text, *again;

	load_good(path);
	first = cfg;
	json = node_config_json(&cfg);
	text = json_dumps(json, JSON_INDENT(2));
	json_decref(json);
	load_good(memory_file(text, strlen(text)));
	assert_memory_equal(&first, &cfg, sizeof(cfg));
	json = node_config_json(&cfg);
	again = json_dumps(json, JSON_INDENT(2));
	json_decref(json);
	assert_string_equal(text, again);
	free(text);
	free(again);
}

static void
json__all_good_files(void **state)
{
	static const char *const folders[] = {DATA "good", SOURCE_ROOT "/config",
		SOURCE_ROOT "/config/examples"};
	char path[PATH_MAX];
	struct dirent *entry;
	unsigned int n = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(folders); i++) {
		DIR *d = opendir(folders[i]);

		assert_non_null(d);
		while ((entry = readdir(d)) != NULL) {
			const char *dot = strrchr(entry->d_name, '.');

			if (dot == NULL || strcmp(dot, ".json") != 0 ||
				strstr(entry->d_name, ".schema.") != NULL)
				continue;
			snprintf(path, sizeof(path), "%s/%s", folders[i], entry->d_name);
			assert_prints(path);
			n++;
		}
		closedir(d);
	}
	assert_true(n >= 18);
}

/* What a key that was left out takes is there, and no comment. */
static void
json__defaults(void **state)
{
	json_t *json;

	(void)state;
	load_good(DATA "good/comments.json");
	json = node_config_json(&cfg);
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(json,
										     "partners"),
								      0),
				    "slot_rkey")),
		"0xc0de0002");
	assert_int_equal(json_integer_value(
				 json_object_get(json_object_get(json, "timing"), "dead_after_us")),
		10000);
	assert_true(json_is_true(json_object_get(json_object_get(json, "port"), "arp")));
	assert_null(json_object_get(json, "$comment"));
	assert_int_equal(json_array_size(json_object_get(json, "clients")), 1);
	json_decref(json);
}

struct seen {
	char text[512];
	unsigned int live, dead;
};

static void
note_change(void *ctx, const char *path, const char *was, const char *is, bool reload)
{
	struct seen *s = ctx;
	size_t used = strlen(s->text);

	snprintf(s->text + used, sizeof(s->text) - used, "%s %s %s;", path, was, is);
	s->live += reload;
	s->dead += !reload;
}

/* compare() sees every change of a key, and which a running node may make. */
static void
compare__and_reload(void **state)
{
	static const struct {
		const char *was, *is;
		const char *seen;
		bool live;
	} rows[] = {
		{"\"id\": 1", "\"id\": 7", "node.id 1 7;", false},
		{"\"name\": \"node-a\"", "\"name\": \"other\"", "node.name \"node-a\" \"other\";",
			false},
		{"\"memory_limit\": \"256MiB\"", "\"memory_limit\": 1073741825",
			"node.memory_limit \"256MiB\" 1073741825;", false},
		{"\"id\": 1", "\"id\": 1, \"log_level\": \"debug\"",
			"node.log_level \"info\" \"debug\";", true},
		{"\"id\": 1", "\"$comment\": \"x\", \"id\": 1", "", true},
		{"02:00:00:00:00:02", "02:00:00:00:00:03",
			"partners[0].mac \"02:00:00:00:00:02\" \"02:00:00:00:00:03\";", false},
		{"192.0.2.2", "192.0.2.3", "partners[0].ip \"192.0.2.2\" \"192.0.2.3\";", false},
		{"\"ports\": 1", "\"ports\": 3", "clients[1].ports 1 3;", false},
		{"\"beat_us\": 10000", "\"beat_us\": 20000", "timing.beat_us 10000 20000;", false},
		{"\"idle_sleep_us\": 50", "\"idle_sleep_us\": 0", "timing.idle_sleep_us 50 0;",
			true},
		{"\"timing\"", "\"boot_stages\": [{\"name\": \"x\"}], \"timing\"",
			"boot_stages 0 elements 1;", false},
	};
	static struct node_config was, live;
	char text[8192], path[128];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t n = read_text(SOURCE_ROOT "/config/node-a.json", text, sizeof(text) / 2);
		size_t old = strlen(rows[i].was), now = strlen(rows[i].is);
		char *at = strstr(text, rows[i].was);
		struct seen seen = {.text = ""};

		load_good(SOURCE_ROOT "/config/node-a.json");
		was = cfg;
		assert_non_null(at);
		memmove(at + now, at + old, n - (size_t)(at - text) - old + 1);
		memcpy(at, rows[i].is, now);
		snprintf(path, sizeof(path), "%s", memory_file(text, strlen(text)));
		load_good(path);
		node_config_compare(&was, &cfg, note_change, &seen);
		assert_string_equal(seen.text, rows[i].seen);
		assert_int_equal(seen.dead, !rows[i].live);
		live = was;
		node_config_reload(&live, &cfg);
		assert_memory_equal(&live, rows[i].live ? &cfg : &was, sizeof(live));
	}
}

static void
compare__boot_stages(void **state)
{
	static struct node_config was;
	struct seen seen = {.text = ""};

	(void)state;
	load_good(DATA "good/limits-high.json");
	was = cfg;
	assert_true(cfg.n_boot_stages > 1);
	cfg.boot_stages[1].budget_ms = 17;
	cfg.boot_stages[1].script_ms = 18;
	cfg.boot_stages[1].progress_ms = 19;
	node_config_compare(&was, &cfg, note_change, &seen);
	assert_int_equal(seen.live, 3);
	assert_int_equal(seen.dead, 0);
	node_config_reload(&was, &cfg);
	assert_memory_equal(&was, &cfg, sizeof(was));
	cfg.boot_stages[0].name[0] = '_';
	seen = (struct seen){.text = ""};
	node_config_compare(&was, &cfg, note_change, &seen);
	assert_int_equal(seen.dead, 1);
}

/* Places are counted in lines and characters, over blanks, strings and whatever nests. */
static void
place__finds(void **state)
{
	static const char text[] =
		"\n { \"a\" :[ 1,\n\t{\"b\\\"]}\":[[],{}],\"\xc3\xa9\":\"}\",\"c\":2}]"
		" , \"d\": {\"e\": null}}";
	static const struct {
		const char *path;
		unsigned int line, column;
	} rows[] = {
		{"", 2, 2},
		{"a", 2, 9},
		{"a[0]", 2, 11},
		{"a[1]", 3, 2},
		{"a[1].c", 3, 31},
		{"d", 3, 42},
		{"d.e", 3, 48},
		{"x", 2, 2},
		{"a[2]", 2, 9},
		{"d.x", 3, 42},
		{"d.x.y[3]", 3, 42},
	};
	json_t *json = json_loads(text, 0, NULL);

	(void)state;
	assert_non_null(json);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct node_place place = node_place_value(text, json, rows[i].path);

		if (place.line != rows[i].line || place.column != rows[i].column)
			fail_msg("%s: %u:%u", rows[i].path, place.line, place.column);
	}
	assert_int_equal(node_place_key(text, json, "", 1).column, 37);
	assert_int_equal(node_place_key(text, json, "a[1]", 1).column, 19);
	json_decref(json);
}

static void
load__not_a_file(void **state)
{
	char path[PATH_MAX];

	(void)state;
	snprintf(path, sizeof(path), "%s/missing.json", dir);
	assert_int_equal(load_bad(path), -ENOENT);
	assert_error(path, ": cannot open: No such file or directory");
	assert_int_equal(load_bad(""), -ENOENT);
	assert_int_equal(load_bad(dir), -EINVAL);
	assert_error(dir, ": is a directory; allowed: a regular file or a pipe");
	assert_int_equal(load_bad("/dev/zero"), -EINVAL);
	assert_error("/dev/zero", ": is a special file; allowed: a regular file or a pipe");
}

static void
load__no_read_right(void **state)
{
	uid_t user = geteuid();
	char path[PATH_MAX];
	int rc;

	(void)state;
	snprintf(path, sizeof(path), "%s/secret.json", dir);
	close(open(path, O_CREAT | O_WRONLY, 0));
	/* root may read everything */
	assert_int_equal(user == 0 ? seteuid(65534) : 0, 0);
	rc = load_bad(path);
	assert_int_equal(user == 0 ? seteuid(user) : 0, 0);
	unlink(path);
	assert_int_equal(rc, -EACCES);
	assert_error(path, ": cannot open: Permission denied");
}

/* Opens the pipe for writing, and writes half a megabyte of blanks before the configuration. */
static void *
write_pipe(void *arg)
{
	static char text[1 << 19];
	char json[4096];
	size_t n = read_text(SOURCE_ROOT "/config/node-a.json", json, sizeof(json)), done;
	int fd = open(arg, O_WRONLY);
	ssize_t part;

	memset(text, ' ', sizeof(text));
	memcpy(text + sizeof(text) - n, json, n);
	for (done = 0; done < sizeof(text); done += (size_t)part) {
		part = write(fd, text + done, sizeof(text) - done);
		if (part < 0)
			break;
	}
	close(fd);
	return NULL;
}

static void
load__pipe(void **state)
{
	char path[PATH_MAX];
	pthread_t writer;

	(void)state;
	snprintf(path, sizeof(path), "%s/pipe", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(load_bad(path), -ETIMEDOUT);
	assert_error(path,
		": nothing to read within 1000 ms; allowed: a regular file, or a pipe "
		"that somebody writes to");
	assert_int_equal(pthread_create(&writer, NULL, write_pipe, path), 0);
	load_good(path);
	pthread_join(writer, NULL);
	unlink(path);
	assert_int_equal(cfg.ccm.node_id, 1);
}

static void
load__size_limit(void **state)
{
	static char text[10 << 20];
	size_t n = read_text(DATA "good/minimal.json", text, sizeof(text));
	const char *path;

	(void)state;
	memset(text + n, ' ', NODE_CONFIG_FILE_MAX + 1 - n);
	load_good(memory_file(text, NODE_CONFIG_FILE_MAX));
	path = memory_file(text, NODE_CONFIG_FILE_MAX + 1);
	assert_int_equal(load_bad(path), -EFBIG);
	assert_error(path, ": file is too large; allowed: at most 1MiB");

	/* one string of 10 MB */
	memset(text, 'x', sizeof(text));
	memcpy(text, "{\"node\": \"", 10);
	assert_int_equal(load_bad(memory_file(text, sizeof(text))), -EFBIG);

	/* as long as a string can get, as value and as key */
	memcpy(text + NODE_CONFIG_FILE_MAX - 2, "\"}", 2);
	path = memory_file(text, NODE_CONFIG_FILE_MAX);
	assert_int_equal(load_bad(path), -EINVAL);
	assert_error(path,
		":1:10: node: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\" is not an "
		"object; allowed: an object");
	memcpy(text, "{  \"xxxxxx", 10);
	memcpy(text + NODE_CONFIG_FILE_MAX - 4, "\":1}", 4);
	path = memory_file(text, NODE_CONFIG_FILE_MAX);
	assert_int_equal(load_bad(path), -EINVAL);
	assert_error(path,
		":1:4: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...: unknown key; "
		"allowed: " ROOT_KEYS);
}

static void
load__depth_bomb(void **state)
{
	static const char *const units[] = {"[", "{\"a\":", "{\"node\":"};
	static char text[10000 * 8 + 1];
	const char *path;
	size_t i, k, len;

	(void)state;
	for (k = 0; k < COUNT(units); k++) {
		len = strlen(units[k]);
		for (i = 0; i < 10000; i++)
			memcpy(text + i * len, units[k], len);
		path = memory_file(text, 10000 * len);
		assert_int_equal(load_bad(path), -EINVAL);
		assert_non_null(strstr(error.text, ": maximum parsing depth reached near"));
	}
}

/* 10^6 entries do not fit the file; what fits is refused by the number. */
static void
load__client_bomb(void **state)
{
	static char text[2 << 20];
	size_t n = read_text(DATA "good/minimal.json", text, 4096), i;
	const char *path;

	(void)state;
	n = (size_t)(strrchr(text, '}') - text);
	n += (size_t)snprintf(text + n, 64, ",\"clients\":[0");
	for (i = 1; i < 1000000; i++, n += 2)
		memcpy(text + n, ",0", 2);
	memcpy(text + n, "]}", 3);
	assert_int_equal(load_bad(memory_file(text, n + 2)), -EFBIG);
	n -= 1200000;
	memcpy(text + n, "]}", 3);
	path = memory_file(text, n + 2);
	assert_int_equal(load_bad(path), -EINVAL);
	assert_error(path,
		":8:12: clients: has 400000 elements; allowed: a list of 0 to 16 objects");
}

static void
load__file_name_in_the_error(void **state)
{
	char path[2048];

	(void)state;
	load_bad("no\nsuch\x1b[31m\xff.json");
	assert_string_equal(error.text,
		"no\\x0asuch\\x1b[31m\\xff.json: cannot open: No such file or directory");
	memset(path, '\n', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	load_bad(path);
	assert_non_null(strstr(error.text, "\\x0a...: cannot open: File name too long"));
}

/* Cut anywhere, or with any byte changed, a file is loaded or refused in one line. */
static void
load__damaged(void **state)
{
	static const char bytes[] = {0, '"', '\\', '{', '}', '[', ',', '-', '9', '\x80', '\n'};
	char text[4096], damaged[4096];
	size_t n = read_text(SOURCE_ROOT "/config/node-a.json", text, sizeof(text)), i, k;
	unsigned int accepted = 0;

	(void)state;
	for (i = 0; i < n - 2; i++)
		assert_int_equal(load_bad(memory_file(text, i)), -EINVAL);
	for (i = 0; i < n; i++) {
		for (k = 0; k < sizeof(bytes); k++) {
			memcpy(damaged, text, n);
			damaged[i] = bytes[k];
			if (node_config_load(memory_file(damaged, n), &cfg, &error) == 0)
				accepted++;
			else
				assert_one_printable_line(error.text);
		}
	}
	assert_true(accepted > 0 && accepted < n * sizeof(bytes) / 2);
}

static void
quote__fits(void **state)
{
	static const struct {
		const char *text, *expected;
		size_t size;
	} rows[] = {
		{"", "", 8},
		{"abcd", "abcd", 8},
		{"abcde", "abcd...", 8},
		{"\n", "\\x0a", 8},
		{"a\n", "a...", 8},
		{"\\\\", "\\\\\\\\", 8},
		{"\\\\x", "\\\\\\\\...", 8},
		{" ~\x7f\x80", " ~\\x7f\\x80", 16},
	};
	char out[32];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		memset(out, '#', sizeof(out));
		assert_ptr_equal(node_quote(out, rows[i].size, rows[i].text), out);
		assert_string_equal(out, rows[i].expected);
		assert_int_equal(out[rows[i].size], '#');
	}
}

static int
make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL ? -1 : chmod(dir, 0755);
}

static int
remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(load__bad_corpus),
		cmocka_unit_test(load__every_file_of_the_corpus),
		cmocka_unit_test(load__defaults),
		cmocka_unit_test(load__limits),
		cmocka_unit_test(load__examples_match_each_other),
		cmocka_unit_test(load__examples_of_a_kind_match),
		cmocka_unit_test(json__all_good_files),
		cmocka_unit_test(json__defaults),
		cmocka_unit_test(compare__and_reload),
		cmocka_unit_test(compare__boot_stages),
		cmocka_unit_test(place__finds),
		cmocka_unit_test(load__not_a_file),
		cmocka_unit_test(load__no_read_right),
		cmocka_unit_test(load__pipe),
		cmocka_unit_test(load__size_limit),
		cmocka_unit_test(load__depth_bomb),
		cmocka_unit_test(load__client_bomb),
		cmocka_unit_test(load__file_name_in_the_error),
		cmocka_unit_test(load__damaged),
		cmocka_unit_test(quote__fits),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
