# SPDX-License-Identifier: BSD-3-Clause
"""What ccmctl and ccm-exporter are made of: Python's standard library only, no privileges."""

VERSION = "0.1.0"
