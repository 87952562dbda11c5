# A network to boot from, and the site that serves it.

bmctl {
  required_version = ">= 0.1"
}

variable "cidr" {
  type        = string
  description = "the subnet, such as 10.99.0.0/24"
  validation {
    condition     = can(cidrhost(var.cidr, 1))
    error_message = "a subnet such as 10.99.0.0/24"
  }
}

variable "address" {
  type        = string
  default     = null
  description = "of the site's services; the first of the subnet when it is not given"
}

variable "range" {
  type        = object({ first = optional(number, 50), last = optional(number, 150) })
  default     = {}
  description = "which addresses of the subnet DHCP hands out to machines without one of their own"
}

variable "gateway" {
  type    = string
  default = null
}

variable "dns" {
  type    = list(string)
  default = []
}

variable "vlan" {
  type    = number
  default = null
}

variable "dhcp" {
  type        = string
  default     = "managed"
  description = "managed, or external when somebody else's DHCP server answers in the subnet"
  validation {
    condition     = contains(["managed", "external"], var.dhcp)
    error_message = "managed or external"
  }
}

variable "kernel_args" {
  type    = string
  default = ""
}

variable "ramdisk" {
  type        = string
  default     = null
  description = "from the root module; null means .bmctl/ramdisk"
}

variable "parallel_writes" {
  type    = number
  default = 8
}

network "pxe" {
  cidr    = var.cidr
  gateway = var.gateway
  dns     = var.dns
  vlan    = var.vlan
  dynamic "dhcp" {
    for_each = var.dhcp == "managed" ? [var.range] : []
    content {
      start = cidrhost(var.cidr, dhcp.value.first)
      end   = cidrhost(var.cidr, dhcp.value.last)
    }
  }
}

site "this" {
  network     = network.pxe
  address     = var.address != null ? var.address : cidrhost(var.cidr, 1)
  dhcp        = var.dhcp
  kernel_args = var.kernel_args
  ramdisk     = var.ramdisk
  limits {
    parallel_writes = var.parallel_writes
  }
}

output "network" {
  value = network.pxe
}

output "site" {
  value = site.this
}
