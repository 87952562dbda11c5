node r1.01 {
  a = 1
}
node 'x' {
  a = 1
}
node "${var.x}" {
  a = 1
}
node web db {
}
