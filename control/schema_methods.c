/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/schema.h"

/* Every method and every parameter: data alone, which schema.c works with. Paths that no socket can
 * have are for control/settings.c and sockpath.c to refuse, with a code of their own. */
#define PATH_LEN_MAX 4095
#define MACS_MAX 32
#define USERS_MAX 16
#define LINE_MAX_BYTES (1 << 20) /* of a request */
#define PPS_MAX 1000000000

#define NAME_OF(what, text)                                                                    \
	{                                                                                      \
		.name = "name", .type = PARAM_NAME, .required = true, .of = what, .help = text \
	}
#define CAPTURED_PORT                                                                \
	{                                                                            \
		.name = "port", .type = PARAM_NAME, .required = true, .of = OF_PORT, \
		.help = "name of the port or uplink"                                 \
	}
#define BRIDGE                                                                           \
	{                                                                                \
		.name = "bridge", .type = PARAM_NAME, .required = true, .of = OF_BRIDGE, \
		.help = "bridge that it belongs to"                                      \
	}
#define VLAN                                                                            \
	{                                                                               \
		.name = "vlan", .type = PARAM_INT, .min = 1, .max = SCHEMA_VLAN_ID_MAX, \
		.help = "access VLAN: untagged on the port, in this VLAN on the bridge" \
	}
#define VLAN_MODE                                                                      \
	{                                                                              \
		.name = "vlan_mode", .type = PARAM_ENUM,                               \
		.words = "access trunk native-tagged native-untagged",                 \
		.help = "native-...: a trunk whose untagged frames are in VLAN vlan, " \
			"and leave tagged or untagged [access with vlan, else trunk]"  \
	}
#define TRUNKS                                                                             \
	{                                                                                  \
		.name = "trunks", .type = PARAM_VLANS, .max = SCHEMA_VLAN_ID_MAX,          \
		.help = "VLANs carried with their tags, 0 for untagged frames; empty: all" \
	}
#define MTU(standard)                                                                       \
	{                                                                                   \
		.name = "mtu", .type = PARAM_INT, .min = 68, .max = 9702, .dflt = standard, \
		.help = "longest payload of a frame, in bytes"                              \
	}
#define MAC                                                                               \
	{                                                                                 \
		.name = "mac", .type = PARAM_MACS, .max = MACS_MAX,                       \
		.help = "the guest's MAC address or addresses; it may send from no other" \
	}
#define LEARN(standard)                                                                           \
	{                                                                                         \
		.name = "learn", .type = PARAM_BOOL, .dflt = standard,                            \
		.help = "learn addresses from what the guest sends, and flood unknown ones to it" \
	}
#define SWITCHING(standard)                                                                     \
	{                                                                                       \
		.name = "switching", .type = PARAM_ENUM, .words = "veb vepa", .dflt = standard, \
		.help = "veb: switch here; vepa: everything goes to the uplink"                 \
	}
#define RATE                                                                               \
	{.name = "rate_mbps",                                                              \
	 .type = PARAM_INT,                                                                \
	 .min = 0,                                                                         \
	 .max = 1000000,                                                                   \
	 .help = "most that it may send, in 10^6 bits of frames a second; 0: any number"}, \
	{                                                                                  \
		.name = "rate_kbps", .type = PARAM_INT, .min = 0, .max = 1000000000,       \
		.help = "the same in 1000 bits a second"                                   \
	}
#define BURST                                                                                  \
	{                                                                                      \
		.name = "burst_kb", .type = PARAM_INT, .min = 0, .max = 1000000000,            \
		.help = "what of that it may send at once, in 1000 bits [10 ms, at least 512]" \
	}
#define STORM(kind, frames)                                                                \
	{                                                                                  \
		.name = "storm_" kind "_pps", .type = PARAM_INT, .min = 0, .max = PPS_MAX, \
		.help = "most " frames " that it may send in a second; 0: any number"      \
	}
