#!/usr/bin/env bash
# Measures the expressions of benches/cel.rs in both evaluators in one go, ours and the API server's (benches/cel-go), with cost
# tracking on the same pod of 8 kB, and prints nanoseconds an evaluation and how many times slower the second is.
#
# Usage: benches/cel.sh        cargo and Go 1.26 or later; the modules come through the ordinary Go module proxy
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

bench() { cargo bench --quiet --no-default-features --bench cel -- "$1"; }
(cd benches/cel-go && CGO_ENABLED=0 go build -mod=readonly -trimpath -o "$work/cel-go" .)
bench --export >"$work/export.json"

# Turn about, so that a machine whose speed drifts drifts for both.
for round in 1 2 3; do
  bench --lines >"$work/ours.$round"
  "$work/cel-go" <"$work/export.json" >"$work/theirs.$round"
done

python3 - "$work" <<'PYTHON'
import json, pathlib, statistics, sys

work = pathlib.Path(sys.argv[1])

def medians(side):
    samples = {}
    for round in work.glob(side + ".*"):
        for line in round.read_text().splitlines():
            row = json.loads(line)
            samples.setdefault(row["name"], []).append(row["ns"])
    return {name: statistics.median(all) for name, all in samples.items()}

ours, theirs = medians("ours"), medians("theirs")
print(f"{'ns an evaluation':<24}{'doorward':>10}{'cel-go':>10}{'ratio':>8}")
for name in ours:
    print(f"{name:<24}{ours[name]:>10.0f}{theirs[name]:>10.0f}{theirs[name] / ours[name]:>8.1f}")
mean = [statistics.mean(side.values()) for side in (ours, theirs)]
print(f"{'mean':<24}{mean[0]:>10.0f}{mean[1]:>10.0f}{mean[1] / mean[0]:>8.1f}")
PYTHON
