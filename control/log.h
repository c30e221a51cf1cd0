/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_LOG_H
#define CONTROL_LOG_H

#include <syslog.h>

/*
 * One line a fact, on stderr: for the journal with the priority in front (sd-daemon(3)), for people
 * with a word. Levels are syslog's: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG.
 */

/* Lines above `level` are dropped from now on; LOG_INFO until called. Thread: control. */
void log_start(int level);

/* "error", "warning", "notice", "info", "debug" -> the level, or -1. */
int log_level_of(const char *word);

/* Control characters of the text become '?', so that a line stays one line. Thread: any. */
void log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