#define STORMS                                                                          \
	STORM("broadcast", "broadcast frames"), STORM("multicast", "multicast frames"), \
		STORM("unknown", "frames to unknown addresses")
#define TX_RETRIES                                                                                    \
	{                                                                                             \
		.name = "tx_retries", .type = PARAM_INT, .min = 0, .max = 32,                         \
		.help = "more looks at the guest's ring if it is full, before frames are dropped [0]" \
	}
#define PARK(standard_ms, standard_frames)                                                    \
	{.name = "park_ms",                                                                   \
	 .type = PARAM_INT,                                                                   \
	 .min = 0,                                                                            \
	 .max = 600000,                                                                       \
	 .dflt = standard_ms,                                                                 \
	 .help = "how long frames are kept for a guest that is between two hosts; 0: never"}, \
	{                                                                                     \
		.name = "park_frames", .type = PARAM_INT, .min = 0, .max = 1048576,           \
		.dflt = standard_frames, .help = "how many"                                   \
	}
#define NICS(needed)                                                                               \
	{                                                                                          \
		.name = "nics", .type = PARAM_OBJECTS, .required = needed, .max = SCHEMA_NICS_MAX, \
		.help = "the guest's network cards: mac, vlan, features that it uses, and "        \
			"settings of port attach"                                                  \
	}
#define MAP                                                                                    \
	{                                                                                      \
		.name = "map", .type = PARAM_OBJECT, .required = true,                         \
		.help = "where its ports are: {MAC: {path, port, mode}}, of migration prepare" \
	}
#define LCORE(standard)                                                                           \
	{                                                                                         \
		.name = "lcore", .type = PARAM_LCORES, .min = 1, .max = 64, .dflt = standard,     \
		.help = "lcore that shall poll its queues, or one for each queue pair; auto: any" \
	}
#define END                  \
	{                    \
		.name = NULL \
	}

static const struct param none[] = {END};

static const struct param bridge_add[] = {
	NAME_OF(OF_NOTHING, "name of the new bridge"),
	{.name = "mac_age_s",
	 .type = PARAM_INT,
	 .min = 1,
	 .max = 1000000,
	 .dflt = "300",
	 .help = "seconds after which a learned address that is silent is forgotten"},
	{.name = "mac_limit",
	 .type = PARAM_INT,
	 .min = 0,
	 .max = 65536,
	 .dflt = "65536",
	 .help = "most learned addresses"},
	END,
};

static const struct param bridge_name[] = {NAME_OF(OF_BRIDGE, "name of the bridge"), END};

static const struct param uplink_add[] = {
	NAME_OF(OF_NOTHING, "name of the new uplink"),
	BRIDGE,
	{.name = "devargs",
	 .type = PARAM_STRING,
	 .required = true,
	 .max = 255,
	 .help = "PCI address or DPDK device: 0000:3b:00.0, net_af_packet0,iface=up0; a trunk into OVS: doc/ovs.md"},
	VLAN,
	TRUNKS,
	VLAN_MODE,
	{.name = "queues",
	 .type = PARAM_INT,
	 .min = 1,
	 .max = SCHEMA_QUEUES_MAX,
	 .help = "receive queues [one for each lcore, as far as the device has them]"},
	LCORE("auto"),
	MTU("1500"),
	RATE,
	BURST,
	STORMS,
	END,
};

static const struct param uplink_name[] = {NAME_OF(OF_UPLINK, "name of the uplink"), END};

