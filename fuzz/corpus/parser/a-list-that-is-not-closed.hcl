node "a" {
  l = [
    1,
    2,
  cpus = 4
  m = (1 +
  n = upper("x"
  o = list[0
  good = 1
}
