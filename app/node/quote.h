/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Text of unknown origin made fit for one line of a message: printable ASCII stays, every other
 * byte becomes \xNN, a backslash is doubled, and what is too long ends in "...".
 */

#include <stddef.h>

/* Write at most size bytes with the terminating zero; size is at least 8. @return out */
const char *node_quote(char *out, size_t size, const char *text);
