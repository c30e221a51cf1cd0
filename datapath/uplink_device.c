/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/uplink_device.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_kvargs.h>

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

#define KNOCK_TIMEOUT_MS 1000

/* Asks for the features, as the first message of any front-end does, and sees the peer off. */
static bool
uplink_device_answers(int fd)
{
	static const uint32_t get_features[3] = {1, 1, 0}; /* request, version, size */
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	uint32_t reply[5] = {0};
	bool answers;

	if (send(fd, get_features, sizeof(get_features), MSG_NOSIGNAL) != sizeof(get_features) ||
	    poll(&pfd, 1, KNOCK_TIMEOUT_MS) <= 0)
		return false;
	answers = recv(fd, reply, sizeof(reply), 0) == sizeof(reply) && reply[0] == 1;
	/* Some take one connection at a time: let it be gone before the driver comes. */
	shutdown(fd, SHUT_WR);
	poll(&pfd, 1, KNOCK_TIMEOUT_MS);
	return answers;
}

/*
 * net_virtio_user waits for the other end of its socket without a limit, and all control with it:
 * so knock first. A path that is no socket (/dev/vhost-net) is fine.
 */
static int
uplink_device_knock(const char *path, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, ret = 0;

	if (stat(path, &st) < 0)
		return err_set_param(err, ENODEV, "no-such-device", "devargs",
				     "nothing is at %s; start what listens there first", path);
	if (!S_ISSOCK(st.st_mode) || strlen(path) >= sizeof(addr.sun_path))
		return 0;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, errno, "device-refused", "sluice gets no more sockets (%s)",
			       strerror(errno));
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		ret = err_set_param(err, ENODEV, "no-such-device", "devargs",
				    "cannot connect to %s (%s); start what listens there first",
				    path, strerror(errno));
	else if (!uplink_device_answers(fd))
		ret = err_set_param(err, EIO, "device-refused", "devargs",
				    "what listens at %s does not answer as a vhost-user back-end "
				    "within %d ms; see that it is the right socket, and its owner "
				    "alive",
				    path, KNOCK_TIMEOUT_MS);
	close(fd);
	return ret;
}

/* What the drivers would only log, said so that it reaches who asked; and what they crash on. */
static int
uplink_device_check(const char *devargs, const struct rte_kvargs *args, struct err *err)
{
	const char *iface = rte_kvargs_get(args, "iface");
	const char *path = rte_kvargs_get(args, "path");
	const char *server = rte_kvargs_get(args, "server");
	unsigned int i;

	for (i = 0; i < args->count; i++) {
		if (args->pairs[i].value == NULL)
			return err_set_param(err, EINVAL, "bad-devargs", "devargs",
					     "\"%s\" in devargs \"%s\" has no value; write %s=...",
					     args->pairs[i].key, devargs, args->pairs[i].key);
	}
	/* net_tap makes its interface; net_vhost's is a socket. */
	if (iface != NULL && strncmp(devargs, "net_tap", 7) != 0 &&
	    strncmp(devargs, "net_vhost", 9) != 0 && if_nametoindex(iface) == 0)
		return err_set_param(err, ENODEV, "no-such-device", "devargs",
				     "interface %s does not exist", iface);
	if (strncmp(devargs, "net_virtio_user", 15) != 0)
		return 0;
	if (server != NULL && strcmp(server, "0") != 0)
		return err_set_param(err, EINVAL, "bad-devargs", "devargs",
				     "devargs \"%s\" would have sluice stand still until somebody "
				     "connects; make the other end the server, without server=1",
				     devargs);
	return path != NULL ? uplink_device_knock(path, err) : 0;
}

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
uplink_device_open(const char *devargs, struct err *err)
{
	const char *comma = strchr(devargs, ',');
	struct rte_kvargs *args = rte_kvargs_parse(comma != NULL ? comma + 1 : "", NULL);
	uint16_t dev = 0;
	unsigned int n;
	int ret;

	if (args == NULL)
		return err_set_param(err, EINVAL, "bad-devargs", "devargs",
				     "devargs \"%s\" are not of the form DEVICE,key=value,...",
				     devargs);
	ret = uplink_device_check(devargs, args, err);
	rte_kvargs_free(args);
	if (ret < 0)
		return ret;
	if (uplink_device_count(devargs, &dev) > 0)
		return err_set_param(err, EBUSY, "device-in-use", "devargs",
				     "device \"%s\" is an uplink already; a virtual one takes "
				     "another number",
				     devargs);
	ret = uplink_device_probe(devargs, err);
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

void
uplink_device_close(uint16_t dev)
{
	struct rte_device *device = NULL;
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(dev, &info) == 0)
		device = info.device;
	rte_eth_dev_stop(dev);
	rte_eth_dev_close(dev);
	if (device != NULL)
		rte_dev_remove(device);
}
