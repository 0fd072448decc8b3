/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Results as a table on standard output, in perftest's columns, and into files: JSON, CSV and
 * HdrHistogram's text form.
 */

#include "bench_hist.h"
#include "bench_options.h"
#include "bench_run.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct node;

struct bench_report {
	const struct bench_options *opt;
	const struct node *node;
	const struct bench_clock *clock;
	json_t *root;
	json_t *results;
	FILE *csv;
};

/* Prints the head of the table. Returns 0, or -1 with the reason on standard error. */
int bench_report_open(struct bench_report *r, const struct bench_options *opt,
	const struct node *node, const struct bench_clock *clock);

/* What a run came to; `frames` of a floor's stream went one way in so many seconds. */
void bench_report_run(struct bench_report *r, const struct bench_run *run, uint64_t frames,
	uint64_t lost, uint32_t frame_len, double frame_seconds);

/* A JSON object of the program's own among the results; takes it over. */
void bench_report_add(struct bench_report *r, json_t *result);

/* Times as members p50_ns and so on, and with all percentiles. */
void bench_report_times(json_t *result, const struct bench_hist *h);

/* Write one HdrHistogram file. Returns 0 or -1. */
int bench_report_hgrm(const char *path, const struct bench_hist *h);

/* Write the files. Returns 0, or -1 with the reason on standard error. */
int bench_report_close(struct bench_report *r);
