/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules of forwarding, one by one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/forward_fixture.h"

static void
known_unicast_goes_to_its_port_alone(void **state)
{
	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	add_port(3, 0, false, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_one(1, 2, 1, -1);
	assert_int_equal(receivers(), P(2));
	assert_int_equal(fakes[1].queue[0].stats.in_packets, 1);
	assert_int_equal(fakes[1].queue[0].stats.in_bytes, 60);
	send_one(1, 1, 1, -1); /* to itself: nowhere */
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(1, DP_IN_NO_OUTPUT), 1);
}

static void
unknown_unicast_goes_to_uplinks_and_learners(void **state)
{
	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	add_port(3, 0, false, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_one(1, 0x77, 1, -1);
	assert_int_equal(receivers(), P(3) | P(UPLINK));
	send_one(UPLINK, 0x78, 0x50, -1);
	assert_int_equal(receivers(), P(3));
	send_one(3, 0x50, 0x33, -1); /* learned at the uplink by the frame before */
	assert_int_equal(receivers(), P(UPLINK));
	send_one(1, 0x33, 1, -1);
	assert_int_equal(receivers(), P(3));
}

static void
broadcast_stays_in_the_vlan(void **state)
{
	(void)state;
	add_port(1, 100, true, NULL);
	add_port(2, 100, true, NULL);
	add_port(3, 200, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_one(1, 0xff, 1, -1);
	assert_int_equal(receivers(), P(2) | P(UPLINK));
	assert_int_equal(tag_of(2), -1);
	assert_int_equal(tag_of(UPLINK), 100);
	send_one(UPLINK, 0xff, 0x50, 200);
	assert_int_equal(receivers(), P(3));
	assert_int_equal(tag_of(3), -1);
	send_one(UPLINK, 0xff, 0x50, -1); /* VLAN 0: nobody but trunks */
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(UPLINK, DP_IN_NO_OUTPUT), 1);
}

static void
access_ports_take_no_tags_but_priority_ones(void **state)
{
	(void)state;
	add_port(1, 100, true, NULL);
	add_port(2, 100, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_one(1, 2, 1, 100);
	assert_int_equal(dropped(1, DP_IN_VLAN), 1);
	assert_int_equal(receivers(), 0);
	send_one(1, 0x77, 1, 0); /* priority-tagged: the VLAN id of the port replaces 0 */
	assert_int_equal(receivers(), P(UPLINK));
	assert_int_equal(tag_of(UPLINK), 100);
	send_one(1, 2, 1, 0);
	assert_int_equal(tag_of(2), -1);
}

/* Taking the first tag off would show the second one, in a VLAN that was never checked. */
static void
a_priority_tag_hides_no_other_tag(void **state)
{
	struct frame_spec f = {.dst = 0xff, .src = 1, .vlan = 0};
	struct dp_rules rules = {0};
	static const uint8_t inner[2][2] = {{0x81, 0x00}, {0x88, 0xa8}};
	unsigned int i;

	(void)state;
	rules.vlans.trunks[0] = RTE_BIT64(0) | RTE_BIT64(5);
	add_port(1, 100, true, NULL);
	add_port(2, 0, true, &rules);
	add_port(UPLINK, 0, false, NULL);
	for (i = 0; i < 4; i++) {
		uint16_t from = i < 2 ? 1 : 2;

		f.src = (uint8_t)from;
		memcpy(add_frame(&f) + 16, inner[i % 2], 2);
		forward(from);
	}
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(1, DP_IN_VLAN), 2);
	assert_int_equal(dropped(2, DP_IN_VLAN), 2);
}

enum {
	NATIVE = 10,
	OTHER = 20
};

/* 1 sends its native VLAN untagged, 2 tagged; 3 and 4 are access ports, the uplinks trunks. */
static void
add_native_ports(void)
{
	struct dp_rules rules = {.vlans = {DP_VLANS_NATIVE_UNTAGGED, .vlan = NATIVE}};
	struct dp_rules zero = {0};

	rules.vlans.trunks[0] = RTE_BIT64(OTHER) | RTE_BIT64(0); /* the latter is no good there */
	add_port(1, 0, false, &rules);
	rules.vlans.mode = DP_VLANS_NATIVE_TAGGED;
	add_port(2, 0, false, &rules);
	add_port(3, NATIVE, false, NULL);
	add_port(4, OTHER, false, NULL);
	add_port(UPLINK, 0, false, NULL);
	zero.vlans.trunks[0] = RTE_BIT64(0);
	add_port(UPLINK + 1, 0, false, &zero);
}

static void
untagged_frames_are_in_the_native_vlan(void **state)
{
	(void)state;
	add_native_ports();
	send_one(1, 0xff, 0x50, -1);
	assert_int_equal(receivers(), P(2) | P(3) | P(UPLINK));
	assert_int_equal(tag_of(2), NATIVE);
	assert_int_equal(tag_of(3), -1);
	assert_int_equal(tag_of(UPLINK), NATIVE);
	send_one(2, 0xff, 0x51, 0); /* nor has a tag for the priority a VLAN */
	assert_int_equal(receivers(), P(1) | P(3) | P(UPLINK));
	assert_int_equal(tag_of(1), -1);
	assert_int_equal(tag_of(UPLINK), NATIVE);
	send_one(2, 1, 0x51, -1); /* to nobody known, so to all who learn */
	assert_int_equal(receivers(), P(1) | P(3) | P(UPLINK));
	send_one(1, 0x51, 0x50, NATIVE); /* with its tag it is welcome, too */
	assert_int_equal(receivers(), P(2));
	assert_int_equal(tag_of(2), NATIVE);
}

static void
a_native_vlan_is_one_of_the_trunks(void **state)
{
	(void)state;
	add_native_ports();
	send_one(UPLINK, 0xff, 0x50, NATIVE);
	assert_int_equal(receivers(), P(1) | P(2) | P(3));
	assert_int_equal(tag_of(1), -1);
	assert_int_equal(tag_of(2), NATIVE);
	send_one(UPLINK, 0xff, 0x50, OTHER);
	assert_int_equal(receivers(), P(1) | P(2) | P(4));
	assert_int_equal(tag_of(1), OTHER);
	assert_int_equal(tag_of(2), OTHER);
	send_one(UPLINK, 0xff, 0x50, -1); /* VLAN 0 would be the native one for who gets it */
	assert_int_equal(receivers(), P(UPLINK + 1));
	send_one(UPLINK, 0xff, 0x50, 30);
	assert_int_equal(receivers(), 0);
	send_one(1, 0xff, 0x51, 30);
	assert_int_equal(dropped(1, DP_IN_VLAN), 1);
}

static void
without_a_list_a_native_vlan_has_all_others(void **state)
{
	struct dp_rules rules = {.vlans = {DP_VLANS_NATIVE_UNTAGGED, .vlan = NATIVE, .all = true}};

	(void)state;
	add_port(1, 0, true, &rules);
	add_port(2, 0, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_one(UPLINK, 1, 0x50, 4094);
	assert_int_equal(tag_of(1), 4094);
	send_one(UPLINK, 1, 0x50, NATIVE); /* its static MAC is valid in every VLAN */
	assert_int_equal(tag_of(1), -1);
	send_one(UPLINK, 1, 0x50, -1);
	assert_int_equal(receivers(), 0);
	send_one(1, 0x50, 1, -1);
	assert_int_equal(tag_of(UPLINK), NATIVE);
	send_one(1, 0x50, 9, -1);
	assert_int_equal(dropped(1, DP_IN_SPOOF), 1);
	send_one(1, 0xff, 1, 4095);
	assert_int_equal(dropped(1, DP_IN_VLAN), 1);
}

/* Who takes the first tag off between two switches must not let the second name a VLAN. */
static void
a_native_tag_hides_no_other_tag(void **state)
{
	struct frame_spec f = {.dst = 0xff, .src = 0x50, .vlan = NATIVE};

	(void)state;
	add_native_ports();
	memcpy(add_frame(&f) + 16, (uint8_t[]){0x81, 0x00}, 2);
	forward(UPLINK);
	assert_int_equal(receivers(), P(2) | P(3));
	send_one(1, 0xff, 0x51, -1);
	f.dst = 0x51;
	memcpy(add_frame(&f) + 16, (uint8_t[]){0x88, 0xa8}, 2);
	forward(UPLINK);
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(UPLINK, DP_IN_NO_OUTPUT), 1);
}

/* One burst with rows of like frames, whose tags are `sent`. Their VLANs are as 1 has it. */
static void
send_rows(uint16_t from, uint16_t to, const int *sent, uint16_t n, int native_comes_as)
{
	struct frame_spec f[KEPT];
	uint16_t i;

	add_native_ports();
	send_one(to, 0xff, 0x50, NATIVE);
	send_one(to, 0xff, 0x50, OTHER);
	for (i = 0; i < n; i++)
		f[i] = (struct frame_spec){.dst = 0x50, .src = 0x51, .vlan = sent[i]};
	send_burst(from, f, n);
	assert_int_equal(fakes[to].n_got, n);
	for (i = 0; i < n; i++) {
		const uint8_t *got = fakes[to].got[i];
		bool tagged = got[12] == 0x81 && got[13] == 0;

		assert_int_equal(tagged ? got[14] << 8 | got[15] : -1,
				 sent[i] == OTHER ? OTHER : native_comes_as);
	}
}

static void
rows_from_a_native_port_come_out_right(void **state)
{
	static const int sent[] = {-1, -1, OTHER, OTHER, 0, 0, -1, NATIVE, NATIVE, OTHER};

	(void)state;
	send_rows(1, UPLINK, sent, RTE_DIM(sent), NATIVE);
}

static void
rows_to_a_native_port_come_out_right(void **state)
{
	static const int sent[] = {NATIVE, NATIVE, OTHER, OTHER, NATIVE, OTHER, NATIVE};

	(void)state;
	send_rows(UPLINK, 1, sent, RTE_DIM(sent), -1);
}

static void
what_an_access_port_sends_to_a_native_one_has_its_tag(void **state)
{
	/* The first is dropped; the second, of a direct guest, is in one piece. */
	const struct frame_spec f[2] = {{.dst = 0x50, .src = 0x51, .vlan = -1, .len = 13},
					{.dst = 0x50, .src = 0x51, .vlan = -1}};

	(void)state;
	add_native_ports();
	send_one(1, 0xff, 0x50, OTHER);
	send_burst(4, f, 2);
	assert_int_equal(receivers(), P(1));
	assert_int_equal(tag_of(1), OTHER);
	send_one(1, 0xff, 0x50, NATIVE);
	send_burst(3, f, 2);
	assert_int_equal(tag_of(1), -1);
}

static void
rows_between_native_ports_come_out_right(void **state)
{
	static const int sent[] = {-1, -1, OTHER, OTHER, 0, 0, -1, NATIVE, NATIVE, OTHER};

	(void)state;
	send_rows(2, 1, sent, RTE_DIM(sent), -1);
}

static void
segments_are_not_made_for_a_group(void **state)
{
	struct frame_spec f = {.dst = 0xff, .src = 1, .vlan = -1};

	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	add_frame(&f);
	ask_for_segments();
	forward(1);
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(1, DP_IN_BAD_FRAME), 1);
}

