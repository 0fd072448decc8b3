#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A node in a virtual machine on a card with two queues, one for each of its two data lcores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../smoke"
./82_guest_nics.sh virtio_mq
