node "a" {
  b = "x
  c = "y ${upper("z) }
  d = "${
  e = "a ${b
  good = 1
}
