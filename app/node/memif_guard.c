/* SPDX-License-Identifier: BSD-3-Clause */
#include "memif_guard.h"
#include "port_gate.h"

#include <rte_interrupts.h>

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WAIT_US = 100000 };

static struct port_gate *_Atomic app_guarded;
static _Atomic uint64_t app_kept;

void
memif_guard_arm(struct port_gate *gate)
{
	atomic_store(&app_guarded, gate);
}

uint64_t
memif_guard_kept(void)
{
	return atomic_load_explicit(&app_kept, memory_order_relaxed);
}

/*
 * Both are in place of the C library's, for all shared objects; within the C library calls are
 * not redirected. A mapping whose turn does not come in time is kept: a few megabytes of address
 * space are lost then, not the process.
 */
__attribute__((visibility("default"))) int
munmap(void *addr, size_t length)
{
	struct port_gate *gate = atomic_load(&app_guarded);

	if (gate != NULL && rte_thread_is_intr() && !port_gate_close(gate, WAIT_US)) {
		atomic_fetch_add_explicit(&app_kept, 1, memory_order_relaxed);
		return 0;
	}
	return (int)syscall(SYS_munmap, addr, length);
}

__attribute__((visibility("default"))) ssize_t
sendmsg(int fd, const struct msghdr *msg, int flags)
{
	ssize_t n = syscall(SYS_sendmsg, fd, msg, flags);

	if (n >= 0 || !rte_thread_is_intr() ||
		(errno != EPIPE && errno != ECONNRESET && errno != ENOTCONN))
		return n;
	n = 0;
	for (size_t i = 0; i < msg->msg_iovlen; i++)
		n += (ssize_t)msg->msg_iov[i].iov_len;
	return n;
}
