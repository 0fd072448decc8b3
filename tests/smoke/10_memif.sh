#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Two nodes over shared memory: up, data verified, every telemetry command answered consistently on
# both sides, SIGTERM ends a node with status 0 and the partner knows why it left.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
