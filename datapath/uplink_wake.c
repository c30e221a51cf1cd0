/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/uplink_wake.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <rte_ethdev.h>

#include "datapath/doze.h"

/* Whether it is a packet socket of the interface. */
static bool
uplink_wake_is_packet_socket(int fd, unsigned int if_index)
{
	struct sockaddr_ll addr = {0};
	socklen_t size = sizeof(addr);

	return getsockname(fd, (struct sockaddr *)&addr, &size) == 0 &&
	       addr.sll_family == AF_PACKET && (unsigned int)addr.sll_ifindex == if_index;
}

/* Of all packet sockets the kernel has a list, in which a new one comes last. */
void
uplink_wake_sort(int *fd, uint16_t n)
{
	FILE *list = fopen("/proc/thread-self/net/packet", "re");
	uint16_t done = 0, i;
	unsigned long inode;
	struct stat status;
	char line[256];

	while (list != NULL && done < n && fgets(line, sizeof(line), list) != NULL) {
		const char *last = strrchr(line, ' ');

		inode = last != NULL ? strtoul(last, NULL, 10) : 0;
		for (i = done; i < n; i++) {
			int it = fd[i];

			if (fstat(it, &status) != 0 || status.st_ino != inode)
				continue;
			fd[i] = fd[done];
			fd[done++] = it;
			break;
		}
	}
	if (list != NULL)
		fclose(list);
}

/* The driver keeps its sockets to itself: one a queue, opened in their order. */
static void
uplink_wake_find_sockets(struct uplink_wake *w, unsigned int if_index)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int found[DP_QUEUES_MAX];
	uint16_t n = 0;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		int fd = entry->d_name[0] == '.' ? -1 : atoi(entry->d_name);

		if (fd < 0 || !uplink_wake_is_packet_socket(fd, if_index))
			continue;
		if (n < DP_QUEUES_MAX)
			found[n] = fd;
		n++;
	}
	closedir(dir);
	/* More than queues: another uplink is on the same interface, and which are whose? */
	if (n != w->n_rx)
		return;
	uplink_wake_sort(found, n);
	memcpy(w->fd, found, n * sizeof(found[0]));
}

void
uplink_wake_open(struct uplink_wake *w, uint16_t dev, uint16_t n_rx, bool interrupts)
{
	struct rte_eth_dev_info info;
	uint16_t i;

	*w = (struct uplink_wake){.dev = dev, .n_rx = n_rx, .interrupts = interrupts};
	for (i = 0; i < DP_QUEUES_MAX; i++)
		w->fd[i] = interrupts && i < n_rx ? rte_eth_dev_rx_intr_ctl_q_get_fd(dev, i) : -1;
	if (rte_eth_dev_info_get(dev, &info) != 0 || strcmp(info.driver_name, "net_af_packet") != 0)
		return;
	w->interrupts = false; /* it was asked for them, and did not say that it has none */
	uplink_wake_find_sockets(w, info.if_index);
}

void
uplink_wake_close(struct uplink_wake *w)
{
	uint16_t i;

	for (i = 0; i < w->n_rx; i++) {
		if (w->watched_on[i] != 0)
			doze_ignore(w->watched_on[i], w->fd[i]);
	}
}

/* Of what lies in the ring of a packet socket the kernel sends what it has room for, and the rest when it is asked
 * again: not later than now, then. An interface that is down or gone has nothing to send for. */
static bool
uplink_wake_flush(int fd)
{
	return sendto(fd, NULL, 0, MSG_DONTWAIT, NULL, 0) == 0 || errno == ENETDOWN ||
	       errno == ENXIO;
}

bool
uplink_wake_arm(struct uplink_wake *w, uint16_t rxq, unsigned int lcore)
{
	if (rxq >= w->n_rx)
		return true;
	if (w->fd[rxq] < 0)
		return false;
	if (w->watched_on[rxq] != lcore) {
		/* The queue was another lcore's before. */
		if (w->watched_on[rxq] != 0)
			doze_ignore(w->watched_on[rxq], w->fd[rxq]);
		w->watched_on[rxq] = 0;
		if (!doze_watch(lcore, w->fd[rxq]))
			return false;
		w->watched_on[rxq] = (uint8_t)lcore;
	}
	if (!w->interrupts && !uplink_wake_flush(w->fd[rxq]))
		return false;
	if (w->interrupts && !w->armed[rxq] && rte_eth_dev_rx_intr_enable(w->dev, rxq) != 0)
		return false;
	w->armed[rxq] = true;
	return true;
}

void
uplink_wake_disarm(struct uplink_wake *w, uint16_t rxq)
{
	if (rxq >= w->n_rx || !w->armed[rxq])
		return;
	if (w->interrupts)
		rte_eth_dev_rx_intr_disable(w->dev, rxq);
	w->armed[rxq] = false;
}
