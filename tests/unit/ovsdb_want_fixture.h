/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_OVSDB_WANT_FIXTURE_H
#define TESTS_UNIT_OVSDB_WANT_FIXTURE_H

#include <stdbool.h>

#include "control/ovsdb_want.h"

/*
 * Rows of a database, as control/ovsdb_rows.h tells them: ' stands for ", and what is not said of a row is as a
 * new row has it. A UUID is "00000000-0000-0000-0000-0000000000NN".
 */
extern struct ovsdb_rows rows;

void rows_reset(void); /* a root row, without bridges; frees what there was */
void rows_set(const char *table, unsigned int number, const char *fields); /* changes columns */
void rows_bridge(unsigned int number, const char *name); /* of datapath_type sluice */
/* An Interface, and the Port of the same number and name for it on a bridge. */
void rows_port(unsigned int bridge, unsigned int number, const char *name, const char *interface,
	       const char *port);
void rows_delete_port(unsigned int bridge, unsigned int number);
const char *rows_uuid(unsigned int number);
const json_t *rows_row(const char *table, unsigned int number);

/* Carries out operations of a transaction, and frees them; how many there were. */
size_t rows_commit(json_t *operations);

#endif
