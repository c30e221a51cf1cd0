/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The choices that a fuzz target makes. An input is read byte by byte; behind its end a generator goes
 * on, which the target seeds from it. So a short input is a whole case, and a fuzzer can take over as
 * many choices as it likes.
 */
struct input {
	const uint8_t *at;
	size_t left;
	uint64_t state;
};

static inline uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline uint8_t
take(struct input *in)
{
	if (in->left > 0) {
		in->left--;
		return *in->at++;
	}
	return (uint8_t)(next_random(&in->state) >> 32);
}

static inline uint16_t
take16(struct input *in)
{
	uint16_t low = take(in);

	return (uint16_t)(low | take(in) << 8);
}

/* 0 .. n - 1 */
static inline uint32_t
take_below(struct input *in, uint32_t n)
{
	return n <= 256 ? take(in) % n : (take16(in) | (uint32_t)take(in) << 16) % n;
}

static inline bool
one_in(struct input *in, uint32_t n)
{
	return take_below(in, n) == n - 1;
}

#endif
