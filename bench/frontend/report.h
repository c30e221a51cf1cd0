/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONTEND_REPORT_H
#define FRONTEND_REPORT_H

#include <jansson.h>

#include "bench/frontend/traffic.h"

/* What became of the frames; all guests together. */
struct totals {
	uint64_t tx;
	uint64_t rx;
	uint64_t rx_in_time;
	uint64_t rx_bytes_in_time;
	uint64_t lost;
	uint64_t duplicate;
	uint64_t reordered;
	uint64_t too_late;
	uint64_t corrupt;
	uint64_t malformed;
	uint64_t missed_calls;
	uint64_t reconnects;
};

/* Adds up; the stream thread has ended. Thread: control. */
struct totals report_totals(const struct traffic *traffic);

/*
 * True if the run is a success by the command line's measure; else *why says what is not.
 */
bool report_passed(const struct traffic *traffic, const struct totals *totals, const char **why);

/*
 * Prints the result to stdout: one JSON object with --json, else text. `extra` (may be NULL, not
 * taken over) is merged into the object.
 */
void report_print(const struct traffic *traffic, const struct totals *totals, json_t *extra);

#endif
