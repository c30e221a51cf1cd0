/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/log.h"
#include "control/recorder.h"
#include "tests/unit/fake_dp.h"
#include "tests/unit/scratch_dir.h"

static struct event_base *base;
static struct recorder recorder;
static unsigned int ends;
static char last_why[128];

static void
ended(void *arg, const struct recording *recording)
{
	assert_ptr_equal(arg, &ends);
	ends++;
	snprintf(last_why, sizeof(last_why), "%s", recording->why);
}

static int
setup(void **state)
{
	log_start(-1);
	if (scratch_dir_make(state) < 0)
		return -1;
	fake_dp = (struct fake_dp){.frame_bytes = 60, .frame_time_ns = 1700000000123456789};
	base = event_base_new();
	ends = 0;
	return recorder_init(&recorder, base, ended, &ends);
}

static int
teardown(void **state)
{
	recorder_clear(&recorder);
	event_base_free(base);
	return scratch_dir_remove(state);
}

static int
start(const char *file, unsigned int snaplen, uint64_t max_bytes, struct err *err)
{
	const struct recorder_request request = {
		.port = 3,
		.name = "vm1",
		.file = file,
		.snaplen = snaplen,
		.max_bytes = max_bytes,
	};

	memset(err, 0, sizeof(*err));
	return recorder_start(&recorder, &request, err);
}

static void
start_well(const char *file, unsigned int snaplen, uint64_t max_bytes)
{
	struct err err;

	if (start(file, snaplen, max_bytes, &err) < 0)
		fail_msg("%s", err.message);
}

/* ---- a reader of pcapng, which knows as much as our files have */

struct reader {
	uint8_t *data;
	size_t size, at;
};

static void
reader_open(struct reader *r, const char *file)
{
	FILE *f = fopen(file, "r");

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	*r = (struct reader){.size = ftell(f)};
	rewind(f);
	r->data = malloc(r->size + 1);
	assert_int_equal(fread(r->data, 1, r->size, f), r->size);
	fclose(f);
}

