# Nodes and their PXE NICs from a table of machines.

bmctl {
  required_version = ">= 0.1"
}

locals {
  # A file without a header gets one.
  header = var.columns == null ? "" : "${join(",", var.columns)}\n"
  # The table is sensitive as a whole, so that no message quotes a line of it; what is not a password is not.
  text  = "${local.header}${var.csv}"
  table = nonsensitive(try(csvdecode(local.text), []))
  rows  = [for row in local.table : { for column, cell in row : lower(trimspace(column)) => trimspace(cell) }]

  # What a table that cannot be read is told by: its lines that have more or fewer cells than the first.
  ragged = can(csvdecode(local.text)) ? [] : [
    for i, line in split("\n", nonsensitive(local.text)) : i + 1
    if trimspace(line) != "" && length(split(",", line)) != length(split(",", split("\n", nonsensitive(local.text))[0]))
  ]

  # What each column may be called; the first name is this module's own. The others are those of nova-baremetal's commands and of
  # the tables that came with it.
  names = {
    name         = ["name", "node", "hostname"]
    mac          = ["mac", "mac_address", "prov_mac", "prov_mac_address"]
    bmc          = ["bmc", "pm_address", "pm_addr", "ipmi_address", "ipmi_ip"]
    bmc_port     = ["bmc_port", "pm_port", "ipmi_port"]
    user         = ["user", "pm_user", "ipmi_user"]
    password     = ["password", "pm_password", "ipmi_password"]
    cpus         = ["cpus", "cpu", "no_of_cpus"]
    memory_mb    = ["memory_mb", "memory", "mem", "ram"]
    local_gb     = ["local_gb", "disk_gb", "disk_size", "disk", "hdd"]
    arch         = ["arch", "cpu_arch"]
    firmware     = ["firmware", "boot_mode"]
    serial       = ["serial", "disk_serial"]
    console_port = ["console_port", "terminal_port"]
    labels       = ["labels"]
  }

  # A table without lines needs no columns.
  missing = length(local.rows) == 0 ? [] : [
    for field in ["mac", "bmc", "cpus", "memory_mb", "local_gb"] : field
    if !anytrue([for c in local.names[field] : contains(keys(local.rows[0]), c)])
  ]

  # One object a machine, with this module's names; a cell that is empty or not there is null.
  cells = [
    for row in length(local.missing) == 0 ? local.rows : [] : {
      for field, candidates in local.names : field => try(
        [for c in candidates : field == "password" ? sensitive(row[c]) : row[c] if lookup(row, c, "") != ""][0], null
      )
    }
  ]

  # A machine without a name is known by the end of its MAC.
  named = {
    for i, cell in local.cells :
    coalesce(cell.name, "${var.prefix}${replace(try(lower(cell.mac), tostring(i)), ":", "")}") => cell...
  }
  twice    = [for name, cells in local.named : name if length(cells) > 1]
  machines = { for name, cells in local.named : name => cells[0] }
}

node "machine" {
  for_each  = local.machines
  site      = var.site
  arch      = coalesce(each.value.arch, var.arch)
  cpus      = each.value.cpus
  memory_mb = each.value.memory_mb
  local_gb  = each.value.local_gb
  firmware  = coalesce(each.value.firmware, var.firmware)
  labels = merge(
    var.labels,
    # labels in the table: role=db;zone=a
    {
      for pair in split(";", coalesce(each.value.labels, ";")) :
      trimspace(split("=", pair)[0]) => trimspace(split("=", pair)[1]) if strcontains(pair, "=")
    },
  )
  root_device {
    serial = each.value.serial
  }
  power "ipmi" {
    address  = each.value.bmc
    port     = coalesce(each.value.bmc_port, 623)
    user     = each.value.user != null ? each.value.user : var.user
    password = each.value.password != null ? sensitive(each.value.password) : var.password
  }
  dynamic "serial_console" {
    # Port 0 meant "none" to nova-baremetal.
    for_each = try(tonumber(each.value.console_port) > 0, false) ? [each.value.console_port] : []
    content {
      port = serial_console.value
    }
  }
  lifecycle {
    precondition {
      condition     = each.value.mac != null && each.value.bmc != null
      error_message = "${each.key}: a machine needs a MAC and the address of its BMC"
    }
    precondition {
      condition     = each.value.password != null || var.password != null
      error_message = "${each.key}: no password for its BMC, neither in the table nor in var.password"
    }
  }
}

nic "pxe" {
  for_each = { for name, machine in local.machines : name => machine if machine.mac != null }
  node     = node.machine[each.key]
  network  = var.network
  mac      = each.value.mac
  pxe      = true
}
