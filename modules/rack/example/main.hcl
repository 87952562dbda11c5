# Two tables of machines: one of ours, and one without a header, as the HP lab had it.

variable "bmc_password" {
  type      = string
  sensitive = true
}

network "pxe" {
  cidr = "10.99.0.0/24"
}

site "lab" {
  network = network.pxe
  address = "10.99.0.1"
}

module "r1" {
  source   = "../"
  csv      = file("r1.csv")
  site     = site.lab
  network  = network.pxe
  password = var.bmc_password
  labels   = { rack = "r1" }
}

module "lab" {
  source  = "../"
  csv     = file("baremetal.csv")
  columns = ["mac", "user", "password", "bmc", "cpus", "memory_mb", "local_gb"]
  site    = site.lab
  network = network.pxe
  labels  = { rack = "lab" }
}

output "nodes" {
  value = concat(module.r1.names, module.lab.names)
}
