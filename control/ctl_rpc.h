/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_RPC_H
#define CONTROL_CTL_RPC_H

#include <jansson.h>
#include <stdint.h>

#include "numa/err.h"

/*
 * sluicectl's end of the control socket: one request at a time, and notifications.
 *
 * Whatever goes wrong between the two programs is -errno with err->code "unreachable" and a
 * sentence that names the socket, the cause and the remedy. A refusal is no failure here: it is an
 * answer with an "error" in it.
 */
struct ctl_rpc {
	int fd;
	int stop_fd; /* when it is readable ctl_rpc_next() ends with -EINTR; -1: none */
	const char *path;
	char *buf; /* received, not yet taken */
	size_t len, size;
	json_int_t last_id;
};

/* `path` must outlive the connection. May wait: timeout_ms, where sluiced accepts nobody. */
int ctl_rpc_open(struct ctl_rpc *rpc, const char *path, int timeout_ms, struct err *err);
void ctl_rpc_close(struct ctl_rpc *rpc);

/*
 * Sends a request and waits for its answer; notifications before it are passed over. `params` may
 * be NULL; it stays the caller's. The caller owns *answer, an object with "result" or "error".
 */
int ctl_rpc_call(struct ctl_rpc *rpc, const char *method, json_t *params, int timeout_ms,
		 json_t **answer, struct err *err);

/* As ctl_rpc_call(), for who wants no more of a refusal than its sentence and code: -EREMOTEIO. */
int ctl_rpc_result(struct ctl_rpc *rpc, const char *method, json_t *params, int timeout_ms,
		   json_t **result, struct err *err);

/* Waits for the next notification, for ever, or until stop_fd. The caller owns *message. */
int ctl_rpc_next(struct ctl_rpc *rpc, json_t **message, struct err *err);

#endif
