//! The table against the decoder, the language's page and a real implementation of JSON Schema.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::{BlockSchema, Found, Need, NestedSchema, Takes, blocks, files, find};
use crate::config::codes;
use crate::config::console::Console;
use crate::config::show::show;
use crate::config::sources::MemorySources;
use crate::config::syntax::json::{Property, property};
use crate::config::value::{Data, Entries, Value};
use crate::ids::Kind;

/// One resource of every kind.
const SMALLEST: &str = r#"
network "x" {
  cidr = "10.0.0.0/24"
  dhcp {
    start = "10.0.0.1"
    end   = "10.0.0.2"
  }
}
site "x" {
  network = network.x
  address = "10.0.0.3"
  limits {
    per_label "x" {}
  }
}
flavor "x" {
  cpus      = 1
  memory_mb = 1
  root_gb   = 1
}
image "x" {
  type   = "disk"
  source = "x"
}
node "x" {
  site      = site.x
  arch      = "x86_64"
  cpus      = 1
  memory_mb = 1
  local_gb  = 1
  root_device {}
  serial_console { port = 1 }
  power "ipmi" {
    address  = "10.0.0.4"
    user     = "u"
    password = "p"
  }
}
nic "x" {
  node    = node.x
  network = network.x
  mac     = "52:54:00:00:00:01"
}
instance "x" {
  flavor = flavor.x
  image  = image.x
  address { network = network.x }
  drift {}
}
"#;

fn console(sources: &MemorySources) -> Console<'_> {
    let (console, mistakes) = Console::open(".", &[], sources);
    let told: Vec<_> = mistakes.iter().map(|d| d.message.clone()).collect();
    assert!(told.is_empty(), "{told:?}");
    console
}

/// What the decoder asked for is what it shows to references, defaults included; the table holds the same names.
#[test]
fn the_table_holds_what_the_decoder_asks_for() {
    let sources = MemorySources::default().file("main.hcl", SMALLEST);
    let console = console(&sources);
    for kind in Kind::ALL {
        let value = console.value(&format!("{kind}.x")).unwrap();
        let Data::Resource(resource) = &value.data else {
            panic!("{kind}.x is no resource");
        };
        let block = blocks().find(|b| b.kind() == Some(kind)).unwrap();
        same(block, resource.attributes.as_ref().unwrap(), kind.as_str());
    }
}

fn same(block: &BlockSchema, decoded: &Entries, path: &str) {
    let nested = block.blocks.iter().map(|n| n.block.name);
    let table: BTreeSet<&str> = block
        .attributes
        .iter()
        .map(|a| a.name)
        .chain(nested)
        .collect();
    let found: BTreeSet<&str> = decoded.keys().map(AsRef::as_ref).collect();
    assert_eq!(
        table, found,
        "{path}: the schema is left, the decoder right"
    );
    for attribute in block.attributes {
        let shown = show(&decoded[attribute.name].unmarked_deep());
        match attribute.need {
            Need::Default(text) => {
                let plain = shown.trim_start_matches("to").trim_start_matches("list(");
                let plain: String = plain.split_whitespace().collect::<Vec<_>>().join(" ");
                let plain = plain.replace("tomap({})", "{}").replace("map({})", "{}");
                let plain = plain
                    .replace("[ ", "[")
                    .replace(", ])", "]")
                    .replace("])", "]");
                let plain = match text.starts_with('[') {
                    true => plain,
                    false => plain.trim_matches('"').to_owned(),
                };
                assert_eq!(plain, text, "{path}.{}", attribute.name);
            }
            Need::Optional if attribute.name != "hostname" => {
                assert_eq!(shown, "null", "{path}.{} has a default", attribute.name);
            }
            Need::Optional | Need::Required => {}
        }
    }
    for NestedSchema { block, .. } in block.blocks {
        let value = &decoded[block.name];
        let one: &Value = value.items().map_or(value, |items| &items[0]);
        same(
            block,
            one.entries().unwrap(),
            &format!("{path}.{}", block.name),
        );
    }
}

