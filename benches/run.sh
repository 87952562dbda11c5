#!/usr/bin/env bash
# Every figure of the README, measured. Each part can be run alone.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "== plan"
benches/plan.sh 1000 10000
echo "== apply on the virtual rack"
benches/apply.sh
echo "== write rate, beside qemu-img, to the same kind of target"
benches/write.sh
