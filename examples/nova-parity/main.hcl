# What nova-baremetal's manual had as commands, with its own values. Each block says which command it stands for.

bmctl {
  # sql_connection = postgresql://...; without this block state is in .bmctl/state.db (db sync is not needed).
  state "sqlite" {}
}

variable "pm_password" {
  description = "--pm_password; BMCTL_VAR_pm_password keeps it off the command line"
  type        = string
  sensitive   = true
}

# tftp_root, pxe_bootfile_name, my_ip and the dnsmasq that the manual starts by hand.
network "pxe" {
  cidr = "192.168.175.0/24"
  dhcp {
    start = "192.168.175.100"
    end   = "192.168.175.200"
  }
}

site "bespin" {
  network     = network.pxe
  address     = "192.168.175.1"
  bios_loader = "pxelinux"
}

# nova-manage instance_type create --name=bm.small --cpu=2 --memory=4096 --root_gb=10 --ephemeral_gb=20 --swap=1024
# nova-manage instance_type set_key --name=bm.small --key cpu_arch --value 's== x86_64'
flavor "bm_small" {
  cpus         = 2
  memory_mb    = 4096
  root_gb      = 10
  ephemeral_gb = 20
  swap_mb      = 1024
  extra_specs  = { cpu_arch = "s== x86_64" }
}

# tp64.8x8: --cpu=64 --memory=16218 --root_gb=917 --ephemeral_gb=0 --swap=1024, cpu_arch 's== tilepro64'
flavor "tp64_8x8" {
  cpus        = 64
  memory_mb   = 16218
  root_gb     = 917
  swap_mb     = 1024
  extra_specs = { cpu_arch = "s== tilepro64" }
}

# glance add ... container_format=ami, with its aki and ari: a partition image, its kernel and its initrd.
image "ubuntu" {
  type   = "partition"
  source = "images/ubuntu.img"
  kernel = "images/vmlinuz"
  initrd = "images/initrd"
}

locals {
  # bm_node_create --host bespin101 --cpus=8 --memory_mb=16384 --local_gb=400 --pm_address=... --terminal_port=8000
  # The manual's own example gives two nodes the same MAC (98:4b:e1:67:9a:4c), which a plan refuses; here they differ.
  bespin = {
    bespin101 = { prov_mac = "98:4b:e1:67:9a:4c", pm_address = "10.1.0.101", terminal_port = 8000 }
    bespin102 = { prov_mac = "98:4b:e1:67:9a:4e", pm_address = "10.1.0.102", terminal_port = 8001 }
  }
}

node "bespin" {
  for_each  = local.bespin
  site      = site.bespin
  arch      = "x86_64"
  cpus      = 8
  memory_mb = 16384
  local_gb  = 400
  power "ipmi" {
    address  = each.value.pm_address
    user     = "root"
    password = var.pm_password
  }
  serial_console {
    port = each.value.terminal_port
  }
}

# bm_interface_create --bm_node_id=1 --mac_address=98:4b:e1:67:9a:4c --datapath_id=0 --port_no=0
nic "prov" {
  for_each = local.bespin
  node     = node.bespin[each.key]
  network  = network.pxe
  mac      = each.value.prov_mac
  pxe      = true
}

# euca-run-instances -t bm.small --kernel aki --ramdisk ari -k mykey ami
instance "first" {
  flavor   = flavor.bm_small
  image    = image.ubuntu
  ssh_keys = [trimspace(file("mykey.pub"))]
  address {
    network = network.pxe
  }
}
