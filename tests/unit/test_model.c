/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/log.h"
#include "control/model.h"
#include "control/store.h"
#include "tests/unit/fake_dp.h"
#include "tests/unit/scratch_dir.h"

#define FEATURES 0x1234

static struct model model;
static struct event_base *base;

/* A model on two lcores of two nodes, with sockets in DIR/s and its state in DIR. */
static void
model_make(void **state)
{
	model_init(&model);
	assert_int_equal(sockpath_dirs_add(&model.socket_dirs, scratch_path(state, "s"), NULL), 0);
	model.socket_access = (struct dp_socket_access){.owner = -1, .group = -1, .mode = 0660};
	model.state_dir = *state;
	model.n_lcores = 2;
	model.lcore[0] = (struct placement_lcore){.cpu = 2, .node = 0, .distance = {10, 20}};
	model.lcore[1] = (struct placement_lcore){.cpu = 5, .node = 1, .distance = {20, 10}};
	model.reconnect = reconnect_create(base, NULL);
}

static void
model_unmake(void)
{
	reconnect_destroy(model.reconnect);
	model_clear(&model);
}

/* As after a restart: a new datapath, and a model that knows what is on disk. */
static void
restart(void **state)
{
	model_unmake();
	fake_dp = (struct fake_dp){.features = FEATURES};
	model_make(state);
}

static int
setup(void **state)
{
	log_start(-1); /* a restored port that fails is logged */
	if (scratch_dir_make(state) < 0 || mkdir(scratch_path(state, "s"), 0755) < 0)
		return -1;
	base = event_base_new();
	fake_dp = (struct fake_dp){.features = FEATURES, .connect_result = -ENOENT};
	model_make(state);
	return 0;
}

static int
teardown(void **state)
{
	model_unmake();
	event_base_free(base);
	return scratch_dir_remove(state);
}

static struct port_settings
port_settings(const char *text)
{
	json_t *params = json_loads(text, 0, NULL);
	struct port_settings set;

	assert_non_null(params);
	assert_int_equal(settings_of_port(params, &set, NULL), 0);
	json_decref(params);
	return set;
}

static int
change_rules(struct model_port *port, const struct dp_rules *rules, struct err *err)
{
	struct port_settings set = port->set;

	set.rules = *rules;
	return model_port_change(&model, port, &set, err);
}

static struct port_settings
uplink_settings(const char *name)
{
	return (struct port_settings){.rules = {.vlans.all = true, .mtu = 1500},
				      .bridge = "b",
				      .devargs = "net_null0",
				      .node = -1,
				      .name = {name[0]}};
}

static void
add_bridge(const char *name)
{
	struct bridge_settings set = {.mac_age_s = 300, .mac_limit = 10};

	strcpy(set.name, name);
	assert_int_equal(model_bridge_add(&model, &set, NULL), 0);
}

