a = “x”
b = 1 + 2
good = 1

