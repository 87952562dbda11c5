# Two halls, three racks, two pools: everything by modules. A hall is a map entry, a rack is a table.

variable "bmc_password" {
  type      = string
  sensitive = true
}

locals {
  halls = {
    north = { cidr = "10.20.0.0/24", racks = ["r1", "r2"] }
    south = { cidr = "10.30.0.0/24", racks = ["r1"] }
  }
  racks = merge([
    for hall, h in local.halls : { for rack in h.racks : "${hall}-${rack}" => hall }
  ]...)
}

module "hall" {
  source   = "../../modules/pxe-site"
  for_each = local.halls
  cidr     = each.value.cidr
}

module "rack" {
  source   = "../../modules/rack"
  for_each = local.racks
  csv      = file("racks/${each.key}.csv")
  site     = module.hall[each.value].site
  network  = module.hall[each.value].network
  password = var.bmc_password
  labels   = { hall = each.value, rack = each.key }
}

flavor "web" {
  cpus      = 8
  memory_mb = 32768
  root_gb   = 40
}

flavor "db" {
  cpus         = 16
  memory_mb    = 65536
  root_gb      = 40
  ephemeral_gb = 400
}

image "deb12" {
  type   = "disk"
  source = "images/deb12.qcow2"
}

image "db" {
  type   = "partition"
  source = "images/db.img"
  kernel = "images/vmlinuz"
  initrd = "images/initrd"
}

module "web" {
  source       = "../../modules/pool"
  for_each     = module.hall
  name         = "web-${each.key}"
  size         = each.key == "north" ? 2 : 1
  flavor       = flavor.web
  image        = image.deb12
  match_labels = { hall = each.key, role = "web" }
  network      = each.value.network
}

module "db" {
  source       = "../../modules/pool"
  name         = "db"
  size         = 1
  flavor       = flavor.db
  image        = image.db
  match_labels = { hall = "north", role = "db" }
  network      = module.hall["north"].network
  protect      = true
}

output "web" {
  value = { for hall, pool in module.web : hall => pool.hostnames }
}
