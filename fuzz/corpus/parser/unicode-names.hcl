größe = 1
名前 = 2
a-b_c = 3
