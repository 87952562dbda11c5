"""Load, evaluate and decode configurations of many nodes, in shapes that people write, and the same shapes through terraform.

usage: language.py BMCTL [--terraform NODES]

Each line: the shape, nodes (a NIC each in the first shape), seconds (the best of three), peak memory. `validate` reads, evaluates
and decodes everything and checks the rules over the whole fleet. terraform, where it is on PATH, plans the same shapes with its
built-in resource `terraform_data` and without refresh or state: it has no step that evaluates and stops before that.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

TABLE = "name,bmc,mac,disk\n"


def row(i):
    bmc = f"10.{1 + i // 65536}.{i // 256 % 256}.{i % 256}"
    mac = f"52:54:00:{i >> 16 & 255:02x}:{i >> 8 & 255:02x}:{i & 255:02x}"
    return f"n{i:06}", bmc, mac, f"S{i:06}"


def table(n):
    return TABLE + "".join(",".join(row(i)) + "\n" for i in range(n))


COMMON = """
network "pxe" { cidr = "10.99.0.0/16" }
site "lab" {
  network = network.pxe
  address = "10.99.0.1"
}
"""

FOR_EACH = COMMON + """
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
  pxe      = node.rack[each.key].cpus > 1
}
"""


def literal(n):
    """A file for every 10,000 nodes: no file of a configuration is that of a fleet."""
    block = """node "{0}" {{
  site      = site.lab
  arch      = "x86_64"
  cpus      = 4
  memory_mb = 8192
  local_gb  = 100
  labels    = {{ rack = "r1", name = "{0}" }}
  root_device {{
    serial = "{3}"
  }}
  power "ipmi" {{
    address  = "{1}"
    user     = "admin"
    password = "x"
  }}
}}
"""
    files = {"main.hcl": COMMON}
    for first in range(0, n, 10_000):
        nodes = range(first, min(n, first + 10_000))
        files[f"nodes-{first:06}.hcl"] = "".join(block.format(*row(i)) for i in nodes)
    return files


TF_FOR_EACH = """
locals { rack = { for r in csvdecode(file("rack.csv")) : r.name => r } }
resource "terraform_data" "node" {
  for_each = local.rack
  input = {
    arch      = "x86_64"
    cpus      = 4
    memory_mb = 8192
    local_gb  = 100
    labels    = { rack = substr(each.key, 0, 4) }
    serial    = each.value.disk
    power     = { address = each.value.bmc, user = "admin", password = "x" }
  }
}
resource "terraform_data" "nic" {
  for_each = local.rack
  input = {
    node = terraform_data.node[each.key].input.labels
    mac  = each.value.mac
    pxe  = terraform_data.node[each.key].input.cpus > 1
  }
}
"""


def tf_literal(n):
    block = """resource "terraform_data" "{0}" {{
  input = {{
    arch      = "x86_64"
    cpus      = 4
    memory_mb = 8192
    local_gb  = 100
    labels    = {{ rack = "r1", name = "{0}" }}
    serial    = "{3}"
    power     = {{ address = "{1}", user = "admin", password = "x" }}
  }}
}}
"""
    return "".join(block.format(*row(i)) for i in range(n))


def run(command, cwd):
    """Seconds and peak MiB of one run."""
    begun = time.time()
    child = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENV)
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command}: exit {child.returncode}\n{said.decode(errors='replace')[-2000:]}")
    return time.time() - begun, usage.ru_maxrss / 1024


def measure(shape, nodes, program, command, files, prepare=None, times=3):
    with tempfile.TemporaryDirectory(prefix="bmctl-bench-") as d:
        for name, text in files.items():
            with open(f"{d}/{name}", "w") as f:
                f.write(text)
        if prepare:
            run(prepare, d)
        runs = [run(command, d) for _ in range(times)]
    seconds, peak = min(r[0] for r in runs), max(r[1] for r in runs)
    print(f"{shape:<28} {nodes:>7} nodes  {program:<10} {seconds:7.2f} s  {peak:6.0f} MiB  {seconds / nodes * 1e6:8.1f} us/node", flush=True)


ENV = dict(os.environ, BMCTL_KEY="0" * 63 + "1", TF_CLI_CONFIG_FILE="/dev/null", CHECKPOINT_DISABLE="1")


def main():
    bmctl = os.path.abspath(sys.argv[1])
    tf_nodes = int(sys.argv[sys.argv.index("--terraform") + 1]) if "--terraform" in sys.argv else 500
    check = [bmctl, "validate"]
    each = "for_each, a NIC each"
    for n in sorted({tf_nodes, 10_000, 20_000, 50_000, 100_000}):
        measure(each, n, "bmctl", check, {"main.hcl": FOR_EACH, "rack.csv": table(n)})
    for n in sorted({tf_nodes, 10_000, 100_000}):
        measure("literal blocks", n, "bmctl", check, literal(n))
    terraform = shutil.which("terraform")
    if not terraform:
        print("terraform is not on PATH: not measured")
        return
    plan = [terraform, "plan", "-refresh=false", "-input=false", "-lock=false"]
    init = [terraform, "init", "-input=false"]
    measure(each, tf_nodes, "terraform", plan, {"main.tf": TF_FOR_EACH, "rack.csv": table(tf_nodes)}, init, 1)
    measure("literal blocks", tf_nodes, "terraform", plan, {"main.tf": tf_literal(tf_nodes)}, init, 1)


main()
