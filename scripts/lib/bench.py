#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measure and report; started by scripts/bench, which says what the options mean."""
import argparse
import datetime
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys

import bench_failover
import bench_peers
import bench_plot
from bench_pair import BenchError, Pair, free_cpus

ROOT = pathlib.Path(__file__).resolve().parents[2]
FORMAT = 1
PATH_MTU = 4096
MIB = 1 << 20
TURN_S = 4  # of floor or RDMA, before it is the other's turn
SUMMARY = ("p50_ns", "p99_ns", "p999_ns", "ops_per_s", "bytes_per_s")


def points(quick):
    """(op, size, depth) to measure, without doubles, in a fixed order."""
    sizes = [8, 64, 1024, 4096] if quick else [2 << i for i in range(20)]
    long_sizes = [65536, MIB] if quick else [64 << i for i in range(15)]
    long_depth = 4 if quick else 16
    depths = [8, 64] if quick else [1 << i for i in range(7)]
    found = {}
    for op in ("write", "read"):
        for size in sizes:
            found[op, size, 1] = None
    found["send", 64, 1] = None
    found["atomic", 8, 1] = None
    for op in ("write", "read"):
        for depth in depths:
            found[op, 64, depth] = None
    for op in ("write", "read"):
        for size in long_sizes:
            found[op, size, long_depth] = None
    return list(found), long_depth


def median(values):
    return statistics.median(values)


def measure(pair, chosen, seconds, runs, log):
    """Floor and RDMA in turns. Returns for each point its runs of both kinds, and those of one point
    through the channel."""
    rdma = {point: [] for point in chosen}
    floor = {point: [] for point in chosen}
    # An operation is a third of the time: a floor exchanges and streams.
    share = max(1, round(TURN_S / 3 / seconds))
    turns = [chosen[i:i + share] for i in range(0, len(chosen), share)]
    limit = 60 + 20 * len(chosen) * seconds
    own_cpus = len(free_cpus()) > 2
    through = ["--point", "write:64:1", "--lcore-mode", "cross", "-D", str(4 * seconds)]
    channel = {"lcores": 2 if own_cpus else 1, "runs": []}
    head = {}
    for run in range(runs):
        log(f"run {run + 1} of {runs}")
        for turn in turns:
            arguments = ["-D", str(seconds)]
            for op, size, depth in turn:
                arguments += ["--point", f"{op}:{size}:{depth}"]
            for kind, found in ((pair.floor, floor), (pair.measure, rdma)):
                head = kind(arguments, limit)
                for result in head["results"]:
                    found[result["op"], result["size_bytes"], result["depth"]].append(result)
        channel["runs"] += pair.measure(through, limit, two_lcores=own_cpus)["results"]
    del head["results"]
    return rdma, floor, channel, head


def without_lists(run):
    return {k: v for k, v in run.items() if k not in ("percentiles", "op", "size_bytes", "depth")}