/// The decoder refuses a resource without what the table calls required, and takes one without the rest.
#[test]
fn required_is_required() {
    for block in blocks().filter(|b| b.kind().is_some()) {
        let text = format!("{} \"x\" {{\n}}\n", block.name);
        let sources = MemorySources::default().file("main.hcl", text);
        let (_, mistakes) = Console::open(".", &[], &sources);
        let told = |name: &str| {
            mistakes
                .iter()
                .any(|d| d.code == codes::MISSING && d.message.contains(&format!("`{name}`")))
        };
        for attribute in block.attributes {
            assert_eq!(
                told(attribute.name),
                attribute.need == Need::Required,
                "{}.{}",
                block.name,
                attribute.name
            );
        }
    }
}

/// A configuration around each block of the table that is no resource (`dynamic` reads nothing after its first mistake); `@` is what stands in the block.
const AROUND: [(&str, &str); 18] = [
    ("bmctl", "bmctl {\n@}"),
    ("variable", "variable \"x\" {\n@}"),
    (
        "variable.validation",
        "variable \"x\" {\n  default = 1\n  validation {\n@  }\n}",
    ),
    ("output", "output \"x\" {\n@}"),
    (
        "output.precondition",
        "output \"x\" {\n  value = 1\n  precondition {\n@  }\n}",
    ),
    ("check", "check \"x\" {\n@}"),
    ("check.assert", "check \"x\" {\n  assert {\n@  }\n}"),
    ("policy", "policy \"x\" {\n@}"),
    ("rollout", "rollout \"x\" {\n@}"),
    ("window", "window \"x\" {\n@}"),
    ("moved", "moved {\n@}"),
    ("removed", "removed {\n@}"),
    (
        "removed.lifecycle",
        "removed {\n  from = node.x\n  lifecycle {\n@  }\n}",
    ),
    ("import", "import {\n@}"),
    (
        "instance.lifecycle",
        "instance \"x\" {\n  lifecycle {\n@  }\n}",
    ),
    (
        "instance.lifecycle.precondition",
        "instance \"x\" {\n  lifecycle {\n    precondition {\n@    }\n  }\n}",
    ),
    (
        "instance.lifecycle.postcondition",
        "instance \"x\" {\n  lifecycle {\n    postcondition {\n@    }\n  }\n}",
    ),
    ("instance", "instance \"x\" {\n@}"),
];

/// Blocks take the attributes and blocks of the table and no others.
#[test]
fn blocks_take_what_the_table_has() {
    for (path, around) in AROUND {
        let Some(Found::Block(block)) = find(path) else {
            panic!("there is no {path}");
        };
        // With these, a null leaves no instance whose block could be read.
        let attributes = block
            .all_attributes()
            .filter(|a| path != "instance" || !matches!(a.name, "for_each" | "count"))
            .map(|a| format!("  {} = null\n", a.name));
        let nested = block.all_blocks().map(|n| {
            let labels = n
                .block
                .labels
                .iter()
                .map(|l| l.words.first().unwrap_or(&"address"));
            let labels: Vec<String> = labels.map(|l| format!(" \"{l}\"")).collect();
            format!("  {}{} {{\n  }}\n", n.block.name, labels.concat())
        });
        let stranger = ["  nope = null\n  nopes {\n  }\n".to_owned()];
        let rows: String = attributes.chain(nested).chain(stranger).collect();
        let sources = MemorySources::default().file("main.hcl", around.replace('@', &rows));
        let (_, mistakes) = Console::open(".", &[], &sources);
        let unknown = mistakes
            .iter()
            .filter(|d| d.code == codes::UNKNOWN_ATTRIBUTE || d.code == codes::UNKNOWN_BLOCK);
        let told: Vec<_> = unknown.map(|d| d.message.as_str()).collect();
        let all: Vec<_> = mistakes.iter().map(|d| d.message.as_str()).collect();
        assert!(
            matches!(told.as_slice(), [_, b] if b.contains("nopes")),
            "{path}: {all:?}"
        );
    }
}

