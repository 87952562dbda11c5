a = 1 # one
bbb = 22 // two
c=3
d = 4 # four

# alone
e = 5 # five
  // indented
