a { b = 1 }
a { b = 1, c = 2 }
a { b = 1 c = 2 }
a { b { c = 1 } }
a { b = 1
}
a {}
a { b = [
  1 ] }
good = 1