static const struct param port_attach[] = {
	NAME_OF(OF_NOTHING, "name of the new port; auto: the next of csdpdk-1, csdpdk-2, ..."),
	BRIDGE,
	{.name = "mode",
	 .type = PARAM_ENUM,
	 .words = "server client",
	 .dflt = "server",
	 .help = "server: sluice listens; client: QEMU does (server=on)"},
	{.name = "socket",
	 .type = PARAM_STRING,
	 .max = PATH_LEN_MAX,
	 .of = OF_SOCKET,
	 .help = "path of the vhost-user socket [the port's name in the first socket-dir]"},
	MAC,
	VLAN,
	TRUNKS,
	VLAN_MODE,
	{.name = "queues",
	 .type = PARAM_INT,
	 .min = 1,
	 .max = SCHEMA_QUEUES_MAX,
	 .dflt = "1",
	 .help = "queue pairs"},
	MTU("1500"),
	{.name = "node",
	 .type = PARAM_NODE,
	 .max = 7,
	 .dflt = "auto",
	 .help = "memory node of the guest"},
	LCORE("auto"),
	LEARN("true, or false where mac is given"),
	SWITCHING("veb"),
	RATE,
	BURST,
	STORMS,
	TX_RETRIES,
	PARK("2000", "16384"),
	{.name = "incoming",
	 .type = PARAM_BOOL,
	 .dflt = "false",
	 .help = "the guest is still on another host: be silent until it runs here"},
	{.name = "datapath",
	 .type = PARAM_ENUM,
	 .words = "direct library",
	 .help = "who handles the guest's rings: sluice itself, or DPDK's library [daemon's]"},
	{.name = "socket_owner",
	 .type = PARAM_STRING,
	 .max = 63,
	 .help = "user who shall own a server socket, by name or number"},
	{.name = "socket_group",
	 .type = PARAM_STRING,
	 .max = 63,
	 .help = "group of a server socket, by name or number [configuration's]"},
	{.name = "socket_mode",
	 .type = PARAM_STRING,
	 .max = 4,
	 .help = "permissions of a server socket in octal [configuration's, 0660]"},
	{.name = "peer_users",
	 .type = PARAM_WORDS,
	 .max = USERS_MAX,
	 .help = "users who may be at the other end, by name or number [configuration's]"},
	{.name = "owner",
	 .type = PARAM_STRING,
	 .max = 63,
	 .dflt = "rpc",
	 .help = "who looks after the port, for all to see"},
	END,
};

static const struct param port_detach[] = {
	NAME_OF(OF_PORT, "name of the port"),
	{.name = "force",
	 .type = PARAM_BOOL,
	 .dflt = "false",
	 .help = "at once, and drop what is parked for its guest"},
	END,
};

static const struct param port_drain[] = {
	NAME_OF(OF_PORT, "name of the port"),
	{.name = "timeout_ms",
	 .type = PARAM_INT,
	 .min = 1,
	 .max = 60000,
	 .dflt = "1000",
	 .help = "after which it fails, and the port is up as before"},
	{.name = "then",
	 .type = PARAM_ENUM,
	 .words = "park drop",
	 .dflt = "park",
	 .help = "what becomes of frames for the guest"},
	END,
};

static const struct param port_name[] = {NAME_OF(OF_PORT, "name of the port"), END};

static const struct param port_set[] = {
	NAME_OF(OF_PORT, "name of the port"),
	MAC,
	VLAN,
	TRUNKS,
	VLAN_MODE,
	MTU(NULL),
	LEARN(NULL),
	SWITCHING(NULL),
	RATE,
	BURST,
	STORMS,
	TX_RETRIES,
	PARK(NULL, NULL),
	LCORE(NULL),
	END,
};

static const struct param port_stats[] = {
	{.name = "name", .type = PARAM_NAME, .of = OF_PORT, .help = "name of the port [all]"},
	END,
};

static const struct param port_next_name[] = {
	{.name = "existing",
	 .type = PARAM_NAMES,
	 .max = 65536,
	 .help = "names in use [those of sluiced's ports and uplinks]"},
	END,
};

static const struct param migration_check[] = {
	{.name = "vm",
	 .type = PARAM_OBJECT,
	 .required = true,
	 .help = "the VM: type, state, details"},
	{.name = "offering",
	 .type = PARAM_OBJECT,
	 .required = true,
	 .help = "its service offering: details"},
	{.name = "source",
	 .type = PARAM_OBJECT,
	 .required = true,
	 .help = "the host that it is on: name, capabilities"},
	{.name = "destinations",
	 .type = PARAM_OBJECTS,
	 .required = true,
	 .max = 65536,
	 .help = "hosts to choose from: name, and what host capabilities tells there"},
	NICS(false),
	END,
};

