a = [ # first
1, # one
  22, # two
# three
  333
]
