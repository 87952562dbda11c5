output "nodes" {
  description = "every node, by name"
  value       = node.machine
}

output "names" {
  value = keys(local.machines)
}
