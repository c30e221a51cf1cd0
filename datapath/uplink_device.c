/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/uplink_device.h"

#include <errno.h>
#include <net/if.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <rte_alarm.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_kvargs.h>
#include <rte_log.h>

#include "datapath/uplink_fds.h"

/* Returns how many ethdevs there are of the devargs; *dev is one of them. */
static unsigned int
uplink_device_count(const char *devargs, uint16_t *dev)
{
	struct rte_dev_iterator it;
	unsigned int n = 0;
	uint16_t id;

	RTE_ETH_FOREACH_MATCHING_DEV(id, devargs, &it)
	{
		*dev = id;
		n++;
	}
	return n;
}

/* ---- devargs ----------------------------------------------------------------------------- */

static bool
uplink_device_is(const char *devargs, const char *driver)
{
	return strncmp(devargs, driver, strlen(driver)) == 0;
}

/* A number, or the default where there is none. Returns -EINVAL where it is out of its bounds. */
static int
uplink_device_number(const char *devargs, const struct rte_kvargs *args, const char *key, int dflt,
		     int min, int max, struct err *err)
{
	const char *text = rte_kvargs_get(args, key);
	char *end = NULL;
	long value = text == NULL ? dflt : strtol(text, &end, 0);

	if (text == NULL || (end != text && *end == '\0' && value >= min && value <= max))
		return (int)value;
	return err_set_param(err, EINVAL, "bad-devargs", "devargs",
			     "%s in devargs \"%s\" is not a number from %d to %d", key, devargs,
			     min, max);
}

/* Reads the socket whose path and role stand under these keys. */
static int
uplink_device_socket(const char *devargs, const struct rte_kvargs *args, const char *path,
		     const char *role, bool role_listens, struct dp_uplink_socket *s,
		     struct err *err)
{
	const char *text = rte_kvargs_get(args, path);
	int has_role = uplink_device_number(devargs, args, role, 0, 0, 1, err);
	int queues = uplink_device_number(devargs, args, "queues", 1, 1, DP_QUEUES_MAX, err);

	if (has_role < 0 || queues < 0)
		return -EINVAL;
	if (text == NULL || text[0] != '/' || strlen(text) >= sizeof(s->path))
		return err_set_param(err, EINVAL, "bad-devargs", "devargs",
				     "devargs \"%s\" name no socket: give %s=/PATH, of at most %zu "
				     "bytes",
				     devargs, path, sizeof(s->path) - 1);
	memcpy(s->path, text, strlen(text) + 1);
	s->listens = has_role == role_listens;
	s->queues = (unsigned int)queues;
	return 0;
}

static int
uplink_device_parse(const char *devargs, const struct rte_kvargs *args, struct dp_uplink_socket *s,
		    struct err *err)
{
	static const char *const vhost_keys[] = {"iface", "client", "queues"};
	const char *path = rte_kvargs_get(args, "path");
	struct stat st;
	unsigned int i, k;

	if (uplink_device_is(devargs, "net_vhost")) {
		s->kind = DP_UPLINK_BACK_END;
		for (i = 0; i < args->count; i++) {
			for (k = 0; k < RTE_DIM(vhost_keys); k++)
				if (strcmp(args->pairs[i].key, vhost_keys[k]) == 0)
					break;
			if (k == RTE_DIM(vhost_keys))
				return err_set_param(
					err, EINVAL, "bad-devargs", "devargs",
					"\"%s\" in devargs \"%s\" is nothing that net_vhost has here: "
					"give iface, client and queues only",
					args->pairs[i].key, devargs);
		}
		return uplink_device_socket(devargs, args, "iface", "client", false, s, err);
	}
	/* A path that is no socket (/dev/vhost-net) is the driver's own affair. */
	if (!(uplink_device_is(devargs, "net_virtio_user") ||
	      uplink_device_is(devargs, "virtio_user")) ||
	    path == NULL || (stat(path, &st) == 0 && !S_ISSOCK(st.st_mode)))
		return 0;
	s->kind = DP_UPLINK_FRONT_END;
	return uplink_device_socket(devargs, args, "path", "server", true, s, err);
}

