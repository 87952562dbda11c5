# Three nodes, from the smallest to the largest, each with one NIC.
locals {
  nodes = {
    a = { n = 1, cpus = 2, memory_mb = 2048, local_gb = 20 }
    b = { n = 2, cpus = 4, memory_mb = 8192, local_gb = 100 }
    c = { n = 3, cpus = 16, memory_mb = 65536, local_gb = 500 }
  }
}

node "n" {
  for_each  = local.nodes
  site      = site.lab
  arch      = "x86_64"
  cpus      = each.value.cpus
  memory_mb = each.value.memory_mb
  local_gb  = each.value.local_gb
  labels    = { name = each.key }
  root_device { serial = "S${each.value.n}" }
  power "ipmi" {
    address  = cidrhost("10.98.0.0/24", each.value.n)
    user     = "admin"
    password = "hunter2"
  }
}

nic "n" {
  for_each = local.nodes
  node     = node.n[each.key]
  network  = network.pxe
  mac      = "52:54:00:00:00:0${each.value.n}"
  pxe      = true
}
