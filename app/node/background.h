/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * Threads for what may block: files and signals. They stay off the CPUs of the lcores where there are
 * others, and no signal is handled on them.
 */

#include <pthread.h>

/* Note which CPUs this process may use; before EAL, which pins the main thread to one. */
void background_init(void);

/* Start a thread; name: 15 characters at most. After EAL. Returns 0 or a negative errno. */
int background_start(pthread_t *thread, const char *name, void *(*fn)(void *arg), void *arg);
