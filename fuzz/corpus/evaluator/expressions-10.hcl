locals {
  a0 = length([for x in range(1000) : x])
  a1 = {a = 1}.a + [2][0]
  a2 = [for x in [{n = "a", v = 1}, {n = "b", v = 2}] : x.v if x.n == "b"][0]
  a3 = {for x in [{n = "a", v = 1}] : x.n => x}.a.v
  a4 = "%{ if 1 == 1 ~}  x  %{~ endif }"
  a5 = tolist([])
  a6 = tomap({})
  a7 = tolist([[1], ["a"]])
  a8 = tolist([{a = 1}, {a = "b"}])
  a9 = tolist([null, 1])
  a10 = formatdate("hh H HH h AA aa", "2026-03-01T14:05:09Z")
  a11 = formatdate("hh H HH h AA aa", "2026-03-01T00:05:09Z")
  a12 = formatdate("EEEE, DD-MMM-YY hh:mm:ss ZZZ", "2018-01-02T23:12:01Z")
  a13 = formatdate("YYYY M MM MMM MMMM D DD EEE EEEE m mm s ss", "2024-02-29T01:02:03-08:00")
  a14 = formatdate("Z ZZZ ZZZZ ZZZZZ", "2018-01-02T23:12:01Z")
  a15 = formatdate("Z ZZZ ZZZZ ZZZZZ", "2018-01-02T23:12:01-08:30")
  a16 = formatdate("'it''s' YYYY/é", "2018-01-02T23:12:01Z")
  a17 = formatdate("YYYYY", "2018-01-02T23:12:01Z")
  a18 = formatdate("x", "2018-01-02T23:12:01Z")
  a19 = formatdate("'x", "2018-01-02T23:12:01Z")
  a20 = formatdate("D", "2018-02-30T23:12:01Z")
  a21 = formatdate("D", "2018-02-20 23:12:01Z")
  a22 = formatdate("D", "2018-02-20t23:12:01z")
  a23 = formatdate("D", "2018-02-20T23:12:60Z")
  a24 = formatdate("D", "2018-02-20T24:12:00Z")
  a25 = formatdate("D", "2018-02-20T23:12:01.5Z")
  a26 = formatdate("D", "2018-02-20T23:12:01+0100")
  a27 = formatdate("", "2018-02-20T23:12:01Z")
  a28 = timeadd("2017-11-22T00:00:00Z", "10m")
  a29 = timeadd("2017-11-22T00:00:00Z", "-1.5h")
  a30 = timeadd("2017-11-22T00:00:00.9Z", "200ms")
  a31 = timeadd("2017-11-22T00:00:00+02:00", "1h30m15s")
  a32 = timeadd("2017-11-22T00:00:00Z", "0")
  a33 = timeadd("2017-11-22T00:00:00Z", "")
  a34 = timeadd("2017-11-22T00:00:00Z", "1")
  a35 = timeadd("2017-11-22T00:00:00Z", "1d")
  a36 = timeadd("2017-11-22T00:00:00Z", ".5s")
  a37 = timeadd("2017-11-22T00:00:00Z", "1.s")
  a38 = timeadd("2017-11-22T00:00:00Z", "0h")
  a39 = timeadd("2017-11-22T00:00:00Z", "0s0m")
}
output "o" {
  value = local.a0
}
