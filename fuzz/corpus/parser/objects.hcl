a = { "x" }
b = { x }
c = { x = 1; y = 2 }
d = { x => 1 }
e = { a.b = 1 }
f = { (a.b) = 1, "c" : 2, true = 3, null = 4, 5 = 6 }
g = { x == 1 }
