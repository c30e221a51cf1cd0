/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

/*
 * Runs a fuzz target without libFuzzer: first the inputs in the files and directories of the command
 * line, then --runs random ones, which are mutations of those where there are any. The same --seed gives
 * the same inputs. An input that ends the process is left in "crash-input" of the working directory.
 */
#define INPUT_MAX 4096
#define CORPUS_MAX 4096

static struct corpus {
	uint8_t *data;
	size_t size;
} corpus[CORPUS_MAX];
static unsigned int n_corpus;

static uint8_t input[INPUT_MAX];
static size_t input_size;

static void
run(const uint8_t *data, size_t size)
{
	memmove(input, data, size);
	input_size = size;
	LLVMFuzzerTestOneInput(input, size);
}

/* Async-signal-safe. */
static void
keep_input(void)
{
	static const char said[] = "the input is in crash-input\n";
	FILE *file = fopen("crash-input", "w");

	if (file == NULL)
		return;
	fwrite(input, 1, input_size, file);
	fclose(file);
	fputs(said, stderr);
}

static void
on_abort(int number)
{
	keep_input();
	signal(number, SIG_DFL);
	raise(number);
}

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static int
add_file(const char *path)
{
	FILE *file = fopen(path, "r");
	struct corpus *c = &corpus[n_corpus];

	if (file == NULL || n_corpus == CORPUS_MAX)
		return -1;
	c->data = malloc(INPUT_MAX);
	c->size = c->data != NULL ? fread(c->data, 1, INPUT_MAX, file) : 0;
	fclose(file);
	n_corpus++;
	return 0;
}

static int
add_path(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char name[4096];

	if (dir == NULL)
		return add_file(path);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (add_file(name) < 0)
			break;
	}
	closedir(dir);
	return 0;
}

static uint64_t
next_random(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = *state;

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void
run_random(uint64_t *state)
{
	uint8_t data[INPUT_MAX];
	size_t size, i;

	if (n_corpus > 0 && next_random(state) % 2) {
		const struct corpus *c = &corpus[next_random(state) % n_corpus];

		size = c->size;
		memcpy(data, c->data, size);
		for (i = 1 + next_random(state) % 8; i > 0 && size > 0; i--)
			data[next_random(state) % size] = (uint8_t)next_random(state);
	} else {
		size = next_random(state) % 64;
		for (i = 0; i < size; i++)
			data[i] = (uint8_t)next_random(state);
	}
	run(data, size);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"runs", required_argument, NULL, 'r'},
						{"seed", required_argument, NULL, 's'},
						{"race", no_argument, NULL, 'c'},
						{NULL, 0, NULL, 0}};
	unsigned long runs = 0, i;
	uint64_t state = 1;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			runs = strtoul(optarg, NULL, 0);
			break;
		case 's':
			state = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			fuzz_race = true;
			break;
		default:
			fprintf(stderr, "usage: %s [--runs N] [--seed N] [--race] [INPUT...]\n",
				argv[0]);
			return 2;
		}
	}
	for (; optind < argc; optind++) {
		if (add_path(argv[optind]) < 0) {
			fprintf(stderr, "%s: %s\n", argv[optind], strerror(errno));
			return 2;
		}
	}
	signal(SIGABRT, on_abort);
	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(keep_input);
	for (i = 0; i < n_corpus; i++)
		run(corpus[i].data, corpus[i].size);
	for (i = 0; i < runs; i++)
		run_random(&state);
	printf("%u inputs, %lu random ones\n", n_corpus, runs);
	return 0;
}
