variable "csv" {
  type        = string
  sensitive   = true
  description = "the table: file(\"rack.csv\")"
  validation {
    condition     = nonsensitive(can(csvdecode(local.text)))
    error_message = "the table cannot be read: every line has as many cells as the first${length(nonsensitive(local.ragged)) == 0 ? "" : "; not so line ${join(", ", nonsensitive(local.ragged))}"}"
  }
  validation {
    condition     = length(local.missing) == 0
    error_message = "the table has no column ${join(", ", local.missing)}; its first line names the columns, with commas between them, or `columns` does"
  }
  validation {
    condition     = length(local.twice) == 0
    error_message = "more than one machine is called ${join(", ", local.twice)}"
  }
}

variable "columns" {
  type        = list(string)
  default     = null
  description = "names of the columns, for a table without a header"
}

variable "site" {
  type        = any
  description = "where the machines boot from: site.lab"
}

variable "network" {
  type        = any
  description = "the network of their PXE NICs: network.pxe"
}

variable "user" {
  type        = string
  default     = "admin"
  description = "who logs in to BMCs, where the table does not say"
}

variable "password" {
  type        = string
  default     = null
  sensitive   = true
  description = "the password of BMCs, where the table does not say"
}

variable "arch" {
  type    = string
  default = "x86_64"
}

variable "firmware" {
  type    = string
  default = "bios"
  validation {
    condition     = contains(["bios", "uefi"], var.firmware)
    error_message = "bios or uefi"
  }
}

variable "labels" {
  type        = map(string)
  default     = {}
  description = "of every machine"
}

variable "prefix" {
  type        = string
  default     = "node-"
  description = "before the MAC, in the name of a machine whose name the table does not say"
}
