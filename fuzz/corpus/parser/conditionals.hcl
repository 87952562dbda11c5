a = x ? 1
b = x ? : 2
c = x ?: 2
d = x ? 1 : 
e = x ? 1 : y ? 2 : 3
