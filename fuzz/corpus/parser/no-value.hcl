a {
  b =
  c =
    "on the next line"
  d = # a comment
  e = [
    1
  ]
  f =
}
