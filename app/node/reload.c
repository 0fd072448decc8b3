/* SPDX-License-Identifier: BSD-3-Clause */
#include "reload.h"

#include "background.h"
#include "log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
	TAKE_MS = 5000, /* longest wait for the control core */
	LOOK_MS = 2,
};

static const char *const result_names[] = {
	[NODE_RELOAD_NONE] = "none",
	[NODE_RELOAD_APPLIED] = "applied",
	[NODE_RELOAD_UNCHANGED] = "unchanged",
	[NODE_RELOAD_REFUSED] = "refused",
};

/* What differs, as text. */
struct changes {
	char text[NODE_RELOAD_TEXT_LEN];
	size_t used;
	uint32_t live; /* changes that may be made */
	uint32_t dead; /* that need a restart */
};

const char *
node_reload_result_name(enum node_reload_result result)
{
	return result_names[result];
}

/* First what is wrong, then the rest: as much as there is room for. */
static void
add(struct changes *c, const char *path, const char *was, const char *is, bool reload)
{
	int n = snprintf(c->text + c->used, sizeof(c->text) - c->used, "%s%s: %s -> %s%s",
		c->used != 0 ? "; " : "", path, was, is, reload ? "" : " needs a restart");

	if (n < 0 || (size_t)n >= sizeof(c->text) - c->used)
		c->text[c->used] = '\0';
	else
		c->used += (size_t)n;
}

static void
add_dead(void *ctx, const char *path, const char *was, const char *is, bool reload)
{
	struct changes *c = ctx;

	if (reload)
		return;
	c->dead++;
	add(c, path, was, is, reload);
}

static void
add_live(void *ctx, const char *path, const char *was, const char *is, bool reload)
{
	struct changes *c = ctx;

	if (!reload)
		return;
	c->live++;
	add(c, path, was, is, reload);
}

static void
tell(struct node_reload *r, enum node_reload_result result, const char *text)
{
	if (result == NODE_RELOAD_REFUSED)
		NODE_LOG(WARNING, "configuration not reloaded, all is as before: %s", text);
	else
		NODE_LOG(NOTICE, "configuration reloaded: %s", text);
	pthread_mutex_lock(&r->lock);
	r->status.count++;
	r->status.result = result;
	r->status.when_ns = r->now_ns();
	snprintf(r->status.text, sizeof(r->status.text), "%s", text);
	pthread_mutex_unlock(&r->lock);
}

static void
wait_done(struct node_reload *r, int ms)
{
	while (ms > 0 && !atomic_load_explicit(&r->done, memory_order_acquire) &&
		!atomic_load_explicit(&r->stop, memory_order_relaxed)) {
		usleep(LOOK_MS * 1000);
		ms -= LOOK_MS;
	}
}

/* Give it to the control core, and wait until it has copied it; false: it stands still. */
static bool
hand_over(struct node_reload *r, struct node_config *cfg)
{
	struct node_config *mine = cfg;

	atomic_store_explicit(&r->done, false, memory_order_relaxed);
	atomic_store_explicit(&r->ready, cfg, memory_order_release);
	wait_done(r, TAKE_MS);
	if (atomic_compare_exchange_strong(&r->ready, &mine, NULL))
		return false;
	while (!atomic_load_explicit(&r->done, memory_order_acquire))
		usleep(LOOK_MS * 1000); /* in the middle of it */
	return true;
}

static void
reload(struct node_reload *r, struct node_config *cfg)
{
	struct node_config_error error;
	struct changes c = {.used = 0};

	if (node_config_load(r->path, cfg, &error) != 0) {
		tell(r, NODE_RELOAD_REFUSED, error.text);
		return;
	}
	node_config_compare(r->live, cfg, add_dead, &c);
	if (c.dead != 0) {
		tell(r, NODE_RELOAD_REFUSED, c.text);
		return;
	}
	node_config_compare(r->live, cfg, add_live, &c);
	if (c.live == 0)
		tell(r, NODE_RELOAD_UNCHANGED, "nothing has changed");
	else if (hand_over(r, cfg))
		tell(r, NODE_RELOAD_APPLIED, c.text);
	else
		tell(r, NODE_RELOAD_REFUSED, "the control core stands still");
}

static void
only_sighup(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGHUP);
}

static void
notice(struct node_reload *r, bool begins)
{
	if (r->notice != NULL)
		r->notice(r->notice_ctx, begins);
}

static void *
reload_main(void *arg)
{
	struct node_reload *r = arg;
	struct node_config *cfg;
	sigset_t set;
	int sig;

	only_sighup(&set);
	while (sigwait(&set, &sig) == 0 && !atomic_load(&r->stop)) {
		notice(r, true);
		cfg = malloc(sizeof(*cfg));
		if (cfg != NULL)
			reload(r, cfg);
		else
			tell(r, NODE_RELOAD_REFUSED, "out of memory");
		free(cfg);
		notice(r, false);
	}
	return NULL;
}

void
node_reload_block_signal(void)
{
	sigset_t set;

	only_sighup(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int
node_reload_start(struct node_reload *r, const char *path, struct node_config *live,
	uint64_t (*now_ns)(void))
{
	int rc;

	r->path = path;
	r->live = live;
	r->now_ns = now_ns;
	pthread_mutex_init(&r->lock, NULL);
	rc = background_start(&r->thread, "ccm-reload", reload_main, r);
	r->started = rc == 0;
	return rc;
}

bool
node_reload_poll(struct node_reload *r)
{
	struct node_config *cfg;

	if (atomic_load_explicit(&r->ready, memory_order_relaxed) == NULL)
		return false;
	cfg = atomic_exchange_explicit(&r->ready, NULL, memory_order_acquire);
	if (cfg == NULL)
		return false;
	node_config_reload(r->live, cfg);
	atomic_store_explicit(&r->done, true, memory_order_release);
	return true;
}

void
node_reload_stop(struct node_reload *r)
{
	struct timespec end;

	if (!r->started)
		return;
	atomic_store(&r->stop, true);
	pthread_kill(r->thread, SIGHUP);
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 1; /* should it hang on a file, it ends with the process */
	r->started = pthread_timedjoin_np(r->thread, NULL, &end) != 0;
}

void
node_reload_read(struct node_reload *r, struct node_reload_status *out)
{
	pthread_mutex_lock(&r->lock);
	*out = r->status;
	pthread_mutex_unlock(&r->lock);
}
