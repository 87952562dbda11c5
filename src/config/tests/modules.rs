//! Modules: instances, arguments, outputs, paths, and what is wrong with calls.

use super::{codes, load_all, rendered};
use crate::config::codes as c;
use crate::config::{Loaded, MemorySources};
use crate::ids::Addr;

fn load(files: &[(&str, &str)]) -> Loaded {
    let sources = files
        .iter()
        .fold(MemorySources::default(), |all, (name, text)| {
            all.file(name, *text)
        });
    load_all(sources, &[])
}

fn good(files: &[(&str, &str)]) -> Loaded {
    let loaded = load(files);
    assert!(
        loaded.diagnostics.iter().next().is_none(),
        "{}",
        rendered(&loaded)
    );
    loaded
}

fn output(loaded: &Loaded, name: &str) -> String {
    loaded.fleet.outputs[name].value.to_string()
}

fn wrong(files: &[(&str, &str)], expected: &[&str], texts: &[&str]) {
    let loaded = load(files);
    let shown = rendered(&loaded);
    assert_eq!(codes(&loaded), expected, "{shown}");
    for text in texts {
        assert!(shown.contains(text), "no `{text}` in:\n{shown}");
    }
}

const FLAVORS: &str = "variable \"cpus\" {\n  type = map(number)\n}\n\
    flavor \"f\" {\n  for_each  = var.cpus\n  cpus      = each.value\n  memory_mb = 1\n  root_gb   = 1\n}\n\
    output \"names\" {\n  value = [for f in flavor.f : f.cpus]\n}\n\
    output \"all\" {\n  value = flavor.f\n}\n";

#[test]
fn instances_of_a_module_have_resources_of_their_own() {
    let main = "module \"m\" {\n  source   = \"./m\"\n  for_each = { a = 1, b = 2 }\n  cpus     = { x = each.value, y = each.value + 10 }\n}\n\
        module \"n\" {\n  source = \"./m\"\n  count  = 2\n  cpus   = { z = count.index + 1 }\n}\n\
        output \"keys\" { value = { for k, m in module.m : k => m.names } }\n\
        output \"one\" { value = module.m[\"b\"].all[\"y\"].cpus }\n\
        output \"all\" { value = module.n[*].names }\n\
        output \"second\" { value = module.n[1].names[0] }\n";
    let loaded = good(&[("main.hcl", main), ("m/main.hcl", FLAVORS)]);
    let flavors: Vec<String> = loaded.fleet.flavors.keys().map(Addr::to_string).collect();
    assert_eq!(
        flavors,
        [
            "module.m[\"a\"].flavor.f[\"x\"]",
            "module.m[\"a\"].flavor.f[\"y\"]",
            "module.m[\"b\"].flavor.f[\"x\"]",
            "module.m[\"b\"].flavor.f[\"y\"]",
            "module.n[0].flavor.f[\"z\"]",
            "module.n[1].flavor.f[\"z\"]",
        ]
    );
    assert_eq!(output(&loaded, "keys"), "{\"a\":[1,11],\"b\":[2,12]}");
    assert_eq!(output(&loaded, "one"), "12");
    assert_eq!(output(&loaded, "all"), "[[1],[2]]");
    assert_eq!(output(&loaded, "second"), "2");
}

/// `a` gives to `b` what `b` gave it: no circle, because the values form none.
#[test]
fn modules_may_need_each_other_as_long_as_their_values_do_not() {
    let main = "module \"a\" {\n  source = \"./m\"\n  x = 1\n  y = module.b.x\n}\n\
        module \"b\" {\n  source = \"./m\"\n  x = module.a.x + 1\n  y = 0\n}\n\
        output \"y\" { value = module.a.y }\n";
    let m = "variable \"x\" {}\nvariable \"y\" {}\noutput \"x\" { value = var.x }\noutput \"y\" { value = var.y }\n";
    assert_eq!(
        output(&good(&[("main.hcl", main), ("m/m.hcl", m)]), "y"),
        "2"
    );
    let circle = main.replace("module.a.x + 1", "module.a.y");
    wrong(
        &[("main.hcl", &circle), ("m/m.hcl", m)],
        &[c::CYCLE],
        &["module.a.var.y -> module.b.x -> module.b.var.x -> module.a.y -> module.a.var.y"],
    );
}

