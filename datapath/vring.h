/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_VRING_H
#define DATAPATH_VRING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_ring.h>
#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "datapath/burst.h"
#include "datapath/dirty_log.h"
#include "datapath/guestmem.h"

/*
 * One of a guest's rings, handled by ourselves (virtio 1.1, 2.6 split and 2.7 packed virtqueues).
 *
 * librte_vhost maps the memory and speaks the protocol; the indices are ours from vring_attach() to
 * vring_base(). In between only the lcore that owns the queue touches them.
 *
 * Trust nothing: whatever lies in guest memory may change at any time. Every field there is read
 * once into a variable, checked, and used from the variable. A chain is bounded, and nothing is
 * written or taken before all of it was checked. A ring that can't be understood is stopped with a
 * reason (vring_stop); nobody looks at it any more until its front-end sets it up again.
 *
 * Between two rounds no chain is in our hands: all that was taken was given back, so "next" and
 * "used" agree, and one index says where the ring stands.
 */
enum vring_fault {
	VRING_RUNS,
	VRING_BAD_INDEX, /* more available than the ring has entries */
	VRING_BAD_HEAD, /* a descriptor number that the ring does not have */
	VRING_BAD_CHAIN, /* longer than the ring, or a loop */
	VRING_BAD_INDIRECT, /* nested, empty, cut off, or not alone */
	VRING_BAD_ADDRESS, /* not in the memory that was shared */
	VRING_BAD_PLACE, /* the ring itself: not in that memory, misaligned, or of a bad size */
	VRING_BAD_DIRECTION, /* a buffer to write that is to be read, or the reverse */
};

#define VRING_HDR_BYTES_MAX 12 /* struct virtio_net_hdr_mrg_rxbuf; 10 without num_buffers */

struct virtq {
	/* Set by librte_vhost's callbacks; cleared by them, and by the owning lcore where it stops the
	 * ring. An lcore that finds it true may use all of the ring until its round ends. */
	_Atomic bool live;

	/* Constant while live. */
	bool packed;
	bool event_idx;
	bool mergeable; /* a frame may take several chains */
	uint8_t hdr_bytes;
	uint8_t can; /* enum vnet_can: what the guest takes unfinished */
	uint16_t size; /* entries */

	/* The owning lcore's. */
	uint16_t next; /* first entry not taken; packed: slot */
	uint16_t used; /* first entry not given back; packed: slot */
	bool next_wrap, used_wrap; /* packed: wrap counters */
	bool signalled_valid;
	uint16_t signalled; /* `used` when it was last asked whether the guest wants to know */

	union { /* constant while live */
		struct {
			const struct vring_avail *avail;
			const struct vring_desc *desc;
			struct vring_used *used;
		} split;
		struct {
			struct vring_packed_desc *desc;
			const struct vring_packed_desc_event *driver;
			struct vring_packed_desc_event *device;
		} packed_ring;
	};
	const struct guestmem *mem;

	/* Second line. Notification: the descriptor may be exchanged while live. */
	_Atomic int call_fd; /* -1: none */
	_Atomic int
		kick_fd; /* our own descriptor of it; -1: none; writer: librte_vhost's callbacks */
	/* The owning lcore's, and, while there is no kick_fd, the callbacks'. */
	uint8_t watched_on; /* the lcore that kicks wake; 0: none */
	bool armed; /* the guest is to kick */
	_Atomic bool call_due; /* a notification is to be made up for; then *attention, too */
	_Atomic bool *attention; /* of the queue pair; constant */
	uint8_t tx_retries; /* relaxed atomic; writer: control thread */
	uint64_t called_tsc;
	/* The owning lcore's: what it has written and not yet published. */
	uint16_t old_used;
	uint16_t first_flags; /* packed: of the slot old_used, written last */
	bool holds_first; /* packed: there are such */
	uint16_t unpublished; /* packed: slots given back since the last publication */

	/* Dirty logging: NULL: off. Goes on and off, and to another log, while live. Writer:
	 * librte_vhost's callbacks, which wait for a grace period before the old log goes. */
	_Atomic(const struct dirty_log *) log;
	uint64_t used_addr; /* guest's address of what `used` counts in: used or descriptor ring */
	_Atomic uint64_t log_addr; /* where the front-end wants that logged, too; 0: nowhere else */

