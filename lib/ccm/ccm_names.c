/* SPDX-License-Identifier: BSD-3-Clause */
#include "ccm.h"

static const char *const state_names[CCM_STATE_COUNT] = {
	[CCM_DOWN] = "down",
	[CCM_CLOSING] = "closing",
	[CCM_SEARCH] = "search",
	[CCM_BOUND] = "bound",
	[CCM_PORTS] = "ports",
	[CCM_READY] = "ready",
	[CCM_UP] = "up",
	[CCM_REFUSED] = "refused",
	[CCM_LEAVING] = "leaving",
};

static const char *const reason_names[CCM_REASON_COUNT] = {
	[CCM_REASON_NONE] = "none",
	[CCM_REASON_NO_ANSWER] = "no_answer",
	[CCM_REASON_LINK_DOWN] = "link_down",
	[CCM_REASON_NOT_STARTED] = "not_started",
	[CCM_REASON_BAD_RECORD] = "bad_record",
	[CCM_REASON_WRONG_NODE] = "wrong_node",
	[CCM_REASON_WRONG_CLUSTER] = "wrong_cluster",
	[CCM_REASON_VERSION] = "version",
	[CCM_REASON_ACCESS] = "access",
	[CCM_REASON_PARTNER_REFUSED] = "partner_refused",
	[CCM_REASON_PARTNER_LEAVING] = "partner_leaving",
	[CCM_REASON_PARTNER_RESTARTED] = "partner_restarted",
	[CCM_REASON_PARTNER_WENT_BACK] = "partner_went_back",
	[CCM_REASON_PARTNER_HUNG] = "partner_hung",
	[CCM_REASON_PORT_MAP] = "port_map",
	[CCM_REASON_PORT_FAILED] = "port_failed",
	[CCM_REASON_CLIENTS_CHANGED] = "clients_changed",
	[CCM_REASON_STOPPED] = "stopped",
	[CCM_REASON_WAITING] = "waiting",
	[CCM_REASON_PORT_ERROR] = "port_error",
	[CCM_REASON_TIMING] = "timing",
	[CCM_REASON_OWN_ID] = "own_id",
	[CCM_REASON_CONFLICT] = "conflict",
	[CCM_REASON_NO_PROGRESS] = "no_progress",
};

static const char *const verdict_names[CCM_VERDICT_COUNT] = {
	[CCM_VERDICT_LINK_DOWN] = "link_down",
	[CCM_VERDICT_NOT_STARTED] = "not_started",
	[CCM_VERDICT_REFUSED] = "refused",
	[CCM_VERDICT_UNREACHABLE] = "unreachable",
	[CCM_VERDICT_LEAVING] = "leaving",
	[CCM_VERDICT_HUNG] = "hung",
	[CCM_VERDICT_STUCK] = "stuck",
	[CCM_VERDICT_STARTING] = "starting",
	[CCM_VERDICT_PROGRESSING] = "progressing",
	[CCM_VERDICT_CONNECTING] = "connecting",
	[CCM_VERDICT_UP] = "up",
};

static const char *const advice_names[CCM_ADVICE_COUNT] = {
	[CCM_ADVICE_KEEP] = "keep",
	[CCM_ADVICE_TAKE_OVER] = "take_over",
	[CCM_ADVICE_UNSURE] = "unsure",
};

static const char *const role_names[CCM_ROLE_COUNT] = {
	[CCM_ROLE_STORAGE] = "storage",
	[CCM_ROLE_APPLICATION] = "application",
};

static const char *const client_state_names[CCM_CLIENT_STATE_COUNT] = {
	[CCM_CLIENT_NO_SESSION] = "no_session",
	[CCM_CLIENT_WAITING] = "waiting",
	[CCM_CLIENT_CONNECTING] = "connecting",
	[CCM_CLIENT_CONNECTED] = "connected",
	[CCM_CLIENT_REFUSED] = "refused",
};

static const char *const step_names[CCM_STEP_COUNT] = {
	[CCM_STEP_READ1] = "read_one",
	[CCM_STEP_WRITE1] = "write_one",
	[CCM_STEP_READ2] = "read_two",
	[CCM_STEP_WRITE2] = "write_two",
	[CCM_STEP_CLIENT_INFO] = "client_info",
	[CCM_STEP_CREATE_PORTS] = "create_ports",
	[CCM_STEP_CONNECT_PORTS] = "connect_ports",
	[CCM_STEP_READY] = "ready",
};

/* An entry that somebody forgot is NULL, and reads "unknown" like one out of range. */
static const char *
name_of(const char *const *names, size_t count, size_t value)
{
	return value < count && names[value] ? names[value] : "unknown";
}

const char *
ccm_state_name(enum ccm_state state)
{
	return name_of(state_names, CCM_STATE_COUNT, state);
}

const char *
ccm_reason_name(enum ccm_reason reason)
{
	return name_of(reason_names, CCM_REASON_COUNT, reason);
}

const char *
ccm_verdict_name(enum ccm_verdict verdict)
{
	return name_of(verdict_names, CCM_VERDICT_COUNT, verdict);
}

const char *
ccm_advice_name(enum ccm_advice advice)
{
	return name_of(advice_names, CCM_ADVICE_COUNT, advice);
}

const char *
ccm_role_name(enum ccm_role role)
{
	return name_of(role_names, CCM_ROLE_COUNT, role);
}

const char *
ccm_client_state_name(enum ccm_client_state state)
{
	return name_of(client_state_names, CCM_CLIENT_STATE_COUNT, state);
}

const char *
ccm_step_name(enum ccm_step step)
{
	return name_of(step_names, CCM_STEP_COUNT, step);
}