def summary(rdma, floor):
    """One entry of results[] from the runs of one point."""
    op, size, depth = rdma[0]["op"], rdma[0]["size_bytes"], rdma[0]["depth"]
    result = {"op": op, "size_bytes": size, "depth": depth}
    for key in SUMMARY:
        result[key] = median([run[key] for run in rdma])
    for key in ("p50_ns", "p99_ns", "frames_per_s"):
        result[f"floor_{key}"] = median([run[key] for run in floor])
    frames = max(1, math.ceil(size / PATH_MTU))
    result["floor_frame_bytes"] = floor[0]["frame_bytes"]
    result["floor_bytes_per_s"] = result["floor_frames_per_s"] * size / frames
    # Each run against the floor right before it: the machine may be another one a minute later.
    result["ratio_p50"] = ratio(rdma, floor, lambda r, f: r["p50_ns"] / f["p50_ns"])
    result["ratio_p99"] = ratio(rdma, floor, lambda r, f: r["p99_ns"] / f["p99_ns"])
    result["ratio_rate"] = ratio(
        rdma, floor, lambda r, f: r["ops_per_s"] * frames / f["frames_per_s"])
    # All percentiles of the round in the middle.
    rounds = sorted(zip(rdma, floor), key=lambda both: both[0]["p50_ns"] / both[1]["p50_ns"])
    typical, typical_floor = rounds[len(rounds) // 2]
    result["percentiles"] = typical["percentiles"]
    result["floor_percentiles"] = typical_floor["percentiles"]
    result["runs"] = [without_lists(run) for run in rdma]
    result["floor_runs"] = [without_lists(run) for run in floor]
    return result


def ratio(rdma, floor, of):
    """Median over the rounds; None when a floor is 0."""
    try:
        return median([of(r, f) for r, f in zip(rdma, floor)])
    except ZeroDivisionError:
        return None


def channel_cost(channel, results):
    """Posting through the channel: what it adds to a WRITE, run against run."""
    same = next(r for r in results if (r["op"], r["size_bytes"], r["depth"]) == ("write", 64, 1))
    return {"lcores": channel["lcores"],
            "p50_ns": median([run["p50_ns"] for run in channel["runs"]]),
            "added_ns": median([run["p50_ns"] - before["p50_ns"] for run, before in
                                zip(channel["runs"], same["runs"])]),
            "runs": [without_lists(run) for run in channel["runs"]]}


def number(value, form):
    return "-" if value is None else format(value, form)


def print_table(results, peers):
    print(f"\n{'operation':10s} {'bytes':>8s} {'depth':>5s} {'p50 us':>9s} {'p99 us':>9s} "
          f"{'p99.9 us':>9s} {'floor p50':>9s} {'ratio':>6s} {'p99 ratio':>9s} {'Mop/s':>8s} "
          f"{'GB/s':>7s} {'of floor':>8s}")
    for r in results:
        print(f"{r['op']:10s} {r['size_bytes']:8d} {r['depth']:5d} {r['p50_ns'] / 1e3:9.2f} "
              f"{r['p99_ns'] / 1e3:9.2f} {r['p999_ns'] / 1e3:9.2f} "
              f"{r['floor_p50_ns'] / 1e3:9.2f} {number(r['ratio_p50'], '6.2f'):>6s} "
              f"{number(r['ratio_p99'], '9.2f'):>9s} {r['ops_per_s'] / 1e6:8.3f} "
              f"{r['bytes_per_s'] / 1e9:7.3f} {number(r['ratio_rate'], '8.3f'):>8s}")
    for peer in peers:
        print(f"{peer['name']:42s} half a round trip {peer['half_rtt_us']:8.2f} us   "
              f"{peer['what']}")
    print("times are round trips from posting to completion; floor: bare frames of the same "
          "lengths; of floor: frames/s against the floor's")


def idle_pair(rows):
    """A READ alone, and beside as many idle queue pairs as there are."""
    by_name = {row["name"]: row for row in rows}
    return by_name.get("read_64_idle_0"), by_name.get("read_64_idle_4095")


def print_handshake(name, handshake):
    steps = ", ".join(f"{name} {step['p50_ns'] / 1e3:.1f}"
                      for name, step in handshake["steps"].items())
    print(f"{name}, READ 1 to UP, {handshake['iterations']} times: "
          f"p50 {handshake['p50_ns'] / 1e3:.1f} us, p99 {handshake['p99_ns'] / 1e3:.1f} us "
          f"({steps})")


def print_failover(failover):
    for kind in ("killed", "stopped"):
        rows = [row for row in failover["cycles"] if row["how"] == kind]
        if rows:
            print(f"partner {kind}, {len(rows)} times: noticed after "
                  f"{median([r['notice_us'] for r in rows]) / 1e3:.2f} ms, up again "
                  f"{median([r['ready_us'] for r in rows]) / 1e3:.2f} ms after it was "
                  f"{'started' if kind == 'killed' else 'let go on'} "
                  f"(dead_after {failover['dead_after_us'] / 1e3:.0f} ms)")


def goals(results, handshake, rows, counted, peers):
    """The figures aimed at that this run can judge."""
    def find(op, size, depth):
        return next((r for r in results if (r["op"], r["size_bytes"], r["depth"]) ==
                     (op, size, depth)), None)

    out = []

    def goal(name, value, limit, at_most):
        if value is not None:
            met = value <= limit if at_most else value >= limit
            out.append({"goal": name, "value": value, "limit": limit, "met": met})

    for op in ("read", "write"):
        r = find(op, 64, 1)
        if r:
            goal(f"64 B {op.upper()}, p50 against floor", r["ratio_p50"], 2.0, True)
            goal(f"64 B {op.upper()}, p99 against floor", r["ratio_p99"], 2.5, True)
    r = find("write", 64, 64)
    if r:
        goal("64 B WRITE, M/s", r["ops_per_s"] / 1e6, 10, False)
        goal("64 B WRITE, share of the floor's frames", r["ratio_rate"], 0.25, False)
    r = find("read", 64, 64)
    if r:
        goal("64 B READ, M/s", r["ops_per_s"] / 1e6, 6, False)
    for op in ("write", "read"):
        long = [r for r in results if (r["op"], r["size_bytes"]) == (op, MIB)]
        if long:
            best = max(long, key=lambda r: r["bytes_per_s"])
            goal(f"1 MiB {op.upper()}, GB/s", best["bytes_per_s"] / 1e9, 10, False)
            goal(f"1 MiB {op.upper()}, share of the floor", best["ratio_rate"], 0.35, False)
    goal("handshake p50, us", handshake["p50_ns"] / 1e3, 50, True)
    one, many = idle_pair(rows)
    if one and many:
        goal("64 B READ beside 4095 idle queue pairs, times that of one alone",
             many["median_ns"] / one["median_ns"], 1.1, True)
    tcp = next((p for p in peers if p["name"].startswith("ucx_perftest ucp_put_lat, TCP")), None)
    r = find("write", 64, 1)
    if tcp and r:
        goal("64 B WRITE, half a round trip, times faster than UCX over TCP",
             tcp["half_rtt_us"] / (r["p50_ns"] / 2e3), 20, False)
    goal("instructions per 64 B WRITE, both sides, 64 under way",
         counted.get("write_64_depth_64"), 600, True)
    return out


def print_goals(list_of_goals):
    print("\ngoals")
    for g in list_of_goals:
        print(f"  {'met   ' if g['met'] else 'missed'} {g['goal']}: {g['value']:.2f} "
              f"(goal {g['limit']:g})")


def output_of(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True,
                              cwd=ROOT)
        return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return ""


def environment(build, cpus):
    options = json.loads(output_of("meson", "introspect", "--buildoptions", str(build)) or "[]")
    chosen = {o["name"]: o["value"] for o in options
              if o["name"] in ("buildtype", "optimization", "b_lto", "b_sanitize", "c_args")}
    return {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "revision": output_of("git", "rev-parse", "HEAD"),
        "modified": output_of("git", "status", "--porcelain", "-uno") != "",
        "cpu": cpu_model(),
        "cpus_used": list(cpus),
        "cpus_online": os.cpu_count(),
        "kernel": os.uname().release,
        "load_average": os.getloadavg()[0],
        "dpdk": output_of("pkg-config", "--modversion", "libdpdk"),
        "compiler": output_of("cc", "--version").split("\n")[0],
        "build": chosen,
        "hugepages": False,
    }


def in_process(build, quick, log):
    """Two engines in one process, without a wire: the cost of idle queue pairs among others."""
    program = build / "tests/transport/op_bench"
    if not program.exists():
        return []
    log("engines without a wire")
    command = [str(program), "--csv"] + (["--quick"] if quick else [])
    done = subprocess.run(["taskset", "-c", str(free_cpus()[-1])] + command,
                          capture_output=True, text=True, timeout=300, check=False)
    lines = [line.split(",") for line in done.stdout.splitlines() if line]
    if done.returncode != 0 or len(lines) < 2:
        raise BenchError(f"op_bench: exit status {done.returncode}: {done.stderr.strip()}")
    return [{key: value if key == "name" else float(value)
             for key, value in zip(lines[0], line)} for line in lines[1:]]


def instructions(build, log):
    """Instructions per operation, both engines together, by name; empty without valgrind."""
    log("instructions")
    done = subprocess.run([str(ROOT / "tests/transport/instructions.sh")], capture_output=True,
                          env={**os.environ, "BUILD": str(build)}, text=True, timeout=300,
                          check=False)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) > 2 and row[2] == "instructions,"}


