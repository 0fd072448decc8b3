#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Does the simulation find what it is for? Plant one fault at a time into a copy of the sources,
build the simulation with it, and see whether it is found.

usage: mutants.py [--seconds S] [--seeds N] [NAME...]
    --seconds S   CPU seconds that the simulation may take for each (60)
    NAME          these alone; --list shows all

Exit status: 0 all were found, 1 one was not, 2 one could not be planted or built.
"""
import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RULES = "lib/ccm/ccm_rules.c"
SESSION = "lib/ccm/ccm_session.c"
MANAGER = "lib/ccm/ccm_manager.c"
PORTS = "lib/ccm/ccm_ports.c"
RESP = "lib/rdma_emul/remu_resp.c"
REQ = "lib/rdma_emul/remu_req.c"

# name, file, what is there, what takes its place (and so on, in pairs). What is there must be there
# exactly once.
MUTANTS = [
    (
        "echo check skipped (R2)",
        RULES,
        "s->slot.nonce == partner_nonce && s->slot.echo == s->nonce;",
        "s->slot.nonce == partner_nonce;",
    ),
    (
        "nonce kept over teardown (R1)",
        RULES,
        "\ts->nonce = s->spare_nonce;\n",
        "",
    ),
    (
        "bind to a slot record without READ (R3)",
        SESSION,
        "\ts->slot = *rec;\n",
        "\ts->slot = *rec;\n\ts->seen = *rec;\n\tif (s->steps == 0)\n\t\ts->steps = 1;\n",
    ),
    (
        "verified without READ (R4)",
        RULES,
        " || s->seen.echo != s->nonce ||\n\t\ts->seen.phase < CCM_PORTS ||"
        " !is_session_phase(s->seen.phase))",
        ")",
    ),
    (
        "up without the slot's word (R5)",
        RULES,
        "\t\treturn 0;\n\tccm__time_step(s, CCM_STEP_READY, now);",
        "\t\t(void)now;\n\tccm__time_step(s, CCM_STEP_READY, now);",
    ),
    (
        "new nonce of the partner ignored (R6)",
        RULES,
        "return CCM_REASON_PARTNER_RESTARTED;",
        "return CCM_REASON_NONE;",
    ),
    (
        "standing beat counter ignored (R6)",
        SESSION,
        "if (in->record->beat != s->seen.beat || ",
        "if (s->n_beats != 0 || ",
    ),
    (
        "PSN not taken over again (R8)",
        RESP,
        "\t\trs->epsn = pkt->f.psn;\n\t\trs->synced = true;",
        "\t\tif (!rs->synced)\n\t\t\trs->epsn = pkt->f.psn;\n\t\trs->synced = true;",
    ),
    (
        "PSN taken over from a WRITE too (R8)",
        RESP,
        "\tif (is_resync(e, qp, pkt)) {",
        "\tif (is_resync(e, qp, pkt) ||\n\t\t((qp->flags & REMU_QP_BOOTSTRAP) && rs->synced &&\n"
        "\t\t\tpkt->f.opcode == ROCE_WRITE_ONLY)) {",
    ),
    (
        "numbers of ports used again (R9)",
        PORTS,
        "\tslot->psn = (uint32_t)ccm__rand_nonzero(ccm) & 0xffffff;\n\tdo {\n"
        "\t\tslot->rkey = (uint32_t)ccm__rand_nonzero(ccm);\n\t} while (slot->rkey == 0);\n",
        "\tslot->psn = (uint32_t)ccm__rand_nonzero(ccm) & 0xffffff;\n"
        "\tslot->port.qpn = 0x2000 + (peer->index << 8 | index);\n"
        "\tslot->rkey = 0x5000 + index;\n",
    ),
    (
        "late ourselves, partner accused (R10)",
        SESSION,
        "s->next_tick_ns = now + s->cfg.beat_ns;\n\t\ts->beat++;",
        "s->last_beat_ns = silent_since;\n"
        "\t\ts->next_tick_ns = now + s->cfg.beat_ns;\n\t\ts->beat++;",
        "\t\tuint64_t late = now - s->next_tick_ns;\n",
        "\t\tuint64_t late = now - s->next_tick_ns;\n"
        "\t\tuint64_t silent_since = s->last_beat_ns;\n",
    ),
    (
        "clients not told when stopping",
        SESSION,
        "\tif (s->state == CCM_UP)\n\t\tact |= CCM_ACT_CLIENTS_DOWN;\n"
        "\ts->last_down_reason = CCM_REASON_STOPPED;",
        "\ts->last_down_reason = CCM_REASON_STOPPED;",
    ),
    (
        "buffers given back too early",
        PORTS,
        "\ttell(ccm, peer, CCM_CLIENT_DOWN, reason);\n",
        "\ttell(ccm, peer, CCM_CLIENT_DOWN, reason);\n"
        "\ttell(ccm, peer, CCM_CLIENT_RELEASED, reason);\n",
    ),
    (
        "memory allocated in the loop",
        MANAGER,
        "\tany |= poll_channels(ccm);\n",
        "\tany |= poll_channels(ccm);\n\tccm_destroy(calloc(1, sizeof(*ccm)));\n",
    ),
    (
        "record CRC unchecked",
        "lib/ccm/ccm_record.c",
        "\tif (w.crc != ccm_crc32c(&w, offsetof(struct record_wire, crc)))\n",
        "\tif (w.crc == 0)\n",
    ),
    (
        "directory not held against dir_crc",
        MANAGER,
        " ||\n\t\tdir.crc != rec->dir_crc)",
        ")",
    ),
    (
        "directory CRC unchecked",
        "lib/ccm/ccm_directory.c",
        "\tif (h->crc != directory_crc(&w, h->length))\n",
        "\tif (h->crc == 0)\n",
    ),
    (
        "regions of ports left behind",
        PORTS,
        "\tVERBS_DESTROY = 2,",
        "\tVERBS_DESTROY = 1,",
    ),
    (
        "duplicate WRITE carried out",
        RESP,
        "\tif (ahead < 0)\n\t\treturn on_duplicate(",
        "\tif (ahead < 0 && pkt->f.opcode == ROCE_WRITE_ONLY && rs->message == REMU_MSG_NONE &&\n"
        "\t\tbegin_write(e, qp, pkt) == REMU_DROP_NONE)\n\t\tstore(rs, pkt);\n"
        "\tif (ahead < 0)\n\t\treturn on_duplicate(",
    ),
    (
        "WRITE acknowledged before it is carried out",
        RESP,
        "\tif (ahead > 0) {\n",
        "\tif (ahead > 0) {\n\t\tif ((pkt->op->traits & ROCE_T_WRITE) && pkt->f.ackreq)\n"
        "\t\t\tremu__answer_ack(e, qp, pkt->f.psn);\n",
    ),
    (
        "WRITE carried out behind a gap",
        RESP,
        "\tif (ahead > 0) {\n",
        "\tif (ahead > 0 && pkt->f.opcode != ROCE_WRITE_ONLY) {\n",
    ),
    (
        "requester's window one too large",
        REQ,
        "return out < rq->window.now ||",
        "return out <= rq->window.now ||",
    ),
    (
        "ICRC unchecked",
        "lib/rdma_emul/remu_engine.c",
        "\tif (unlikely(!roce_icrc_ok(pkt.l3, pkt.icrc_span)))\n",
        "\tif (unlikely(pkt.icrc_span == 0))\n",
    ),
]


def fail(text):
    sys.stderr.write(f"mutants: {text}\n")
    sys.exit(2)


def build(folder):
    result = subprocess.run(
        ["ninja", "-C", folder, "tests/sim/sim"], capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        fail("it does not build:\n" + result.stdout[-3000:])


def limit_cpu(seconds):
    """To be called in the child."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def simulate(program, seeds, seconds):
    """Run seeds until one fails. @return (status, CPU seconds, what it said)"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        [program, "--seeds", str(seeds)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: limit_cpu(seconds),
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result.returncode, spent, result.stderr


def plant(path, pairs):
    """@return the text as it was"""
    with open(path, encoding="utf-8") as file:
        text = changed = file.read()
    for old, new in zip(pairs[::2], pairs[1::2]):
        if changed.count(old) != 1:
            fail(f"{path}: the place is there {changed.count(old)} times:\n{old}")
        changed = changed.replace(old, new)
    with open(path, "w", encoding="utf-8") as file:
        file.write(changed)
    return text


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=1000000)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()

    chosen = [m for m in MUTANTS if not args.names or any(n in m[0] for n in args.names)]
    if args.list:
        print("\n".join(m[0] for m in MUTANTS))
        return 0
    missed = 0
    with tempfile.TemporaryDirectory(prefix="ccm-mutants-") as scratch:
        tree, folder = os.path.join(scratch, "tree"), os.path.join(scratch, "build")
        shutil.copytree(
            ROOT, tree, ignore=shutil.ignore_patterns(".git", "build*", "__pycache__", "corpus")
        )
        setup = subprocess.run(
            ["meson", "setup", folder, tree], capture_output=True, text=True, check=False
        )
        if setup.returncode != 0:
            fail("meson setup fails:\n" + setup.stdout[-3000:])
        build(folder)
        program = os.path.join(folder, "tests/sim/sim")
        status, spent, said = simulate(program, 500, args.seconds)
        if status != 0:
            fail(f"without a mutant it fails too: {said}")
        print(f"{'mutant':45} {'seed':>8} {'CPU s':>6}  how it shows")
        for name, path, *pairs in chosen:
            full = os.path.join(tree, path)
            text = plant(full, pairs)
            build(folder)
            status, spent, said = simulate(program, args.seeds, args.seconds)
            found = re.search(r"FAILED seed (\d+)(?:, event \d+, [\d.]+ us)?: (.*)", said)
            if status == 1 and found:
                print(f"{name:45} {found.group(1):>8} {spent:6.2f}  {found.group(2)}", flush=True)
            else:
                print(f"{name:45} {'-':>8} {spent:6.2f}  NOT FOUND", flush=True)
                missed += 1
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
    print(f"{len(chosen) - missed} of {len(chosen)} mutants found")
    return 1 if missed else 0


sys.exit(main())
