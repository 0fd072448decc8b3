#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The simulator finds each planted fault.
set -euo pipefail
exec /usr/bin/python3 -B "$(dirname "${BASH_SOURCE[0]}")/../sim/mutants.py"
