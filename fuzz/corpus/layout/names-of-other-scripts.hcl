größe=1 # x
ab = 2 # y
名前 = 3 # z
