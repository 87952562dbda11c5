"a" = 1
b.c = 2
d[0] = 3
e += 4
good = 5
