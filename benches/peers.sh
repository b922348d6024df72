#!/usr/bin/env bash
# Runs the program and the peers that are installed on the same generated captures, and prints the
# table of docs/performance.md. Usage: benches/peers.sh [packets] [rounds]
# CPU is user + system time; of several rounds the one with the least CPU counts.
set -euo pipefail
cd "$(dirname "$0")/.."
packets=${1:-1000000} rounds=${2:-3}
target=${CARGO_TARGET_DIR:-target}
if [ -z "${TCPAUTOPSY:-}" ] || [ -z "${GENERATE:-}" ]; then
    cargo build --release --quiet
    cargo build --release --quiet --features testkit --example generate
fi
ours=${TCPAUTOPSY:-$target/release/tcpautopsy}
generate=${GENERATE:-$target/release/examples/generate}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$generate" --shape mix --packets "$packets" -o "$folder/mix.pcap" 2>/dev/null
"$generate" --shape mix_short --packets "$packets" -o "$folder/mix_short.pcap" 2>/dev/null
"$generate" --shape mix --packets "$packets" --snaplen 96 -o "$folder/snaplen_96.pcap" 2>/dev/null
"$generate" --shape flood --packets "$packets" -o "$folder/flood.pcap" 2>/dev/null

# Prints: wall s, CPU s, peak MB of the round with the least CPU.
measure() {
    python3 - "$rounds" "$@" <<'P'
import os, subprocess, sys, time
rounds, command = int(sys.argv[1]), sys.argv[2:]
best = None
for _ in range(rounds):
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, used = os.wait4(child.pid, 0)
    seen = (used.ru_utime + used.ru_stime, time.monotonic() - start, used.ru_maxrss / 1024)
    best = min(best or seen, seen)
print(f"{best[1]:.2f} {best[0]:.2f} {best[2]:.0f}")
P
}

row() {
    local name=$1 capture=$2
    shift 2
    read -r wall cpu peak < <(measure "$@")
    awk -v n="$name" -v c="$capture" -v w="$wall" -v u="$cpu" -v m="$peak" -v p="$packets" \
        -v first="${first:-0}" 'BEGIN {
            if (first == 0) first = u
            printf "| %s | %s | %.2f | %.2f | %.0f | %.0f | %.1f |\n", c, n, w, u, m, u / p * 1e9, u / first
        }'
    first=${first:-$cpu}
}

echo "| capture | program | wall s | CPU s | peak MB | CPU ns/packet | CPU, ours = 1 |"
echo "|---|---|---:|---:|---:|---:|---:|"
for capture in mix mix_short snaplen_96 flood; do
    file=$folder/$capture.pcap
    unset first
    row "tcpautopsy, 1 thread" "$capture" "$ours" analyze --threads 1 --no-progress \
        -o "$folder/report.json" "$file"
    row "tcpautopsy, 2 threads" "$capture" "$ours" analyze --threads 2 --no-progress \
        -o "$folder/report.json" "$file"
    row "tcpautopsy, NDJSON" "$capture" "$ours" analyze --threads 1 --no-progress \
        -o "$folder/report.ndjson" "$file"
    peer() { if command -v "$1" >/dev/null; then row "$1" "$capture" "$@"; fi; }
    peer argus -r "$file" -w "$folder/argus.out"
    rm -f "$folder/argus.out"
    peer tcptrace -n "$file"
    peer nfpcapd -r "$file" -l "$folder"
    peer zeek -b -C -r "$file"
    peer tshark -n -q -z conv,tcp -r "$file"
done
