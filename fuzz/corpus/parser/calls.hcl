a = f(
b = f(1
c = f(1,)
d = f(a...)
e = f(a..., b)
g = x::y(1)
h = x::1
i = x::y
j = f (1)
k = f(a b = 2)
