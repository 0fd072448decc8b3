#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# How soon a death or a standstill is told, and how soon the session is back: each phase 20 times, and
# stops of up to 30 s.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../smoke"
ROUNDS=${ROUNDS:-20} ./42_detection_kill.sh
ROUNDS=${STOP_ROUNDS:-5} FULL=yes ./43_detection_stop.sh
