node "a" {
  b = <<EOT
    text
  EOT.
  c = 1
}
node "d" {
  good = 1
}
