/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_PARK_H
#define DATAPATH_PARK_H

#include <stdatomic.h>
#include <sys/types.h>

#include "datapath/burst.h"
#include "datapath/dp.h"

/*
 * Frames kept for a guest that is away, in their order: its front-end is gone, its rings were stopped
 * for a migration, or somebody drains its port.
 *
 * Each queue pair has a park that the lcore which owns the pair alone touches. Its frames are copies,
 * in the form in which they go to the guest (with or without their VLAN tag), in pages of a pool that
 * all ports share and that has a bound. A frame is kept at most until the port's `until`.
 *
 * How a frame leaves: to the guest, when its ring runs; to another port (`redirect`), when that is
 * where the guest is now; or nowhere, counted as DP_OUT_PARK_EXPIRED. As long as a park has frames, what
 * comes for its guest is put behind them.
 */
struct park_page;
struct port;
struct port_queue;
struct forward;
struct snapshot;

/* What a port is told to do with its guest's frames. */
enum park_hold {
	PARK_NO_HOLD,
	PARK_HOLD, /* drained: what is for the guest is kept */
	PARK_HOLD_DROP, /* drained: it is dropped */
	PARK_HOLD_INCOMING, /* the guest has not run yet: nothing is for it, and what it sends waits */
};

/* Of a queue pair; its lcore's, where not said otherwise. */
struct park {
	struct park_page *first, *last;
	uint32_t read_at; /* in the first page */
	uint32_t n; /* frames */
	uint32_t fresh; /* that came since the lcore looked the last time */
	_Atomic bool listed; /* the lcore knows of it; readers: control */
	uint32_t guest; /* whom they are for, as the port's */
	struct port_queue *q;
	struct park *next; /* of those that the lcore knows of */
	uint64_t untold; /* frames that left since the last event about it, */
	enum dp_event_type untold_as; /* as that */
};

/* Of a port, all of its queues. */
struct park_port {
	/* TSC; frames are kept until then, while the guest is away; 0: it never was. Writers:
	 * librte_vhost's callbacks, and the control thread where it drains. */
	_Atomic uint64_t until;
	_Atomic uint64_t full_until; /* TSC; until then a full ring is waited for; writer: control */
	_Atomic bool away, moves; /* writers: as of `until` */
	_Atomic uint32_t guest; /* counts the guests; writer: librte_vhost's callbacks */
	uint32_t connection; /* of the last one's front-end, and its process id; the callbacks' own */
	pid_t pid;
	_Atomic int redirect; /* id of the port where the guest is now, -1: none; writer: control */
	_Atomic uint32_t n; /* frames; writers: the lcores of its queues */
	_Atomic uint32_t n_pages; /* where they lie; writers: as of n */
	uint32_t ms, frames_max; /* relaxed atomics; writer: control */
	uint32_t drained_word; /* the port's hold_word when it was last told to be drained; control's */
};

/* The pool. Memory is taken when it is first used. Errors: -ENOMEM. Thread: control. */
int park_create(unsigned int mib);
void park_destroy(void);

/* The guest goes away: what comes for it from here on is kept for the port's time; `moves`: it is expected to
 * be heard of elsewhere. To be called before its rings are taken away; park_tell(), which tells
 * DP_EVENT_PORT_PARKING, after. Thread: any but an lcore. */
void park_begin(struct port *p, bool moves);
void park_tell(struct port *p);

/* Whether the time for which frames are kept is over, or never began. Thread: any. */
bool park_is_over(const struct port *p);

/* Whether it began a few milliseconds ago. Thread: any. */
bool park_has_just_begun(const struct port *p);

/* For how long frames are still kept for a guest that moves; 0: none are, or it does not. Thread: any. */
unsigned int park_left_ms(const struct port *p);

/* The guest has just come from another host, and what waited for it there comes all at once: for the port's
 * time what its ring has no room for is kept, too. Thread: control. */
void park_catch_up(struct port *p);

/* The guest is somewhere else for good: but for what is under way, nothing is kept for it any more. Thread:
 * as above. */
void park_finish(struct port *p);

/* A guest is there, on the port's n-th connection, with a front-end of this process id (0: unknown). On the same
 * connection, or by the process id, it is the one that was away, and gets what is kept; nobody else does:
 * then that is dropped. Thread: as above. */
void park_end(struct port *p, uint32_t connection, pid_t pid);

/* The guest is known to be here: what is kept for it stays for the port's time from now on. Thread: control. */
void park_back(struct port *p);

/* Whether there is nothing more to do about that on the queue pair. Thread: the owning lcore. */
bool park_is_settled(const struct port_queue *q);

/* Whether the lcore has parks to look after. Thread: that lcore. */
bool park_is_idle(unsigned int lcore);

/* Tells the lcores. A port that is held is drained queue by queue: `drained` of each, and
 * DP_EVENT_QUEUE_DRAINED. Thread: control. */
void park_hold(struct port *p, enum park_hold hold);

/* Waits until no lcore knows of what a port keeps, which is in no snapshot any more. Thread: control,
 * while the lcores run. May wait: for a round, or a nap, of each lcore. */
void park_settle(const struct port *p);

/* Forgets what lcores knew. Thread: control, when no lcore runs. */
void park_discard(void);

/* Frees what a port has kept, after one of these. Thread: control. */
void park_clear(struct port *p);

/* ---- for the owning lcore ------------------------------------------------------------------ */

/* Whether frames for the guest are held back. The header of port.h comes later. */
#define park_holds(q) ((q)->hold == PARK_HOLD || (q)->hold == PARK_HOLD_DROP)

/* What to do with frames for a queue whose ring does not run, or whose `parks` is set. */
enum park_choice {
	PARK_KEEP,
	PARK_REFUSE, /* as of a port that parks nothing */
	PARK_TOO_LATE, /* the port's time is over */
};
enum park_choice park_choose(const struct port_queue *q);

/* Whether what a ring has no room for is kept: see park_catch_up(). */
bool park_waits_for_room(const struct port_queue *q);

/* Has the lcore look after what is kept for a queue pair that is its own now. Thread: that lcore. */
void park_adopt(struct port_queue *q, unsigned int lcore);

/* The opposite, before it gives the pair away. Thread: that lcore. */
void park_release(struct port_queue *q, unsigned int lcore);

/* Keeps copies of frames, which ask for nothing or for what f->vnet says; `untagged`: see port.h.
 * Counts those that there is no room for. */
void park_keep(struct port_queue *q, struct frame *const *f, uint16_t n, uint16_t untagged);

/* Fills the empty burst with the first frames that are kept, which stay. Each is as it is to be sent,
 * tag and all. Returns how many. */
uint16_t park_look(struct park *park, struct burst *b);

/* Lets go of the first n frames. */
void park_drop(struct park *park, uint16_t n);

/* One look at all that the lcore keeps: gives, redirects, or drops. Returns how many frames left. */
unsigned int park_run(struct forward *f, const struct snapshot *snap, struct burst *b);

/* Whether the queue's `attention` is for a hold, and if so what that means: false: do not look at the
 * guest's ring, which has `ring_size` entries, or 0 if it does not run. */
bool park_may_poll(struct port_queue *q, uint32_t ring_size);

/* A queue that is held was looked at, and so many frames taken. */
void park_polled(struct port_queue *q, uint16_t n);

#endif
