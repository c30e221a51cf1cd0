/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest's UDP traffic with sequence numbers, and one line of JSON about it.
 *
 *	guestagent echo PORT				gives back whatever comes, for ever
 *	guestagent send ADDRESS PORT PPS SECONDS [BYTES]	to an echo; reports what came back
 *	guestagent sink PORT				takes what comes, and reports to who asks
 *	guestagent source ADDRESS PORT PPS [BYTES]	sends until SIGTERM, and reports how much
 *
 * Lost, duplicate and corrupt answers, the longest time without an answer, and the round trip.
 * A plain program without libraries, linked statically: it runs beside busybox only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BYTES_MAX 8192
#define BYTES_DEFAULT 64
#define RECEIVE_BYTES (4 << 20) /* a guest that was not scheduled for a while loses nothing here */
#define LATE_NS 1000000000LL /* how long to wait for answers after the last frame was sent */
#define SINK_FRAMES_MAX (1 << 24)
#define SINK_RANGES_MAX 8
#define SINK_ASK UINT64_MAX /* number of a datagram that asks a sink for its report */

struct probe {
	uint64_t seq;
	int64_t sent_ns;
};

struct report {
	uint64_t sent, received, duplicates, corrupt, send_errors;
	int64_t last_ns, longest_gap_ns;
	int64_t rtt_min_ns, rtt_max_ns, rtt_sum_ns;
};

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static unsigned long
number(const char *text, unsigned long max)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value > max) {
		fprintf(stderr, "guestagent: \"%s\" is not a number up to %lu\n", text, max);
		exit(2);
	}
	return value;
}

static int
udp_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int bytes = RECEIVE_BYTES;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) {
		perror("guestagent: socket");
		exit(1);
	}
	return fd;
}

/* The byte that belongs at `at` of probe `seq`: a frame cut, moved or mixed does not pass. */
static uint8_t
pattern(uint64_t seq, size_t at)
{
	return (uint8_t)(seq * 31 + at * 7);
}

static int
echo(uint16_t port)
{
	struct sockaddr_in from, here = {.sin_family = AF_INET, .sin_port = htons(port)};
	static uint8_t buffer[BYTES_MAX];
	int fd = udp_socket();

	if (bind(fd, (struct sockaddr *)&here, sizeof(here)) != 0) {
		perror("guestagent: bind");
		return 1;
	}
	for (;;) {
		socklen_t from_size = sizeof(from);
		ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from,
				     &from_size);

		if (n >= 0)
			sendto(fd, buffer, n, 0, (struct sockaddr *)&from, from_size);
	}
}

static void
send_probe(int fd, const struct sockaddr_in *to, size_t bytes, struct report *report)
{
	static uint8_t buffer[BYTES_MAX];
	struct probe probe = {.seq = report->sent, .sent_ns = now_ns()};

	memcpy(buffer, &probe, sizeof(probe));
	for (size_t i = sizeof(probe); i < bytes; i++)
		buffer[i] = pattern(probe.seq, i);
	if (sendto(fd, buffer, bytes, 0, (const struct sockaddr *)to, sizeof(*to)) < 0)
		report->send_errors++;
	report->sent++;
}

static void
take_answer(int fd, uint8_t *seen, size_t bytes, struct report *report)
{
	static uint8_t buffer[BYTES_MAX];
	struct probe probe;
	ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
	int64_t now = now_ns(), rtt;

	if (n < 0)
		return;
	memcpy(&probe, buffer, sizeof(probe));
	if ((size_t)n != bytes || probe.seq >= report->sent) {
		report->corrupt++;
		return;
	}
	for (size_t i = sizeof(probe); i < bytes; i++) {
		if (buffer[i] != pattern(probe.seq, i)) {
			report->corrupt++;
			return;
		}
	}
	if (seen[probe.seq]) {
		report->duplicates++;
		return;
	}
	seen[probe.seq] = 1;
	rtt = now - probe.sent_ns;
	if (report->received == 0 || rtt < report->rtt_min_ns)
		report->rtt_min_ns = rtt;
	if (rtt > report->rtt_max_ns)
		report->rtt_max_ns = rtt;
	report->rtt_sum_ns += rtt;
	if (now - report->last_ns > report->longest_gap_ns)
		report->longest_gap_ns = now - report->last_ns;
	report->last_ns = now;
	report->received++;
}

