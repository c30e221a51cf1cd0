/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/event.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

/* Events and MACs wait apart: a flood of unknown senders must not push a port's events out. */
#define EVENT_RING_SIZE 4096
#define EVENT_MAC_RING_SIZE 1024

static struct {
	struct rte_ring *ring; /* of struct dp_event */
	struct rte_ring *mac_ring; /* of struct event_mac */
	int fd; /* an eventfd, */
	int epoll_fd; /* which is watched with those of event_watch() */
	uint64_t mac_wake_cycles; /* of a millisecond */
	_Atomic uint64_t mac_woken_tsc; /* when a sender woke the reader last; writers: lcores */
	_Atomic bool woken; /* the fd is readable, or about to be */
	_Atomic bool lost; /* there was no room for an event */
} event = {.fd = -1, .epoll_fd = -1};

static int64_t
event_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int
event_create(void)
{
	event.ring = rte_ring_create_elem("event", sizeof(struct dp_event), EVENT_RING_SIZE,
					  SOCKET_ID_ANY, RING_F_SC_DEQ);
	event.mac_ring = rte_ring_create_elem("event_mac", sizeof(struct event_mac),
					      EVENT_MAC_RING_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
	event.mac_wake_cycles = rte_get_tsc_hz() / 1000;
	event.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	event.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (event.ring == NULL || event.mac_ring == NULL || event.fd < 0 || event.epoll_fd < 0) {
		event_destroy();
		return -ENOMEM;
	}
	event_watch(event.fd, EPOLLIN);
	return 0;
}

void
event_destroy(void)
{
	rte_ring_free(event.ring);
	rte_ring_free(event.mac_ring);
	event.ring = NULL;
	event.mac_ring = NULL;
	if (event.fd >= 0)
		close(event.fd);
	event.fd = -1;
	if (event.epoll_fd >= 0)
		close(event.epoll_fd);
	event.epoll_fd = -1;
}

int
event_fd(void)
{
	return event.epoll_fd;
}

void
event_watch(int fd, uint32_t events)
{
	struct epoll_event what = {.events = events, .data.fd = fd};

	if (epoll_ctl(event.epoll_fd, EPOLL_CTL_MOD, fd, &what) < 0)
		epoll_ctl(event.epoll_fd, EPOLL_CTL_ADD, fd, &what);
}

void
event_ignore(int fd)
{
	epoll_ctl(event.epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void
event_wake(void)
{
	if (!atomic_exchange(&event.woken, true))
		eventfd_write(event.fd, 1);
}

void
event_post(enum dp_event_type type, uint16_t port, uint64_t value)
{
	struct dp_event ev = {
		.type = type,
		.port = port,
		.value = value,
		.time_ns = event_now_ns(),
	};

	if (rte_ring_mp_enqueue_elem(event.ring, &ev, sizeof(ev)) != 0)
		atomic_store(&event.lost, true);
	event_wake();
}

void
event_post_mac(uint16_t bridge, uint64_t fdb_key, uint16_t port)
{
	struct event_mac mac = {.bridge = bridge, .port = port, .fdb_key = fdb_key};

	uint64_t now = rte_rdtsc();

	if (rte_ring_mp_enqueue_elem(event.mac_ring, &mac, sizeof(mac)) != 0)
		return;
	if (now - event.mac_woken_tsc > event.mac_wake_cycles) {
		event.mac_woken_tsc = now;
		event_wake();
	}
}

void
event_discard_macs(uint16_t port)
{
	unsigned int n = rte_ring_count(event.mac_ring);
	struct event_mac mac;

	while (n-- > 0 && rte_ring_sc_dequeue_elem(event.mac_ring, &mac, sizeof(mac)) == 0) {
		if (mac.port != port)
			rte_ring_mp_enqueue_elem(event.mac_ring, &mac, sizeof(mac));
	}
}

bool
event_were_lost(void)
{
	return atomic_exchange(&event.lost, false);
}

enum event_kind
event_take(struct dp_event *ev, struct event_mac *mac)
{
	bool again = false;
	eventfd_t n;

	for (;;) {
		if (rte_ring_sc_dequeue_elem(event.ring, ev, sizeof(*ev)) == 0)
			return EVENT_UP;
		if (rte_ring_sc_dequeue_elem(event.mac_ring, mac, sizeof(*mac)) == 0)
			return EVENT_MAC;
		if (again)
			return EVENT_NONE;
		/* Arm the wake-up first, then look once more: what was posted between the two
		 * looks either is found by the second or has made the fd readable. */
		eventfd_read(event.fd, &n);
		atomic_store(&event.woken, false);
		again = true;
	}
}
