/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Log of ccm-node: one line per state change, never per packet. Libraries do not log.
 */

#include <rte_log.h>

extern int app_logtype;

/* NODE_LOG(INFO, "port %u", n): no newline at the end. */
#define NODE_LOG(level, format, ...) \
	rte_log(RTE_LOG_##level, app_logtype, "ccm: " format "\n", ##__VA_ARGS__)
