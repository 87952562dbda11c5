# Two sites: one that serves DHCP, and one beside somebody else's DHCP server.

module "lab" {
  source = "../"
  cidr   = "10.99.0.0/24"
}

module "hall" {
  source  = "../"
  cidr    = "10.20.0.0/22"
  address = "10.20.3.250"
  gateway = "10.20.0.1"
  dhcp    = "external"
  vlan    = 20
}

output "addresses" {
  value = [module.lab.site.address, module.hall.site.address]
}