static void
a_header_cut_in_its_tag_is_bad(void **state)
{
	struct frame_spec f = {.dst = 0xff, .src = 1, .vlan = 5, .len = 2 + 14 - 4};

	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	add_frame(&f); /* addresses, 0x8100, VLAN, and nothing */
	assert_int_equal(frame_bytes(), 16);
	forward(1);
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(1, DP_IN_BAD_FRAME), 1);
}

static void
a_learning_guest_does_not_use_anothers_address(void **state)
{
	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	add_port(3, 0, false, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_one(3, 2, 1, -1);
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(3, DP_IN_SPOOF), 1);
	send_one(UPLINK, 2, 1, -1); /* but 1 may have moved to another host */
	assert_int_equal(receivers(), P(2));
}

static void
a_trunks_own_mac_is_not_shadowed_by_a_learned_one(void **state)
{
	(void)state;
	add_port(1, 5, true, NULL);
	add_port(3, 5, false, NULL);
	send_one(3, 1, 2, -1); /* 3 says that it is 02:...:02 */
	send_one(1, 2, 1, -1);
	assert_int_equal(receivers(), P(3));
	add_port(2, 0, true, NULL); /* whose MAC that is, in every VLAN */
	send_one(1, 2, 1, -1);
	assert_int_equal(receivers(), P(2));
	send_one(3, 1, 2, -1); /* 3 says so again */
	send_one(1, 2, 1, -1);
	assert_int_equal(receivers(), P(2));
}

