a {
  b = 1 c = 2
  d = 3 4
  e = foo bar
  good = true
}
