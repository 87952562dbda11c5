a=1
bbb =2 # x
c{
d=1 # y
}