static void
same_mac_in_two_vlans_is_two_stations(void **state)
{
	(void)state;
	add_port(1, 100, true, NULL);
	add_port(2, 200, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_one(1, 2, 1, -1); /* 2's MAC, but in VLAN 100: unknown there */
	assert_int_equal(receivers(), P(UPLINK));
	send_one(UPLINK, 2, 0x50, 200);
	assert_int_equal(receivers(), P(2));
	assert_int_equal(tag_of(2), -1);
}

static void
trunk_lists_are_kept(void **state)
{
	struct dp_rules rules = {0};

	(void)state;
	rules.vlans.trunks[0] = RTE_BIT64(5);
	rules.vlans.trunks[4094 / 64] = RTE_BIT64(4094 % 64);
	add_port(1, 0, true, &rules);
	add_port(2, 5, true, NULL);
	add_port(3, 6, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_one(1, 2, 1, 5);
	assert_int_equal(receivers(), P(2));
	assert_int_equal(tag_of(2), -1);
	send_one(2, 1, 2, -1); /* a trunk's static MAC is valid in all its VLANs */
	assert_int_equal(receivers(), P(1));
	assert_int_equal(tag_of(1), 5);
	send_one(3, 1, 3, -1); /* but not in others */
	assert_int_equal(receivers(), 0);
	send_one(1, 3, 1, 6);
	send_one(1, 3, 1, -1);
	assert_int_equal(dropped(1, DP_IN_VLAN), 2);
	send_one(1, 0xff, 1, 4094);
	assert_int_equal(receivers(), P(UPLINK));
	assert_int_equal(tag_of(UPLINK), 4094);
	send_one(UPLINK, 0xff, 0x50, 4095);
	assert_int_equal(dropped(UPLINK, DP_IN_VLAN), 1);
}

static void
bad_frames_are_dropped_by_reason(void **state)
{
	const struct frame_spec short_frame = {.dst = 2, .src = 1, .vlan = -1, .len = 13};
	const struct frame_spec longest = {.dst = 2, .src = 1, .vlan = -1, .len = 1518};
	const struct frame_spec too_long = {.dst = 2, .src = 1, .vlan = -1, .len = 1519};
	const struct frame_spec longest_tagged = {.dst = 2, .src = 1, .vlan = 3, .len = 1518};

	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	send_burst(1, &short_frame, 1);
	assert_int_equal(dropped(1, DP_IN_BAD_FRAME), 1);
	send_burst(1, &longest, 1);
	assert_int_equal(receivers(), P(2));
	send_burst(1, &longest_tagged, 1);
	assert_int_equal(receivers(), P(2));
	send_burst(1, &too_long, 1);
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(1, DP_IN_MTU), 1);
	send_one(1, 2, 9, -1); /* not its MAC */
	assert_int_equal(dropped(1, DP_IN_SPOOF), 1);
	assert_int_equal(fakes[1].queue[0].stats.in_packets, 2);
}

static void
group_addresses_are_no_senders_and_reserved_ones_no_targets(void **state)
{
	struct frame_spec f = {.dst = 2, .src = 1, .vlan = -1};
	static const uint8_t stp[6] = {0x01, 0x80, 0xc2, 0, 0, 0};

	(void)state;
	add_port(1, 0, false, NULL);
	add_port(2, 0, false, NULL);
	add_frame(&f)[6] |= 1;
	memcpy(add_frame(&f), stp, 6);
	forward(1);
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(1, DP_IN_BAD_FRAME), 1);
	assert_int_equal(dropped(1, DP_IN_NO_OUTPUT), 1);
}

