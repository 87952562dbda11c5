node "a"
  b = 1
}
node "c"
{
  d = 1
}
node "e"
good = 1