static const struct param migration_prepare[] = {
	BRIDGE,
	{.name = "mode",
	 .type = PARAM_STRING,
	 .max = 63,
	 .dflt = "server",
	 .help = "server: sluice listens; client: QEMU does (server=on)"},
	NICS(true),
	END,
};

static const struct param migration_abort[] = {MAP, END};

static const struct param migration_rewrite[] = {
	{.name = "xml",
	 .type = PARAM_TEXT,
	 .required = true,
	 .max = LINE_MAX_BYTES,
	 .help = "libvirt's description of the domain"},
	MAP,
	END,
};

#define OFFERING                                                                                 \
	{                                                                                        \
		.name = "offering", .type = PARAM_OBJECT, .required = true,                      \
		.help = "the service offering: details, as createServiceOffering was given them" \
	}
#define OFFERING_VM                                                              \
	{                                                                        \
		.name = "vm", .type = PARAM_OBJECT,                              \
		.help = "the VM: type [User], details as stored, extraconfig as" \
			" deployVirtualMachine was given it"                     \
	}
#define OFFERING_SETTINGS                                                                   \
	{                                                                                   \
		.name = "settings", .type = PARAM_OBJECT,                                   \
		.help = "additional_vm_configuration: whether a VM may have an extraconfig" \
			" [false]"                                                          \
	}
#define OFFERING_PATH                                                                         \
	{                                                                                     \
		.name = "path", .type = PARAM_ENUM, .words = "start migrate scale",           \
		.help = "what the VM is about to do; the answer is the same for each of them" \
	}
/* `needed`: the card has to be there. */
#define OFFERING_CARD(needed)                                                              \
	{.name = "port",                                                                   \
	 .type = PARAM_ANY,                                                                \
	 .required = (needed),                                                             \
	 .help = "name of the port, which its socket has too"},                            \
		{.name = "mac",                                                            \
		 .type = PARAM_ANY,                                                        \
		 .required = (needed),                                                     \
		 .help = "address of the guest's network card"},                           \
		{.name = "socket_dir",                                                     \
		 .type = PARAM_STRING,                                                     \
		 .required = (needed),                                                     \
		 .max = PATH_LEN_MAX,                                                      \
		 .of = OF_FILE,                                                            \
		 .help = "directory of the socket"},                                       \
		{.name = "vlan",                                                           \
		 .type = PARAM_ANY,                                                        \
		 .help = "1 to 4094: an access VLAN; another number or none: a trunk"},    \
		{.name = "queues",                                                         \
		 .type = PARAM_INT,                                                        \
		 .min = 1,                                                                 \
		 .max = SCHEMA_QUEUES_MAX,                                                 \
		 .dflt = "1",                                                              \
		 .help = "queue pairs of the network card"},                               \
		{.name = "mode",                                                           \
		 .type = PARAM_ANY,                                                        \
		 .help = (needed) ? "server: sluice listens; client: QEMU does [server]" : \
				    "server or client [what the offering says]"},          \
	{                                                                                  \
		.name = "interface_extra", .type = PARAM_OBJECT,                           \
		.help = "extra configurations, of which those for interfaces are put"      \
			" into it"                                                         \
	}

static const struct param offering_resolve[] = {OFFERING, OFFERING_VM, OFFERING_SETTINGS,
						OFFERING_PATH, END};

static const struct param offering_interface[] = {OFFERING_CARD(true), END};

static const struct param offering_xml[] = {
	OFFERING, OFFERING_VM, OFFERING_SETTINGS, OFFERING_PATH, OFFERING_CARD(false), END,
};

static const struct param lcore_rebalance[] = {
	{.name = "dry_run",
	 .type = PARAM_BOOL,
	 .dflt = "false",
	 .help = "change nothing: tell what would be moved"},
	{.name = "across_nodes",
	 .type = PARAM_BOOL,
	 .dflt = "false",
	 .help = "also to lcores of other memory nodes, which are slower"},
	END,
};

