/* SPDX-License-Identifier: BSD-3-Clause */
#include "quote.h"

#include <stdio.h>
#include <string.h>

const char *
node_quote(char *out, size_t size, const char *text)
{
	static const char more[] = "...";
	size_t used = 0, room = size - sizeof(more);

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		char piece[8];
		size_t len;

		if (c == '\\')
			len = (size_t)snprintf(piece, sizeof(piece), "\\\\");
		else if (c < ' ' || c > '~')
			len = (size_t)snprintf(piece, sizeof(piece), "\\x%02x", c);
		else
			len = (size_t)snprintf(piece, sizeof(piece), "%c", c);
		if (len > room - used) {
			memcpy(out + used, more, sizeof(more));
			return out;
		}
		memcpy(out + used, piece, len);
		used += len;
	}
	out[used] = '\0';
	return out;
}
