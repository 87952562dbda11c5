#!/usr/bin/env bash
# Load, evaluate and decode 10,000 to 100,000 nodes, and the same shapes through terraform where it is on PATH.
# usage: benches/language.sh [--terraform NODES]   (500 nodes through terraform unless told)
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
exec python3 "$top/benches/language.py" "${BMCTL:-$top/target/release/bmctl}" "$@"
