node "a" = {
  b = 1
}
foo bar = 1
good = 1
