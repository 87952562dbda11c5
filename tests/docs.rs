//! What the documents show is true: every block marked `hcl` loads without a mistake; `hcl part` has no mistake of syntax and
//! may lean on what is not shown; `hcl wrong` has at least one mistake. The examples load too.

use std::path::{Path, PathBuf};

use bmctl::config;

use crate::fleet::{load, rendered};

/// Mistakes of syntax, which no text around a part could mend.
const SYNTAX: &str = "E01";

struct Block {
    place: String,
    mark: String,
    text: String,
}

fn documents() -> Vec<PathBuf> {
    fn below(dir: &Path, out: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(dir) else {
            return;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(&path, out);
            } else if path.extension().is_some_and(|e| e == "md") {
                out.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut out = Vec::new();
    for folder in ["docs", "modules", "examples"] {
        below(&root.join(folder), &mut out);
    }
    let files = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|f| root.join(f));
    out.extend(files.into_iter().filter(|f| f.exists()));
    out.sort();
    out
}

fn blocks(name: &str, text: &str) -> Vec<Block> {
    let mut out: Vec<Block> = Vec::new();
    let mut open: Option<(String, Block)> = None;
    for (n, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        match &mut open {
            Some((fence, _)) if bare.trim_end() == fence => {
                out.extend(open.take().map(|(_, block)| block));
            }
            Some((_, block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            None if bare.starts_with("```") => {
                let ticks = bare.len() - bare.trim_start_matches('`').len();
                let block = Block {
                    place: format!("{name}:{}", n + 1),
                    mark: bare[ticks..].trim().to_owned(),
                    text: String::new(),
                };
                open = Some((bare[..ticks].to_owned(), block));
            }
            None => {}
        }
    }
    assert!(open.is_none(), "{name}: a block is never closed");
    out
}

/// What is wrong with a block, if anything.
fn check(block: &Block) -> Option<String> {
    let loaded = load(&[("main.hcl", &block.text)]);
    let errors: Vec<_> = loaded.diagnostics.iter().filter(|d| d.is_error()).collect();
    let wrong = match block.mark.as_str() {
        "hcl" => !errors.is_empty(),
        "hcl part" => errors.iter().any(|d| d.code.starts_with(SYNTAX)),
        "hcl wrong" => errors.is_empty(),
        _ => false,
    };
    wrong.then(|| {
        let told = rendered(errors.into_iter(), &loaded);
        format!("{} ({}):\n{told}", block.place, block.mark)
    })
}

#[test]
fn configurations_in_documents_are_right() {
    let documents = documents();
    assert!(!documents.is_empty(), "no document was found");
    let mut wrong = Vec::new();
    for path in documents {
        let text = std::fs::read_to_string(&path).unwrap();
        let found = blocks(&path.display().to_string(), &text);
        wrong.extend(found.iter().filter_map(check));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_wrong_block_is_seen() {
    let text = "a\n```hcl\nnetwork \"n\" { cidr = \"10.0.0.0/8\" }\n```\n\
        ```hcl\nflavor \"f\" {}\n```\n```hcl part\nsite \"s\" { network = network.n }\n```\n\
        ```hcl part\nsite {{\n```\n```hcl wrong\nnetwork \"n\" { cidr = \"10.0.0.0/8\" }\n```\n```sh\nflavor\n```\n";
    let told: Vec<bool> = blocks("x", text)
        .iter()
        .map(|b| check(b).is_some())
        .collect();
    assert_eq!(told, [false, true, false, true, true, false]);
}

/// The quickstart loads. What `bmctl rack up` writes beside it is not there yet, and is not needed for that.
#[test]
fn the_quickstart_loads() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/main.hcl");
    let text = std::fs::read_to_string(file).unwrap();
    let loaded = load(&[("main.hcl", &text)]);
    let told = rendered(loaded.diagnostics.iter(), &loaded);
    assert!(told.is_empty(), "{told}");
}

/// The table of functions in the language's page is the table of the program.
#[test]
fn every_function_is_in_the_page_of_the_language() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/language.md");
    let text = std::fs::read_to_string(page).unwrap();
    let mut count = 0;
    for [_, signature, doc, ..] in config::functions() {
        let row = format!("| `{signature}` | {doc} |");
        assert!(text.contains(&row), "{row}");
        count += 1;
    }
    assert!(count > 80);
}