def print_instructions(by_name):
    if by_name:
        print("instructions per operation, both sides: " +
              ", ".join(f"{name} {n}" for name, n in by_name.items()))


def print_in_process(rows, channel):
    one, many = idle_pair(rows)
    if one and many:
        print(f"64 B READ beside 4095 idle queue pairs, in process: "
              f"{many['median_ns'] / one['median_ns']:.2f} times that of one alone")
    print(f"64 B WRITE through the channel, {channel['lcores']} lcore"
          f"{'' if channel['lcores'] == 1 else 's'}: p50 {channel['p50_ns'] / 1e3:.2f} us, "
          f"{channel['added_ns']:+.0f} ns")


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--plots", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    args = parser.parse_args()
    if args.runs < 1:
        parser.error("--runs: at least 1")
    args.json = args.json or args.build / "bench.json"
    args.plots = args.plots or args.build / "plots"
    return args


def run(args):
    def log(text):
        print(f"bench: {text}", file=sys.stderr, flush=True)

    seconds = 0.05 if args.quick else 0.2
    cpus = free_cpus()
    if len(cpus) < 2:
        raise BenchError("needs two CPUs")
    used = (cpus[0], cpus[-1])
    env = environment(args.build, used)
    if env["load_average"] > 0.5:
        log(f"the load average is {env['load_average']:.1f}: other work will be in the figures")
    chosen, long_depth = points(args.quick)
    with Pair(args.build, used) as pair:
        rdma, floor, channel, head = measure(pair, chosen, seconds, args.runs, log)
        results = [summary(rdma[point], floor[point]) for point in chosen]
        channel = channel_cost(channel, results)
        log("handshake")
        handshake = pair.handshake(50 if args.quick else 500)
        restart = pair.handshake(30 if args.quick else 300, restart=True)
        log("failover")
        failover = bench_failover.run(pair, 3 if args.quick else 10)
        config = pair.describe()
    rows = in_process(args.build, args.quick, log)
    counted = instructions(args.build, log)
    log("peers")
    peers = bench_peers.run(used, args.quick)
    report = {
        "format": FORMAT,
        "environment": env,
        "config": {**config, **head, "quick": args.quick, "runs": args.runs,
                   "seconds_per_point": seconds, "bandwidth_depth": long_depth},
        "results": results,
        "channel": channel,
        "handshake": handshake,
        "restart": restart,
        "failover": failover,
        "in_process": rows,
        "instructions": counted,
        "peers": peers,
        "goals": goals(results, handshake, rows, counted, peers),
    }
    args.json.write_text(json.dumps(report, indent=1) + "\n")
    print_table(results, peers)
    print_handshake("handshake", handshake)
    print_handshake("handshake of a node that begins anew", restart)
    print_failover(failover)
    print_in_process(rows, channel)
    print_instructions(counted)
    print_goals(report["goals"])
    print(f"\n{args.json}")
    for path in bench_plot.draw(report, args.plots):
        print(path)


def main():
    args = arguments()
    try:
        run(args)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
