a {
  b = 1
}
}
good = 1
