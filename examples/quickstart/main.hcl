# Three systems on three machines of a virtual rack. The machines and their NICs are in rack.hcl, which `bmctl rack up`
# writes; the images come from `bmctl rack images`.

network "pxe" {
  cidr = "10.99.0.0/24"
  dhcp {
    start = "10.99.0.50"
    end   = "10.99.0.150"
  }
}

site "lab" {
  network     = network.pxe
  address     = "10.99.0.1"
  kernel_args = "console=ttyS0 quiet"
}

flavor "small" {
  cpus        = 1
  memory_mb   = 512
  root_gb     = 1
  swap_mb     = 64
  extra_specs = { cpu_arch = "s== x86_64" }
}

# Kernel and initrd come over the network, the root file system is on the disk.
image "partition" {
  type        = "partition"
  source      = "images/partition.img"
  kernel      = "images/vmlinuz"
  initrd      = "images/initrd"
  kernel_args = "console=ttyS0 quiet"
}

# A whole disk with its own boot loader, for BIOS and UEFI.
image "disk" {
  type   = "disk"
  source = "images/disk.qcow2"
}

instance "web" {
  for_each     = toset(["a", "b"])
  flavor       = flavor.small
  image        = image.partition
  match_labels = { rack = "r1", firmware = "bios" }
  hostname     = "web-${each.key}"
  address {
    network = network.pxe
  }
}

instance "db" {
  flavor       = flavor.small
  image        = image.disk
  match_labels = { rack = "r1", firmware = "uefi" }
  hostname     = "db"
  address {
    network = network.pxe
    ip      = "10.99.0.20"
  }
}
