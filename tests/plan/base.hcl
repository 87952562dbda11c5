# A network, a site, two flavors and three images, as most cases need them.
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

flavor "small" {
  cpus      = 1
  memory_mb = 512
  root_gb   = 4
  swap_mb   = 64
}

flavor "large" {
  cpus      = 8
  memory_mb = 16384
  root_gb   = 40
}

image "part" {
  type   = "partition"
  source = "images/part.img"
  kernel = "images/vmlinuz"
  initrd = "images/initrd"
}

image "disk" {
  type   = "disk"
  source = "images/disk.img"
}
