a{}
b "x"   "y"{
}
c   { d=1 }
e {
f {
g=1
}
}
h { i = { j = 1 } }