/* What a sink has got. */
struct sunk {
	uint8_t *seen; /* by number */
	uint64_t next; /* highest number + 1 */
	uint64_t received, duplicates, reordered, corrupt;
};

static void
sink_take(struct sunk *sunk, const uint8_t *data, size_t bytes)
{
	struct probe probe;

	memcpy(&probe, data, sizeof(probe));
	for (size_t i = sizeof(probe); i < bytes; i++) {
		if (data[i] != pattern(probe.seq, i)) {
			sunk->corrupt++;
			return;
		}
	}
	if (bytes < sizeof(probe) || probe.seq >= SINK_FRAMES_MAX) {
		sunk->corrupt++;
	} else if (sunk->seen[probe.seq]) {
		sunk->duplicates++;
	} else {
		sunk->seen[probe.seq] = 1;
		sunk->received++;
		sunk->reordered += probe.seq < sunk->next;
		if (probe.seq >= sunk->next)
			sunk->next = probe.seq + 1;
	}
}

/* "[[FIRST, LAST], ...]" of what is missing before the newest, the first few. */
static int
sink_missing(const struct sunk *sunk, char *text, size_t size)
{
	int len = snprintf(text, size, "["), n = 0;

	for (uint64_t first = 0; first < sunk->next && n < SINK_RANGES_MAX; first++) {
		uint64_t end = first;

		while (end < sunk->next && !sunk->seen[end])
			end++;
		if (end == first)
			continue;
		len += snprintf(text + len, size - len, "%s[%llu, %llu]", n++ > 0 ? ", " : "",
				(unsigned long long)first, (unsigned long long)end - 1);
		first = end;
	}
	return len + snprintf(text + len, size - len, "]");
}

static int
sink_report(const struct sunk *sunk, char *text, size_t size)
{
	int len = snprintf(text, size,
			   "{\"received\": %llu, \"duplicates\": %llu, \"reordered\": %llu, "
			   "\"corrupt\": %llu, \"missing\": ",
			   (unsigned long long)sunk->received, (unsigned long long)sunk->duplicates,
			   (unsigned long long)sunk->reordered, (unsigned long long)sunk->corrupt);

	len += sink_missing(sunk, text + len, size - len);
	return len + snprintf(text + len, size - len, "}");
}

static int
sink(uint16_t port)
{
	struct sockaddr_in from, here = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sunk sunk = {.seen = calloc(SINK_FRAMES_MAX, 1)}; /* pages come with use */
	static uint8_t buffer[BYTES_MAX];
	int fd = udp_socket();

	if (sunk.seen == NULL || bind(fd, (struct sockaddr *)&here, sizeof(here)) != 0) {
		perror("guestagent: sink");
		return 1;
	}
	for (;;) {
		socklen_t from_size = sizeof(from);
		ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from,
				     &from_size);
		const uint64_t ask = SINK_ASK;
		char text[1024];

		if (n < 0)
			continue;
		if (memcmp(buffer, &ask, sizeof(ask)) != 0)
			sink_take(&sunk, buffer, n);
		else
			sendto(fd, text, sink_report(&sunk, text, sizeof(text)), 0,
			       (struct sockaddr *)&from, from_size);
	}
}

static volatile sig_atomic_t ended;

static void
on_term(int number)
{
	(void)number;
	ended = 1;
}

