/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_DP_H
#define DATAPATH_DP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "numa/err.h"

/*
 * The door between control/ and datapath/: all that the control thread may call or read.
 *
 * Plain C types only, no rte_*.h. Every function here belongs to the control thread unless it says
 * otherwise. A function that fails has changed nothing; it returns -errno and, where it takes one,
 * fills a struct err with a sentence for people.
 *
 * Ports and uplinks share one space of small ids (0 .. DP_PORTS_MAX - 1), bridges have another.
 * An id may be given again after its port is gone.
 */

#define DP_PORTS_MAX 1024 /* vhost-user ports and uplinks together */
#define DP_BRIDGES_MAX 64
#define DP_LCORES_MAX 64 /* forwarding lcores, numbered from 1; lcore 0 is the control thread */
#define DP_NODES_MAX 8 /* memory nodes */
#define DP_QUEUES_MAX 16 /* queue pairs of a port */
#define DP_MACS_MAX 32 /* MAC addresses given for one port */
#define DP_UIDS_MAX 16
#define DP_NAME_SIZE 64 /* with the terminating NUL */
#define DP_PATH_SIZE 108 /* sun_path, with the terminating NUL */
#define DP_DEVARGS_SIZE 256
#define DP_MTU_MIN 68
#define DP_MTU_MAX 9702 /* 9720 bytes of frame with header and one tag */
#define DP_VLAN_MAX 4094
#define DP_TX_RETRIES_MAX 32

/* ---- start and stop ---------------------------------------------------------------------- */

struct dp_lcore_config {
	unsigned int cpu;
	int node;
};

struct dp_config {
	unsigned int n_lcores; /* forwarding lcores; lcore i + 1 runs on lcore[i].cpu */
	struct dp_lcore_config lcore[DP_LCORES_MAX];
	const char *control_cpus; /* CPU list on which the control thread may float */
	unsigned int memory_mib[DP_NODES_MAX]; /* hugepage memory per node */
	/* Where what belongs to a node is kept: there, or on the nearest that has memory_mib. */
	int memory_node[DP_NODES_MAX];
	bool memory_grows; /* take more hugepages for ports and uplinks to come, where they are free */
	unsigned int n_nodes;
	const char *file_prefix; /* EAL's, distinct for each instance */
	const char *eal_args; /* more EAL arguments, separated by blanks; NULL or "" for none */
	const char *run_dir; /* a directory of ours for what has to be a file while we start */
	const char
		*doorbell_path; /* a unix socket of ours, see vhost_doorbell.h; at most 107 bytes */
	bool idle_sleep; /* let an idle lcore sleep */
	unsigned int park_mib; /* most memory for parked frames, of all ports; taken when used */
	bool debug; /* show what EAL and the libraries say below "warning" */
};

/* What a node's hugepages have to hold. */
struct dp_memory_need {
	unsigned int n_lcores; /* forwarding lcores of all nodes */
	unsigned int n_lcores_here; /* of them, those whose memory is on this node */
	unsigned int n_ports; /* vhost-user ports on this node */
	unsigned int n_queues; /* all queue pairs of these */
};

/* How many bytes that is, with rings of the 1024 entries that QEMU gives at most. Pure. */
uint64_t dp_memory_need(const struct dp_memory_need *need);

/*
 * Starts EAL, the memory pools, the lcores and the vhost-user thread. Once a process.
 * Errors: -ENOMEM (code "no-hugepages"), -EXDEV ("wrong-node": the kernel gave memory of another
 * node), -EINVAL ("bad-eal-args"), -EIO.
 */
int dp_start(const struct dp_config *config, struct err *err);

/* Closes every port, stops the lcores, gives all memory back. May wait: for the lcores. */
void dp_stop(void);

const char *dp_dpdk_version(void);

/* ---- bridges ----------------------------------------------------------------------------- */

