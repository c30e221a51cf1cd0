/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/fake_vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "datapath/rcu.h"
#include <rte_vhost.h>

#define FAKE_SOCKETS 8
#define FAKE_VIDS 16

#define FAKE_RING_ROOM 0x1000 /* in the guest's memory, for each */
#define FAKE_USED 0x300

struct fake_vhost fake;
static uint8_t fake_memory[2][FAKE_MEMORY_BYTES] __attribute__((aligned(FAKE_RING_ROOM)));

static struct fake_socket {
	char path[DP_PATH_SIZE]; /* "": free */
	int fd;
	bool client;
} sockets[FAKE_SOCKETS];

static struct fake_conn {
	struct fake_socket *socket; /* NULL: no such vid */
	int fd;
} conns[FAKE_VIDS];

static const struct rte_vhost_device_ops *ops;
static const struct rte_vhost_user_extern_ops *message_ops;

/* What the linker puts in front of librte_vhost and of our own. */
int __wrap_rte_vhost_driver_register(const char *path, uint64_t flags);
int __wrap_rte_vhost_driver_unregister(const char *path);
int __wrap_rte_vhost_driver_start(const char *path);
int __wrap_rte_vhost_driver_get_features(const char *path, uint64_t *features);
int __wrap_rte_vhost_driver_disable_features(const char *path, uint64_t features);
int __wrap_rte_vhost_driver_set_protocol_features(const char *path, uint64_t features);
int __wrap_rte_vhost_driver_callback_register(const char *path,
					      const struct rte_vhost_device_ops *device_ops);
int __wrap_rte_vhost_get_ifname(int vid, char *buf, size_t len);
int __wrap_rte_vhost_get_negotiated_features(int vid, uint64_t *features);
uint16_t __wrap_rte_vhost_get_vring_num(int vid);
long __wrap_get_mempolicy(int *node, unsigned long *mask, unsigned long max, void *at,
			  unsigned int flags);
long __wrap_move_pages(int pid, unsigned long n, void **at, const int *to, int *status, int flags);
int __wrap_rte_vhost_get_vhost_vring(int vid, uint16_t vring, struct rte_vhost_vring *out);
int __wrap_rte_vhost_get_vring_base(int vid, uint16_t vring, uint16_t *avail, uint16_t *used);
int __wrap_rte_vhost_set_vring_base(int vid, uint16_t vring, uint16_t avail, uint16_t used);
int __wrap_rte_vhost_get_mem_table(int vid, struct rte_vhost_memory **table);
int __wrap_rte_vhost_enable_guest_notification(int vid, uint16_t vring, int enable);
int __wrap_rte_vhost_extern_callback_register(int vid, const struct rte_vhost_user_extern_ops *o,
					      void *ctx);
void __wrap_rcu_synchronize(void);
void *__wrap_rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int node);
void __wrap_rte_free(void *p);
void __wrap_event_post(enum dp_event_type type, uint16_t port, uint64_t value);
void __wrap_vhost_doorbell_ring(void);

static void
fake_happened(const char *what)
{
	size_t len = strlen(fake.log), n = strlen(what);

	/* Waiting twice is waiting. */
	if (len >= n && strcmp(what, "grace") == 0 && strcmp(fake.log + len - n, what) == 0)
		return;

	snprintf(fake.log + len, sizeof(fake.log) - len, "%s%s", len > 0 ? " " : "", what);
}

const char *
fake_log(void)
{
	static char log[sizeof(fake.log)];

	strcpy(log, fake.log);
	fake.log[0] = '\0';
	return log;
}

void
fake_map(unsigned int which)
{
	unsigned int i;

	fake.memory = fake_memory[which];
	for (i = 0; i < FAKE_RINGS; i++) {
		uint8_t *at = fake.memory + i * FAKE_RING_ROOM;

		fake.ring[i].desc = (struct vring_desc *)at;
		fake.ring[i].avail = (struct vring_avail *)(at + FAKE_RING_SIZE * 16);
		fake.ring[i].used = (struct vring_used *)(at + FAKE_USED);
		fake.ring[i].size = FAKE_RING_SIZE;
		fake.ring[i].log_guest_addr = FAKE_MEMORY_ADDR + i * FAKE_RING_ROOM + FAKE_USED;
	}
}

unsigned int
fake_live(void)
{
	unsigned int live = 0, i;

	for (i = 0; fake.watched->ring != NULL && i < 2U * fake.watched->base.n_queues; i++)
		live |= (unsigned int)fake.watched->ring[i].live << i;
	return live;
}

