#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Check the report of scripts/bench: its schema, and that its figures agree with each other. No
figure is judged.

usage: check_bench.py SCHEMA REPORT
exit status: 0 good, 1 not; 77 python3-jsonschema is missing
"""
import json
import math
import statistics
import sys

try:
    import jsonschema
except ImportError:
    print("python3-jsonschema is missing")
    sys.exit(77)


def close(a, b):
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)


def check_percentiles(name, percentiles, runs):
    """They rise to 100, and stand for all operations of one of the runs."""
    problems = []
    for before, after in zip(percentiles, percentiles[1:]):
        if any(x > y for x, y in zip(before, after)):
            problems.append(f"{name}: percentiles fall: {before} {after}")
    last = percentiles[-1]
    if last[0] != 100:
        problems.append(f"{name}: the last percentile is {last[0]}")
    if last[2] not in {run["iterations"] for run in runs}:
        problems.append(f"{name}: {last[2]} operations are of no run")
    return problems


def check_run(name, size, run):
    problems = []
    order = ("min_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "p9999_ns", "max_ns")
    values = [run[key] for key in order]
    if values != sorted(values):
        problems.append(f"{name}: not in order: {values}")
    if not run["min_ns"] <= run["mean_ns"] <= run["max_ns"]:
        problems.append(f"{name}: mean {run['mean_ns']}")
    if not close(run["ops_per_s"], run["iterations"] / run["seconds"]):
        problems.append(f"{name}: {run['ops_per_s']} operations per second")
    if not close(run["bytes_per_s"], run["ops_per_s"] * size):
        problems.append(f"{name}: {run['bytes_per_s']} bytes per second")
    return problems


def check_result(result, n_runs):
    name = f"{result['op']} {result['size_bytes']} {result['depth']}"
    problems = []
    for kind in ("runs", "floor_runs"):
        if len(result[kind]) != n_runs:
            problems.append(f"{name}: {len(result[kind])} {kind}")
        for run in result[kind]:
            problems += check_run(f"{name}, {kind}", result["size_bytes"], run)
    for key in ("p50_ns", "p99_ns", "p999_ns", "ops_per_s"):
        if not close(result[key], statistics.median(run[key] for run in result["runs"])):
            problems.append(f"{name}: {key} is not the median")
    for key in ("p50_ns", "p99_ns", "frames_per_s"):
        if not close(result[f"floor_{key}"],
                     statistics.median(run[key] for run in result["floor_runs"])):
            problems.append(f"{name}: floor_{key} is not the median")
    if not close(result["ratio_p50"],
                 statistics.median(run["p50_ns"] / floor["p50_ns"] for run, floor in
                                   zip(result["runs"], result["floor_runs"]))):
        problems.append(f"{name}: ratio_p50")
    # memif loses nothing.
    lost = [run["frames_lost"] for run in result["floor_runs"]]
    if any(lost):
        problems.append(f"{name}: frames lost: {lost}")
    problems += check_percentiles(name, result["percentiles"], result["runs"])
    problems += check_percentiles(name, result["floor_percentiles"], result["floor_runs"])
    return problems


def check(schema, report):
    problems = [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
                for error in jsonschema.Draft7Validator(schema).iter_errors(report)]
    if problems:
        return problems
    for result in report["results"]:
        problems += check_result(result, report["config"]["runs"])
    names = [(r["op"], r["size_bytes"], r["depth"]) for r in report["results"]]
    if len(set(names)) != len(names):
        problems.append("the same point twice")
    for point in (("write", 64, 1), ("read", 64, 1), ("write", 64, 64), ("read", 64, 64),
                  ("send", 64, 1), ("atomic", 8, 1)):
        if point not in names:
            problems.append(f"{point} is missing")
    for op in ("write", "read"):
        if not any(n[0] == op and n[1] == 1 << 20 for n in names):
            problems.append(f"no {op} of 1 MiB")
    for goal in report["goals"]:
        if goal["met"] not in (goal["value"] <= goal["limit"], goal["value"] >= goal["limit"]):
            problems.append(f"goal {goal}")
    if not {cycle["how"] for cycle in report["failover"]["cycles"]} == {"killed", "stopped"}:
        problems.append("failover: not both kinds")
    return problems


def main():
    if len(sys.argv) != 3:
        print(__doc__.strip(), file=sys.stderr)
        return 1
    schema, report = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
    problems = check(schema, report)
    for problem in problems[:20]:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
