/* SPDX-License-Identifier: BSD-3-Clause */
/* What is told of a world: failures, and the log of its events. */
#include "sim.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct sim_world *current;

void
sim_trace_current(const struct sim_world *w)
{
	current = w;
}

void
sim_fail(const struct sim_world *w, const char *format, ...)
{
	va_list args;

	if (w == NULL)
		w = current;
	fflush(stdout);
	if (w != NULL)
		fprintf(stderr, "FAILED seed %" PRIu64 ", event %" PRIu64 ", %.3f us: ", w->seed,
			w->n_events, (double)(w->now - 1000 * SIM_MS) / 1000);
	else
		fprintf(stderr, "FAILED: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	fflush(stderr);
	_exit(1);
}

void
sim_log(const struct sim_world *w, const char *format, ...)
{
	va_list args;

	if (!w->verbose)
		return;
	printf("%12.3f us  ", (double)(w->now - 1000 * SIM_MS) / 1000);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

/* An assertion or a fault of the library: only what a signal handler may call. */
static void
on_signal(int number)
{
	char text[128] = "FAILED seed ";
	size_t n = strlen(text);
	char digits[24];
	uint32_t k = 0;
	uint64_t seed = current != NULL ? current->seed : 0;

	do {
		digits[k++] = (char)('0' + seed % 10);
		seed /= 10;
	} while (seed != 0);
	while (k != 0)
		text[n++] = digits[--k];
	memcpy(text + n, number == SIGABRT ? ": abort\n" : ": signal\n", 9);
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		_exit(2);
	_exit(1);
}

void
sim_trace_signals(void)
{
	signal(SIGABRT, on_signal);
	signal(SIGSEGV, on_signal);
	signal(SIGBUS, on_signal);
	signal(SIGFPE, on_signal);
}
