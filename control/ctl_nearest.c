/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_nearest.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define WORD_LEN_MAX 63

static unsigned int
min(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Letters to add, drop, change or swap with the next to make `b` of `a`: optimal alignment. */
static unsigned int
edits(const char *a, const char *b)
{
	unsigned int cost[WORD_LEN_MAX + 1][WORD_LEN_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	for (size_t i = 0; i <= n; i++)
		for (size_t k = 0; k <= m; k++) {
			bool same = i > 0 && k > 0 && a[i - 1] == b[k - 1];

			if (i == 0 || k == 0) {
				cost[i][k] = i + k;
				continue;
			}
			cost[i][k] = min(cost[i - 1][k - 1] + !same,
					 min(cost[i - 1][k], cost[i][k - 1]) + 1);
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
				cost[i][k] = min(cost[i][k], cost[i - 2][k - 2] + 1);
		}
	return cost[n][m];
}

/* "ls" of "list": the same beginning, and all letters in order. */
static bool
abbreviates(const char *typed, const char *word)
{
	if (!*typed || *typed != *word)
		return false;
	for (; *word; word++)
		typed += *typed == *word;
	return !*typed;
}

void
ctl_nearest_start(struct ctl_nearest *nearest, const char *typed)
{
	*nearest = (struct ctl_nearest){.typed = typed, .distance = UINT_MAX};
}

void
ctl_nearest_try(struct ctl_nearest *nearest, const char *candidate)
{
	size_t len = strlen(nearest->typed);
	unsigned int distance;

	if (len > WORD_LEN_MAX || strlen(candidate) > WORD_LEN_MAX)
		return;
	distance = edits(nearest->typed, candidate);
	if (abbreviates(nearest->typed, candidate))
		distance = min(distance, 1);
	if (distance <= min(1 + len / 4, 3) && distance < nearest->distance) {
		nearest->distance = distance;
		snprintf(nearest->word, sizeof(nearest->word), "%s", candidate);
	}
}