static struct model_port *
attach(const char *text)
{
	struct port_settings set = port_settings(text);
	struct model_port *port = NULL;
	struct err err = {0};

	if (model_port_attach(&model, &set, &port, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	return port;
}

/* The attachment must fail with this code, and leave no trace in datapath, model or on disk. */
static void
assert_refused(void **state, const char *text, const char *code)
{
	struct port_settings set = port_settings(text);
	unsigned int changes = fake_dp.changes;
	struct model_port *port = NULL;
	json_t *before, *after;
	struct err err = {0};

	assert_int_equal(store_load(*state, &before, NULL), 0);
	assert_true(model_port_attach(&model, &set, &port, &err) < 0);
	assert_string_equal(err.code, code);
	assert_int_equal(fake_dp.changes, changes);
	assert_int_equal(store_load(*state, &after, NULL), 0);
	assert_true(json_equal(before, after) || before == after);
	json_decref(before);
	json_decref(after);
}

static void
bridges_come_and_go(void **state)
{
	struct bridge_settings set = {.name = "b"};
	struct err err = {0};

	(void)state;
	add_bridge("b");
	assert_int_equal(model_bridge_add(&model, &set, &err), -EEXIST);
	assert_string_equal(err.code, "bridge-exists");
	attach("{\"name\": \"p\", \"bridge\": \"b\"}");
	assert_int_equal(model_bridge_del(&model, "b", &err), -EBUSY);
	assert_string_equal(err.code, "bridge-busy");
	assert_int_equal(model_port_del(&model, model_port_find(&model, "p"), &err), 0);
	assert_int_equal(model_bridge_del(&model, "b", &err), 0);
	assert_false(fake_dp.bridge[0]);
	assert_int_equal(model_bridge_del(&model, "b", &err), -ENOENT);
	assert_string_equal(err.code, "no-such-bridge");
}

static void
a_port_gets_what_was_asked_for(void **state)
{
	const struct dp_port_config *config;
	struct model_port *port;

	add_bridge("a");
	add_bridge("b");
	port = attach("{\"name\": \"p\", \"bridge\": \"b\", \"queues\": 2, \"node\": 1, \"vlan\": 7}");
	config = &fake_dp.port[port->id].config;
	assert_int_equal(config->bridge, 1);
	assert_int_equal(config->queues, 2);
	assert_int_equal(config->node, 1);
	assert_int_equal(config->rules.vlans.vlan, 7);
	assert_int_equal(config->features, FEATURES);
	assert_int_equal(config->access.mode, 0660);
	assert_string_equal(config->path, scratch_path(state, "s/p"));
	assert_string_equal(config->name, "p");
	/* Both on the lcore of the guest's node. */
	assert_int_equal(config->lcore[0], 2);
	assert_int_equal(config->lcore[1], 2);
	assert_ptr_equal(model.port_of_id[port->id], port);
}

static void
queues_spread_over_lcores(void **state)
{
	const struct model_port *port;

	(void)state;
	add_bridge("b");
	port = attach("{\"name\": \"p\", \"bridge\": \"b\", \"queues\": 3}");
	assert_int_equal(port->lcore[0], 1);
	assert_int_equal(port->lcore[1], 2);
	assert_int_equal(port->lcore[2], 1);
	port = attach("{\"name\": \"q\", \"bridge\": \"b\"}");
	assert_int_equal(port->lcore[0], 2);
	assert_int_equal(fake_dp.port[port->id].config.node, 1);
}

static void
refusals_change_nothing(void **state)
{
	add_bridge("b");
	attach("{\"name\": \"p\", \"bridge\": \"b\"}");
	assert_refused(state, "{\"name\": \"p\", \"bridge\": \"b\"}", "port-exists");
	assert_refused(state, "{\"name\": \"q\", \"bridge\": \"c\"}", "no-such-bridge");
	assert_refused(state, "{\"name\": \"q\", \"bridge\": \"b\", \"socket\": \"p\"}",
		       "socket-in-use");
	assert_refused(state,
		       "{\"name\": \"q\", \"bridge\": \"b\", \"socket\": \"./p\", \"mode\": \"client\"}",
		       "socket-in-use");
	assert_refused(state, "{\"name\": \"q\", \"bridge\": \"b\", \"socket\": \"/q\"}",
		       "socket-path-refused");
	assert_refused(state, "{\"name\": \"q\", \"bridge\": \"b\", \"peer_users\": [\"no such\"]}",
		       "bad-parameter");
	fake_dp.refuse = true;
	assert_refused(state, "{\"name\": \"q\", \"bridge\": \"b\"}", "fake");
}

static unsigned int
lcore_of(const struct model_port *port, unsigned int queue)
{
	assert_int_equal(port->lcore[queue], fake_dp.port[port->id].lcore[queue]);
	return port->lcore[queue];
}

static void
pinned_queues_are_where_they_shall_be(void **state)
{
	struct model_port *port;
	struct port_settings set;
	struct err err = {0};

	add_bridge("b");
	port = attach(
		"{\"name\": \"p\", \"bridge\": \"b\", \"queues\": 3, \"lcore\": [2, \"auto\", 2]}");
	assert_int_equal(lcore_of(port, 0), 2);
	assert_int_equal(lcore_of(port, 1), 1);
	assert_int_equal(lcore_of(port, 2), 2);
	assert_true(model_queue_is_pinned(&model, port, 0));
	assert_false(model_queue_is_pinned(&model, port, 1));
	set = port->set;
	set.rules.mtu = 9000;
	set.pin[1] = 2;
	set.pin[2] = 1;
	/* The second move fails: the first one and the rules are taken back. */
	fake_dp.move_refused = 2;
	assert_true(model_port_change(&model, port, &set, &err) < 0);
	assert_int_equal(lcore_of(port, 1), 1);
	assert_int_equal(lcore_of(port, 2), 2);
	assert_int_equal(port->set.pin[1], 0);
	assert_int_equal(port->set.rules.mtu, 1500);
	assert_int_equal(fake_dp.port[port->id].config.rules.mtu, 1500);
	assert_int_equal(model_port_change(&model, port, &set, &err), 0);
	assert_int_equal(lcore_of(port, 1), 2);
	assert_int_equal(lcore_of(port, 2), 1);

	restart(state);
	assert_int_equal(model_load(&model, NULL), 0);
	assert_int_equal(model_open(&model, NULL), 0);
	port = model_port_find(&model, "p");
	assert_int_equal(lcore_of(port, 0), 2);
	assert_int_equal(lcore_of(port, 1), 2);
	assert_int_equal(lcore_of(port, 2), 1);

	/* With fewer lcores it is served all the same, and the wish is kept. */
	restart(state);
	model.n_lcores = 1;
	assert_int_equal(model_load(&model, NULL), 0);
	assert_int_equal(model_open(&model, NULL), 0);
	port = model_port_find(&model, "p");
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(lcore_of(port, i), 1);
	assert_int_equal(port->set.pin[0], 2);
	assert_false(model_queue_is_pinned(&model, port, 0));
	assert_true(model_queue_is_pinned(&model, port, 2));
}

/* A directory in the place of the temporary file: not even root can write the state. */
static void
break_disk(void **state)
{
	assert_int_equal(mkdir(scratch_path(state, STORE_FILE ".new"), 0700), 0);
}

static void
nothing_is_done_that_cannot_be_written(void **state)
{
	struct port_settings set = port_settings("{\"name\": \"q\", \"bridge\": \"b\"}");
	struct bridge_settings bridge = {.name = "c"};
	struct model_port *port, *other;
	struct dp_rules rules;
	struct err err = {0};

	add_bridge("b");
	add_bridge("empty");
	port = attach("{\"name\": \"p\", \"bridge\": \"b\"}");
	break_disk(state);

	assert_true(model_bridge_add(&model, &bridge, &err) < 0);
	assert_string_equal(err.code, "store-failed");
	assert_null(model_bridge_find(&model, "c"));
	assert_false(fake_dp.bridge[2]);

	assert_true(model_bridge_del(&model, "empty", &err) < 0);
	assert_non_null(model_bridge_find(&model, "empty"));
	assert_true(fake_dp.bridge[1]);

	assert_true(model_port_attach(&model, &set, &other, &err) < 0);
	assert_null(model_port_find(&model, "q"));
	assert_false(fake_dp.port[1].open);
	assert_int_equal(model_bridge_find(&model, "b")->n_ports, 1);

	rules = port->set.rules;
	rules.mtu = 9000;
	port->set.pin[0] = 2; /* what it asks for */
	assert_true(change_rules(port, &rules, &err) < 0);
	assert_int_equal(lcore_of(port, 0), 1);
	assert_int_equal(port->set.rules.mtu, 1500);
	assert_int_equal(fake_dp.port[port->id].config.rules.mtu, 1500);

	assert_true(model_port_del(&model, port, &err) < 0);
	assert_ptr_equal(model_port_find(&model, "p"), port);
	assert_true(fake_dp.port[port->id].open);
}

static void
several_ports_are_all_made_or_none(void **state)
{
	struct port_settings set[3] = {
		port_settings("{\"name\": \"x\", \"bridge\": \"b\"}"),
		port_settings("{\"name\": \"y\", \"bridge\": \"b\"}"),
		port_settings("{\"name\": \"p\", \"bridge\": \"b\"}"),
	};
	struct model_port *ports[3];
	struct err err = {0};
	json_t *names;

	add_bridge("b");
	attach("{\"name\": \"p\", \"bridge\": \"b\"}");
	assert_true(model_ports_attach(&model, set, 3, ports, &err) < 0);
	assert_string_equal(err.code, "port-exists");
	assert_null(model_port_find(&model, "x"));
	assert_false(fake_dp.port[1].open || fake_dp.port[2].open);
	assert_int_equal(model_bridge_find(&model, "b")->n_ports, 1);

	assert_int_equal(model_ports_attach(&model, set, 2, ports, &err), 0);
	assert_ptr_equal(model_port_find(&model, "y"), ports[1]);
	assert_int_equal(model_bridge_find(&model, "b")->n_ports, 3);
	names = model_port_names(&model);
	assert_int_equal(json_array_size(names), 3);
	json_decref(names);

	assert_int_equal(model_port_del(&model, ports[0], NULL), 0);
	assert_int_equal(model_port_del(&model, ports[1], NULL), 0);
	break_disk(state);
	assert_true(model_ports_attach(&model, set, 2, ports, &err) < 0);
	assert_string_equal(err.code, "store-failed");
	assert_null(model_port_find(&model, "y"));
	assert_false(fake_dp.port[1].open || fake_dp.port[2].open);
}

static void
a_port_that_cannot_be_closed_lives_on(void **state)
{
	struct model_port *port;
	struct err err = {0};

	add_bridge("b");
	port = attach("{\"name\": \"p\", \"bridge\": \"b\", \"mode\": \"client\"}");
	fake_dp.refuse = true;
	assert_int_equal(model_port_del(&model, port, &err), -ENOMEM);
	assert_ptr_equal(model_port_find(&model, "p"), port);
	restart(state);
	assert_int_equal(model_load(&model, NULL), 0);
	assert_non_null(model_port_find(&model, "p"));
}

static void
ports_and_uplinks_share_their_names(void **state)
{
	struct port_settings set = uplink_settings("p");
	struct model_port *port;
	struct err err = {0};

	(void)state;
	add_bridge("b");
	attach("{\"name\": \"p\", \"bridge\": \"b\"}");
	assert_int_equal(model_uplink_add(&model, &set, &port, &err), -EEXIST);
	assert_string_equal(err.code, "port-exists");
	set = uplink_settings("u");
	assert_int_equal(model_uplink_add(&model, &set, &port, &err), 0);
	assert_true(fake_dp.port[port->id].is_uplink);
	assert_int_equal(port->n_lcores, 1);
	assert_int_equal(model_uplink_add(&model, &set, &port, &err), -EEXIST);
	assert_string_equal(err.code, "uplink-exists");
}

static void
an_uplink_changes_as_a_port_does(void **state)
{
	struct port_settings set = uplink_settings("u");
	struct model_port *port;

	add_bridge("b");
	set.queues = 3;
	set.pin[1] = 2;
	assert_int_equal(model_uplink_add(&model, &set, &port, NULL), 0);
	assert_int_equal(port->n_lcores, 3);
	assert_int_equal(fake_dp.port[port->id].lcore[1], 2);
	set = port->set;
	set.rules.mtu = 1400;
	set.rules.learn = true;
	set.rules.limits = (struct dp_limits){.rate_bps = 1000000, .burst_bits = 512000};
	set.rules.vlans = (struct dp_vlans){DP_VLANS_NATIVE_UNTAGGED, .vlan = 9, .all = true};
	set.pin[0] = 2;
	set.pin[1] = 1;
	set.pin[2] = 0;
	assert_int_equal(model_port_change(&model, port, &set, NULL), 0);
	for (unsigned int restarts = 0; restarts < 2; restarts++) {
		const struct fake_port *fake = &fake_dp.port[port->id];

		assert_int_equal(fake->lcore[0], 2);
		assert_int_equal(fake->lcore[1], 1);
		assert_memory_equal(&fake->config.rules, &set.rules, sizeof(set.rules));
		restart(state);
		assert_int_equal(model_load(&model, NULL), 0);
		assert_int_equal(model_open(&model, NULL), 0);
		port = model_port_find(&model, "u");
		assert_int_equal(port->n_lcores, 3);
	}
}

static void
all_comes_back_after_a_restart(void **state)
{
	struct port_settings set = uplink_settings("u");
	struct model_port *port;
	struct dp_rules rules;

	add_bridge("b");
	assert_int_equal(model_uplink_add(&model, &set, &port, NULL), 0);
	port = attach(
		"{\"name\": \"p\", \"bridge\": \"b\", \"queues\": 2, \"mac\": \"02:00:00:00:00:01\"}");
	rules = port->set.rules;
	rules.vlans = (struct dp_vlans){DP_VLANS_ACCESS, .vlan = 9};
	assert_int_equal(change_rules(port, &rules, NULL), 0);
	attach("{\"name\": \"gone\", \"bridge\": \"b\"}");
	assert_int_equal(model_port_del(&model, model_port_find(&model, "gone"), NULL), 0);

	restart(state);
	fake_dp.features = FEATURES | 0x8000;
	assert_int_equal(model_load(&model, NULL), 0);
	assert_int_equal(model_open(&model, NULL), 0);
	assert_null(model_port_find(&model, "gone"));
	port = model_port_find(&model, "p");
	assert_int_equal(fake_dp.port[port->id].config.rules.vlans.vlan, 9);
	assert_int_equal(fake_dp.port[port->id].config.rules.n_macs, 1);
	assert_int_equal(fake_dp.port[port->id].config.queues, 2);
	/* A newer build offers no more to a port that is there already. */
	assert_int_equal(fake_dp.port[port->id].config.features, FEATURES);
	port = model_port_find(&model, "u");
	assert_true(port->is_uplink && fake_dp.port[port->id].is_uplink);
	assert_int_equal(model_bridge_find(&model, "b")->n_ports, 2);
}

/* Else it would take in what is for a guest that runs elsewhere. */
static void
a_port_is_incoming_until_its_guest_has_run(void **state)
{
	struct model_port *port;

	add_bridge("b");
	attach("{\"name\": \"p\", \"bridge\": \"b\", \"incoming\": true}");
	for (unsigned int restarts = 0; restarts < 2; restarts++) {
		restart(state);
		assert_int_equal(model_load(&model, NULL), 0);
		assert_int_equal(model_open(&model, NULL), 0);
		assert_int_equal(fake_dp.port[0].config.incoming, restarts == 0);
		port = model_port_find(&model, "p");
		assert_int_equal(port->set.incoming, restarts == 0);
		model_port_arrived(&model, port);
		assert_false(port->set.incoming);
	}
}

/* A guest has moved from one port of this host to the other, and nobody detached the one it left. Which
 * of them it will drive is known when it does. */
static void
ports_with_one_mac_are_both_restored(void **state)
{
	static const char old[] =
		"{\"name\": \"old\", \"bridge\": \"b\", \"mac\": \"02:00:00:00:00:01\"}";
	static const char new[] = "{\"name\": \"new\", \"bridge\": \"b\","
				  " \"mac\": \"02:00:00:00:00:01\", \"incoming\": true}";

	for (unsigned int new_is_first = 0; new_is_first < 2; new_is_first++) {
		const struct model_port *port;
		const char *second;

		add_bridge("b");
		attach(new_is_first ? new : old);
		attach(new_is_first ? old : new);
		model_port_arrived(&model, model_port_find(&model, "new"));
		for (unsigned int restarts = 0; restarts < 2; restarts++) {
			restart(state);
			assert_int_equal(model_load(&model, NULL), 0);
			assert_int_equal(model_open(&model, NULL), 0);
			assert_true(fake_dp.port[0].open && !fake_dp.port[0].config.incoming);
			assert_true(fake_dp.port[1].open && fake_dp.port[1].config.incoming);
			second = new_is_first ? "old" : "new";
			port = model_port_find(&model, second);
			assert_true(port->set.incoming);
			assert_ptr_equal(model.port_of_id[port->id], port);
		}
		assert_int_equal(model_port_del(&model, model_port_find(&model, "old"), NULL), 0);
		assert_int_equal(model_port_del(&model, model_port_find(&model, "new"), NULL), 0);
		assert_int_equal(model_bridge_del(&model, "b", NULL), 0);
	}
}

static void
what_cannot_be_restored_is_kept(void **state)
{
	struct model_port *port;
	struct dp_rules rules;
	struct err err = {0};

	add_bridge("b");
	attach("{\"name\": \"p\", \"bridge\": \"b\", \"queues\": 2}");
	attach("{\"name\": \"q\", \"bridge\": \"b\"}");
	restart(state);
	scratch_file(state, "s/p", "in the way");
	assert_int_equal(model_load(&model, NULL), 0);
	assert_int_equal(model_open(&model, NULL), 0);
	port = model_port_find(&model, "p");
	assert_int_equal(port->id, -1);
	assert_string_equal(port->failure.code, "socket-path-refused");
	assert_true(model_port_find(&model, "q")->id >= 0);

	rules = port->set.rules;
	assert_int_equal(change_rules(port, &rules, &err), -EINVAL);
	assert_string_equal(err.code, "bad-state");
	assert_int_equal(model_port_del(&model, port, &err), 0);
	assert_null(model_port_find(&model, "p"));
}

static void
a_state_that_makes_no_sense_is_refused(void **state)
{
#define STATE(bridges, ports) \
	"{\"version\": 1, \"uplinks\": [], \"bridges\": " bridges ", \"ports\": " ports "}"
#define BRIDGE "[{\"add\": {\"name\": \"b\"}}]"
#define PORT "{\"attach\": {\"name\": \"p\", \"bridge\": \"b\"}, \"features\": \"0x1\"}"
	static const char *const damaged[] = {
		"{\"version\": 1}",
		STATE("5", "[]"),
		STATE("[5]", "[]"),
		STATE("[{}]", "[]"),
		STATE("[{\"add\": {}}]", "[]"),
		STATE("[{\"add\": {\"name\": \"b\"}}, {\"add\": {\"name\": \"b\"}}]", "[]"),
		STATE("[]", "[" PORT "]"),
		STATE(BRIDGE, "[" PORT "," PORT "]"),
		STATE(BRIDGE, "[{\"attach\": {\"name\": \"p\", \"bridge\": \"b\"}}]"),
		STATE(BRIDGE, "[{\"add\": {\"name\": \"p\", \"bridge\": \"b\"}}]"),
	};

	for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		const char *file = scratch_file(state, STORE_FILE, damaged[i]);
		struct err err = {0};

		restart(state);
		if (model_load(&model, &err) != -EINVAL)
			fail_msg("%s was taken", damaged[i]);
		assert_string_equal(err.code, "bad-state-file");
		assert_non_null(strstr(err.message, file));
	}
	restart(state);
	scratch_file(state, STORE_FILE, STATE(BRIDGE, "[" PORT "]"));
	assert_int_equal(model_load(&model, NULL), 0);
}

static void
without_a_state_directory_nothing_is_written(void **state)
{
	model.state_dir = NULL;
	add_bridge("b");
	assert_int_not_equal(access(scratch_path(state, STORE_FILE), F_OK), 0);
	assert_int_equal(model_load(&model, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void
a_port_has_the_daemons_datapath_or_its_own(void **state)
{
	add_bridge("b");
	model.library = true;
	attach("{\"name\": \"p\", \"bridge\": \"b\"}");
	assert_true(fake_dp.port[0].config.library);
	attach("{\"name\": \"q\", \"bridge\": \"b\", \"datapath\": \"direct\"}");
	assert_false(fake_dp.port[1].config.library);
	attach("{\"name\": \"r\", \"bridge\": \"b\", \"datapath\": \"library\"}");
	/* The daemon's word is not written down with the port. */
	restart(state);
	model.library = false;
	assert_int_equal(model_load(&model, NULL), 0);
	assert_int_equal(model_open(&model, NULL), 0);
	assert_false(fake_dp.port[0].config.library);
	assert_false(fake_dp.port[1].config.library);
	assert_true(fake_dp.port[2].config.library);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bridges_come_and_go),
		TEST(a_port_gets_what_was_asked_for),
		TEST(queues_spread_over_lcores),
		TEST(pinned_queues_are_where_they_shall_be),
		TEST(refusals_change_nothing),
		TEST(nothing_is_done_that_cannot_be_written),
		TEST(several_ports_are_all_made_or_none),
		TEST(a_port_that_cannot_be_closed_lives_on),
		TEST(ports_and_uplinks_share_their_names),
		TEST(an_uplink_changes_as_a_port_does),
		TEST(all_comes_back_after_a_restart),
		TEST(a_port_is_incoming_until_its_guest_has_run),
		TEST(ports_with_one_mac_are_both_restored),
		TEST(what_cannot_be_restored_is_kept),
		TEST(a_state_that_makes_no_sense_is_refused),
		TEST(without_a_state_directory_nothing_is_written),
		TEST(a_port_has_the_daemons_datapath_or_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