void
fake_reset(void)
{
	int i;

	memset(&fake, 0, sizeof(fake));
	fake.library_features = UINT64_MAX;
	fake.rings = 2;
	fake_map(0);
	for (i = 0; i < FAKE_RINGS; i++)
		fake.ring[i].callfd = fake.ring[i].kickfd = -1;
	for (i = 0; i < FAKE_VIDS; i++)
		conns[i] = (struct fake_conn){.fd = -1};
}

const struct rte_vhost_device_ops *
fake_ops(void)
{
	return ops;
}

const struct rte_vhost_user_extern_ops *
fake_message_ops(void)
{
	return message_ops;
}

static struct fake_socket *
find_socket(const char *path)
{
	int i;

	for (i = 0; i < FAKE_SOCKETS; i++)
		if (strcmp(sockets[i].path, path) == 0)
			return &sockets[i];
	return NULL;
}

static struct sockaddr_un
address(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	return un;
}

/* As the library's: a refused connection is closed. */
static int
add_connection(struct fake_socket *s, int fd, int vid)
{
	conns[vid] = (struct fake_conn){.socket = s, .fd = fd};
	if (ops->new_connection(vid) == 0)
		return 0;
	conns[vid].socket = NULL;
	close(fd);
	return -1;
}

int
fake_arrive(const char *path, int vid)
{
	struct sockaddr_un un = address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int i;

	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) != 0)
		abort();
	for (i = 0; i < FAKE_SOCKETS; i++) {
		int accepted;

		if (sockets[i].path[0] == '\0' || sockets[i].client)
			continue;
		accepted = accept4(sockets[i].fd, NULL, NULL, SOCK_NONBLOCK);
		if (accepted >= 0 && add_connection(&sockets[i], accepted, vid) == 0)
			return fd;
	}
	close(fd);
	return -1;
}

int
fake_fd(int vid)
{
	return conns[vid].fd;
}

void
fake_leave(int vid)
{
	close(conns[vid].fd);
	ops->destroy_device(vid);
	ops->destroy_connection(vid);
	conns[vid].socket = NULL;
}

int
__wrap_rte_vhost_driver_register(const char *path, uint64_t flags)
{
	struct fake_socket *s = find_socket("");

	if (s == NULL)
		return -1;
	snprintf(s->path, sizeof(s->path), "%s", path);
	s->client = flags & RTE_VHOST_USER_CLIENT;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	fake.registered++;
	return 0;
}

int
__wrap_rte_vhost_driver_unregister(const char *path)
{
	struct fake_socket *s = find_socket(path);
	int vid;

	if (s == NULL)
		return -1;
	for (vid = 0; vid < FAKE_VIDS; vid++) {
		if (conns[vid].socket != s)
			continue;
		close(conns[vid].fd);
		ops->destroy_device(vid);
		conns[vid].socket = NULL;
	}
	if (!s->client) {
		close(s->fd);
		unlink(path);
	}
	s->path[0] = '\0';
	fake.registered--;
	fake_happened("unregistered");
	return 0;
}

int
__wrap_rte_vhost_driver_start(const char *path)
{
	struct fake_socket *s = find_socket(path);
	struct sockaddr_un un = address(path);

	if (fake.made_during_start != NULL)
		close(open(fake.made_during_start, O_CREAT | O_RDONLY, 0600));
	if (s->client) {
		if (connect(s->fd, (struct sockaddr *)&un, sizeof(un)) == 0) {
			add_connection(s, s->fd, fake.client_vid);
			return 0;
		}
	} else if (!fake.start_fails && bind(s->fd, (struct sockaddr *)&un, sizeof(un)) == 0 &&
		   listen(s->fd, 8) == 0) {
		return 0;
	}
	close(s->fd);
	return -1;
}

int
__wrap_rte_vhost_driver_get_features(const char *path, uint64_t *features)
{
	*features = fake.library_features;
	return find_socket(path) != NULL ? 0 : -1;
}

int
__wrap_rte_vhost_driver_disable_features(const char *path, uint64_t features)
{
	fake.disabled = features;
	return find_socket(path) != NULL ? 0 : -1;
}

int
__wrap_rte_vhost_driver_set_protocol_features(const char *path, uint64_t features)
{
	fake.protocol_features = features;
	return find_socket(path) != NULL ? 0 : -1;
}

int
__wrap_rte_vhost_driver_callback_register(const char *path,
					  const struct rte_vhost_device_ops *device_ops)
{
	ops = device_ops;
	return find_socket(path) != NULL ? 0 : -1;
}

