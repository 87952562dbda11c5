a {
  @
  ?
  , 
  ]
  1x = 2
  <<EOT
  ; b = 1
  good = 1
}