#[test]
fn files_are_read_where_the_module_is() {
    let main = "module \"m\" { source = \"./m\" }\noutput \"text\" { value = module.m.text }\noutput \"root\" { value = module.m.root }\n\
        output \"inner\" { value = module.m.inner }\n";
    let m = "module \"inner\" { source = \"../inner\" }\n\
        output \"text\" { value = \"${file(\"${path.module}/a.txt\")}${file(\"a.txt\")}\" }\n\
        output \"root\" { value = file(\"${path.root}/a.txt\") }\n\
        output \"inner\" { value = module.inner.text }\n\
        image \"i\" {\n  type = \"disk\"\n  source = \"images/a.img\"\n}\n";
    let loaded = good(&[
        ("main.hcl", main),
        ("a.txt", "root"),
        ("m/main.hcl", m),
        ("m/a.txt", "m"),
        (
            "inner/x.hcl",
            "output \"text\" { value = templatefile(\"a.tpl\", { n = 1 }) }\n",
        ),
        ("inner/a.tpl", "inner ${n}"),
    ]);
    assert_eq!(output(&loaded, "text"), "\"mm\"");
    assert_eq!(output(&loaded, "root"), "\"root\"");
    assert_eq!(output(&loaded, "inner"), "\"inner 1\"");
    let image = loaded.fleet.images.values().next().unwrap();
    assert_eq!(image.source, "m/images/a.img");
}

#[test]
fn a_mistake_in_a_module_names_the_way_to_it() {
    let main = "module \"outer\" {\n  source   = \"./outer\"\n  for_each = toset([\"a\"])\n}\n";
    let outer = "module \"inner\" {\n  source = \"./inner\"\n  cpus   = { x = -1 }\n}\n";
    wrong(
        &[
            ("main.hcl", main),
            ("outer/main.hcl", outer),
            ("outer/inner/main.hcl", FLAVORS),
        ],
        &[c::WRONG_VALUE],
        &[
            "outer/inner/main.hcl:6:15",
            "in module.outer[\"a\"].module.inner",
            "module.outer[\"a\"].module.inner is called here",
            "found -1",
        ],
    );
}

#[test]
fn calls_are_checked_against_the_module() {
    let call = |body: &str| format!("module \"m\" {{\n  source = \"./m\"\n{body}}}\n");
    let with = |main: &str, expected: &[&str], texts: &[&str]| {
        wrong(
            &[("main.hcl", main), ("m/main.hcl", FLAVORS)],
            expected,
            texts,
        );
    };
    with(
        &call(""),
        &[c::MISSING],
        &["needs a value for `cpus`", "declared without a default"],
    );
    with(
        &call("  cpus = {}\n  cpu = 1\n  version = \"1\"\n"),
        &[c::UNKNOWN_ATTRIBUTE, c::UNKNOWN_ATTRIBUTE],
        &["did you mean `cpus`?", "chosen by ?ref="],
    );
    with(
        &call("  cpus = { a = \"x\" }\n"),
        &[c::VARIABLE_TYPE],
        &["var.cpus has the wrong type", "main.hcl:3:10"],
    );
    with(
        &format!(
            "{}output \"o\" {{ value = module.m.name }}\noutput \"p\" {{ value = module.n.x }}\n",
            call("  cpus = {}\n")
        ),
        &[c::NO_SUCH_ELEMENT, c::UNDECLARED],
        &["did you mean `names`?", "did you mean `m`?"],
    );
    with(
        &format!(
            "{}output \"o\" {{ value = module.m[\"b\"].names }}\n",
            call("  cpus = {}\n  for_each = { a = 1 }\n")
        ),
        &[c::NO_SUCH_INSTANCE],
        &["module.m has no instance \"b\""],
    );
    with(
        "module \"m\" { source = \"m\" }\n",
        &[c::MODULE_SOURCE],
        &["\"./m\""],
    );
    with(
        "module \"m\" { source = \"./${1}\" }\n",
        &[c::MODULE_SOURCE],
        &["without any reference"],
    );
    with(
        "module \"m\" { source = \"./nowhere\" }\n",
        &[c::MODULE_SOURCE],
        &["no such file"],
    );
    with(
        "module \"m\" { source = \"git::https://example.org/r.git?ref=v1\" }\n",
        &[c::NOT_FETCHED],
        &["run `bmctl init`"],
    );
}

