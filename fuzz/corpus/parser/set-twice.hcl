a {
  b = 1
  b = 2
  c = 3
}
b = 1
b = 2
