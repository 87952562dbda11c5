a = <<EOT
text ${x} $${y}
%{ if z ~}
  w
%{ endif ~}
EOT
b = <<-EOT
    a
      b

    c
    EOT
c = << EOT
d = <<"EOT"
e = [<<A, <<B]
f = upper(<<-X
  a
  X
)
g = <<EOT
${shell:-x}
more
EOT
good = 1
