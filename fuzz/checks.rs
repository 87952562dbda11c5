//! What must hold for any bytes. The fuzz targets and the quick tests call the same functions.

use bmctl::config::{self, MemorySources};
use bmctl::diag::{Color, FileId, SourceMap};

/// Any text is read to its end, and every report can be shown.
pub fn parser(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut sources = SourceMap::default();
    let file = sources.add("main.hcl", text);
    if let Err(mistakes) = config::format::format(file, text) {
        assert!(!mistakes.is_empty());
        for d in mistakes {
            let shown = d.render(&sources, Color::Never);
            assert!(shown.contains(d.code));
            let place = d.primary.expect("a mistake of syntax has a place").span;
            assert!(place.start <= place.end && place.end as usize <= text.len());
        }
    }
}

/// Small, so that a loop is over soon.
const STEPS: u64 = 100_000;

/// Any directory loads, to a fleet or to reports.
pub fn evaluator(data: &[u8]) {
    let sources = MemorySources::default()
        .file("main.hcl", data)
        .file("more.bmctl.json", data)
        .file("bmctl.vars.hcl", "x = 1\ny = [\"a\", null]\n")
        .file("hello.txt", "hello\n")
        .file("hello.tpl", "%{ for x in y ~}\n${x}\n%{ endfor ~}\n")
        .variable("GREETING", "hello");
    let loaded = config::load_within(".", &[], &sources, STEPS);
    for d in loaded.diagnostics.iter() {
        let _ = d.render(&loaded.sources, Color::Never);
        let _ = d.to_json(&loaded.sources);
    }
}

/// A layout keeps the meaning, and is its own layout.
pub fn layout(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(once) = config::format::format(FileId(0), text) else {
        return;
    };
    assert!(
        config::format::same_meaning(text, &once),
        "the meaning changed"
    );
    let twice = config::format::format(FileId(0), &once);
    assert_eq!(twice.as_deref(), Ok(once.as_str()), "not laid out at once");
}
