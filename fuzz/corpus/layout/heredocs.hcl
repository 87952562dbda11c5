locals {
  a = <<EOT
hello
  world ${1 + 1}
EOT
  b = <<-EOT
    hello
      world
    %{ for x in [1, 2] ~}
    - ${x}
    %{ endfor ~}
    end
  EOT
  c = <<-EOT
    ${"x"}
      y
  EOT
  d = <<-EOT

    a

  EOT
  e = <<EOT
EOT
  f = <<-EOT
    %{ if true }
    yes
    %{ else }
    no
    %{ endif }
  EOT
  g = <<EOT
$${a} %%{b} "q" \n
EOT
  h = "${<<-E
    in
  E
  }!"
  i = upper(<<-E
    x
  E
  )
  j = <<-EOT
	tab
	  two
  EOT
  k = {
    a = 1, b = 2
    "c d" = 3
    (true ? "e" : "f") = 4,
  }
  l = [
    1, # c
    2, // d
  ]
  m = (
    1 +
    2
  )
  n = <<-EOT
    a
    ${"b"}c ~ ${~ "d" ~}
    e
  EOT
  o = "é" == "e\u0301"
  p = length("e\u0301")
}
