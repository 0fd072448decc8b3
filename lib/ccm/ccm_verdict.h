/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once
/*
 * What there is to say of a partner, and whether to take its work over: one pure function of all
 * that is known of it. doc/architecture.md has the table.
 */

#include "ccm.h"
#include "ccm_session.h"

/**
 * Judge a partner.
 *
 * Silence counts from our own last stall on (R10): after one of ours nobody else is accused of it.
 *
 * @param link_up  of our port
 * @param now_ns   the clock of ccm_session_step()
 */
struct ccm_judgement ccm_judge(const struct ccm_session *s, bool link_up, uint64_t now_ns);
