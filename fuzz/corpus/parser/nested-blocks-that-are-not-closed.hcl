node "a" {
  power "ipmi" {
    address = "x"
  cpus = 4
}

node "b" {
  good = 1
}
