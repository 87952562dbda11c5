locals {
  a0 = toset(["a"]) == toset(["a"])
  a1 = 1 < null
  a2 = "b" < "a"
  a3 = null + 1
  a4 = true ? 1 : 2
  a5 = true ? 1 : "a"
  a6 = false ? [] : ["a"]
  a7 = true ? [1] : ["a", "b"]
  a8 = true ? [1] : ["a"]
  a9 = true ? {a = 1} : {b = 2}
  a10 = true ? {a = 1} : {b = "x"}
  a11 = true ? {a = 1} : {a = 1, b = []}
  a12 = true ? 1 : true
  a13 = true ? null : 1
  a14 = "true" ? 1 : 2
  a15 = "yes" ? 1 : 2
  a16 = null ? 1 : 2
  a17 = 1 ? 1 : 2
  a18 = 1 == 1 ? "a" : 2
  a19 = true ? tolist(["a"]) : []
  a20 = true ? toset(["a"]) : []
  a21 = false ? tomap({a = 1}) : {}
  a22 = true ? 1 : 1 / "x"
  a23 = "a"
  a24 = "a${1}b"
  a25 = "${true}"
  a26 = "${1.50}"
  a27 = "${[1]}"
  a28 = "a${[1]}"
  a29 = "x${null}"
  a30 = "a$${b}%%{c}"
  a31 = "tab\tquote\"back\\nl\n"
  a32 = "\u00e9\U0001F600"
  a33 = "a ${~ 1 ~} b"
  a34 = "%{ if true }a%{ else }b%{ endif }"
  a35 = "%{ if false }a%{ endif }"
  a36 = "%{ for x in [1, 2] }${x},%{ endfor }"
  a37 = "%{ for x in [1,2] ~} ${x} %{ endfor ~} z"
  a38 = "%{ for k, v in {a = 1} }${k}=${v}%{ endfor }"
  a39 = "%{ if null }a%{ endif }"
}
output "o" {
  value = local.a0
}
