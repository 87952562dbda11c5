//! Where variables get their values from.

use super::{codes, load_all, rendered};
use crate::config::codes as c;
use crate::config::{Loaded, MemorySources, VariableInput, VariableOrigin};

fn input(name: &str, text: &str, origin: VariableOrigin) -> VariableInput {
    VariableInput {
        name: name.to_owned(),
        text: text.to_owned(),
        origin,
    }
}

fn shown(loaded: &Loaded, name: &str) -> String {
    assert!(!loaded.diagnostics.has_errors(), "{}", rendered(loaded));
    loaded.fleet.outputs[name].value.to_string()
}

#[test]
fn the_later_source_wins() {
    let declared = "variable \"v\" { default = \"default\" }\noutput \"v\" { value = var.v }\n";
    let plain = MemorySources::default().file("main.hcl", declared);
    let named = plain.clone().file("bmctl.vars.hcl", "v = \"named\"\n");
    let auto = named
        .clone()
        .file("a.auto.vars.hcl", "v = \"auto a\"\n")
        .file("b.auto.vars.hcl", "v = \"auto b\"\n");
    let env = input("v", "env", VariableOrigin::Env);
    let file = input(
        "",
        "v = \"file\"\n",
        VariableOrigin::File {
            path: "x.vars.hcl".to_owned(),
        },
    );
    let flag = input("v", "flag", VariableOrigin::Flag);
    let cases: [(MemorySources, Vec<VariableInput>, &str); 6] = [
        (plain.clone(), vec![], "default"),
        (plain, vec![env.clone()], "env"),
        (named, vec![env.clone()], "named"),
        (auto.clone(), vec![env.clone()], "auto b"),
        (auto.clone(), vec![env.clone(), file.clone()], "file"),
        (auto, vec![env, flag, file], "file"),
    ];
    for (sources, inputs, expected) in cases {
        assert_eq!(
            shown(&load_all(sources, &inputs), "v"),
            format!("\"{expected}\"")
        );
    }
}

#[test]
fn texts_are_read_by_the_type() {
    let sources = MemorySources::default().file(
        "main.hcl",
        "variable \"s\" { type = string }\nvariable \"n\" { type = number }\nvariable \"l\" { type = list(string) }\n\
         variable \"o\" {\n  type = object({ name = string, size = optional(number, 3), tags = optional(set(string)) })\n}\n\
         output \"all\" { value = [var.s, var.n, var.l, var.o] }\n",
    );
    let inputs = [
        input("s", "[1]", VariableOrigin::Flag),
        input("n", "1.50", VariableOrigin::Flag),
        input("l", "[1, \"a\"]", VariableOrigin::Flag),
        input("o", "{ name = 1, other = 2 }", VariableOrigin::Flag),
    ];
    let loaded = load_all(sources, &inputs);
    assert_eq!(
        shown(&loaded, "all"),
        r#"["[1]",1.5,["1","a"],{"name":"1","size":3,"tags":null}]"#
    );
}

#[test]
fn mistakes_of_variables() {
    let load = |text: &str, inputs: &[VariableInput]| {
        load_all(MemorySources::default().file("main.hcl", text), inputs)
    };
    let loaded = load("variable \"v\" { type = number }\n", &[]);
    assert_eq!(codes(&loaded), [c::NO_VALUE], "{}", rendered(&loaded));
    let loaded = load(
        "variable \"v\" { type = number }\n",
        &[input("v", "x", VariableOrigin::Flag)],
    );
    assert_eq!(codes(&loaded), [c::VARIABLE_TYPE], "{}", rendered(&loaded));
    let loaded = load(
        "variable \"vv\" { default = 1 }\n",
        &[
            input("v", "x", VariableOrigin::Flag),
            input("w", "", VariableOrigin::Env),
        ],
    );
    assert_eq!(
        codes(&loaded),
        [c::UNDECLARED_VARIABLE],
        "{}",
        rendered(&loaded)
    );
    assert!(rendered(&loaded).contains("did you mean `vv`?"));
    let secret = "variable \"v\" {\n  sensitive = true\n  type = map(object({ a = number }))\n}\n";
    for given in ["{ k7 = { a = \"x7\" } }", "{ k7 = { a = [\"x7\"] } }"] {
        let loaded = load(secret, &[input("v", given, VariableOrigin::Flag)]);
        assert_eq!(codes(&loaded), [c::VARIABLE_TYPE]);
        let told = rendered(&loaded);
        assert!(!told.contains("x7") && !told.contains("k7"), "{told}");
    }
    let loaded = load("variable \"v\" { type = strin }\n", &[]);
    assert_eq!(
        codes(&loaded),
        [c::TYPE_CONSTRAINT],
        "{}",
        rendered(&loaded)
    );
    let validated = "variable \"v\" {\n  default = 0\n  validation {\n    condition     = var.v > 0\n    error_message = \"v is ${var.v}, not positive\"\n  }\n}\n";
    let loaded = load(validated, &[]);
    assert_eq!(codes(&loaded), [c::VALIDATION]);
    assert!(rendered(&loaded).contains("var.v: v is 0, not positive"));
    let loaded = load(
        "variable \"v\" {\n  type = string\n  default = \"d\"\n  nullable = false\n}\noutput \"v\" { value = var.v }\n",
        &[input(
            "",
            "v = null\n",
            VariableOrigin::File {
                path: "f".to_owned(),
            },
        )],
    );
    assert_eq!(shown(&loaded, "v"), "\"d\"");
    let loaded = load(
        "variable \"v\" {\n  default = \"d\"\n  sensitive = true\n}\noutput \"v\" { value = var.v }\n",
        &[],
    );
    assert_eq!(codes(&loaded), [c::SENSITIVE]);
    let typo = input("pasword", "hunter2", VariableOrigin::Flag);
    let wrong = input("password", "hunter2", VariableOrigin::Env);
    let loaded = load(
        "variable \"password\" {\n  type = number\n  sensitive = true\n}\n",
        &[typo, wrong],
    );
    assert_eq!(
        codes(&loaded),
        [c::UNDECLARED_VARIABLE, c::VARIABLE_TYPE],
        "{}",
        rendered(&loaded)
    );
    assert!(
        !rendered(&loaded).contains("hunter2"),
        "{}",
        rendered(&loaded)
    );
}
