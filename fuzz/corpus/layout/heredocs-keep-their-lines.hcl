a = <<EOT
  text   with   blanks
	${ x+y }  # no comment
EOT
bb = <<-EOT
      one
    two
    EOT
c = {
d = <<E
  x
E
  e=1
}
g = [<<A
  x
A
, 2]
