# A rack from a table, without a module: what a small fleet looks like in one file.

variable "bmc_password" {
  type      = string
  sensitive = true
}

locals {
  rack = { for row in csvdecode(file("rack.csv")) : row.name => row }
}

network "pxe" {
  cidr = "10.99.0.0/24"
  dhcp {
    start = "10.99.0.50"
    end   = "10.99.0.150"
  }
}

site "lab" {
  network = network.pxe
  address = "10.99.0.1"
}

node "rack" {
  for_each  = local.rack
  site      = site.lab
  arch      = "x86_64"
  cpus      = each.value.cpus
  memory_mb = each.value.memory_mb
  local_gb  = each.value.local_gb
  firmware  = each.value.firmware != "" ? each.value.firmware : "bios"
  labels = {
    for pair in split(";", each.value.labels) : split("=", pair)[0] => split("=", pair)[1]
  }
  root_device {
    serial = each.value.serial
  }
  power "ipmi" {
    address  = each.value.bmc
    user     = "admin"
    password = var.bmc_password
  }
}

nic "pxe" {
  for_each = local.rack
  node     = node.rack[each.key]
  network  = network.pxe
  mac      = each.value.mac
  pxe      = true
}

flavor "web" {
  cpus      = 4
  memory_mb = 16384
  root_gb   = 40
}

image "deb12" {
  type   = "disk"
  source = "images/deb12.qcow2"
}

instance "web" {
  count        = 2
  flavor       = flavor.web
  image        = image.deb12
  match_labels = { role = "web" }
  address {
    network = network.pxe
  }
}

check "a_database_has_a_place" {
  assert {
    condition     = anytrue([for n in node.rack : try(n.labels.role, "") == "db"])
    error_message = "no machine of the rack is labelled role=db"
  }
}

output "free" {
  description = "machines by role"
  value       = { for name, n in node.rack : n.labels.role => name... }
}