static uint32_t
u32_at(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t
u64_at(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* The body of the next block, which must be of the type; *bytes is its size. */
static const uint8_t *
next_block(struct reader *r, uint32_t type, uint32_t *bytes)
{
	const uint8_t *block = r->data + r->at;
	uint32_t size;

	assert_true(r->at + 12 <= r->size);
	assert_int_equal(u32_at(block), type);
	size = u32_at(block + 4);
	assert_int_equal(size % 4, 0);
	assert_true(r->at + size <= r->size);
	assert_int_equal(u32_at(block + size - 4), size);
	r->at += size;
	*bytes = size - 12;
	return block + 8;
}

/* The value of an option, which must be there with this size. */
static const uint8_t *
option(const uint8_t *options, const uint8_t *end, uint16_t code, uint16_t bytes)
{
	while (options + 4 <= end) {
		uint16_t head[2];

		memcpy(head, options, 4);
		if (head[0] == code) {
			assert_int_equal(head[1], bytes);
			return options + 4;
		}
		assert_int_not_equal(head[0], 0);
		options += 4 + (head[1] + 3) / 4 * 4;
	}
	fail_msg("option %u is not there", code);
	return NULL;
}

static void
read_head(struct reader *r, uint32_t snaplen)
{
	uint32_t bytes;
	const uint8_t *body = next_block(r, 0x0a0d0d0a, &bytes);

	assert_int_equal(u32_at(body), 0x1a2b3c4d);
	assert_int_equal(u32_at(body + 4), 1);
	body = next_block(r, 1, &bytes);
	assert_int_equal(u32_at(body), 1); /* Ethernet */
	assert_int_equal(u32_at(body + 4), snaplen);
	assert_memory_equal(option(body + 8, body + bytes, 2, 3), "vm1", 3);
	assert_int_equal(*option(body + 8, body + bytes, 9, 1), 9);
}

/* A frame as fake_dp makes its i-th. */
static void
read_frame(struct reader *r, unsigned int i, uint32_t captured, uint32_t frame_bytes)
{
	uint32_t bytes;
	const uint8_t *body = next_block(r, 6, &bytes);
	uint64_t time = (uint64_t)u32_at(body + 4) << 32 | u32_at(body + 8);

	assert_int_equal(u32_at(body), 0);
	assert_true(time == (uint64_t)fake_dp.frame_time_ns);
	assert_int_equal(u32_at(body + 12), captured);
	assert_int_equal(u32_at(body + 16), frame_bytes);
	for (uint32_t k = 0; k < captured; k++)
		assert_int_equal(body[20 + k], i % 256);
	body += 20 + (captured + 3) / 4 * 4;
	assert_int_equal(u32_at(option(body, r->data + r->at - 4, 2, 4)), i % 2 ? 2 : 1);
}

static void
read_end(struct reader *r, uint64_t received, uint64_t lost)
{
	uint32_t bytes;
	const uint8_t *body = next_block(r, 5, &bytes);
	const uint8_t *end = body + bytes;

	assert_int_equal(u64_at(option(body + 12, end, 4, 8)), received);
	assert_int_equal(u64_at(option(body + 12, end, 5, 8)), lost);
	option(body + 12, end, 2, 8);
	option(body + 12, end, 3, 8);
	assert_int_equal(r->at, r->size);
	free(r->data);
}

/* ---- */

static void
what_passes_is_in_the_file(void **state)
{
	const char *file = scratch_path(state, "f");
	struct recording *rec;
	struct reader r;
	struct stat st;

	fake_dp.frames = 10;
	fake_dp.frames_lost = 7;
	fake_dp.frame_bytes = 61;
	start_well(file, 262144, 1 << 20);
	assert_int_equal(fake_dp.port[3].snaplen, 262144);
	rec = recorder_stop(&recorder, "vm1");
	assert_non_null(rec);
	assert_int_equal(rec->packets, 10);
	assert_int_equal(rec->lost, 7);
	assert_string_equal(rec->why, "");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(rec->out.bytes, st.st_size);
	recorder_free(rec);
	assert_false(fake_dp.port[3].captured);
	assert_null(recorder_stop(&recorder, "vm1"));
	assert_int_equal(ends, 0);

	reader_open(&r, file);
	read_head(&r, 262144);
	for (unsigned int i = 0; i < 10; i++)
		read_frame(&r, i, 61, 61);
	read_end(&r, 17, 7);
}

static void
long_frames_are_cut(void **state)
{
	const char *file = scratch_path(state, "f");
	struct reader r;

	fake_dp.frames = 3;
	fake_dp.frame_bytes = 1514;
	start_well(file, 97, 1 << 20);
	recorder_free(recorder_stop(&recorder, "vm1"));
	reader_open(&r, file);
	read_head(&r, 97);
	for (unsigned int i = 0; i < 3; i++)
		read_frame(&r, i, 97, 1514);
	read_end(&r, 3, 0);
}

/* Without a word, and more than one turn or one buffer takes. */
static void
the_timer_drains(void **state)
{
	const char *file = scratch_path(state, "f");
	struct recording *rec;
	struct reader r;

	fake_dp.frames = 5000;
	fake_dp.frame_bytes = 600;
	start_well(file, 262144, 1 << 30);
	while (fake_dp.frames_read < fake_dp.frames)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	fake_dp.frames += 2;
	while (fake_dp.frames_read < fake_dp.frames)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	rec = recorder_stop(&recorder, "vm1");
	assert_int_equal(rec->packets, 5002);
	recorder_free(rec);
	reader_open(&r, file);
	read_head(&r, 262144);
	for (unsigned int i = 0; i < 5002; i++)
		read_frame(&r, i, 600, 600);
	read_end(&r, 5002, 0);
}

/* What passes for ever does not keep a capture from its end. */
static void
what_passed_later_is_left_out(void **state)
{
	struct recording *rec;

	fake_dp.frames = 10;
	fake_dp.frame_time_ns = INT64_MAX;
	start_well(scratch_path(state, "f"), 100, 1 << 20);
	rec = recorder_stop(&recorder, "vm1");
	assert_int_equal(rec->packets, 0);
	recorder_free(rec);
}

static void
a_full_file_ends_it(void **state)
{
	const char *file = scratch_path(state, "f");
	struct recording *rec;
	struct reader r;
	struct stat st;
	unsigned int packets;

	fake_dp.frames = 1000;
	start_well(file, 100, 5000);
	while (!ends)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	assert_non_null(strstr(last_why, "max_bytes"));
	assert_false(fake_dp.port[3].captured);
	assert_int_equal(stat(file, &st), 0);
	assert_in_range(st.st_size, 5000 - 120, 5000);
	/* The timer has nothing to do, and the result is kept. */
	assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 1);
	rec = recorder_stop(&recorder, "vm1");
	packets = rec->packets;
	assert_string_equal(rec->why, last_why);
	recorder_free(rec);
	assert_int_equal(ends, 1);
	reader_open(&r, file);
	read_head(&r, 100);
	for (unsigned int i = 0; i < packets; i++)
		read_frame(&r, i, 60, 60);
	read_end(&r, packets, 0);
}

/* A disk that is full, which a limit of the process plays. */
static void
a_file_that_cannot_be_written_ends_it(void **state)
{
	const char *file = scratch_path(state, "f");
	struct rlimit limit = {.rlim_cur = 3001, .rlim_max = RLIM_INFINITY}, old;
	struct recording *rec;
	struct stat st;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	limit.rlim_max = old.rlim_max;
	fake_dp.frames = 100;
	start_well(file, 100, 1 << 20);
	setrlimit(RLIMIT_FSIZE, &limit);
	while (!ends)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_non_null(strstr(last_why, strerror(EFBIG)));
	assert_false(fake_dp.port[3].captured);
	rec = recorder_stop(&recorder, "vm1");
	assert_int_equal(stat(file, &st), 0);
	/* Whole blocks only: what was in the buffer is not there in part. */
	assert_int_equal(st.st_size, rec->out.bytes);
	assert_true(st.st_size < 3001);
	recorder_free(rec);
}

static void
refusals_change_nothing(void **state)
{
	const char *file = scratch_file(state, "there", "precious");
	const char *link_to_nowhere = scratch_path(state, "link");
	const char *fresh = scratch_path(state, "fresh");
	struct err err;
	char *text;
	struct reader r;

	assert_int_equal(start("relative", 100, 5000, &err), -EINVAL);
	assert_string_equal(err.code, "bad-parameter");
	assert_string_equal(err.param, "file");
	assert_int_equal(start(file, 100, 5000, &err), -EEXIST);
	assert_string_equal(err.code, "file-exists");
	assert_non_null(strstr(err.message, file));
	assert_int_equal(symlink(fresh, link_to_nowhere), 0);
	assert_int_equal(start(link_to_nowhere, 100, 5000, &err), -EEXIST);
	assert_int_equal(start("/no/such/directory/f", 100, 5000, &err), -ENOENT);
	assert_string_equal(err.code, "file-refused");
	fake_dp.refuse = true;
	assert_int_equal(start(fresh, 100, 5000, &err), -ENOMEM);
	assert_string_equal(err.code, "fake");
	fake_dp.refuse = false;
	assert_int_equal(access(fresh, F_OK), -1);
	assert_true(TAILQ_EMPTY(&recorder.recordings));
	reader_open(&r, file);
	text = (char *)r.data;
	assert_memory_equal(text, "precious", 8);
	free(text);

	start_well(fresh, 100, 5000);
	assert_int_equal(start(scratch_path(state, "other"), 100, 5000, &err), -EBUSY);
	assert_string_equal(err.code, "capture-runs");
	assert_non_null(strstr(err.message, fresh));
	assert_int_equal(access(scratch_path(state, "other"), F_OK), -1);
}

static void
a_new_capture_takes_the_place_of_one_that_ended(void **state)
{
	fake_dp.frames = 1000;
	start_well(scratch_path(state, "f"), 100, 4096);
	while (!ends)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	start_well(scratch_path(state, "g"), 100, 4096);
	assert_non_null(TAILQ_FIRST(&recorder.recordings));
	assert_null(TAILQ_NEXT(TAILQ_FIRST(&recorder.recordings), link));
}

static void
it_ends_with_its_port_or_with_all(void **state)
{
	const char *file = scratch_path(state, "f"), *other = scratch_path(state, "g");
	struct reader r;

	fake_dp.frames = 4;
	start_well(file, 100, 5000);
	recorder_port_goes(&recorder, 2);
	assert_true(fake_dp.port[3].captured);
	recorder_port_goes(&recorder, 3);
	assert_false(fake_dp.port[3].captured);
	assert_int_equal(ends, 1);
	assert_true(TAILQ_EMPTY(&recorder.recordings));
	reader_open(&r, file);
	read_head(&r, 100);
	for (unsigned int i = 0; i < 4; i++)
		read_frame(&r, i, 60, 60);
	read_end(&r, 4, 0);

	fake_dp.frames = 5;
	start_well(other, 100, 5000);
	recorder_clear(&recorder);
	assert_false(fake_dp.port[3].captured);
	reader_open(&r, other);
	read_head(&r, 100);
	read_frame(&r, 4, 60, 60);
	read_end(&r, 1, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_passes_is_in_the_file),
		TEST(long_frames_are_cut),
		TEST(the_timer_drains),
		TEST(what_passed_later_is_left_out),
		TEST(a_full_file_ends_it),
		TEST(a_file_that_cannot_be_written_ends_it),
		TEST(refusals_change_nothing),
		TEST(a_new_capture_takes_the_place_of_one_that_ended),
		TEST(it_ends_with_its_port_or_with_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
