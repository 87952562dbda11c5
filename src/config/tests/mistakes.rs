//! What people get told.

use super::{codes, load_text, rendered};
use crate::config::codes as c;

/// Loads a text and checks its codes, in order, and words that must be shown.
#[track_caller]
fn check(text: &str, expected: &[&str], words: &[&str]) {
    let loaded = load_text(text);
    let shown = rendered(&loaded);
    assert_eq!(codes(&loaded), expected, "{shown}");
    for word in words {
        assert!(shown.contains(word), "`{word}` is not in:\n{shown}");
    }
}

const FLAVOR: &str = "flavor \"f\" {\n  cpus = 1\n  memory_mb = 2\n  root_gb = 3\n}\n";

#[test]
fn three_mistakes_in_one_file_are_three_reports() {
    check(
        "locals {\n  a = = 1\n}\n\nflavor \"b\" {\n  cpus = [1, 2\n\nlocals {\n  c = \"x\n}\n\nnetwork \"n\" {\n  cidr = \"10.0.0.0/24\"\n}\n",
        &[c::SYNTAX, c::UNCLOSED, c::NEWLINE_IN_STRING],
        &[
            "main.hcl:2:",
            "main.hcl:5:",
            "main.hcl:9:",
            "has no end",
            "heredoc",
        ],
    );
}

#[test]
fn syntax_errors_say_where_and_what_was_expected() {
    check(
        "locals {\n  a = {",
        &[c::UNCLOSED],
        &["block", "opened here"],
    );
    check("locals {\n  x = <<E\n a\n", &[c::UNCLOSED], &["heredoc"]);
    check("locals {\n  a = 1 2\n}\n", &[c::SYNTAX], &["main.hcl:2:9"]);
    check(
        "locals {\n  a = 1e999999999\n}\n",
        &[c::NUMBER_TOO_LARGE],
        &["digits"],
    );
    check(
        &format!(
            "locals {{\n  a = {}1{}\n}}\n",
            "(".repeat(60),
            ")".repeat(60)
        ),
        &[c::NESTED_TOO_DEEP],
        &["levels"],
    );
    check(
        "x = 1\n",
        &[c::UNKNOWN_ATTRIBUTE],
        &["outside of any block"],
    );
}

#[test]
fn blocks_are_checked_against_their_kind() {
    check(
        "flavour \"f\" {\n}\n",
        &[c::UNKNOWN_BLOCK],
        &["did you mean `flavor`?"],
    );
    check(
        "flavor \"f\" {\n  cpus = 1\n  memroy_mb = 2\n  root_gb = \"x\"\n}\n",
        &[c::MISSING, c::UNKNOWN_ATTRIBUTE, c::WRONG_TYPE],
        &[
            "`memory_mb` is required",
            "expected a number, found \"x\"",
            "did you mean `memory_mb`?",
            "in flavor.f",
        ],
    );
    check(
        "flavor \"f\" \"g\" {\n}\n",
        &[c::LABELS],
        &["takes 1 labels, found 2"],
    );
    check("flavor \"1f\" {\n}\n", &[c::LABELS], &["not a name"]);
    check(
        &format!("{FLAVOR}{FLAVOR}"),
        &[c::DUPLICATE],
        &["flavor.f is declared twice", "first here"],
    );
    check(
        "module \"m\" {\n}\n",
        &[c::MISSING],
        &["`source` is required"],
    );
    check(
        "image \"i\" {\n  type = \"nfsroot\"\n  source = \"x\"\n}\n",
        &[c::NOT_BUILT],
        &["not built yet", "partition and disk are"],
    );
    check(
        "network \"n\" {\n  cidr = \"10.0.0.1/24\"\n  vlan = 5000\n  dhcp = 1\n}\n",
        &[c::WRONG_VALUE, c::WRONG_VALUE, c::UNKNOWN_ATTRIBUTE],
        &["10.0.0.0/24", "1 to 4094", "`dhcp` is a block"],
    );
    check(
        "nic \"n\" {\n  mac = \"01:00:5e:00:00:01\"\n}\n",
        &[c::MISSING, c::MISSING, c::WRONG_VALUE],
        &["not multicast"],
    );
    check(
        "flavor \"f\" {\n  cpus = -1\n  memory_mb = 1.5\n  root_gb = null\n}\n",
        &[c::WRONG_VALUE, c::WRONG_VALUE, c::MISSING],
        &["found -1", "this is null"],
    );
    check(
        "bmctl {\n  required_version = \">= 99\"\n}\n",
        &[c::VERSION],
        &["the configuration wants >= 99"],
    );
}

#[test]
fn references_are_checked() {
    check(
        "locals {\n  a = local.bb\n  b = flavor.f\n  xyz = 1\n}\n",
        &[c::UNDECLARED, c::UNDECLARED],
        &["did you mean `b`?"],
    );
    check(
        "locals {\n  a = foo\n  b = a\n}\n",
        &[c::UNDECLARED, c::UNDECLARED],
        &["needs quotes", "write local.a"],
    );
    check(
        "locals {\n  a = each.key\n  b = count.index\n}\n",
        &[c::NO_EACH, c::NO_EACH],
        &[],
    );
    let nodes = "locals {\n  a = network.n[\"r1-0l\"]\n  b = network.n[\"r1-01\"].gateway\n}\nnetwork \"n\" {\n  for_each = toset([\"r1-01\"])\n  cidr = \"10.0.0.0/8\"\n}\n";
    check(nodes, &[c::NO_SUCH_INSTANCE], &["did you mean `r1-01`?"]);
    check(
        &format!("{FLAVOR}site \"s\" {{\n  network = flavor.f\n  address = \"10.0.0.1\"\n}}\n"),
        &[c::WRONG_KIND],
        &["must be a network", "found flavor.f"],
    );
    check(
        &format!("{FLAVOR}locals {{\n  a = flavor.f.cpu\n  b = \"x${{flavor.f}}\"\n}}\n"),
        &[c::NO_SUCH_ELEMENT, c::OPERATION],
        &["did you mean `cpus`?", "one attribute"],
    );
    check(
        "image \"i\" {\n  type = \"disk\"\n  source = \"x\"\n}\nlocals {\n  a = image.i.digest\n}\n",
        &[c::AFTER_ACTING],
        &["known only after acting"],
    );
}