/// Words of the table are taken, others are not.
#[test]
fn words_are_those_of_the_decoder() {
    for block in blocks().filter(|b| b.kind().is_some()) {
        for attribute in block.attributes {
            let (Takes::Words(words), open, close) = (match attribute.takes {
                Takes::ListOf(of) => (*of, "[", "]"),
                other => (other, "", ""),
            }) else {
                continue;
            };
            for (word, right) in words.iter().map(|w| (*w, true)).chain([("nope", false)]) {
                let text = format!(
                    "{} \"x\" {{\n  {} = {open}\"{word}\"{close}\n}}\n",
                    block.name, attribute.name
                );
                let sources = MemorySources::default().file("main.hcl", text);
                let (_, mistakes) = Console::open(".", &[], &sources);
                let refused = mistakes.iter().any(|d| d.code == codes::WRONG_VALUE);
                assert_eq!(
                    !refused, right,
                    "{}.{} = {word}",
                    block.name, attribute.name
                );
            }
        }
    }
}

/// The JSON form takes for blocks, expressions and attributes what the table has as such.
#[test]
fn the_json_form_knows_what_is_a_block() {
    fn below(block: &BlockSchema, around: &mut Vec<&'static str>, wrong: &mut Vec<String>) {
        around.push(block.name);
        for attribute in block.all_attributes() {
            let expected = match attribute.takes {
                Takes::Type | Takes::Address | Takes::Resources | Takes::Attributes => {
                    Property::Expression
                }
                _ => Property::Attribute,
            };
            let found = property(around, attribute.name);
            if found != expected {
                wrong.push(format!("{around:?} {}: {found:?}", attribute.name));
            }
        }
        for nested in block.all_blocks() {
            let found = property(around, nested.block.name);
            let labels = nested.block.labels.len();
            if found != (Property::Block { labels }) {
                wrong.push(format!("{around:?} {}: {found:?}", nested.block.name));
            }
            below(nested.block, around, wrong);
        }
        around.pop();
    }
    let mut wrong = Vec::new();
    for block in blocks() {
        let labels = block.labels.len();
        assert_eq!(property(&[], block.name), Property::Block { labels });
        below(block, &mut Vec::new(), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the JSON Schema takes has no mistake of form: what is left is what only evaluation can know, such as names.
fn mistakes_of_form(text: &str) -> Vec<String> {
    let sources = MemorySources::default().file("main.bmctl.json", text);
    let (_, mistakes) = Console::open(".", &[], &sources);
    let of_form = [
        codes::SYNTAX,
        codes::UNKNOWN_BLOCK,
        codes::UNKNOWN_ATTRIBUTE,
        codes::MISSING,
        codes::WRONG_TYPE,
        codes::LABELS,
        codes::TYPE_CONSTRAINT,
    ];
    let found = mistakes.iter().filter(|d| of_form.contains(&d.code));
    found.map(|d| d.message.clone()).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Every name of a section's first column is in the table and the other way round; what is required is said to be.
#[test]
fn the_page_of_the_language_has_the_same_tables() {
    let page = std::fs::read_to_string(root().join("docs/language.md")).unwrap();
    for block in blocks().filter(|b| b.kind().is_some()) {
        let head = format!("### `{} \"name\"`", block.name);
        let section = page.split(&head).nth(1).expect("a section for every kind");
        let section = section.split("\n#").next().unwrap();
        let mut in_page = BTreeSet::new();
        for row in section.lines().filter(|l| l.starts_with("| `")) {
            let first = row.split('|').nth(1).unwrap();
            let names: Vec<&str> = first.split('`').skip(1).step_by(2).collect();
            for name in &names {
                in_page.extend(names_of(name));
            }
            if let [only] = names.as_slice()
                && let Some(Found::Attribute(attribute)) = find(&format!("{}.{only}", block.name))
            {
                assert_eq!(
                    row.contains("| required |"),
                    attribute.need == Need::Required,
                    "{row}"
                );
            }
        }
        let nested = block.blocks.iter().flat_map(|n| {
            let inner = n.block.attributes.iter();
            inner
                .map(|a| format!("{}.{}", n.block.name, a.name))
                .collect::<Vec<_>>()
        });
        let own = block.attributes.iter().map(|a| a.name.to_owned());
        let table: BTreeSet<String> = own.chain(nested).collect();
        assert_eq!(table, in_page, "{head}: the schema is left, the page right");
    }
}

/// `cidr` is one name; `dhcp { start, end }` is `dhcp.start` and `dhcp.end`.
fn names_of(cell: &str) -> Vec<String> {
    match cell.split_once('{') {
        None => vec![cell.to_owned()],
        Some((head, inner)) => {
            let block = head.split_whitespace().next().unwrap_or_default();
            let names = inner.trim_end_matches('}').split(',');
            names.map(|n| format!("{block}.{}", n.trim())).collect()
        }
    }
}

#[test]
fn written_schemas_are_those_of_the_table() {
    let dir = root().join("schemas");
    let mut expected = BTreeSet::new();
    for (name, content) in files() {
        let found = std::fs::read_to_string(dir.join(&name)).unwrap_or_default();
        assert!(
            found == content,
            "schemas/{name} is stale: run `cargo run -- schema --write schemas`"
        );
        expected.insert(name);
    }
    for entry in std::fs::read_dir(dir.join("blocks")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            expected.contains(&format!("blocks/{name}")),
            "schemas/blocks/{name} is left over"
        );
    }
}

fn schema(name: &str) -> jsonschema::Validator {
    let (_, text) = files().into_iter().find(|(n, _)| n == name).unwrap();
    let parsed: Json = serde_json::from_str(&text).unwrap();
    jsonschema::draft202012::meta::validate(&parsed).unwrap();
    jsonschema::validator_for(&parsed).unwrap()
}

#[test]
fn every_schema_is_one() {
    for (name, _) in files() {
        schema(&name);
    }
}

#[test]
fn the_schema_of_a_file_takes_what_is_right() {
    let all = schema("bmctl.json");
    for right in [
        json!({}),
        json!({ "//": "made by a script", "locals": { "rack": "${csvdecode(file(\"rack.csv\"))}" } }),
        json!({ "variable": { "size": { "type": "map(number)", "default": { "a": 1 }, "nullable": false } } }),
        json!({ "bmctl": { "required_version": ">= 0.1", "state": { "postgres": { "url": "${env(\"PG\")}" } } } }),
        json!({ "network": { "pxe": {
            "cidr": "10.99.0.0/24", "vlan": 12, "dns": ["10.99.0.1", "${local.dns}"],
            "dhcp": { "start": "10.99.0.50", "end": "${cidrhost(\"10.99.0.0/24\", 60)}" } } } }),
        json!({ "node": { "rack": [{
            "for_each": "${local.rack}", "site": "${site.lab}", "arch": "x86_64", "cpus": "${each.value.cpus}",
            "memory_mb": "4096", "local_gb": 10, "labels": { "rack": "r1", "n": 3 }, "maintenance": null,
            "power": { "ipmi": { "address": "10.98.0.1", "user": "admin", "password": "${var.p}" } },
            "lifecycle": { "prevent_destroy": true, "ignore_changes": ["labels"],
                "precondition": [{ "condition": "${true}", "error_message": "no" }] } }] } }),
        json!({ "instance": { "web": { "flavor": "${flavor.f}", "image": "${image.i}", "depends_on": ["network.pxe"],
            "dynamic": { "address": { "for_each": ["${network.a}"], "content": { "network": "${address.value}" } } } } } }),
        json!({ "module": { "rack": { "source": "./modules/rack", "size": 4, "for_each": { "a": 1 } } } }),
        json!({ "moved": [{ "from": "node.a", "to": "node.b" }], "removed": { "from": "node.c", "lifecycle": { "destroy": false } } }),
        json!({ "output": { "o": { "value": [1, { "a": "${node.x}" }], "sensitive": "true" } } }),
        json!({ "check": { "c": { "assert": { "condition": "${1 < 2}", "error_message": "m" } } } }),
        json!({ "import": { "to": "instance.web", "id": "r1-01" } }),
    ] {
        let told: Vec<String> = all.iter_errors(&right).map(|e| e.to_string()).collect();
        assert!(told.is_empty(), "{right:#}\n{told:?}");
        let form = mistakes_of_form(&right.to_string());
        assert!(form.is_empty(), "{right:#}\n{form:?}");
    }
}

#[test]
fn the_schema_of_a_file_refuses_what_is_wrong() {
    let all = schema("bmctl.json");
    let flavor = |change: Json| {
        let mut body = json!({ "cpus": 1, "memory_mb": 1, "root_gb": 1 });
        let fields = body.as_object_mut().unwrap();
        for (name, value) in change.as_object().unwrap() {
            fields.insert(name.clone(), value.clone());
        }
        json!({ "flavor": { "f": body } })
    };
    assert!(all.is_valid(&flavor(json!({}))));
    for wrong in [
        json!({ "flavour": { "f": {} } }),
        json!({ "flavor": { "1f": {} } }),
        json!({ "flavor": { "f": { "cpus": 1 } } }),
        flavor(json!({ "cpus": "many" })),
        flavor(json!({ "cpus": -1 })),
        flavor(json!({ "cpus": 1.5 })),
        flavor(json!({ "cpus": null })),
        flavor(json!({ "memroy_mb": 2 })),
        flavor(json!({ "lifecycle": { "prevent": true } })),
        json!({ "network": { "n": { "cidr": "10.0.0.0/8", "dhcp": [
            { "start": "10.0.0.1", "end": "10.0.0.2" }, { "start": "10.0.0.1", "end": "10.0.0.2" }] } } }),
        flavor(json!({ "for_each": ["a"] })),
        flavor(json!({ "count": [1] })),
        json!({ "network": { "n": { "cidr": "10.0.0.0" } } }),
        json!({ "network": { "n": { "cidr": "10.0.0.0/8", "vlan": 5000 } } }),
        json!({ "nic": { "n": { "node": "node.x", "network": "${network.n}", "mac": "52:54:00:00:00:01" } } }),
        json!({ "nic": { "n": { "node": "${node.x}", "network": "${network.n}", "mac": "52-54" } } }),
        json!({ "node": { "n": { "site": "${site.s}", "arch": "x86_64", "cpus": 1, "memory_mb": 1, "local_gb": 1 } } }),
        json!({ "node": { "n": { "site": "${site.s}", "arch": "x86_64", "cpus": 1, "memory_mb": 1, "local_gb": 1,
            "power": { "redfish": { "address": "1.1.1.1", "user": "u", "password": "p" } } } } }),
        json!({ "image": { "i": { "type": "tar", "source": "x" } } }),
        json!({ "image": { "i": { "type": "disk", "source": "x", "firmware": ["efi"] } } }),
        json!({ "variable": { "v": { "sensitive": "yes" } } }),
        json!({ "output": { "o": {} } }),
        json!({ "moved": { "from": "node.a" } }),
    ] {
        assert!(!all.is_valid(&wrong), "{wrong:#}");
        let sources = MemorySources::default().file("main.bmctl.json", wrong.to_string());
        let (_, mistakes) = Console::open(".", &[], &sources);
        assert!(mistakes.has_errors(), "only the schema refuses {wrong:#}");
    }
}
