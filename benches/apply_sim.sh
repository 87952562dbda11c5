#!/usr/bin/env bash
# Apply on the simulated rack, with durable SQLite: trivial resources (records), then whole deployments. The cost per step must
# be flat. Beside the first, in the same run, terraform with as many resources that do nothing, where it is installed. Prints
# seconds and microseconds a step. No machine is looked at.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
bmctl=${BMCTL:-$top/target/release/bmctl}
export BMCTL_KEY=0000000000000000000000000000000000000000000000000000000000000001

configure() { # directory, nodes, instances
    python3 - "$@" <<'PY'
import sys
d, nodes, instances = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
open(f"{d}/kernel", "w").write("k")
with open(f"{d}/part.img", "wb") as f:
    f.truncate(8 << 20)
    f.seek(1024 + 56); f.write(b"\x53\xef")
    f.seek(1024 + 104); f.write(bytes(range(16)))
open(f"{d}/main.hcl", "w").write(f'''
network "pxe" {{ cidr = "10.99.0.0/16" }}
site "lab" {{
  network = network.pxe
  address = "10.99.0.1"
}}
flavor "small" {{
  cpus      = 2
  memory_mb = 4096
  root_gb   = 10
}}
image "a" {{
  type   = "partition"
  source = "part.img"
  kernel = "kernel"
  initrd = "kernel"
}}
node "n" {{
  count     = {nodes}
  site      = site.lab
  arch      = "x86_64"
  cpus      = 4
  memory_mb = 8192
  local_gb  = 100
  root_device {{ serial = "S${{count.index}}" }}
  power "ipmi" {{
    address  = cidrhost("10.0.0.0/8", count.index + 10)
    user     = "admin"
    password = "x"
  }}
}}
nic "n" {{
  count   = {nodes}
  node    = node.n[count.index]
  network = network.pxe
  mac     = format("52:54:00:%02x:%02x:%02x", floor(count.index / 65536), floor(count.index / 256) % 256, count.index % 256)
  pxe     = true
}}
instance "i" {{
  count  = {instances}
  flavor = flavor.small
  image  = image.a
  node   = node.n[count.index]
}}
''')
PY
}

measure() { # what, nodes, instances
    dir=$(mktemp -d "${BENCH_DIR:-/var/tmp}/bmctl-bench.XXXXXX")
    trap 'rm -rf "$dir"' EXIT
    configure "$dir" "$2" "$3"
    "$bmctl" -C "$dir" plan --sim seed=1 >/dev/null
    before=$(date +%s.%N)
    "$bmctl" -C "$dir" plan --sim seed=1 >/dev/null
    between=$(date +%s.%N)
    "$bmctl" -C "$dir" apply --sim seed=1 --json >"$dir/events" 2>/dev/null
    after=$(date +%s.%N)
    python3 - "$1" "$dir/events" "$before" "$between" "$after" <<'PY'
import json, sys
what, events = sys.argv[1], sys.argv[2]
before, between, after = (float(t) for t in sys.argv[3:])
for line in open(events):
    event = json.loads(line)
    if event["event"] == "run_finished":
        assert event["failed"] == event["blocked"] == event["not_started"] == 0, event
        steps = event["done"] + event["already_done"]
plan, apply = between - before, after - between
print(f"{what}: {steps} steps, {apply:.2f} s; planning alone {plan:.2f} s; {(apply - plan) / steps * 1e6:.0f} us a step")
PY
    rm -rf "$dir"
    trap - EXIT
}

# The peer writes its whole state for each resource: its cost grows with their number.
peer() { # resources
    command -v terraform >/dev/null || return 0
    dir=$(mktemp -d "${BENCH_DIR:-/var/tmp}/bmctl-bench.XXXXXX")
    trap 'rm -rf "$dir"' EXIT
    cat >"$dir/main.tf" <<EOF
resource "terraform_data" "r" {
  count = $1
  input = count.index
}
EOF
    export TF_CLI_CONFIG_FILE=/dev/null CHECKPOINT_DISABLE=1
    terraform -chdir="$dir" init >/dev/null
    before=$(date +%s.%N)
    terraform -chdir="$dir" plan >/dev/null
    between=$(date +%s.%N)
    terraform -chdir="$dir" apply -auto-approve >/dev/null
    after=$(date +%s.%N)
    python3 - "$1" "$before" "$between" "$after" <<'PY'
import sys
resources = int(sys.argv[1])
before, between, after = (float(t) for t in sys.argv[2:])
plan, apply = between - before, after - between
print(f"terraform, {resources} terraform_data: {apply:.2f} s; planning alone {plan:.2f} s; {(apply - plan) / resources * 1e6:.0f} us a resource")
PY
    rm -rf "$dir"
    trap - EXIT
}

measure "500 nodes and their NICs (1,000 records)" 500 0
peer 1000
measure "1,000 nodes and their NICs (2,000 records)" 1000 0
peer 2000
measure "2,500 nodes and their NICs (5,000 records)" 2500 0
for size in ${*:-1000 3000 10000}; do
    measure "$size deployments" "$size" "$size"
done