static void
vepa_speaks_to_uplinks_alone(void **state)
{
	struct dp_rules vepa = {.vlans.all = true, .vepa = true};

	(void)state;
	add_port(1, 0, true, &vepa);
	add_port(2, 0, true, NULL);
	add_port(3, 0, true, &vepa);
	add_port(UPLINK, 0, false, NULL);
	send_one(1, 2, 1, -1); /* to a local guest: by the adjacent bridge */
	assert_int_equal(receivers(), P(UPLINK));
	send_one(2, 1, 2, -1);
	assert_int_equal(receivers(), P(UPLINK));
	send_one(1, 0xff, 1, -1);
	assert_int_equal(receivers(), P(UPLINK));
	send_one(2, 0xff, 2, -1);
	assert_int_equal(receivers(), P(UPLINK));
	send_one(UPLINK, 1, 2, -1); /* reflected */
	assert_int_equal(receivers(), P(1));
	send_one(UPLINK, 0xff, 1, -1); /* 1's own broadcast, reflected: not to 1 */
	assert_int_equal(receivers(), P(2) | P(3));
	send_one(2, 1, 2, -1); /* the reflection has moved nobody */
	assert_int_equal(receivers(), P(UPLINK));
}

/* What was found for one frame is not taken for the next, if that is another's. */
static void
each_frame_of_a_burst_goes_its_own_way(void **state)
{
	const struct frame_spec f[] = {
		{.dst = 2, .src = 0x33, .vlan = 100},
		{.dst = 2, .src = 2, .vlan = 100}, /* spoof */
		{.dst = 2, .src = 0x33, .vlan = 100},
		{.dst = 2, .src = 0x33, .vlan = 200}, /* not there: unknown */
		{.dst = 2, .src = 2, .vlan = 100}, /* spoof */
		{.dst = 1, .src = 0x33, .vlan = 100},
		{.dst = 2, .src = 0x33, .vlan = 100},
		{.dst = 0x33, .src = 0x33, .vlan = 100}, /* unknown at first */
		{.dst = 2, .src = 0x34, .vlan = 100},
		{.dst = 1, .src = 0x34, .vlan = 200},
	};

	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 100, true, NULL);
	add_port(3, 0, false, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_burst(3, f, RTE_DIM(f));
	assert_int_equal(dropped(3, DP_IN_SPOOF), 2);
	assert_int_equal(fakes[1].n_got, 2);
	assert_int_equal(fakes[2].n_got, 4);
	assert_int_equal(fakes[UPLINK].n_got, 2);
	send_one(1, 0x34, 1, 200); /* each sender was learned, in its VLAN */
	assert_int_equal(receivers(), P(3));
	send_one(2, 0x33, 2, -1);
	assert_int_equal(receivers(), P(3));
}

