a = 1
/* b = 2
c = 3
node "d" {
  good = 1
}
