a = 1 +
b = * 2
c = 1 & 2
d = 1 | 2
e = 1 ^ 2
f = a = 1
g = 1 ** 2
h = !
i = - - 1
j = a || && b
k = not a
