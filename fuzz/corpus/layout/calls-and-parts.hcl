a = f (1,2 ,3)
b = f(x...)
c = a . b . c [0] [ "x" ]
d = a[*].b.*.c.0
e = provider::x::f (1)
f = upper( lower( "A" ) )
g = x [for]
h = f(a,{b=1})
