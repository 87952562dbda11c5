bmctl {
  required_version = ">= 0.1"
  state "sqlite" {}
}

variable "bmc_password" {
  type      = string
  sensitive = true
}

network "pxe" {
  cidr = "10.99.0.0/24"
  dhcp {
    start = "10.99.0.50"
    end   = "10.99.0.150"
  }
}

site "lab" {                               # where nodes boot from
  network = network.pxe
  address = "10.99.0.1"
}

flavor "small" {
  cpus         = 2
  memory_mb    = 4096
  root_gb      = 10
  ephemeral_gb = 20
  swap_mb      = 1024
  extra_specs  = { cpu_arch = "s== x86_64" }
}

image "jammy" {
  type     = "partition"
  source   = "images/jammy.img"
  sha256   = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
  kernel   = "images/vmlinuz"
  initrd   = "images/initrd"
  arch     = "x86_64"
  firmware = ["bios", "uefi"]
}

locals { rack = { for r in csvdecode(file("rack.csv")) : r.name => r } }

node "rack" {
  for_each  = local.rack
  site      = site.lab
  arch      = "x86_64"
  cpus      = each.value.cpus
  memory_mb = each.value.memory_mb
  local_gb  = each.value.local_gb
  firmware  = "uefi"
  labels    = { rack = "r1" }
  root_device { serial = each.value.disk }
  power "ipmi" {
    address  = each.value.bmc
    port     = 623
    user     = "admin"
    password = var.bmc_password
  }
  serial_console { port = each.value.console_port }
}

nic "pxe" {
  for_each = local.rack
  node     = node.rack[each.key]
  network  = network.pxe
  mac      = each.value.mac
  pxe      = true
}

instance "web" {
  for_each     = toset(["a", "b"])
  flavor       = flavor.small
  image        = image.jammy
  match_labels = { rack = "r1" }
  hostname     = "web-${each.key}"
  ssh_keys     = [trimspace(file("id_ed25519.pub"))]
  user_data    = file("cloud.yaml")
  address {
    network = network.pxe
  }
  power_state  = "on"
}

output "cpus" { value = { for k, n in node.rack : k => n.cpus } }
output "bmc" { value = node.rack["r1-01"].power.address }
output "site" { value = node.rack["r1-01"].site }
output "secret" {
  value     = node.rack["r1-01"].power.password
  sensitive = true
}
