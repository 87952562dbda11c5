# So many systems of one kind, on machines with a label.

bmctl {
  required_version = ">= 0.1"
}

variable "name" {
  type        = string
  description = "of the systems: name-0, name-1, ..."
}

variable "size" {
  type        = number
  description = "how many"
  validation {
    condition     = var.size >= 0 && floor(var.size) == var.size
    error_message = "a whole number from 0"
  }
}

variable "flavor" {
  type = any
}

variable "image" {
  type        = any
  description = "what all of them run, but for the canaries"
}

variable "match_labels" {
  type    = map(string)
  default = {}
}

variable "network" {
  type        = any
  default     = null
  description = "where each gets an address; null means none"
}

variable "first_address" {
  type        = number
  default     = null
  description = "the address of the first in the network, counted from its start; the others follow. null: allocated"
}

variable "ssh_keys" {
  type    = list(string)
  default = []
}

variable "user_data" {
  type        = string
  default     = null
  sensitive   = true
  description = "a template: $${name} and $${index} are the system's"
}

variable "rollout" {
  type = object({
    # What runs on the canaries, and how many there are: the first ones.
    image    = optional(any)
    canaries = optional(number, 0)
    # At most this many systems change in one apply: the first ones first. 0: all.
    upto = optional(number, 0)
  })
  default     = {}
  description = "how a new image comes to the pool: raise canaries, then upto, then make it the pool's image"
  validation {
    condition     = var.rollout.canaries == 0 && var.rollout.upto == 0 || var.rollout.image != null
    error_message = "canaries and upto say where rollout.image runs: give it"
  }
}

variable "protect" {
  type        = bool
  default     = false
  description = "refuse plans that destroy one of them"
}

locals {
  fresh = max(var.rollout.canaries, var.rollout.upto)
}

instance "member" {
  count        = var.size
  flavor       = var.flavor
  image        = count.index < local.fresh ? var.rollout.image : var.image
  match_labels = var.match_labels
  hostname     = "${var.name}-${count.index}"
  ssh_keys     = var.ssh_keys
  user_data = var.user_data == null ? null : templatestring(var.user_data, {
    name  = "${var.name}-${count.index}"
    index = count.index
  })
  dynamic "address" {
    for_each = var.network == null ? [] : [var.network]
    content {
      network = address.value
      ip      = var.first_address == null ? null : cidrhost(address.value.cidr, var.first_address + count.index)
    }
  }
  lifecycle {
    prevent_destroy = var.protect
  }
}

output "instances" {
  value = instance.member
}

output "hostnames" {
  value = instance.member[*].hostname
}