/* Returns the bridge's id. Errors: -ENOSPC, -ENOMEM. `mac_limit` bounds the learned MACs. */
int dp_bridge_add(unsigned int mac_age_s, unsigned int mac_limit, struct err *err);

/* The bridge must have no ports. May wait: one grace period. */
void dp_bridge_del(int bridge);

struct dp_mac {
	uint8_t byte[6];
};

struct dp_mac_entry {
	struct dp_mac mac;
	uint16_t vlan; /* DP_VLAN_ANY: a static MAC of a trunk port, valid in every VLAN of it */
	int port;
	bool is_static;
	unsigned int age_s;
};
#define DP_VLAN_ANY 0xfff

/* Calls `visit` for each known MAC, in no order. */
void dp_bridge_macs(int bridge, void (*visit)(const struct dp_mac_entry *entry, void *arg),
		    void *arg);

/* ---- ports and uplinks ------------------------------------------------------------------- */

enum dp_vlan_mode {
	DP_VLANS_TRUNK, /* with tags; frames without one are in VLAN 0 */
	DP_VLANS_ACCESS, /* without tags, in one VLAN inside */
	DP_VLANS_NATIVE_TAGGED, /* a trunk; frames that come in without tag are in its native VLAN */
	DP_VLANS_NATIVE_UNTAGGED, /* and those of the native VLAN leave without tag, too */
};

/* Which VLANs a port carries, and how: as Open vSwitch has it. */
struct dp_vlans {
	enum dp_vlan_mode mode;
	uint16_t vlan; /* 1..4094: of an access port, or the native one; 0: a trunk */
	bool all; /* every VLAN; without a native one VLAN 0, too; not of an access port */
	/* Else one bit a VLAN id. A native VLAN is always carried, and VLAN 0 beside it never is. */
	uint64_t trunks[64];
};

/* Floods that storm control tells apart, by what the destination address is. */
enum dp_storm {
	DP_STORM_BROADCAST,
	DP_STORM_MULTICAST,
	DP_STORM_UNKNOWN, /* unicast that the bridge has not heard of */
	DP_STORMS,
};

/* What a port may send at most, over all of its queues; 0: no limit. See limit.h. */
struct dp_limits {
	uint64_t rate_bps; /* bits of Ethernet frames, without frame check sequence, a second */
	uint64_t burst_bits;
	uint32_t storm_pps[DP_STORMS];
};

/* What forwarding must know of a port or an uplink; all of it may change while the port is up. */
struct dp_rules {
	struct dp_vlans vlans;
	unsigned int n_macs;
	struct dp_mac mac[DP_MACS_MAX]; /* with any: static entries, and senders are checked */
	bool learn; /* learn senders; unknown unicast is flooded to the port */
	bool vepa; /* everything goes to the uplinks, nothing comes but from them */
	uint16_t mtu; /* bytes behind the Ethernet header and tag; 4 more pass: burst_exceeds_mtu() */
	struct dp_limits limits;
	uint8_t tx_retries; /* more looks for room in the guest's full ring, 0..DP_TX_RETRIES_MAX */
	uint32_t park_ms; /* how long frames are kept for a guest that is away; 0: not at all */
	uint32_t park_frames; /* how many, over all queues */
};

/* Who may own and open a server socket, and who may be at its other end. */
struct dp_socket_access {
	uid_t owner; /* (uid_t)-1: leave */
	gid_t group; /* (gid_t)-1: leave */
	mode_t mode; /* 0660 */
	unsigned int n_peer_uids; /* 0: anybody who could open the socket */
	uid_t peer_uid[DP_UIDS_MAX];
};

