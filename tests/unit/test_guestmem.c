/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_vhost.h>

#include "datapath/guestmem.h"

#define PAGE 0x1000

static uint8_t low[2 * PAGE], high[4 * PAGE], other[PAGE];

/* `high` goes on in the guest's addresses where `low` ends; `other` is its last page of all. */
static const struct guestmem mem = {
	.n = 3,
	.region = {{.addr = 0x12000, .bytes = sizeof(high), .host = high},
		   {.addr = 0x10000, .bytes = sizeof(low), .host = low},
		   {.addr = -(uint64_t)PAGE, .bytes = sizeof(other), .host = other}},
};

static void
an_address_is_found_with_its_length(void **state)
{
	(void)state;
	assert_ptr_equal(guestmem_at(&mem, 0x10000, 1), low);
	assert_ptr_equal(guestmem_at(&mem, 0x10000, sizeof(low)), low);
	assert_ptr_equal(guestmem_at(&mem, 0x11fff, 1), low + 0x1fff);
	assert_ptr_equal(guestmem_at(&mem, 0x12000, sizeof(high)), high);
	assert_ptr_equal(guestmem_at(&mem, -(uint64_t)PAGE, PAGE), other);
	assert_ptr_equal(guestmem_at(&mem, UINT64_MAX, 1), other + PAGE - 1);
}

static void
what_is_not_all_in_one_region_is_not_found(void **state)
{
	(void)state;
	assert_null(guestmem_at(&mem, 0xffff, 1));
	assert_null(guestmem_at(&mem, 0xffff, 2));
	assert_null(guestmem_at(&mem, 0x11fff, 2));
	assert_null(guestmem_at(&mem, 0x10000, sizeof(low) + 1));
	assert_null(guestmem_at(&mem, 0x16000, 1));
	assert_null(guestmem_at(&mem, UINT64_MAX, 2)); /* nor around the end of the world */
	assert_null(guestmem_at(&mem, 0x10001, UINT64_MAX));
	assert_null(guestmem_at(&mem, 0, 1));
	assert_null(guestmem_at(&(struct guestmem){.n = 0}, 0, 1));
}

static void
a_piece_ends_where_its_region_does(void **state)
{
	uint64_t bytes = 100;

	(void)state;
	assert_ptr_equal(guestmem_piece(&mem, 0x10010, &bytes), low + 16);
	assert_int_equal(bytes, 100);
	bytes = 3 * PAGE;
	assert_ptr_equal(guestmem_piece(&mem, 0x11000, &bytes), low + PAGE);
	assert_int_equal(bytes, PAGE);
	bytes = UINT64_MAX;
	assert_ptr_equal(guestmem_piece(&mem, UINT64_MAX, &bytes), other + PAGE - 1);
	assert_int_equal(bytes, 1);
	bytes = 1;
	assert_null(guestmem_piece(&mem, 0x16000, &bytes));
}

static void
there_is_a_way_back(void **state)
{
	uint64_t addr = 0;

	(void)state;
	assert_true(guestmem_addr(&mem, low, sizeof(low), &addr));
	assert_int_equal(addr, 0x10000);
	assert_true(guestmem_addr(&mem, high + 5, 1, &addr));
	assert_int_equal(addr, 0x12005);
	assert_false(guestmem_addr(&mem, high + 5, sizeof(high) - 4, &addr));
	assert_false(guestmem_addr(&mem, high + sizeof(high) - 1, 2, &addr));
	assert_false(guestmem_addr(&mem, NULL, 1, &addr));
	assert_false(guestmem_addr(&mem, &addr, 1, &addr));
	assert_int_equal(addr, 0x12005);
}

/* The library's table. */
static unsigned int n_regions;

int
rte_vhost_get_mem_table(int vid, struct rte_vhost_memory **table)
{
	struct rte_vhost_memory *t;
	unsigned int i;

	if (vid != 3)
		return -1;
	t = calloc(1, sizeof(*t) + n_regions * sizeof(t->regions[0]));
	assert_non_null(t);
	t->nregions = n_regions;
	for (i = 0; i < n_regions; i++) {
		t->regions[i].guest_phys_addr = 0x100000 * i;
		t->regions[i].size = (i + 1) * PAGE;
		t->regions[i].host_user_addr = (uintptr_t)high;
	}
	*table = t;
	return 0;
}

static void
the_librarys_table_is_read_largest_first(void **state)
{
	struct guestmem got;

	(void)state;
	n_regions = 3;
	assert_int_equal(guestmem_read(&got, 3), 0);
	assert_int_equal(got.n, 3);
	assert_int_equal(got.region[0].bytes, 3 * PAGE);
	assert_int_equal(got.region[0].addr, 0x200000);
	assert_ptr_equal(got.region[0].host, high);
	assert_int_equal(got.region[2].bytes, PAGE);
	n_regions = GUESTMEM_REGIONS_MAX;
	assert_int_equal(guestmem_read(&got, 3), 0);
	assert_int_equal(got.n, GUESTMEM_REGIONS_MAX);
}

static void
without_a_table_there_is_no_memory(void **state)
{
	struct guestmem got;

	(void)state;
	n_regions = GUESTMEM_REGIONS_MAX + 1;
	got.n = 1;
	assert_int_equal(guestmem_read(&got, 3), -E2BIG);
	assert_int_equal(got.n, 0);
	got.n = 1;
	assert_int_equal(guestmem_read(&got, 4), -ENODEV);
	assert_int_equal(got.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_found_with_its_length),
		cmocka_unit_test(what_is_not_all_in_one_region_is_not_found),
		cmocka_unit_test(a_piece_ends_where_its_region_does),
		cmocka_unit_test(there_is_a_way_back),
		cmocka_unit_test(the_librarys_table_is_read_largest_first),
		cmocka_unit_test(without_a_table_there_is_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