#[test]
fn modules_that_contain_themselves_are_shown_as_a_loop() {
    wrong(
        &[
            ("main.hcl", "module \"a\" { source = \"./a\" }\n"),
            ("a/main.hcl", "module \"b\" { source = \"./b\" }\n"),
            ("a/b/main.hcl", "module \"a\" { source = \"../../a\" }\n"),
        ],
        &[c::MODULE_LOOP],
        &["a -> a/b -> a"],
    );
    wrong(
        &[("main.hcl", "module \"a\" { source = \".\" }\n")],
        &[c::MODULE_LOOP],
        &[". -> ."],
    );
}

#[test]
fn a_module_from_a_repository_is_the_one_that_is_locked() {
    let main = "module \"m\" {\n  source = \"git::https://example.org/r.git//sub?ref=v1\"\n}\noutput \"x\" { value = module.m.x }\n";
    let commit = "0123456789012345678901234567890123456789";
    let dir = format!(".bmctl/modules/{commit}");
    let sources = MemorySources::default().file("main.hcl", main).file(
        &format!("{dir}/sub/main.hcl"),
        "output \"x\" { value = 1 }\n",
    );
    let digest = {
        use crate::config::Sources as _;
        sources.tree_digest(&dir).unwrap()
    };
    let lock = format!(
        "module \"git::https://example.org/r.git?ref=v1\" {{\n  commit = \"{commit}\"\n  digest = \"{digest}\"\n}}\n"
    );
    let locked = sources.file(".bmctl.lock.hcl", lock.clone());
    let loaded = load_all(locked.clone(), &[]);
    assert_eq!(codes(&loaded), Vec::<&str>::new(), "{}", rendered(&loaded));
    assert_eq!(output(&loaded, "x"), "1");
    assert_eq!(
        loaded
            .lock
            .to_text()
            .lines()
            .skip(2)
            .collect::<Vec<_>>()
            .join("\n")
            + "\n",
        lock
    );

    let changed = locked.file(
        &format!("{dir}/sub/main.hcl"),
        "output \"x\" { value = 2 }\n",
    );
    let loaded = load_all(changed, &[]);
    assert_eq!(codes(&loaded), [c::LOCK], "{}", rendered(&loaded));
}

#[test]
fn depends_on_may_name_a_module() {
    let main = "module \"m\" {\n  source = \"./m\"\n  cpus = { x = 1, y = 2 }\n}\n\
        module \"n\" {\n  source = \"./m\"\n  cpus = { z = 1 }\n  depends_on = [module.m]\n}\n\
        flavor \"g\" {\n  cpus = 1\n  memory_mb = 1\n  root_gb = 1\n  depends_on = [module.n, module.m.names]\n}\n";
    let loaded = good(&[("main.hcl", main), ("m/main.hcl", FLAVORS)]);
    let needs = |addr: &str| {
        let needs = &loaded.fleet.depends_on[&addr.parse().unwrap()];
        needs.iter().map(Addr::to_string).collect::<Vec<_>>()
    };
    let (x, y, z) = (
        "module.m.flavor.f[\"x\"]",
        "module.m.flavor.f[\"y\"]",
        "module.n.flavor.f[\"z\"]",
    );
    assert_eq!(needs(z), [x, y]);
    assert_eq!(needs("flavor.g"), [x, y, z]);
}

/// A module that is called for nothing, and a block without instances, are read all the same.
#[test]
fn what_has_no_instance_is_still_looked_at() {
    let broken = "flavor \"f\" {\n  count     = 0\n  cpsu      = var.x\n  memory_mb = 1\n  root_gb   = local.y\n}\nvariable \"z\" {\n  default = 1\n}\n";
    let expected = [
        c::MISSING,
        c::UNKNOWN_ATTRIBUTE,
        c::UNDECLARED,
        c::UNDECLARED,
    ];
    wrong(
        &[("main.hcl", broken)],
        &expected,
        &[
            "`cpus` is required",
            "did you mean `cpus`?",
            "there is no var.x",
        ],
    );
    let main = "module \"m\" {\n  source = \"./m\"\n  count  = 0\n}\n";
    wrong(
        &[("main.hcl", main), ("m/m.hcl", broken)],
        &expected,
        &["m/m.hcl:3:3"],
    );
    let fine = "instance \"i\" {\n  count = 0\n  flavor = null\n  image = null\n  dynamic \"address\" {\n    for_each = []\n    content {\n      network = address.value\n    }\n  }\n}\n";
    good(&[("main.hcl", fine)]);
}
