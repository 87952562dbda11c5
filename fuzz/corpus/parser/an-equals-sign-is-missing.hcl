node "a" {
  cpus 4
  memory_mb "8"
  local_gb
  good = 1
}
