/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_PRINT_H
#define CONTROL_CTL_PRINT_H

#include <jansson.h>
#include <stdint.h>

#include "control/ctl_args.h"
#include "control/ctl_table.h"

/*
 * Results for people. Each printer takes what it knows out of a result and shows "-" for what is
 * not there, so that an older or a newer sluiced is no accident.
 */

/* The result of a request, in the form that fits its method. */
void ctl_print_result(const struct ctl_screen *screen, const struct ctl_request *request,
		      const json_t *result);

/* As it came, for programs; with indents on a terminal, unless `one_line`. */
void ctl_print_json(FILE *out, const json_t *value, bool one_line);

/* A JSON value as one line, for people: lists with commas, objects as key=value. Freed by the
 * caller. */
char *ctl_print_value(const json_t *value);

/* A value of an object, as ctl_print_value() shows it. "-": not there. Freed by the caller. */
char *ctl_print_field(const json_t *object, const char *key);

/* A number of an object, 0 if it is not there; counters are exact as integers only. */
uint64_t ctl_print_count(const json_t *object, const char *key);
double ctl_print_number(const json_t *object, const char *key);

/* Drops by reason in words, "ring_full 12, mtu 3": those that are not 0, or `all`. Freed by the caller. */
char *ctl_print_reasons(const json_t *by, bool all);

/* A line of a card: the key, blanks for its '_', and the value, escaped and wrapped. */
void ctl_print_line(const struct ctl_screen *screen, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* VLANs of a port or an uplink: "100", "trunk 10-20", "all". Freed by the caller. */
char *ctl_print_vlans(const json_t *port);

enum ctl_colour ctl_print_state_colour(const char *state);
enum ctl_colour ctl_print_busy_colour(double busy_percent);

/* ctl_print_port.c */
void ctl_print_port_list(const struct ctl_screen *screen, const struct ctl_request *request,
			 const json_t *result);
void ctl_print_port_card(const struct ctl_screen *screen, const struct ctl_request *request,
			 const json_t *result);
void ctl_print_port_stats(const struct ctl_screen *screen, const struct ctl_request *request,
			  const json_t *result);
void ctl_print_uplink_list(const struct ctl_screen *screen, const struct ctl_request *request,
			   const json_t *result);

/* ctl_print_migration.c */
void ctl_print_verdict(const struct ctl_screen *screen, const struct ctl_request *request,
		       const json_t *result);
void ctl_print_map(const struct ctl_screen *screen, const struct ctl_request *request,
		   const json_t *result);
void ctl_print_domain(const struct ctl_screen *screen, const struct ctl_request *request,
		      const json_t *result);

/* ctl_print_offering.c */
void ctl_print_resolved(const struct ctl_screen *screen, const struct ctl_request *request,
			const json_t *result);
void ctl_print_interface(const struct ctl_screen *screen, const struct ctl_request *request,
			 const json_t *result);
void ctl_print_pieces(const struct ctl_screen *screen, const struct ctl_request *request,
		      const json_t *result);

/* ctl_print_ovsdb.c */
void ctl_print_ovsdb(const struct ctl_screen *screen, const struct ctl_request *request,
		     const json_t *result);

/* ctl_print_numa.c */
void ctl_print_lcore_list(const struct ctl_screen *screen, const struct ctl_request *request,
			  const json_t *result);
void ctl_print_numa(const struct ctl_screen *screen, const struct ctl_request *request,
		    const json_t *result);

/* ctl_print_rebalance.c */
void ctl_print_rebalance(const struct ctl_screen *screen, const struct ctl_request *request,
			 const json_t *result);

/* ctl_print_host.c */
void ctl_print_capabilities(const struct ctl_screen *screen, const struct ctl_request *request,
			    const json_t *result);
void ctl_print_version(const struct ctl_screen *screen, const struct ctl_request *request,
		       const json_t *result);

#endif
