/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_report.h"

#include "node.h"
#include "remu_port.h"

#include <rte_lcore.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MIB (1024.0 * 1024.0)

static const struct {
	const char *name;
	double percentile;
} percentiles[] = {
	{"p50_ns", 50},
	{"p90_ns", 90},
	{"p99_ns", 99},
	{"p999_ns", 99.9},
	{"p9999_ns", 99.99},
};

static int
fail(const char *path)
{
	fprintf(stderr, "ccm-bench: %s: %s\n", path, strerror(errno));
	return -1;
}

static const char *
task_name(const struct bench_options *opt)
{
	static const char *const names[] = {
		[BENCH_MEASURE] = "operations",
		[BENCH_FLOOR] = "floor",
		[BENCH_FLOOR_PEER] = "floor, the peer",
		[BENCH_HANDSHAKE] = "handshake",
		[BENCH_FAILOVER] = "failover",
		[BENCH_HELP] = "",
		[BENCH_VERSION] = "",
	};

	return names[opt->task];
}

static json_t *
describe(const struct bench_report *r, const struct remu_port_info *port)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:[]}",
		"program", "ccm-bench", "version", CCM_PROGRAM_VERSION, "task", task_name(r->opt),
		"lcore_mode", r->opt->cross ? "cross" : "same", "device", port->name, "driver",
		port->driver, "lcores", (int)rte_lcore_count(), "data_lcores",
		(int)r->node->n_engines, "path_mtu", r->node->cfg.ccm.path_mtu, "device_mtu",
		port->mtu, "tsc_mhz", (double)r->clock->hz / 1e6, "clock_overhead_ns",
		(double)r->clock->overhead * 1e9 / (double)r->clock->hz, "results");
}

static void
print_head(const struct bench_report *r, const struct remu_port_info *port)
{
	const struct bench_options *opt = r->opt;
	bool alone = rte_lcore_count() == 1;

	printf("ccm-bench %s: %s; device %s (%s), path MTU %u, %u lcore%s\n", CCM_PROGRAM_VERSION,
		task_name(opt), port->name, port->driver, r->node->cfg.ccm.path_mtu,
		rte_lcore_count(), alone ? "" : "s");
	if (opt->task == BENCH_MEASURE)
		printf("posted %s; times are round trips, from posting to completion: of "
		       "perftest's,\n"
		       "read_lat shows the same, write_lat and send_lat half of it\n",
			!opt->cross ? "on the data lcore"
				: alone
				? "through the channel, but on the data lcore: there is no other"
				: "through the channel, from another lcore");
	if (opt->task == BENCH_FLOOR)
		printf("bare frames; times are round trips. Then the longer frames one way, for "
		       "the rate\n");
	if (opt->task == BENCH_MEASURE || opt->task == BENCH_FLOOR)
		printf("clock: reading it takes %.1f ns, which are subtracted from each time; MB: "
		       "2^20 bytes\n"
		       "%-6s %8s %6s %12s %11s %11s %15s %11s %13s %20s %22s %19s %14s%s\n",
			(double)r->clock->overhead * 1e9 / (double)r->clock->hz, "#op", "#bytes",
			"#depth", "#iterations", "t_min[usec]", "t_max[usec]", "t_typical[usec]",
			"t_avg[usec]", "t_stdev[usec]", "99% percentile[usec]",
			"99.9% percentile[usec]", "BW average[MB/sec]", "MsgRate[Mpps]",
			opt->task == BENCH_FLOOR ? "   one way[Mframes/sec]" : "");
	fflush(stdout);
}

int
bench_report_open(struct bench_report *r, const struct bench_options *opt, const struct node *node,
	const struct bench_clock *clock)
{
	struct remu_port_info port;

	*r = (struct bench_report){.opt = opt, .node = node, .clock = clock};
	remu_port_info(node->port, &port);
	r->root = describe(r, &port);
	r->results = json_object_get(r->root, "results");
	if (r->results == NULL) {
		errno = ENOMEM;
		return fail("results");
	}
	if (opt->csv != NULL) {
		r->csv = fopen(opt->csv, "w");
		if (r->csv == NULL)
			return fail(opt->csv);
		fprintf(r->csv,
			"op,size_bytes,depth,iterations,seconds,min_ns,p50_ns,p90_ns,p99_ns,"
			"p999_ns,p9999_ns,max_ns,mean_ns,stdev_ns,ops_per_s,bytes_per_s,"
			"frame_bytes,frames_per_s,frames_lost\n");
	}
	print_head(r, &port);
	return 0;
}

static double
per_second(uint64_t n, double seconds)
{
	return seconds > 0 ? (double)n / seconds : 0;
}

