locals {
  a0 = []
  a1 = [1, "a", true]
  a2 = {}
  a3 = {a = 1, "b" = 2, (upper("c")) = 3}
  a4 = {a : 1}
  a5 = {"a${1}" = 2}
  a6 = [1, 2, 3][0]
  a7 = [1, 2, 3]["1"]
  a8 = [1][5]
  a9 = [1][-1]
  a10 = [1][0.5]
  a11 = [1, 2].1
  a12 = {a = {b = 1}}.a.b
  a13 = {a = 1}["a"]
  a14 = {a = 1}.b
  a15 = {a = 1}["b"]
  a16 = null.a
  a17 = "a".b
  a18 = "abc"[0]
  a19 = toset(["a"])[0]
  a20 = [1, 2, 3][*]
  a21 = null[*]
  a22 = null.*
  a23 = [null][*]
  a24 = {a = 1}[*].a
  a25 = "a"[*]
  a26 = [{a = 1}, {a = 2}].*.a
  a27 = [{a = 1}, {a = 2}][*].a
  a28 = [{a = [1]}, {a = [2]}][*].a[0]
  a29 = [{a = [1]}, {a = [2]}].*.a[0]
  a30 = [[1], [2]].*.0
  a31 = [[1], [2]][*][0]
  a32 = toset(["b", "a"])[*]
  a33 = [for x in [1, 2] : x * 2]
  a34 = [for i, x in ["a", "b"] : "${i}${x}"]
  a35 = [for k, v in {b = 1, a = 2} : "${k}${v}"]
  a36 = [for x in toset(["b", "a"]) : x]
  a37 = [for k, v in toset(["a"]) : k]
  a38 = [for x in [1, 2, 3] : x if x > 1]
  a39 = {for x in ["a", "b"] : x => upper(x)}
}
output "o" {
  value = local.a0
}
