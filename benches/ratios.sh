#!/usr/bin/env bash
# Prints what `cargo bench --features testkit` measured last: ns for each packet, or for each connection
# where the shape is an output, GB/s, and how many times the floor that is. Medians of wall time.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 - "${CARGO_TARGET_DIR:-target}/criterion" <<'P'
import json, pathlib, sys

def measured(folder):
    benchmark = json.loads((folder / "benchmark.json").read_text())
    estimates = json.loads((folder / "estimates.json").read_text())
    amounts = benchmark["throughput"]["ElementsAndBytes"]
    return estimates["median"]["point_estimate"], amounts["elements"], amounts["bytes"]

print("| shape | bench | ns each | GB/s | floor = 1 |")
print("|---|---|---:|---:|---:|")
for floor in sorted(pathlib.Path(sys.argv[1]).glob("*/floor/new")):
    group = floor.parent.parent
    least, *_ = measured(floor)
    for folder in sorted(group.glob("*/new")):
        ns, packets, size = measured(folder)
        print(f"| {group.name} | {folder.parent.name} | {ns / packets:.0f} | {size / ns:.2f} | {ns / least:.1f} |")
P
