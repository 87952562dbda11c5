   # x
