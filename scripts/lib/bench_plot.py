# SPDX-License-Identifier: BSD-3-Clause
"""Plots of a report by gnuplot, where it is installed."""
import shutil
import subprocess

HEAD = """set terminal pngcairo size 1000,600 noenhanced
set key outside below
set grid
set style data linespoints
"""


def series(name, rows):
    """A data block of gnuplot."""
    return f"${name} << EOD\n" + "".join(" ".join(map(str, row)) + "\n" for row in rows) + "EOD\n"


def size_ticks(sizes):
    """Labels of some powers of two, as 64, 4K or 1M."""
    step = 2 if len(sizes) > 10 else 1
    labels = []
    for size in sizes[::step]:
        unit = "M" if size >= 1 << 20 else "K" if size >= 1 << 10 else ""
        labels.append(f'"{size >> {"M": 20, "K": 10, "": 0}[unit]}{unit}" {size}')
    edges = f"set xrange [{0.9 * sizes[0]}:{1.1 * sizes[-1]}]\n" if sizes else ""
    return edges + "set xtics (" + ", ".join(labels) + ")\n"


def plot(lines):
    return "plot " + ", \\\n".join(lines) + "\n"


def percentile_rows(percentiles):
    """1/(1-p) and microseconds; the last step, 100 %, stands at twice the one before."""
    rows = [(100 / (100 - p), ns / 1e3) for p, ns, _ in percentiles if p < 100]
    if percentiles:
        rows.append((2 * (rows[-1][0] if rows else 1), percentiles[-1][1] / 1e3))
    return rows


def latency_percentiles(results):
    chosen = [r for r in results if r["size_bytes"] == 64 and r["depth"] == 1 and
              r["op"] in ("write", "read")]
    text, lines = "", []
    for r in chosen:
        text += series(r["op"], percentile_rows(r["percentiles"]))
        text += series(r["op"] + "_floor", percentile_rows(r["floor_percentiles"]))
        lines.append(f"${r['op']} with lines lw 2 title \"{r['op'].upper()}\"")
        lines.append(f"${r['op']}_floor with lines dashtype 2 title "
                     f"\"floor, the frames of a {r['op'].upper()}\"")
    return text + """set title "64 B, one at a time: round trip by percentile"
set xlabel "percentile"
set ylabel "us"
set logscale xy
set xtics ("50" 2, "90" 10, "99" 100, "99.9" 1000, "99.99" 10000, "99.999" 100000, "99.9999" 1e6)
""" + plot(lines) if lines else None


def over_size(results, depth, title, ylabel, value, floor):
    text, lines = "", []
    sizes = sorted({r["size_bytes"] for r in results
                    if r["depth"] == depth and r["op"] in ("write", "read")})
    for op in ("write", "read"):
        rows = sorted((r["size_bytes"], value(r), floor(r)) for r in results
                      if r["op"] == op and r["depth"] == depth)
        if len(rows) < 2:
            continue
        text += series(op, rows)
        lines.append(f"${op} using 1:2 lw 2 title \"{op.upper()}\"")
        lines.append(f"${op} using 1:3 dashtype 2 title \"floor, the frames of a {op.upper()}\"")
    return text + f"""set title "{title}"
set xlabel "bytes"
set ylabel "{ylabel}"
set logscale x 2
set logscale y
""" + size_ticks(sizes) + plot(lines) if lines else None


def rate_over_depth(results):
    text, lines = "", []
    for op in ("write", "read"):
        rows = sorted((r["depth"], r["ops_per_s"] / 1e6, r["floor_frames_per_s"] / 1e6)
                      for r in results if r["op"] == op and r["size_bytes"] == 64)
        if len(rows) < 2:
            continue
        text += series(op, rows)
        lines.append(f"${op} using 1:2 lw 2 title \"{op.upper()}\"")
        lines.append(f"${op} using 1:3 dashtype 2 title \"floor, one way, the longer frames of a "
                     f"{op.upper()}\"")
    return text + """set title "64 B: operations per second by how many are under way"
set xlabel "depth"
set ylabel "M/s"
set logscale x 2
set logscale y
""" + plot(lines) if lines else None


def draw(report, folder):
    """Returns the files made."""
    if not shutil.which("gnuplot"):
        return []
    results = report["results"]
    depth = report["config"]["bandwidth_depth"]
    plots = {
        "latency-percentiles": latency_percentiles(results),
        "latency-size": over_size(
            results, 1, "One at a time: median round trip by size", "us",
            lambda r: r["p50_ns"] / 1e3, lambda r: r["floor_p50_ns"] / 1e3),
        "bandwidth-size": over_size(
            results, depth, f"{depth} under way: payload per second by size", "GB/s",
            lambda r: r["bytes_per_s"] / 1e9, lambda r: r["floor_bytes_per_s"] / 1e9),
        "rate-depth": rate_over_depth(results),
    }
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, text in plots.items():
        if text is None:
            continue
        path = folder / f"{name}.png"
        done = subprocess.run(["gnuplot"], input=f"{HEAD}set output \"{path}\"\n{text}",
                              capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 0:
            made.append(str(path))
        else:
            print(f"bench: gnuplot: {name}: {done.stderr.strip()}")
    return made
