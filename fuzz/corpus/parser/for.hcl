a = [for x in y : x]
b = [for x y : x]
c = [for x, y in z : x if y]
d = [for in y : x]
e = [for x in y x]
f = [for k, v in y : k => v]
g = { for k, v in y : v }
h = { for k, v in y : k => v... if v }
i = [for x in y : x...]
j = [for x in y : x y]
k = { for = 1 }