static int
source(const char *address, uint16_t port, unsigned long pps, size_t bytes)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = udp_socket();
	int64_t start = now_ns();
	struct report r = {0};

	signal(SIGTERM, on_term);
	if (inet_pton(AF_INET, address, &to.sin_addr) != 1) {
		fprintf(stderr, "guestagent: bad address \"%s\"\n", address);
		return 2;
	}
	while (!ended) {
		while (!ended && now_ns() >= start + (int64_t)(r.sent * 1000000000ULL / pps))
			send_probe(fd, &to, bytes, &r);
		poll(NULL, 0, 1);
	}
	printf("{\"sent\": %llu, \"send_errors\": %llu}\n", (unsigned long long)r.sent,
	       (unsigned long long)r.send_errors);
	return 0;
}

static int
send_probes(const char *address, uint16_t port, unsigned long pps, unsigned long seconds,
	    size_t bytes)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	uint64_t wanted = (uint64_t)pps * seconds;
	uint8_t *seen = calloc(wanted, 1);
	int fd = udp_socket();
	int64_t start, end;
	struct report r = {0};

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1 || seen == NULL) {
		fprintf(stderr, "guestagent: bad address \"%s\", or no memory\n", address);
		return 2;
	}
	r.last_ns = start = now_ns();
	end = start + (int64_t)seconds * 1000000000LL;
	while (r.received < wanted && now_ns() < end + LATE_NS) {
		struct pollfd pollfd = {.fd = fd, .events = POLLIN};

		while (r.sent < wanted &&
		       now_ns() >= start + (int64_t)(r.sent * 1000000000ULL / pps))
			send_probe(fd, &to, bytes, &r);
		if (poll(&pollfd, 1, 1) > 0)
			take_answer(fd, seen, bytes, &r);
	}
	if (now_ns() < end + LATE_NS) /* all came: the wait for late ones is no gap */
		end = r.last_ns;
	if (end - r.last_ns > r.longest_gap_ns)
		r.longest_gap_ns = end - r.last_ns;
	printf("{\"sent\": %llu, \"received\": %llu, \"lost\": %llu, \"duplicates\": %llu, "
	       "\"corrupt\": %llu, \"send_errors\": %llu, \"longest_gap_ms\": %.1f, "
	       "\"rtt_min_us\": %lld, \"rtt_mean_us\": %lld, \"rtt_max_us\": %lld}\n",
	       (unsigned long long)r.sent, (unsigned long long)r.received,
	       (unsigned long long)(r.sent - r.received), (unsigned long long)r.duplicates,
	       (unsigned long long)r.corrupt, (unsigned long long)r.send_errors,
	       r.longest_gap_ns / 1e6, (long long)r.rtt_min_ns / 1000,
	       (long long)(r.received ? r.rtt_sum_ns / (int64_t)r.received / 1000 : 0),
	       (long long)r.rtt_max_ns / 1000);
	free(seen);
	return 0;
}

static size_t
frame_bytes(const char *text)
{
	size_t bytes = text == NULL ? BYTES_DEFAULT : number(text, BYTES_MAX);

	return bytes < sizeof(struct probe) ? sizeof(struct probe) : bytes;
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "echo") == 0)
		return echo((uint16_t)number(argv[2], UINT16_MAX));
	if ((argc == 6 || argc == 7) && strcmp(argv[1], "send") == 0)
		return send_probes(argv[2], (uint16_t)number(argv[3], UINT16_MAX),
				   number(argv[4], 100000) ?: 1, number(argv[5], 3600),
				   frame_bytes(argv[6]));
	if (argc == 3 && strcmp(argv[1], "sink") == 0)
		return sink((uint16_t)number(argv[2], UINT16_MAX));
	if ((argc == 5 || argc == 6) && strcmp(argv[1], "source") == 0)
		return source(argv[2], (uint16_t)number(argv[3], UINT16_MAX),
			      number(argv[4], 100000) ?: 1, frame_bytes(argv[5]));
	fprintf(stderr, "usage: guestagent echo PORT | send ADDRESS PORT PPS SECONDS [BYTES] | "
			"sink PORT | source ADDRESS PORT PPS [BYTES]\n");
	return 2;
}