struct dp_port_config {
	char name[DP_NAME_SIZE]; /* for messages */
	int bridge;
	struct dp_rules rules;
	unsigned int queues; /* pairs */
	uint8_t lcore[DP_QUEUES_MAX]; /* lcore of each queue pair */
	int node; /* of the port's own memory; mbufs are its lcores' */
	bool client; /* sluice connects to the guest's socket (QEMU "server=on") */
	bool library; /* its rings are handled by librte_vhost's burst functions, not by our own */
	bool incoming; /* silent until its guest runs: see dp_port_drain() */
	bool uplink; /* its bridge's way out: what is at the other end is no guest, but a switch */
	char path[DP_PATH_SIZE]; /* canonical; checked by the caller */
	uint64_t features; /* virtio features to offer; 0: dp_vhost_features() */
	struct dp_socket_access access;
};

/* What an uplink is made of. */
enum dp_uplink_kind {
	DP_UPLINK_DEVICE, /* of DPDK, there as long as the uplink */
	DP_UPLINK_FRONT_END, /* net_virtio_user on a socket: comes and goes with its back-end */
	DP_UPLINK_BACK_END, /* net_vhost: DPDK has a driver of that name; ours is a dp_port_add() with `uplink` */
};

struct dp_uplink_socket {
	enum dp_uplink_kind kind;
	bool listens; /* we do; else we connect */
	unsigned int queues; /* pairs */
	char path[DP_PATH_SIZE];
};

/* Reads that out of devargs; only a device has no socket. Errors: -EINVAL (code "bad-devargs"). */
int dp_uplink_parse(const char *devargs, struct dp_uplink_socket *s, struct err *err);

struct dp_uplink_config {
	char name[DP_NAME_SIZE];
	int bridge;
	struct dp_rules rules;
	char devargs[DP_DEVARGS_SIZE];
	unsigned int queues; /* receive queues; 0: one for each lcore, as far as it has them */
	uint8_t lcore[DP_QUEUES_MAX]; /* lcore of queue pair i, round robin where there are more */
	unsigned int n_lcore; /* how many of lcore[] are set, 1.. */
	struct dp_uplink_socket socket; /* of a front-end; path canonical where it listens */
	struct dp_socket_access access;
};

/*
 * Opens a vhost-user port. A server port listens when the call returns, and its first guest is
 * answered at once. A client port has no connection yet: dp_port_connect() tries for one.
 * Returns the id. Errors: -EEXIST (code "socket-in-use": somebody listens on the path), -ENOSPC,
 * -ENOMEM, -EIO. Path, name and rules are taken as checked. May wait: one grace period.
 */
int dp_port_add(const struct dp_port_config *config, struct err *err);

/*
 * Tries once to connect a client port, or an uplink that is a front-end. Errors: -ENOENT and -ECONNREFUSED (nobody there yet: try
 * again), -ENOTSOCK, -EPERM (the peer's uid), -EALREADY (connected). Never waits for the peer.
 */
int dp_port_connect(int port);

/* Returns the id. Errors: -ENODEV (code "no-such-device"), -EINVAL ("bad-devargs"), -EBUSY
 * ("device-in-use"), -ENOTSUP ("mtu-refused", "queues-refused"), -EIO ("device-refused"), -ENOSPC,
 * -ENOMEM.
 * May wait: for the device, and one grace period. */
int dp_uplink_add(const struct dp_uplink_config *config, struct err *err);

/* Closes a port or an uplink: nothing of it is polled, read or written when the call returns.
 * Errors: -ENOMEM, and then the port lives on. May wait: two grace periods. */
int dp_port_del(int port);

/*
 * Gives a queue pair to another lcore (counted from 1). What comes for it meanwhile waits, 1,000 frames at
 * most, and no frame overtakes another of its queue; but an output with several pairs may have a flow on another pair
 * from then on. Errors: -ENOMEM, and then it stays where it was. May wait: some rounds of all lcores.
 */
int dp_port_move(int port, unsigned int queue, unsigned int lcore, struct err *err);

/* Publishes new rules. Errors: -ENOMEM, -ENOTSUP (code "mtu-refused": the uplink's device). */
int dp_port_set_rules(int port, const struct dp_rules *rules, struct err *err);

/* The virtio feature bits that this build offers to a guest. Thread: any. */
uint64_t dp_vhost_features(void);

