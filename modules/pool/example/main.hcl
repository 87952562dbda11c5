# Three web servers, the first of which tries the next image.

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

module "rack" {
  source   = "../../rack"
  csv      = file("r1.csv")
  site     = site.lab
  network  = network.pxe
  password = var.bmc_password
}

flavor "small" {
  cpus      = 4
  memory_mb = 8192
  root_gb   = 20
}

image "deb12" {
  type   = "disk"
  source = "images/deb12.qcow2"
}

image "deb13" {
  type   = "disk"
  source = "images/deb13.qcow2"
}

module "web" {
  source        = "../"
  name          = "web"
  size          = 3
  flavor        = flavor.small
  image         = image.deb12
  match_labels  = { role = "web" }
  network       = network.pxe
  first_address = 20
  user_data     = file("cloud.yaml")
  rollout       = { image = image.deb13, canaries = 1 }

  depends_on = [module.rack]
}

output "hostnames" {
  value = module.web.hostnames
}
