#!/usr/bin/env bash
# The write rate of bmctl's initiator beside `qemu-img convert -n -W -m 16`, in one run, to tgt on loopback.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --release --lib -- --ignored --nocapture peers_rate 2>/dev/null | grep -E 'MiB/s'
