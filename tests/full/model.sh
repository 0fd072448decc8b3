#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The handshake's model: what must hold holds, and what must fail fails.
set -euo pipefail
command -v spin >/dev/null || {
	echo "needs spin"
	exit 77
}
exec "$(dirname "${BASH_SOURCE[0]}")/../../scripts/model"
