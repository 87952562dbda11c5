a = "${ b }-${c}"
d = "%{ if x ~}  y %{ else }z%{ endif }"
e = "${ {a=1} }"
f = "$${x} %%{y}"
g = "a${~ b ~}c"
h = "é ${x}" # é
ij = 1 # two columns
