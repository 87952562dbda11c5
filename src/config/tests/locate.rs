//! Where the state is, read without the rest.

use crate::config::{
    Located, MemorySources, StateBackend, VariableInput, VariableOrigin, load, locate,
};

const REST: &str = r#"
variable "bmc_password" { type = string }
node "a" {
  cpus = var.bmc_password + nothing
}
site "s" { network = network.none }
"#;

fn at(settings: &str, rest: &str, variables: &[VariableInput]) -> Located {
    let sources = MemorySources::default()
        .file("main.hcl", settings)
        .file("rest.hcl", rest)
        .variable("PG", "postgres://db/x");
    locate(".", variables, &sources)
}

fn path_of(located: &Located) -> Option<&str> {
    match &located.state {
        StateBackend::Sqlite { path } => path.as_deref(),
        StateBackend::Postgres { workspace, .. } => Some(workspace),
    }
}

fn codes(located: &Located) -> Vec<&'static str> {
    located.diagnostics.iter().map(|d| d.code).collect()
}

fn given(name: &str, text: &str) -> VariableInput {
    VariableInput {
        name: name.to_owned(),
        text: text.to_owned(),
        origin: VariableOrigin::Flag,
    }
}

#[test]
fn neither_variables_nor_mistakes_elsewhere_are_asked_for() {
    let settings = "bmctl {\n  state \"sqlite\" { path = \"there\" }\n}\n";
    for rest in [
        REST,
        "node \"a\" {\n  cpus = = 1\n}\n",
        "nodes \"x\" { }\n",
        "a = 1\n",
    ] {
        for whole in [
            settings.to_owned(),
            format!("{rest}{settings}"),
            format!("{settings}{rest}"),
        ] {
            let located = at(&whole, rest, &[given("stranger", "1")]);
            assert_eq!(codes(&located), [""; 0], "{whole}");
            assert_eq!(path_of(&located), Some("there"), "{whole}");
        }
    }
    assert_eq!(path_of(&at("", REST, &[])), None);
    let postgres = "bmctl {\n  trusted_keys = [var.key]\n  state \"postgres\" {\n    url = env(\"PG\")\n    workspace = \"w\"\n  }\n}\n";
    let located = at(postgres, REST, &[]);
    assert_eq!((codes(&located), path_of(&located)), (vec![], Some("w")));
}

#[test]
fn only_the_variable_that_it_hangs_on_is_asked_for() {
    let settings = "variable \"dir\" { type = string }\nvariable \"other\" { type = string }\nlocals {\n  x = \"${var.dir}/x\"\n  y = var.other\n}\nbmctl {\n  state \"sqlite\" { path = local.x }\n}\n";
    let missing = at(settings, REST, &[]);
    assert_eq!(codes(&missing), ["E0701"]);
    let told = missing.diagnostics.iter().next().unwrap();
    assert!(told.message.contains("dir"), "{told:?}");
    let located = at(settings, REST, &[given("dir", "d")]);
    assert_eq!((codes(&located), path_of(&located)), (vec![], Some("d/x")));
    // A slip in its name could mean another state than the one that is meant.
    let settings = settings.replace(
        "{ type = string }\nvariable \"other\"",
        "{ default = \"usual\" }\nvariable \"other\"",
    );
    assert_eq!(path_of(&at(&settings, REST, &[])), Some("usual/x"));
    assert_eq!(codes(&at(&settings, REST, &[given("dri", "d")])), ["E0702"]);
    // Nothing can be left out of what hangs on everything.
    let settings =
        "output \"o\" { value = 1 }\nbmctl {\n  state \"sqlite\" { path = node.a.cpus }\n}\n";
    assert!(codes(&at(settings, REST, &[])).contains(&"E0701"));
}

/// A default in the place of what could not be read would be another state.
#[test]
fn what_may_have_hidden_the_settings_is_told() {
    for settings in [
        "bmctl {\n  state \"sqlite\" { path = \"there\"\n",
        "bmctl {\n  state \"sqlite\" { path = = \"there\" }\n}\n",
        "bmctl {\n  stat \"sqlite\" { path = \"there\" }\n}\n",
        "bmctl {\n  state \"sqlite\" { path = local.none }\n}\n",
        "bmctl \"x\" {\n  state \"sqlite\" { path = \"there\" }\n}\n",
        "bmclt {\n  state \"sqlite\" { path = \"there\" }\n}\n",
        "bmctl {\n  state \"sqlite\" { path = \"there\" }\n}\nbmctl { }\n",
        "bmctl {\n  required_version = \">= 99\"\n}\n",
        "bmctl \"x\" { }\nbmctl {\n  state \"sqlite\" { path = \"there\" }\n}\n",
        "locals { x = \"a\" }\nbmctl {\n  state \"sqlite\" { path = local.x }\n}\nlocals { x = \"b\" }\n",
        "variable \"x\" { default = \"a\" }\nvariable \"x\" { default = \"b\" }\nbmctl {\n  state \"sqlite\" { path = var.x }\n}\n",
    ] {
        let located = at(settings, "", &[]);
        assert!(located.diagnostics.has_errors(), "{settings}");
    }
}

/// Wherever a slip is: the state is that of before, or that of the whole configuration, or an error.
#[test]
fn a_slip_never_leads_to_another_state() {
    let hcl = "variable \"dir\" {\n  type = string\n  default = \"d\"\n}\nlocals {\n  x = \"${var.dir}/x\"\n  y = [for a in [\"p\"] : \"${local.x}-${a}\"]\n}\noutput \"o\" {\n  value = 2\n}\nbmctl {\n  state \"sqlite\" { path = local.y[0] }\n}\n";
    let json = r#"{"variable": {"dir": {"default": "d"}}, "locals": {"x": "${var.dir}/x"}, "bmctl": {"state": {"sqlite": {"path": "${local.x}"}}}}"#;
    for (name, text) in [("main.hcl", hcl), ("main.bmctl.json", json)] {
        let sources = |text: &str| MemorySources::default().file(name, text);
        let before = path_of(&locate(".", &[], &sources(text))).map(str::to_owned);
        assert!(
            before
                .as_deref()
                .is_some_and(|path| path.starts_with("d/x"))
        );
        for at in 0..text.len() {
            let (head, tail) = text.split_at(at);
            let rest = tail.get(1..).unwrap_or_default();
            let slip = ["", "{", "}", "\"", "\n", "${", "<<E\n"].get(at % 7);
            for slipped in [
                format!("{head}{rest}"),
                format!("{head}{}{tail}", slip.unwrap_or(&"")),
            ] {
                let located = locate(".", &[], &sources(&slipped));
                let whole = load(".", &[], &sources(&slipped));
                let told = located.diagnostics.has_errors();
                let same = located.state == whole.settings.state;
                assert!(
                    told || same || path_of(&located) == before.as_deref(),
                    "{slipped}\n{:?}",
                    located.state
                );
                assert!(!told || whole.diagnostics.has_errors(), "{slipped}");
            }
        }
    }
}