/* Frames with one header have one way; what is only one frame's is found in each of them. */
static void
a_row_of_like_frames_has_its_exceptions(void **state)
{
	const struct frame_spec priority = {.dst = 2, .src = 1, .vlan = 0};
	const struct frame_spec plain = {.dst = 2, .src = 1, .vlan = -1};
	const struct frame_spec group = {.dst = 0xff, .src = 1, .vlan = -1};
	const struct frame_spec too_long = {.dst = 2, .src = 1, .vlan = -1, .len = 1519};
	const struct frame_spec tagged = {.dst = 2,
					  .src = 1,
					  .vlan = 100}; /* no longer a priority */
	const struct frame_spec too_short = {.dst = 2, .src = 1, .vlan = -1, .len = 13};
	const struct frame_spec cut = {.dst = 2, .src = 1, .vlan = 0, .len = 12};
	unsigned int i;

	(void)state;
	add_port(1, 100, true, NULL);
	add_port(2, 100, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	for (i = 0; i < 3; i++)
		add_frame(&priority);
	add_frame(&tagged);
	add_frame(&cut);
	add_frame(&plain);
	add_frame(&too_short);
	add_frame(&too_long);
	add_frame(&plain);
	add_frame(&group);
	add_frame(&group);
	ask_for_segments();
	add_frame(&group);
	add_frame(&group);
	memcpy(add_frame(&priority) + 16, "\x81\x00", 2); /* another tag behind the first */
	send_burst(1, NULL, 0);
	assert_int_equal(fakes[2].n_got, 3 + 2 + 3);
	assert_int_equal(fakes[UPLINK].n_got, 3);
	assert_int_equal(dropped(1, DP_IN_BAD_FRAME), 3);
	assert_int_equal(dropped(1, DP_IN_MTU), 1);
	assert_int_equal(dropped(1, DP_IN_VLAN), 2);
	assert_int_equal(fakes[1].queue[0].stats.in_packets, 8);
	assert_int_equal(fakes[1].queue[0].stats.in_bytes, 3 * 64 + 5 * 60);
	for (i = 0; i < fakes[2].n_got; i++)
		assert_int_equal(fakes[2].got_len[i], 60);
	for (i = 0; i < fakes[UPLINK].n_got; i++)
		assert_int_equal(fakes[UPLINK].got[i][15], 100);
}

static void
two_ports_cannot_have_one_mac(void **state)
{
	struct err err;
	struct dp_rules rules;

	(void)state;
	add_port(1, 100, true, NULL);
	add_port(2, 100, true, NULL);
	rules = fakes[2].base.rules_ctl;
	rules.mac[1] = rules.mac[0];
	rules.mac[0] = (struct dp_mac){{2, 0, 0, 0, 0, 0x22}};
	rules.mac[1].byte[5] = 1;
	rules.n_macs = 2;
	assert_int_equal(table_set_rules(&fakes[2].base, &rules, &err), -EEXIST);
	assert_string_equal(err.code, "mac-in-use");
	send_one(1, 2, 1, -1); /* nothing has changed */
	assert_int_equal(receivers(), P(2));
	rules.n_macs = 1;
	assert_int_equal(table_set_rules(&fakes[2].base, &rules, &err), 0);
	send_one(1, 2, 1, -1);
	assert_int_equal(receivers(), 0); /* nobody has that MAC now */
	send_one(1, 0x22, 1, -1);
	assert_int_equal(receivers(), P(2));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(known_unicast_goes_to_its_port_alone),
		ON_BOTH(unknown_unicast_goes_to_uplinks_and_learners),
		ON_BOTH(broadcast_stays_in_the_vlan),
		ON_BOTH(access_ports_take_no_tags_but_priority_ones),
		ON_BOTH(a_priority_tag_hides_no_other_tag),
		ON_BOTH(untagged_frames_are_in_the_native_vlan),
		ON_BOTH(a_native_vlan_is_one_of_the_trunks),
		ON_BOTH(without_a_list_a_native_vlan_has_all_others),
		ON_BOTH(a_native_tag_hides_no_other_tag),
		ON_BOTH(rows_from_a_native_port_come_out_right),
		ON_BOTH(rows_to_a_native_port_come_out_right),
		ON_BOTH(what_an_access_port_sends_to_a_native_one_has_its_tag),
		ON_BOTH(rows_between_native_ports_come_out_right),
		ON_BOTH(segments_are_not_made_for_a_group),
		ON_BOTH(a_header_cut_in_its_tag_is_bad),
		ON_BOTH(a_learning_guest_does_not_use_anothers_address),
		ON_BOTH(a_trunks_own_mac_is_not_shadowed_by_a_learned_one),
		ON_BOTH(same_mac_in_two_vlans_is_two_stations),
		ON_BOTH(trunk_lists_are_kept),
		ON_BOTH(bad_frames_are_dropped_by_reason),
		ON_BOTH(group_addresses_are_no_senders_and_reserved_ones_no_targets),
		ON_BOTH(vepa_speaks_to_uplinks_alone),
		ON_BOTH(each_frame_of_a_burst_goes_its_own_way),
		ON_BOTH(a_row_of_like_frames_has_its_exceptions),
		ON_BOTH(two_ports_cannot_have_one_mac),
	};

	if (forward_fixture_start() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
