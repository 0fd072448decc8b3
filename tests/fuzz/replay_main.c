/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz targets without libFuzzer: run the inputs in files and folders, and mutations of them.
 *
 * usage: fuzz_TARGET [-m MUTATIONS] FILE|FOLDER...
 */
#include "fuzz.h"

#include <frame_maker.h>

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_MAX = 4096 };

static struct {
	uint64_t prng;
	uint64_t files;
	uint64_t runs;
	unsigned long mutations;
} replay;

/* As libFuzzer's: change some bytes. */
size_t
LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
	if (size == 0 || max_size == 0)
		return 0;
	for (uint32_t n = prng_below(&replay.prng, 4) + 1; n > 0; n--)
		data[prng_below(&replay.prng, (uint32_t)size)] = (uint8_t)prng_next(&replay.prng);
	return size;
}

/* From a block of exactly that size, so that a sanitizer sees reads past its end. */
static void
run(const uint8_t *data, size_t size)
{
	uint8_t *copy = exact_copy(data, size);

	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	replay.runs++;
}

static void
run_mutations(const uint8_t *data, size_t size)
{
	static uint8_t last[INPUT_MAX];
	static size_t last_size;
	uint8_t mutant[INPUT_MAX];

	for (unsigned long i = 0; i < replay.mutations; i++) {
		unsigned int seed = (unsigned int)prng_next(&replay.prng);
		size_t n = size;

		memcpy(mutant, data, size);
		if (i % 4 == 3)
			n = LLVMFuzzerCustomCrossOver(data, size, last, last_size, mutant,
				sizeof(mutant), seed);
		else
			n = LLVMFuzzerCustomMutator(mutant, n, sizeof(mutant), seed);
		run(mutant, n);
	}
	memcpy(last, data, size);
	last_size = size;
}

static int
replay_file(const char *path)
{
	uint8_t data[INPUT_MAX];
	FILE *file = fopen(path, "rb");
	size_t size;
	int rc;

	if (file == NULL) {
		perror(path);
		return -1;
	}
	size = fread(data, 1, sizeof(data), file);
	rc = ferror(file) ? -1 : 0;
	fclose(file);
	if (rc != 0) {
		fprintf(stderr, "%s: cannot be read\n", path);
		return rc;
	}
	replay.files++;
	run(data, size);
	run_mutations(data, size);
	return 0;
}

static int
replay_folder(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort), rc = 0;
	char name[4096];

	if (n < 0) {
		perror(path);
		return -1;
	}
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.' && rc == 0)
			rc = replay_file(name);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

static int
replay_path(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		perror(path);
		return -1;
	}
	return S_ISDIR(st.st_mode) ? replay_folder(path) : replay_file(path);
}

int
main(int argc, char **argv)
{
	struct timespec from, to;
	int option;

	while ((option = getopt(argc, argv, "m:")) != -1) {
		if (option != 'm') {
			fprintf(stderr, "usage: %s [-m MUTATIONS] FILE|FOLDER...\n", argv[0]);
			return 2;
		}
		replay.mutations = strtoul(optarg, NULL, 10);
	}
	LLVMFuzzerInitialize(&argc, &argv);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = optind; i < argc; i++)
		if (replay_path(argv[i]) != 0)
			return 1;
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%" PRIu64 " inputs, %" PRIu64 " executions, %.2f s\n", replay.files, replay.runs,
		(double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9);
	return replay.files != 0 ? 0 : 1;
}