#[test]
fn a_cycle_is_told_whole() {
    check(
        "locals {\n  a = local.b\n  b = local.c + 1\n  c = [local.a]\n  d = local.a\n}\n",
        &[c::CYCLE],
        &[
            "local.a -> local.b -> local.c -> local.a",
            "needs local.b",
            "needs local.c",
        ],
    );
    check(
        "network \"n\" {\n  cidr = \"10.0.0.0/24\"\n  gateway = site.s.address\n}\nsite \"s\" {\n  network = network.n\n  address = \"10.0.0.1\"\n}\n",
        &[c::CYCLE],
        &["network.n -> site.s -> network.n"],
    );
    check(
        "locals {\n  a = local.a\n}\n",
        &[c::CYCLE],
        &["local.a -> local.a"],
    );
}

#[test]
fn sensitive_values_stay_where_they_are_not_shown() {
    let secret = "locals {\n  s = sensitive(\"hunter2\")\n}\n";
    check(
        &format!("{secret}network \"n\" {{\n  cidr = local.s\n}}\n"),
        &[c::SENSITIVE],
        &["nonsensitive()"],
    );
    check(
        &format!("{secret}output \"o\" {{ value = [local.s] }}\n"),
        &[c::SENSITIVE],
        &["sensitive = true"],
    );
    check(
        &format!("{secret}locals {{\n  n = local.s + 1\n}}\n"),
        &[c::OPERATION],
        &["a sensitive string"],
    );
    check(
        &format!("{secret}flavor \"f\" {{\n  for_each = toset([local.s])\n}}\n"),
        &[c::SENSITIVE],
        &[],
    );
    let loaded = load_text(&format!(
        "{secret}locals {{\n  n = local.s + 1\n  m = {{}}[local.s]\n  o = tonumber(local.s)\n  p = [][local.s]\n}}\n"
    ));
    assert!(loaded.diagnostics.has_errors());
    assert!(
        !rendered(&loaded)
            .replace("sensitive(\"hunter2\")", "")
            .contains("hunter2")
    );
}

#[test]
fn one_mistake_in_many_instances_is_told_once() {
    check(
        "flavor \"f\" {\n  count = 100\n  cpus = \"x\"\n  memory_mb = 1\n  root_gb = 1\n  nope = 1\n}\n",
        &[c::WRONG_TYPE, c::UNKNOWN_ATTRIBUTE],
        &["in flavor.f[0]"],
    );
    check(
        "flavor \"f\" {\n  for_each = [\"a\"]\n}\n",
        &[c::EXPANSION],
        &["toset(...)"],
    );
    check(
        "flavor \"f\" {\n  count = 2000000\n}\n",
        &[c::EXPANSION],
        &["1000000"],
    );
}

#[test]
fn what_depends_on_a_mistake_is_not_a_second_one() {
    check(
        "locals {\n  a = 1 / 0\n  b = local.a + 1\n  c = try(local.b, 2)\n}\nflavor \"f\" {\n  cpus = local.c\n  memory_mb = 1\n  root_gb = 1\n}\n",
        &[c::DIVISION_BY_ZERO],
        &["the divisor is 0"],
    );
}

#[test]
fn a_report_looks_like_this() {
    let loaded = load_text(
        "flavor \"small\" {\n  cpus      = 2\n  memory_mb = \"lots\"\n  root_gb   = 10\n}\n",
    );
    insta::assert_snapshot!(rendered(&loaded), @r#"
    error[E0304]: `memory_mb` has the wrong type
     --> main.hcl:3:15
      |
    3 |   memory_mb = "lots"
      |               ^^^^^^ expected a number, found "lots"
      |
      = note: in flavor.small
    "#);
}

#[test]
fn the_values_involved_are_told() {
    check(
        "variable \"v\" {\n  default   = \"hidden\"\n  sensitive = true\n}\nlocals {\n  rack = { a = { n = \"x\" } }\n  sum  = local.rack[\"a\"].n + 1 + var.v\n}\n",
        &[c::OPERATION],
        &["where local.rack[\"a\"].n is \"x\", var.v is a sensitive string"],
    );
    check(
        "variable \"low\" {\n  default = 5\n}\nvariable \"high\" {\n  default = 3\n  validation {\n    condition     = var.high > var.low\n    error_message = \"too small\"\n  }\n}\n",
        &[c::VALIDATION],
        &["where var.high is 3, var.low is 5"],
    );
}

/// No value could mend it, so nothing may hide it.
#[test]
fn a_misspelt_name_is_not_hidden() {
    for hidden in [
        "try(var.typo, 1)",
        "can(local.typo)",
        "true ? 1 : node.typo",
        "try(typo, 1)",
    ] {
        check(
            &format!("locals {{\n  a = {hidden}\n}}\n"),
            &[c::UNDECLARED],
            &["typo"],
        );
    }
    check(
        "locals {\n  a = try({}.missing, 1)\n  b = can([][0])\n}\n",
        &[],
        &[],
    );
}