/* Where a port is in a migration. */
enum dp_drain {
	DP_DRAIN_NONE,
	DP_DRAINING,
	DP_DRAINED,
};

struct dp_queue_info {
	unsigned int lcore;
	int node; /* of the guest's rings, or of the device; -1: not known */
	unsigned int
		pause_us; /* for which nobody looked at it when it was moved last; 0: it never was */
	bool drained; /* not looked at any more; of a port that is being drained */
	bool enabled_to_guest; /* the guest takes frames from us on it */
	bool enabled_from_guest; /* the guest gives frames to us on it */
	const char *stopped_to_guest; /* why we stopped the ring, in a few words; NULL: we have not */
	const char *stopped_from_guest;
};

struct dp_port_info {
	bool is_uplink;
	bool connected; /* vhost: a front-end is there; uplink: link up */
	bool up; /* rings running; uplink: started */
	bool library; /* rings by librte_vhost */
	int node; /* of the guest's rings, or of the device; -1: not known, or of several */
	uint64_t features; /* offered */
	uint64_t negotiated; /* 0 while not up */
	uint64_t memory_bytes; /* of hugepages; uplinks: not known, as it is their driver's */
	int64_t connected_ns; /* CLOCK_MONOTONIC of the connection, 0: none */
	pid_t peer_pid;
	uid_t peer_uid;
	uint32_t reconnects;
	bool incoming; /* its guest has not run yet: nobody knows its MACs */
	enum dp_drain drain;
	uint64_t drain_forwarded; /* frames of the guest since dp_port_drain() */
	uint32_t parked; /* frames that are kept now */
	unsigned int park_left_ms; /* more are, for so long: its guest moves; 0: it does not */
	unsigned int n_queues;
	struct dp_queue_info queue[DP_QUEUES_MAX];
	uint32_t link_mbps; /* uplinks */
	struct dp_mac mac; /* uplinks: the device's; all 0: it has none, or is away */
	char driver[32]; /* uplinks: "net_af_packet" */
	const char *
		failure; /* uplinks: why there is no device though its back-end came; NULL: nothing */
};

void dp_port_info(int port, struct dp_port_info *info);

/* Asks the kernel anew where the guest's rings lie, whose memory may be moved while they run: what
 * dp_port_info() says of nodes is as of then. Some microseconds. */
void dp_port_locate(int port);

/* ---- counters ---------------------------------------------------------------------------- */

/* Why a frame on its way out of sluice did not get there. */
enum dp_out_drop {
	DP_OUT_RING_FULL, /* no room in the output's ring, or in the way to its lcore */
	DP_OUT_QUEUE_OFF, /* the guest has no queue enabled */
	DP_OUT_NO_GUEST, /* nobody connected, or its rings do not run */
	DP_OUT_PARK_FULL,
	DP_OUT_PARK_EXPIRED,
	DP_OUT_MTU, /* longer than the output's mtu, or than the buffers its guest gave */
	DP_OUT_OFFLOAD, /* asks for work that neither the output nor software can do */
	DP_OUT_DROPS,
};

/* Why a frame that came in went nowhere. */
enum dp_in_drop {
	DP_IN_BAD_FRAME, /* shorter than an Ethernet header, or a group address as source */
	DP_IN_BAD_RING, /* a descriptor chain that is no frame */
	DP_IN_VLAN,
	DP_IN_SPOOF,
	DP_IN_RATE,
	DP_IN_STORM,
	DP_IN_MTU,
	DP_IN_NO_MBUF,
	DP_IN_NO_OUTPUT, /* nobody else to give it to */
	DP_IN_DROPS,
};

/* "ring_full", ... as the control channel spells them. */
const char *dp_out_drop_name(enum dp_out_drop reason);
const char *dp_in_drop_name(enum dp_in_drop reason);

