node "a" {
  labels = {
    a = 1
    b = 2
  cpus = 4
  power "ipmi" {
    c = 3
  }
}
node "b" {
  good = 1
}
