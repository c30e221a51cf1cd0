/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/ctl_args.h"
#include "control/ctl_rpc.h"
#include "control/ctl_text.h"
#include "control/libvirt_domain.h"
#include "control/libvirt_ports.h"

/*
 * libvirt runs this at each turn of a guest's life, with the domain on the standard input, and waits
 * for it. It must not call libvirt, and says nothing on the standard output, where libvirt would look
 * for another domain. sluice-libvirt-hook(8) has the rest.
 */

#define XML_BYTES_MAX (16 << 20) /* libvirt's own messages are smaller */
#define READ_TIMEOUT_MS 10000 /* between two pieces */
#define CONNECT_TIMEOUT_MS 5000

enum {
	EXIT_DONE,
	EXIT_REFUSED,
	EXIT_USAGE
};

/* A turn at which there is something to do. */
struct turn {
	const char *operation;
	bool attaches, incoming;
};

static const struct turn turns[] = {
	{"prepare", true, false},
	{"migrate", true, true}, /* on the host that the guest comes to, before prepare */
	{"release", false, false}, /* also after a start or a migration that failed */
};

static const struct turn *
find_turn(const char *operation)
{
	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++)
		if (!strcmp(turns[i].operation, operation))
			return &turns[i];
	return NULL;
}

/* All of the standard input, for the caller to free(); NULL with *err set. */
static char *
read_all(size_t *len, struct err *err)
{
	struct pollfd in = {STDIN_FILENO, POLLIN, 0};
	char *text = NULL;
	size_t size = 0;
	ssize_t n;

	*len = 0;
	do {
		if (*len == size) {
			char *more = size < XML_BYTES_MAX ? realloc(text, size + (1 << 20)) : NULL;

			if (!more) {
				err_set(err, EMSGSIZE, "bad-xml", "xml has more than %d MiB",
					XML_BYTES_MAX >> 20);
				goto fail;
			}
			text = more;
			size += 1 << 20;
		}
		if (poll(&in, 1, READ_TIMEOUT_MS) == 0) {
			err_set(err, ETIMEDOUT, "bad-xml",
				"xml does not end: the standard input must"
				" be libvirt's XML of the domain");
			goto fail;
		}
		n = read(STDIN_FILENO, text + *len, size - *len);
		if (n < 0 && errno != EINTR) {
			err_set(err, errno, "bad-xml", "cannot read the standard input: %s",
				strerror(errno));
			goto fail;
		}
		*len += n > 0 ? n : 0;
	} while (n != 0);
	return text;

fail:
	free(text);
	return NULL;
}

/* For a domain that is ours. */
static int
serve(const struct turn *turn, const struct libvirt_domain *domain, const char *control,
      struct err *err)
{
	json_t *ports = NULL;
	struct ctl_rpc rpc;
	int rc;

	if (turn->attaches) {
		ports = libvirt_domain_ports(domain, turn->incoming, err);
		if (!ports)
			return -EINVAL;
	}
	rc = ctl_rpc_open(&rpc, control, CONNECT_TIMEOUT_MS, err);
	if (rc == 0 && turn->attaches)
		rc = libvirt_ports_attach(&rpc, ports, err);
	else if (rc == 0)
		rc = libvirt_ports_detach(&rpc, domain->owner, err);
	ctl_rpc_close(&rpc);
	json_decref(ports);
	return rc;
}

static int
run(const struct turn *turn, const char *control, struct err *err)
{
	struct libvirt_domain domain = {0};
	size_t len;
	char *text = read_all(&len, err);
	int rc = text ? libvirt_domain_read(&domain, text, len, err) : -EINVAL;

	if (rc == 0 && domain.ports)
		rc = serve(turn, &domain, control, err);
	libvirt_domain_free(&domain);
	free(text);
	return rc;
}

int
main(int argc, char **argv)
{
	const char *control = ctl_args_default_control();
	const struct turn *turn;
	struct err err = {0};
	char *text;
	int option;

	setlocale(LC_CTYPE, "C.UTF-8");
	opterr = 0;
	while ((option = getopt(argc, argv, "+s:")) == 's')
		control = optarg;
	if (option != -1 || argc - optind < 2) {
		fprintf(stderr, "usage: %s [-s SOCKET] DOMAIN OPERATION [SUBOPERATION EXTRA]\n",
			argv[0]);
		return EXIT_USAGE;
	}
	turn = find_turn(argv[optind + 1]);
	if (!turn || run(turn, control, &err) == 0)
		return EXIT_DONE;
	text = ctl_text_format("%.256s: %s", argv[optind], err.message);
	argv[0] = ctl_text_safe(text);
	fprintf(stderr, "sluice: %s\n", argv[0]);
	free(argv[0]);
	free(text);
	return EXIT_REFUSED;
}
