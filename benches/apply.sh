#!/usr/bin/env bash
# Apply on the virtual rack, for 1 and 3 nodes, split by step. Needs root and the packages of scripts/setup.sh.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
bmctl=${BMCTL:-$top/target/release/bmctl}
export BMCTL_KEY=0000000000000000000000000000000000000000000000000000000000000001

for nodes in 1 3; do
    dir=$(mktemp -d /tmp/bmctl-bench.XXXXXX)
    trap '"$bmctl" -C "$dir" rack down --purge >/dev/null 2>&1; rm -rf "$dir"' EXIT
    cp "$top"/examples/quickstart/main.hcl "$dir"/
    if [ "$nodes" = 1 ]; then
        python3 - "$dir/main.hcl" <<'PY'
import re, sys
text = open(sys.argv[1]).read()
text = text.replace('toset(["a", "b"])', 'toset(["a"])')
open(sys.argv[1], "w").write(text[:text.index('instance "db"')])
PY
    fi
    "$bmctl" -C "$dir" rack up --nodes "$nodes" --firmware bios --firmware bios --firmware uefi >/dev/null 2>&1
    "$bmctl" -C "$dir" rack images >/dev/null 2>&1
    "$bmctl" -C "$dir" ramdisk build >/dev/null 2>&1
    "$bmctl" -C "$dir" rack exec -- "$bmctl" -C "$dir" apply --auto-approve --json >"$dir/events" 2>/dev/null
    python3 - "$nodes" "$dir/events" <<'PY'
import collections, json, sys
steps, total = collections.OrderedDict(), 0
for line in open(sys.argv[2]):
    event = json.loads(line)
    if event["event"] == "step_finished":
        steps.setdefault(event["title"], []).append(event["elapsed_ms"] / 1000)
    if event["event"] == "run_finished":
        total = event["elapsed_ms"] / 1000
        assert event["failed"] == event["blocked"] == 0, event
print(f"apply of {sys.argv[1]} node(s): {total:.1f} s")
for title, seconds in steps.items():
    if max(seconds) >= 0.1:
        print(f"  {title:<24} mean {sum(seconds) / len(seconds):6.1f} s   max {max(seconds):6.1f} s")
PY
    "$bmctl" -C "$dir" rack down --purge >/dev/null 2>&1
    rm -rf "$dir"
done