static const struct param capture_start[] = {
	CAPTURED_PORT,
	{.name = "file",
	 .type = PARAM_STRING,
	 .required = true,
	 .max = PATH_LEN_MAX,
	 .of = OF_FILE,
	 .help = "absolute path of the pcapng file to make; there must be none yet"},
	{.name = "snaplen",
	 .type = PARAM_INT,
	 .min = 1,
	 .max = 262144,
	 .dflt = "262144",
	 .help = "bytes of each frame to keep"},
	{.name = "max_bytes",
	 .type = PARAM_INT,
	 .min = 4096,
	 .max = INT64_C(1) << 50,
	 .dflt = "1073741824",
	 .help = "size of the file at which the capture stops by itself"},
	END,
};

static const struct param capture_stop[] = {CAPTURED_PORT, END};

static const struct param events_subscribe[] = {
	{.name = "types",
	 .type = PARAM_WORDS,
	 .max = 32,
	 .words = SCHEMA_EVENT_TYPES,
	 .help = "kinds of events to be told of [all]"},
	END,
};

const struct method schema_methods[] = {
	{"daemon.version", false, none, "what runs: version, DPDK, process id, uptime"},
	{"daemon.stop", true, none, "stop sluiced in order; the state is kept"},
	{"ovsdb.status", false, none,
	 "the Open_vSwitch database that is served, and what it asks in vain"},
	{"bridge.add", true, bridge_add, "make a bridge"},
	{"bridge.del", true, bridge_name, "remove a bridge that has no ports"},
	{"bridge.list", false, none, "all bridges"},
	{"bridge.macs", false, bridge_name, "the addresses that a bridge knows"},
	{"uplink.add", true, uplink_add, "give a bridge a way out: a NIC or a DPDK device"},
	{"uplink.del", true, uplink_name, "remove an uplink"},
	{"uplink.list", false, none, "all uplinks"},
	{"port.attach", true, port_attach, "make a vhost-user port for a guest"},
	{"port.detach", true, port_detach, "remove a port and its socket"},
	{"port.list", false, none, "all ports"},
	{"port.get", false, port_name, "one port"},
	{"port.set", true, port_set, "change a port while it is up"},
	{"port.drain", true, port_drain, "let go of the guest's memory, once its frames are out"},
	{"port.resume", true, port_name, "end a drain: what is parked goes to the guest"},
	{"port.stats", false, port_stats, "counters per port and queue"},
	{"port.next_name", false, port_next_name, "the name that port attach auto would give"},
	{"lcore.list", false, none, "the forwarding CPUs and how busy they are"},
	{"lcore.rebalance", true, lcore_rebalance, "move queues from busy lcores to idle ones"},
	{"numa.show", false, none, "memory nodes: CPUs, hugepages, pools, ports"},
	{"host.capabilities", false, none, "what this host can do, for an orchestrator"},
	{"offering.resolve", false, offering_resolve,
	 "what a service offering and a VM come to: mode, extra configurations"},
	{"offering.interface", false, offering_interface, "libvirt's <interface> for a port"},
	{"offering.xml", false, offering_xml,
	 "the pieces of a domain's XML: <interface>, <cpu>, <memoryBacking>"},
	{"migration.check", false, migration_check, "whether a VM may move, and to which hosts"},
	{"migration.prepare", true, migration_prepare,
	 "make ports for a guest that is to come here"},
	{"migration.abort", true, migration_abort, "take back what was prepared"},
	{"migration.rewrite", false, migration_rewrite, "put the new ports into a domain's XML"},
	{"capture.start", true, capture_start, "write what passes a port to a pcapng file"},
	{"capture.stop", true, capture_stop, "end a capture, and say what it has got"},
	{"capture.list", false, none, "the captures"},
	{"events.subscribe", false, events_subscribe, "be told when something happens"},
	{NULL, false, NULL, NULL},
};
