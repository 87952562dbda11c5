#!/usr/bin/env bash
# Plan time over many nodes: one node, one NIC and one instance each, nothing recorded (first plan) and everything recorded.
# Prints seconds and peak memory. No machine is looked at.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
bmctl=${BMCTL:-$top/target/release/bmctl}
export BMCTL_KEY=0000000000000000000000000000000000000000000000000000000000000001

for nodes in ${*:-1000 10000}; do
    dir=$(mktemp -d /tmp/bmctl-bench.XXXXXX)
    trap 'rm -rf "$dir"' EXIT
    python3 - "$nodes" "$dir" <<'PY'
import sys
n, d = int(sys.argv[1]), sys.argv[2]
with open(f"{d}/rack.csv", "w") as f:
    f.write("name,bmc,mac,disk,ip\n")
    for i in range(n):
        f.write(f"n{i:05},10.{1 + i // 65536}.{i // 256 % 256}.{i % 256},52:54:00:{i >> 16 & 255:02x}:{i >> 8 & 255:02x}:{i & 255:02x},S{i:05},10.99.{i // 250 + 1}.{i % 250 + 1}\n")
open(f"{d}/kernel", "w").write("k")
with open(f"{d}/part.img", "wb") as f:
    f.truncate(8 << 20)
    f.seek(1024 + 56); f.write(b"\x53\xef")
    f.seek(1024 + 104); f.write(bytes(range(16)))
open(f"{d}/main.hcl", "w").write('''
network "pxe" { cidr = "10.99.0.0/16" }
site "lab" {
  network = network.pxe
  address = "10.99.0.1"
}
flavor "small" {
  cpus      = 2
  memory_mb = 4096
  root_gb   = 10
}
image "a" {
  type   = "partition"
  source = "part.img"
  kernel = "kernel"
  initrd = "kernel"
}
locals { rack = { for r in csvdecode(file("rack.csv")) : r.name => r } }
node "rack" {
  for_each  = local.rack
  site      = site.lab
  arch      = "x86_64"
  cpus      = 4
  memory_mb = 8192
  local_gb  = 100
  labels    = { rack = substr(each.key, 0, 4) }
  root_device { serial = each.value.disk }
  power "ipmi" {
    address  = each.value.bmc
    user     = "admin"
    password = "x"
  }
}
nic "pxe" {
  for_each = local.rack
  node     = node.rack[each.key]
  network  = network.pxe
  mac      = each.value.mac
  pxe      = true
}
instance "web" {
  for_each = local.rack
  flavor   = flavor.small
  image    = image.a
  hostname = each.key
  address { network = network.pxe }
}
''')
open(f"{d}/rules.txt", "w").write('''
policy "racks" {
  severity      = "warn"
  condition     = length(distinct([for c in plan.changes : lookup(c.labels, "rack", "") if c.destructive])) <= 1
  error_message = "more than one rack loses data"
}
rollout "all" {
  canary = 1
  wave   = "25%"
  at_most_down {
    label = "rack"
    n     = 2
  }
  gate "tcp" { port = 22 }
}
''')
PY
    measure() {
        local what=$1
        shift
        python3 - "$nodes" "$what" "$@" <<'PY'
import os, resource, subprocess, sys, time
nodes, what, command = sys.argv[1], sys.argv[2], sys.argv[3:]
best = None
for _ in range(3):
    begun = time.time()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    best = min(best or 1e9, time.time() - begun)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"{nodes:>6} nodes  {what:<28} {best:6.2f} s  {peak:6.0f} MiB")
PY
    }
    measure "validate" "$bmctl" -C "$dir" validate
    measure "first plan" "$bmctl" -C "$dir" plan --sim seed=1 --no-steps
    mv "$dir/rules.txt" "$dir/rules.hcl"
    measure "with a rollout and a policy" "$bmctl" -C "$dir" plan --sim seed=1 --no-steps
    rm "$dir/rules.hcl"
    "$bmctl" -C "$dir" apply --sim seed=1 >/dev/null 2>&1
    measure "plan, nothing to change" "$bmctl" -C "$dir" plan --sim seed=1 --no-steps
    "$bmctl" -C "$dir" state list --sim >"$dir/all.txt"
    measure "the same, each a target" "$bmctl" -C "$dir" plan --sim seed=1 --no-steps --target-file "$dir/all.txt"
    measure "plan to destroy all" "$bmctl" -C "$dir" plan --sim seed=1 --no-steps --destroy
    rm -rf "$dir"
done