void
bench_report_times(json_t *result, const struct bench_hist *h)
{
	json_t *all = json_array();
	struct bench_hist_iter it = {0};
	struct bench_hist_step step;

	json_object_set_new(result, "min_ns", json_integer(h->count ? (json_int_t)h->min : 0));
	json_object_set_new(result, "max_ns", json_integer((json_int_t)h->max));
	json_object_set_new(result, "mean_ns", json_real(bench_hist_mean(h)));
	json_object_set_new(result, "stdev_ns", json_real(bench_hist_stdev(h)));
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++)
		json_object_set_new(result, percentiles[i].name,
			json_integer(
				(json_int_t)bench_hist_percentile(h, percentiles[i].percentile)));
	while (bench_hist_next(h, &it, &step))
		json_array_append_new(all,
			json_pack("[f, I, I]", step.percentile, (json_int_t)step.value,
				(json_int_t)step.total));
	json_object_set_new(result, "percentiles", all);
}

int
bench_report_hgrm(const char *path, const struct bench_hist *h)
{
	FILE *out = fopen(path, "w");

	if (out == NULL)
		return fail(path);
	bench_hist_print(h, out);
	return fclose(out) == 0 ? 0 : fail(path);
}

static void
print_row(const struct bench_report *r, const struct bench_run *run, uint64_t ops, double rate,
	double frame_rate)
{
	const struct bench_hist *h = run->hist;

	printf("%-6s %8u %6u %12" PRIu64
	       " %11.2f %11.2f %15.2f %11.2f %13.2f %20.2f %22.2f %19.2f %14.4f",
		bench_op_name(run->point.op), run->point.size, run->point.depth, ops,
		h->count != 0 ? (double)h->min / 1e3 : 0, (double)h->max / 1e3,
		(double)bench_hist_percentile(h, 50) / 1e3, bench_hist_mean(h) / 1e3,
		bench_hist_stdev(h) / 1e3, (double)bench_hist_percentile(h, 99) / 1e3,
		(double)bench_hist_percentile(h, 99.9) / 1e3, rate * run->point.size / MIB,
		rate / 1e6);
	if (r->opt->task == BENCH_FLOOR)
		printf(" %22.4f", frame_rate / 1e6);
	putchar('\n');
	fflush(stdout);
}

static void
print_csv(const struct bench_report *r, const struct bench_run *run, uint64_t ops, double rate,
	uint32_t frame_len, double frame_rate, uint64_t lost)
{
	const struct bench_hist *h = run->hist;

	fprintf(r->csv, "%s,%u,%u,%" PRIu64 ",%.6f,%" PRIu64, bench_op_name(run->point.op),
		run->point.size, run->point.depth, ops, bench_run_seconds(run),
		h->count != 0 ? h->min : 0);
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++)
		fprintf(r->csv, ",%" PRIu64, bench_hist_percentile(h, percentiles[i].percentile));
	fprintf(r->csv, ",%" PRIu64 ",%.1f,%.1f,%.1f,%.1f,%u,%.1f,%" PRIu64 "\n", h->max,
		bench_hist_mean(h), bench_hist_stdev(h), rate, rate * run->point.size, frame_len,
		frame_rate, lost);
}

static void
write_hgrm(const struct bench_report *r, const struct bench_run *run)
{
	char path[512];

	if (r->opt->n_points == 1)
		snprintf(path, sizeof(path), "%s", r->opt->hgrm);
	else
		snprintf(path, sizeof(path), "%s-%s-%u-%u", r->opt->hgrm,
			bench_op_name(run->point.op), run->point.size, run->point.depth);
	bench_report_hgrm(path, run->hist);
}

void
bench_report_run(struct bench_report *r, const struct bench_run *run, uint64_t frames,
	uint64_t lost, uint32_t frame_len, double frame_seconds)
{
	uint64_t ops = bench_run_ops(run);
	double rate = per_second(ops, bench_run_seconds(run));
	double frame_rate = per_second(frames, frame_seconds);
	json_t *result = json_pack("{s:s, s:I, s:I, s:I, s:f, s:f, s:f}", "op",
		bench_op_name(run->point.op), "size_bytes", (json_int_t)run->point.size, "depth",
		(json_int_t)run->point.depth, "iterations", (json_int_t)ops, "seconds",
		bench_run_seconds(run), "ops_per_s", rate, "bytes_per_s", rate * run->point.size);

	if (frame_len != 0)
		json_object_update_new(result,
			json_pack("{s:I, s:f, s:I}", "frame_bytes", (json_int_t)frame_len,
				"frames_per_s", frame_rate, "frames_lost", (json_int_t)lost));
	bench_report_times(result, run->hist);
	bench_report_add(r, result);
	print_row(r, run, ops, rate, frame_rate);
	if (r->csv != NULL)
		print_csv(r, run, ops, rate, frame_len, frame_rate, lost);
	if (r->opt->hgrm != NULL)
		write_hgrm(r, run);
}

void
bench_report_add(struct bench_report *r, json_t *result)
{
	json_array_append_new(r->results, result);
}

int
bench_report_close(struct bench_report *r)
{
	int rc = 0;

	if (r->csv != NULL && fclose(r->csv) != 0)
		rc = fail(r->opt->csv);
	if (r->root != NULL && r->opt->json != NULL &&
		json_dump_file(r->root, r->opt->json, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) !=
			0)
		rc = fail(r->opt->json);
	json_decref(r->root);
	r->root = NULL;
	return rc;
}
