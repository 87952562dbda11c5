node  web {
}
dynamic  "x"  y  { a=1 }
node /* why */ "z" {
}
