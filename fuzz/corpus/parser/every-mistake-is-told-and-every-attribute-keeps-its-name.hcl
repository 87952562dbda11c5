node "a" {
  cpus = = 4
  memory_mb = [1, 2
  local_gb = 10
  arch: "x86_64"
  labels = { rack "r1" }
  firmware = 'uefi'
  good = true
}