	/* Constant while live. */
	uint64_t features;
	int vid;
	uint16_t port;
	uint16_t number; /* vhost-user's: even ones go to the guest, odd ones come from it */

	/* Why it was stopped: enum vring_fault. Writer: the owning lcore; reset by vring_attach(). */
	_Atomic uint8_t fault;
	bool attached_cb; /* librte_vhost's callbacks only: we own the indices */
} __rte_cache_aligned;

/* A few words for people, or NULL for VRING_RUNS. Thread: any. */
const char *vring_fault_name(enum vring_fault fault);

/*
 * Takes over a ring of a connection: reads where it is and how far it has come, checks that all of it
 * lies in `mem`, tells the guest not to notify us, and makes the ring live. `mem` must stay until it
 * is detached. A ring that is not set up, or can't be right, stays dead; in the second case with
 * VRING_BAD_PLACE.
 * Thread: librte_vhost's; no lcore uses the ring.
 */
void vring_attach(struct virtq *r, int vid, uint64_t features, const struct guestmem *mem);

/* Takes the ring from the lcores, which may still be in there until a grace period has passed. Returns
 * true if it was attached. Thread: librte_vhost's, control. */
bool vring_detach(struct virtq *r);

/* After that: tells librte_vhost how far the ring has come, and the guest what it was not yet told.
 * Thread: as above. */
void vring_settle(struct virtq *r, int vid);

/* Stops a ring that its guest has broken. Thread: the owning lcore. */
void vring_stop(struct virtq *r, enum vring_fault fault);

/* Notifies the guest of what was published, unless it was notified a moment ago: then it is owed.
 * Thread: the owning lcore. */
void vring_call(struct virtq *r);

/* Has the owning lcore call the guest, in one of its next rounds. Thread: any. */
void vring_owe_call(struct virtq *r);

/*
 * Has the guest's next frame wake the lcore, which must look at the ring once more after a full barrier.
 * Returns false where it cannot be, or something else is to be done soon. Thread: the owning lcore.
 */
bool vring_arm(struct virtq *r, unsigned int lcore);

/* The guest needs not kick any more: it is polled. Thread: the owning lcore. */
void vring_disarm(struct virtq *r);

/* The ring's kick descriptor changes: takes the old one from the lcores, and gives them `fd`, which stays the
 * caller's (-1: none). A grace period lies between the two. Thread: librte_vhost's. */
void vring_drop_kick(struct virtq *r);
void vring_take_kick(struct virtq *r, int fd);

/* What became of the frames that tx functions are done with; they add to it. */
struct vring_sent {
	uint64_t packets, bytes; /* without virtio headers */
	uint64_t too_long; /* not delivered: for the buffers of a guest that merges none */
	uint64_t full; /* not delivered: for all buffers that were there together */
	bool patient; /* set by the caller: such a frame is to wait instead, and those behind it */
};

/* ---- the rings themselves: vring_split.c, vring_packed.c ---------------------------------- */

/*
 * _rx: brings up to BURST_MAX chains that the guest sent into view, each as a frame of the burst with
 * its token; a chain that is none is a frame of no bytes. Leaves the ring's index where it is.
 *
 * _rx_done: gives back the first `n` chains. What is left is found again in the next round.
 *
 * _tx: copies frames to the guest as far as it has room and returns how many of them it is done with;
 * `untagged` and `as_is`: see port.h. A frame that does not fit the buffers is skipped, which counts
 * as done. Offload requests must be such as the guest takes (r->can).
 *
 * _publish: lets the guest see what _tx wrote. Returns true if it wants to be notified of it.
 *
 * Thread: the owning lcore.
 */
void vring_split_rx(struct virtq *r, struct burst *b);
void vring_split_rx_done(struct virtq *r, const struct burst *b, uint16_t n);
uint16_t vring_split_tx(struct virtq *r, struct frame *const *f, uint16_t n, bool as_is,
			uint16_t untagged, struct vring_sent *sent);
bool vring_split_publish(struct virtq *r);

void vring_packed_rx(struct virtq *r, struct burst *b);
void vring_packed_rx_done(struct virtq *r, const struct burst *b, uint16_t n);
uint16_t vring_packed_tx(struct virtq *r, struct frame *const *f, uint16_t n, bool as_is,
			 uint16_t untagged, struct vring_sent *sent);
bool vring_packed_publish(struct virtq *r);

#endif
