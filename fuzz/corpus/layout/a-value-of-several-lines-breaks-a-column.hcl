a = 1
long = [
1,
    2,
  ]
longer = 2
