locals {
  a0 = {for k, v in {a = 1} : v => k}
  a1 = {for x in ["a", "b", "a"] : x => 1...}
  a2 = {for x in ["a", "a"] : x => 1}
  a3 = {for i, x in ["a", "b"] : i => x if i == 1}
  a4 = {for x in ["a"] : null => x}
  a5 = [for x in "ab" : x]
  a6 = [for x in null : x]
  a7 = [for x in [[1, 2], [3]] : [for y in x : y + 1]]
  a8 = upper("a-é")
  a9 = lower("A-É")
  a10 = title("hello world")
  a11 = title("a_b c-d e.f")
  a12 = trim("xxhixx", "x")
  a13 = trim("abc", "")
  a14 = trimspace("  a b\n")
  a15 = trimprefix("helloworld", "hello")
  a16 = trimprefix("a", "b")
  a17 = trimsuffix("helloworld", "world")
  a18 = split(",", "a,b,c")
  a19 = split(",", "")
  a20 = split("", "abc")
  a21 = split("--", "a--b")
  a22 = join("-", ["a", 1, true])
  a23 = join(",", [])
  a24 = join(",", ["a"], ["b"])
  a25 = join(",", toset(["b", "a"]))
  a26 = replace("a.b.c", ".", "-")
  a27 = replace("hello", "/l+/", "L")
  a28 = replace("ab", "/(a)(b)/", "$2$1")
  a29 = replace("ab", "/(?P<x>a)/", "[$x]")
  a30 = replace("abc", "", "-")
  a31 = replace("a", "/(/", "b")
  a32 = substr("hello", 1, 3)
  a33 = substr("hello", -3, 2)
  a34 = substr("hello", 1, -1)
  a35 = substr("hello", 10, 1)
  a36 = substr("hello", 0, 0)
  a37 = format("%s-%03d", "web", 7)
  a38 = format("%d", 1.5)
  a39 = format("%d", "12")
}
output "o" {
  value = local.a0
}