/*
 * Counters of a queue pair, or of all of a port. "in" is towards sluice, "out" away from it (so a
 * guest's rx is out, an uplink's rx is in). Each frame that came in is either in in_packets (it
 * got at least one output, and each output counts it once: out_packets or out_drop) or in in_drop.
 */
struct dp_stats {
	uint64_t in_packets, in_bytes;
	uint64_t out_packets, out_bytes;
	uint64_t in_drop[DP_IN_DROPS];
	uint64_t out_drop[DP_OUT_DROPS];
	/* Parked frames: those that are kept now; those that went to the guest later (they are in
	 * out_packets, too), and to where it had gone. */
	uint64_t parked, unparked, redirected;
	uint64_t busy_cycles; /* of its lcores, for what came in */
};

/* Since the port was added. `queue` -1: the sum. */
void dp_port_stats(int port, int queue, struct dp_stats *stats);

struct dp_lcore_stats {
	unsigned int lcore, cpu;
	int node;
	uint64_t busy_cycles; /* in rounds that moved a frame */
	uint64_t total_cycles;
	uint64_t packets; /* that came in, of all its queues */
	uint64_t rounds;
	uint64_t naps; /* by the clock: something that it polls cannot wake it */
	uint64_t sleeps; /* until it was woken */
	pid_t tid; /* of its thread */
};

/* `lcore` counts from 1. Returns -ENOENT past the last. */
int dp_lcore_stats(unsigned int lcore, struct dp_lcore_stats *stats);

struct dp_pool_info {
	int node;
	unsigned int size, in_use; /* mbufs */
	unsigned int mbuf_bytes;
};

/* All pools of a node together. `index` counts from 0. Returns -ENOENT past the last. */
int dp_pool_info(unsigned int index, struct dp_pool_info *info);

/* The hugepage memory that sluice has on a node. */
struct dp_memory_info {
	uint64_t total_bytes; /* may grow: dp_config.memory_grows */
	uint64_t used_bytes; /* the rest is for ports and uplinks to come */
	uint64_t pool_bytes; /* of the used: packet buffers */
	uint64_t port_bytes; /* of the used: ports and uplinks, with what DPDK keeps of their rings */
};

/* Where lies what belongs to a node: there, or on another where sluice has memory. */
int dp_memory_node(int node);

/* Returns -ENOENT for a node of which sluice has no memory. */
int dp_memory_info(int node, struct dp_memory_info *info);

/*
 * Where the memory that sluice has for `node` lies now, as the kernel says: bytes[i] of it on node i.
 * Somebody may have moved it. A system call for each page: for people who ask, not for each second.
 * Returns -ENOENT for a node of which sluice has no memory.
 */
int dp_memory_where(int node, uint64_t bytes[DP_NODES_MAX]);

/* Whether a front-end of `port` that has just gone was cut off because hugepages were missing for its
 * rings; then *err says how many. */
bool dp_memory_lacks(const char *port, struct err *err);

/* ---- capture ----------------------------------------------------------------------------- */

/* A captured frame on its way to a file; valid until the next call. */
struct dp_captured {
	int port;
	bool to_guest; /* else from it (uplinks: from the outside) */
	int64_t time_ns; /* CLOCK_REALTIME */
	uint32_t frame_bytes; /* what the frame had on the port */
	uint32_t bytes; /* of them here: at most the snaplen */
	const uint8_t *data;
};

/* Copies the first `snaplen` bytes of what passes the port until dp_capture_stop(). One capture a
 * port. Errors: -EBUSY (code "capture-runs"), -ENOMEM. May wait: one grace period. */
int dp_capture_start(int port, unsigned int snaplen, struct err *err);

/* Takes out one frame, in the order of their times; false: there is none. The port is captured, as
 * for dp_capture_stop(). */
bool dp_capture_read(int port, struct dp_captured *frame);

/* Returns the frames that were lost since the start, as nobody had taken out those before them.
 * What was not read is gone. May wait: one grace period. */
uint64_t dp_capture_stop(int port);

/* ---- migration --------------------------------------------------------------------------- */

