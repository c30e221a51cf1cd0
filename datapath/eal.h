/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_EAL_H
#define DATAPATH_EAL_H

#include "datapath/dp.h"

/*
 * Starts DPDK's environment with an argument list of our own: memory in anonymous hugepages, no
 * files in common directories, one lcore id for each forwarding CPU and lcore 0 for the control
 * thread; no PCI device is taken until an uplink names it.
 * Errors: -ENOMEM (code "no-hugepages"), -EINVAL ("bad-eal-args"). Thread: control.
 */
int eal_start(const struct dp_config *config, struct err *err);
void eal_stop(void);

#endif
