node "a" {
b = 1
c {
d = 1
}
node "e" {
f = 1
}