int
__wrap_rte_vhost_get_ifname(int vid, char *buf, size_t len)
{
	snprintf(buf, len, "%s", conns[vid].socket->path);
	return 0;
}

int
__wrap_rte_vhost_get_negotiated_features(int vid, uint64_t *features)
{
	(void)vid;
	*features = fake.negotiated;
	return 0;
}

uint16_t
__wrap_rte_vhost_get_vring_num(int vid)
{
	(void)vid;
	return fake.rings;
}

static int
node_of(const void *at)
{
	int i;

	for (i = 0; i < FAKE_RINGS; i++)
		if (at != NULL && fake.ring[i].desc == at)
			return fake.node[i];
	return -EFAULT;
}

long
__wrap_get_mempolicy(int *node, unsigned long *mask, unsigned long max, void *at,
		     unsigned int flags)
{
	(void)mask;
	(void)max;
	(void)flags;
	fake.vid_at_node = fake.watched->vid;
	*node = node_of(at);
	return *node < 0 ? -1 : 0;
}

long
__wrap_move_pages(int pid, unsigned long n, void **at, const int *to, int *status, int flags)
{
	(void)pid;
	(void)flags;
	while (to == NULL && n-- > 0)
		status[n] = node_of(at[n]);
	return to == NULL ? 0 : -1;
}

int
__wrap_rte_vhost_get_vhost_vring(int vid, uint16_t vring, struct rte_vhost_vring *out)
{
	(void)vid;
	if (vring >= FAKE_RINGS)
		return -1;
	*out = fake.ring[vring];
	return 0;
}

int
__wrap_rte_vhost_get_vring_base(int vid, uint16_t vring, uint16_t *avail, uint16_t *used)
{
	(void)vid;
	*avail = *used = fake.base[vring];
	return 0;
}

int
__wrap_rte_vhost_set_vring_base(int vid, uint16_t vring, uint16_t avail, uint16_t used)
{
	static const char *const what[FAKE_RINGS] = {"base0", "base1", "base2", "base3"};

	(void)vid;
	if (avail != used || vring >= FAKE_RINGS)
		abort();
	fake.base[vring] = avail;
	fake_happened(what[vring]);
	return 0;
}

int
__wrap_rte_vhost_get_mem_table(int vid, struct rte_vhost_memory **table)
{
	struct rte_vhost_memory *t = calloc(1, sizeof(*t) + sizeof(t->regions[0]));

	(void)vid;
	if (fake.memory == NULL || t == NULL) {
		free(t);
		return -1;
	}
	t->nregions = 1;
	t->regions[0].guest_phys_addr = FAKE_MEMORY_ADDR;
	t->regions[0].size = FAKE_MEMORY_BYTES;
	t->regions[0].host_user_addr = (uintptr_t)fake.memory;
	*table = t;
	return 0;
}

int
__wrap_rte_vhost_enable_guest_notification(int vid, uint16_t vring, int enable)
{
	(void)vid;
	(void)vring;
	return enable ? -1 : 0;
}

int
__wrap_rte_vhost_extern_callback_register(int vid, const struct rte_vhost_user_extern_ops *o,
					  void *ctx)
{
	(void)vid;
	(void)ctx;
	message_ops = o;
	return 0;
}

void
__wrap_rcu_synchronize(void)
{
	fake.vid_at_grace = fake.watched->vid;
	fake.live_at_grace = fake_live();
	fake_happened("grace");
}

void *
__wrap_rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int node)
{
	void *p = NULL;

	(void)type;
	(void)node;
	if (posix_memalign(&p, align < 64 ? 64 : align, size) != 0)
		return NULL;
	return memset(p, 0, size);
}

void
__wrap_rte_free(void *p)
{
	free(p);
}

void
__wrap_event_post(enum dp_event_type type, uint16_t port, uint64_t value)
{
	static const char *const names[] = {
		[DP_EVENT_PORT_CONNECTED] = "connected",
		[DP_EVENT_PORT_DISCONNECTED] = "disconnected",
		[DP_EVENT_PORT_UP] = "up",
		[DP_EVENT_PORT_DOWN] = "down",
		[DP_EVENT_PEER_REFUSED] = "refused",
		[DP_EVENT_PEER_BAD_MESSAGE] = "bad-message",
		[DP_EVENT_RING_STOPPED] = "stopped",
		[DP_EVENT_MEMORY_GONE] = "memory-gone",
	};

	(void)port;
	(void)value;
	fake_happened(names[type]);
}

void
__wrap_vhost_doorbell_ring(void)
{
	fake_happened("ring");
}