/* Whether they are in DPDK's other form, "bus=vdev,name=net_null0/class=eth", as it tells the two apart. */
static bool
uplink_device_has_layers(const char *devargs)
{
	static const char *const layers[] = {"/bus=", "/class=", "/driver="};
	unsigned int i;

	for (i = 0; i < RTE_DIM(layers); i++)
		if (uplink_device_is(devargs, layers[i] + 1) || strstr(devargs, layers[i]) != NULL)
			return true;
	return false;
}

/* NULL: they are none. A key without a value makes drivers crash, and layers rte_eth_iterator_init(). */
static struct rte_kvargs *
uplink_device_kvargs(const char *devargs, struct err *err)
{
	const char *comma = strchr(devargs, ',');
	struct rte_kvargs *args = NULL;
	unsigned int i;

	if (!uplink_device_has_layers(devargs))
		args = rte_kvargs_parse(comma != NULL ? comma + 1 : "", NULL);
	if (args == NULL) {
		err_set_param(err, EINVAL, "bad-devargs", "devargs",
			      "devargs \"%s\" are not of the form DEVICE,key=value,...", devargs);
		return NULL;
	}
	for (i = 0; i < args->count; i++) {
		if (args->pairs[i].value != NULL)
			continue;
		err_set_param(err, EINVAL, "bad-devargs", "devargs",
			      "\"%s\" in devargs \"%s\" has no value; write %s=...",
			      args->pairs[i].key, devargs, args->pairs[i].key);
		rte_kvargs_free(args);
		return NULL;
	}
	return args;
}

int
dp_uplink_parse(const char *devargs, struct dp_uplink_socket *s, struct err *err)
{
	struct rte_kvargs *args = uplink_device_kvargs(devargs, err);
	int ret;

	*s = (struct dp_uplink_socket){.kind = DP_UPLINK_DEVICE};
	if (args == NULL)
		return -EINVAL;
	ret = uplink_device_parse(devargs, args, s, err);
	rte_kvargs_free(args);
	return ret;
}

int
uplink_device_args(const char *devargs, const char *path, char text[DP_DEVARGS_SIZE],
		   struct err *err)
{
	struct rte_kvargs *args = uplink_device_kvargs(devargs, err);
	size_t len;
	unsigned int i;

	if (args == NULL)
		return -EINVAL;
	len = (size_t)snprintf(text, DP_DEVARGS_SIZE, "%.*s,path=%s", (int)strcspn(devargs, ","),
			       devargs, path);
	for (i = 0; i < args->count; i++) {
		if (strcmp(args->pairs[i].key, "path") != 0 &&
		    strcmp(args->pairs[i].key, "server") != 0 && len < DP_DEVARGS_SIZE)
			len += (size_t)snprintf(text + len, DP_DEVARGS_SIZE - len, ",%s=%s",
						args->pairs[i].key, args->pairs[i].value);
	}
	rte_kvargs_free(args);
	if (len < DP_DEVARGS_SIZE)
		return 0;
	return err_set_param(err, EINVAL, "bad-devargs", "devargs",
			     "devargs \"%s\" are too long with the whole path %s", devargs, path);
}

/* What the drivers would only log, said so that it reaches who asked. */
static int
uplink_device_check(const char *devargs, const struct rte_kvargs *args, struct err *err)
{
	const char *iface = rte_kvargs_get(args, "iface");

	/* net_tap makes its interface. */
	if (iface != NULL && !uplink_device_is(devargs, "net_tap") && if_nametoindex(iface) == 0)
		return err_set_param(err, ENODEV, "no-such-device", "devargs",
				     "interface %s does not exist", iface);
	return 0;
}