/*
 * A guest moves to another host, or its front-end comes and goes. What is for it meanwhile is parked:
 * kept, in order, for at most rules.park_ms from when it was gone, and rules.park_frames.
 *
 * Without being told a port parks when its rings stop while dirty logging is on, and when a front-end
 * whose rings ran goes away. It gives what it has parked to the guest, before anything else, when the
 * guest's rings run again; or to an uplink, when a frame from the guest's MAC comes in there: then
 * the MAC is known there from now on (DP_EVENT_PORT_MOVED).
 *
 * An incoming port has a guest that has not run yet. Its MACs are unknown, nothing is flooded to it,
 * and what its guest sends waits, until its rings run: then it is a port as any other.
 */

/*
 * Begins to drain a port: what its guest has queued now is still forwarded, then its rings are not
 * looked at any more, and what is for it is parked, or dropped (`park` false). DP_EVENT_PORT_DRAINED
 * tells when all of that is so. Errors: -EALREADY (draining or drained), -ENOTCONN (no guest whose
 * rings run). Never waits.
 */
int dp_port_drain(int port, bool park);

/* Ends that, wherever it is: the guest gets what was parked for it, and is polled again. Errors:
 * -EALREADY (neither draining nor drained). */
int dp_port_resume(int port);

/* Tells the network where the MACs of the port's rules are: a reverse ARP request for each, in its
 * VLAN, as soon as the guest runs. */
void dp_port_announce(int port);

/* ---- upward ------------------------------------------------------------------------------ */

enum dp_event_type {
	DP_EVENT_PORT_CONNECTED, /* value: the peer's uid */
	/* The front-end (of an uplink that is one: the back-end) is gone; who connects wants dp_port_connect(). */
	DP_EVENT_PORT_DISCONNECTED,
	DP_EVENT_PORT_UP, /* rings run; value: negotiated features */
	DP_EVENT_PORT_ARRIVED, /* its guest has come from elsewhere, and its MACs are known here */
	DP_EVENT_PORT_DOWN, /* rings stopped */
	DP_EVENT_PEER_REFUSED, /* value: the uid */
	DP_EVENT_PEER_BAD_MESSAGE, /* its connection was cut; value: the vhost-user request */
	DP_EVENT_RING_STOPPED, /* the guest broke it; value: the vring's number */
	DP_EVENT_MEMORY_GONE, /* the guest's memory was taken from under us; its connection is cut */
	DP_EVENT_MAC_LIMIT, /* port: the bridge's id; its table, or a port's share, is full */
	DP_EVENT_UPLINK_UP,
	DP_EVENT_UPLINK_DOWN,
	DP_EVENT_UPLINK_REFUSED, /* its back-end came, but the device could not be made: dp_port_info.failure */
	DP_EVENT_PORT_DRAINED, /* value: frames of the guest that were forwarded meanwhile */
	DP_EVENT_PORT_PARKING, /* the guest is away, and what is for it is kept from now on */
	DP_EVENT_PORT_UNPARKED, /* value: parked frames that went to the guest */
	DP_EVENT_PORT_MOVED, /* value: the uplink's id; all that was parked went out there */
	DP_EVENT_PORT_REDIRECTED, /* value: frames that did */
	DP_EVENT_QUEUE_DRAINED, /* the datapath's own */
	DP_EVENT_PARK_EXPIRED, /* value: parked frames that were dropped, as nobody came for them */
};

struct dp_event {
	enum dp_event_type type;
	int port;
	uint64_t value;
	int64_t time_ns; /* CLOCK_REALTIME */
};

/* Readable when dp_poll() has something to do. */
int dp_event_fd(void);

/*
 * The datapath's own control work: takes in what the lcores learned, ages MACs, frees what was
 * retired, and hands up at most one event. Returns true if *event was filled: call again. To be
 * called when dp_event_fd() is readable, and at least once a second.
 */
bool dp_poll(struct dp_event *event);

#endif
