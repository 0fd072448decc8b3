/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef PARTNER_SELFTEST_H
#define PARTNER_SELFTEST_H

/*
 * Check the formats against the values of the document and against golden files, and the rules by
 * letting two sessions find each other in memory. Returns the number of failures.
 */
int selftest(int n_files, char *const files[]);

#endif