/* ---- device ------------------------------------------------------------------------------ */

static int
uplink_device_probe(const char *devargs, struct err *err)
{
	int ret = rte_dev_probe(devargs);

	switch (ret) {
	case 0:
		return 0;
	case -EFAULT: /* no bus knows the name */
		return err_set_param(err, EINVAL, "bad-devargs", "devargs",
				     "devargs \"%s\" begin with neither a PCI address "
				     "(0000:3b:00.0) nor the name of one of DPDK's virtual devices "
				     "(net_af_packet0)",
				     devargs);
	case -ENODEV:
		return err_set_param(err, ENODEV, "no-such-device", "devargs",
				     "there is no device \"%s\", or it is not bound to a driver that "
				     "DPDK can use (vfio-pci)",
				     devargs);
	case -EPERM: /* -1, no errno: what most virtual ones return */
		return err_set_param(err, EIO, "device-refused", "devargs",
				     "the driver of device \"%s\" refuses it; its own message, if it "
				     "has one, is in the log",
				     devargs);
	default:
		return err_set_param(err, EIO, "device-refused", "devargs",
				     "the driver of device \"%s\" refuses it (%s); its own message "
				     "is in the log",
				     devargs, rte_strerror(-ret));
	}
}

void
uplink_device_start(void)
{
	uint64_t unused;

	rte_eth_dev_owner_new(&unused);
}

int
uplink_device_open(const char *devargs, int connection, struct err *err)
{
	struct rte_kvargs *args = uplink_device_kvargs(devargs, err);
	uint16_t dev = 0;
	unsigned int n;
	int ret;

	if (args == NULL)
		return -EINVAL;
	ret = uplink_device_check(devargs, args, err);
	rte_kvargs_free(args);
	if (ret < 0)
		return ret;
	if (uplink_device_count(devargs, &dev) > 0)
		return err_set_param(err, EBUSY, "device-in-use", "devargs",
				     "device \"%s\" is an uplink already; a virtual one takes "
				     "another number",
				     devargs);
	uplink_fds_open_begin(connection);
	ret = uplink_device_probe(devargs, err);
	uplink_fds_open_end(ret == 0);
	if (ret < 0)
		return ret;
	n = uplink_device_count(devargs, &dev);
	if (n == 1)
		return dev;
	if (n > 1)
		uplink_device_close(dev);
	return err_set_param(err, EINVAL, "bad-devargs", "devargs",
			     "devargs \"%s\" stand for %u network devices; name exactly one",
			     devargs, n);
}

static void
uplink_device_settled_cb(void *arg)
{
	sem_post(arg);
}

/*
 * net_virtio_user looks after its connection on EAL's interrupt thread, and has that thread do the rest a
 * microsecond later. Both may go on, or be about to, when the device is to be closed: so the thread is to come round
 * twice first.
 */
static void
uplink_device_settle(void)
{
	sem_t settled;
	int round;

	sem_init(&settled, 0, 0);
	for (round = 0; round < 2; round++) {
		if (rte_eal_alarm_set(1, uplink_device_settled_cb, &settled) == 0)
			sem_wait(&settled);
	}
	sem_destroy(&settled);
}

void
uplink_device_close(uint16_t dev)
{
	int level, virtio = rte_log_register("pmd.net.virtio.init"); /* which it is */
	struct rte_device *device = NULL;
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(dev, &info) == 0)
		device = info.device;
	uplink_fds_close_begin(dev);
	rte_eth_dev_stop(dev);
	uplink_device_settle();
	/* It would complain that a back-end that is gone does not answer. */
	level = rte_log_get_level((uint32_t)virtio);
	rte_log_set_level((uint32_t)virtio, RTE_LOG_CRIT);
	rte_eth_dev_close(dev);
	rte_log_set_level((uint32_t)virtio, (uint32_t)level);
	if (device != NULL)
		rte_dev_remove(device);
	uplink_fds_close_end();
}
