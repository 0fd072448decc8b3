# SPDX-License-Identifier: BSD-3-Clause
"""ccmctl doctor: is this machine fit for a node, and if not what to do about it."""
import collections

from . import checks, checks_net
from .host import Eal, Host, find_program, load_config, of_process
from .telemetry import TelemetryError
from .text import clean, plural

CHECKS = (
    checks.check_config,
    checks.check_permissions,
    checks.check_hugepages,
    checks.check_memory,
    checks.check_cpus,
    checks.check_preemption,
    checks.check_clock,
    checks_net.check_device,
    checks_net.check_link,
    checks_net.check_mtu,
    checks_net.check_macs,
    checks_net.check_address,
    checks_net.check_losses,
    checks_net.check_sessions,
)
ASKED = ("/ccm/status", "/ccm/partners", "/remu/port", "/remu/drops", "/eal/params")
CODES = {checks.OK: 0, checks.WARNING: 1, checks.ERROR: 2}
TEXT_MAX = 1000  # of what a node or a program says
STYLES = {checks.OK: "good", checks.WARNING: "warn", checks.ERROR: "bad"}


def ask(node):
    """Answers of a running node, as many as it gives."""
    answers = {}
    for command in ASKED:
        try:
            answers[command] = node.value(command)
        except TelemetryError:
            if node.telemetry.sock is None:
                break
    return answers


def examine(node=None, config=None, device=None, eal_args=(), root="/"):
    """Findings about a machine; node: an open Node, or None."""
    host = Host(root)
    answers = ask(node) if node else None
    pid = program = None
    eal_args = list(eal_args)
    if answers and isinstance(answers.get("/ccm/status"), dict):
        pid = answers["/ccm/status"].get("pid")
        pid = pid if isinstance(pid, int) and host.exists(f"/proc/{pid}") else None
        if pid:
            args, its_config, program = of_process(host, pid)
            config = config or its_config
            eal_args = eal_args or args
    eal = Eal(eal_args)
    loaded, _ = load_config(config) if config else (None, None)
    patient = checks.Patient(
        host=host,
        eal=eal,
        config=loaded,
        config_path=config,
        program=find_program(program),
        devices=checks_net.devices_of(host, eal, device),
        node=answers,
        pid=pid,
    )
    return [finding for check in CHECKS for finding in check(patient)]


def worst(findings):
    return max((CODES[finding.level] for finding in findings), default=0)


def as_data(findings):
    return {
        "findings": [dict(finding._asdict()) for finding in findings],
        "state": next(level for level, code in CODES.items() if code == worst(findings)),
    }


def render(findings, screen):
    name_width = max((len(finding.name) for finding in findings), default=0)
    indent = len("warning") + name_width + 4
    if screen.columns < indent + 24:
        indent = 4
    lines = []
    for finding in findings:
        level = screen.paint(STYLES[finding.level], f"{finding.level:<7}")
        lines += screen.wrap(clean(finding.text, TEXT_MAX), indent, f"{level}  {finding.name:<{name_width}}  ")
        if finding.todo:
            lines += screen.wrap(clean(finding.todo, TEXT_MAX), indent + 3, " " * indent + "-> ")
    counts = collections.Counter(finding.level for finding in findings)
    summary = (
        f"{counts['ok']} ok, {plural(counts['warning'], 'warning')}, {plural(counts['error'], 'error')}"
    )
    return [*lines, "", summary]
