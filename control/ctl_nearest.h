/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_NEAREST_H
#define CONTROL_CTL_NEAREST_H

/* What a mistyped word was probably meant to be: feed it every word that would have been right. */
struct ctl_nearest {
	const char *typed;
	unsigned int distance;
	char word[64]; /* "" while none is near enough */
};

void ctl_nearest_start(struct ctl_nearest *nearest, const char *typed);
void ctl_nearest_try(struct ctl_nearest *nearest, const char *candidate);

#endif
