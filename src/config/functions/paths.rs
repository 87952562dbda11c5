//! Paths, sets of files, and digests of files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;

use super::args::{Args, Fail, Param};
use super::files::bytes;
use super::{Function, row};
use crate::config::value::Value;

use Param::String as Str;

pub const TABLE: &[Function] = &[
    row(
        "basename",
        "basename(path)",
        "The last part of a path.",
        ["basename(\"images/jammy.img\")", "\"jammy.img\""],
        &[Str],
        |a| Ok(Value::string(basename(a.text(0)))),
    ),
    row(
        "dirname",
        "dirname(path)",
        "A path without its last part.",
        ["dirname(\"images/jammy.img\")", "\"images\""],
        &[Str],
        |a| {
            let parent = a.text(0).rfind('/').map_or(0, |n| n + 1);
            Ok(Value::string(clean(
                a.text(0).get(..parent).unwrap_or_default(),
            )))
        },
    ),
    row(
        "abspath",
        "abspath(path)",
        "A path from the root of the file system; a relative one starts at the root module.",
        ["startswith(abspath(\"hello.txt\"), \"/\")", "true"],
        &[Str],
        |a| {
            Ok(Value::string(clean(
                &a.scope.world.sources.absolute(&a.scope.path(a.text(0))),
            )))
        },
    ),
    row(
        "pathexpand",
        "pathexpand(path)",
        "A path with the home directory for a leading `~`.",
        ["pathexpand(\"/etc/hosts\")", "\"/etc/hosts\""],
        &[Str],
        pathexpand,
    ),
    row(
        "fileset",
        "fileset(path, pattern)",
        "The files below a directory whose relative paths fit: `*`, `**`, `?`, `[ab]`, `{a,b}`.",
        [
            "fileset(\".\", \"hello.*\")",
            "toset([\"hello.tpl\", \"hello.txt\"])",
        ],
        &[Str, Str],
        fileset,
    ),
    row(
        "filemd5",
        "filemd5(path)",
        "The MD5 of a file in hex.",
        [
            "filemd5(\"hello.txt\")",
            "\"b1946ac92492d2347c6235b4d2611184\"",
        ],
        &[Str],
        |a| Ok(Value::string(hex::encode(md5::Md5::digest(bytes(a, 0)?)))),
    ),
    row(
        "filesha1",
        "filesha1(path)",
        "The SHA-1 of a file in hex.",
        [
            "filesha1(\"hello.txt\")",
            "\"f572d396fae9206628714fb2ce00f72e94f2258f\"",
        ],
        &[Str],
        |a| Ok(Value::string(hex::encode(sha1::Sha1::digest(bytes(a, 0)?)))),
    ),
    row(
        "filesha512",
        "filesha512(path)",
        "The SHA-512 of a file in hex.",
        [
            "substr(filesha512(\"hello.txt\"), 0, 16)",
            "\"e7c22b994c59d9cf\"",
        ],
        &[Str],
        |a| {
            Ok(Value::string(hex::encode(sha2::Sha512::digest(bytes(
                a, 0,
            )?))))
        },
    ),
    row(
        "filebase64sha256",
        "filebase64sha256(path)",
        "The SHA-256 of a file in base64.",
        [
            "filebase64sha256(\"hello.txt\")",
            "\"WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=\"",
        ],
        &[Str],
        |a| {
            Ok(Value::string(
                STANDARD.encode(sha2::Sha256::digest(bytes(a, 0)?)),
            ))
        },
    ),
    row(
        "filebase64sha512",
        "filebase64sha512(path)",
        "The SHA-512 of a file in base64.",
        [
            "substr(filebase64sha512(\"hello.txt\"), 0, 16)",
            "\"58IrmUxZ2c8rSOVJ\"",
        ],
        &[Str],
        |a| {
            Ok(Value::string(
                STANDARD.encode(sha2::Sha512::digest(bytes(a, 0)?)),
            ))
        },
    ),
];

fn basename(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        _ if path.is_empty() => ".",
        _ if trimmed.is_empty() => "/",
        Some(last) => last,
        None => trimmed,
    }
}

/// Without `.`, `..` and doubled slashes, as far as that can be said without looking.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(last) if *last != ".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(".."),
            },
            part => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, rest) => format!("/{rest}"),
        (false, rest) if rest.is_empty() => ".".to_owned(),
        (false, rest) => rest,
    }
}

fn pathexpand(a: &Args<'_>) -> Result<Value, Fail> {
    let path = a.text(0);
    let Some(rest) = path.strip_prefix('~') else {
        return Ok(Value::string(path));
    };
    if !rest.is_empty() && !rest.starts_with('/') {
        let text = "a path may begin with `~` or `~/`; another user's home is not known";
        return Err(Fail::Arg(0, text.to_owned()));
    }
    match a.scope.world.sources.env("HOME") {
        Some(home) => Ok(Value::string(clean(&format!("{home}{rest}")))),
        None => Err(Fail::Source("the environment has no HOME".to_owned())),
    }
}

fn fileset(a: &Args<'_>) -> Result<Value, Fail> {
    let pattern = glob(a.text(1)).ok_or_else(|| {
        Fail::Arg(
            1,
            "this is no pattern: a bracket or a brace has no end".to_owned(),
        )
    })?;
    let names = a.scope.world.sources.below(&a.scope.path(a.text(0)));
    let names = names.map_err(|e| Fail::Source(e.to_string()))?;
    a.spend(names.len() as u64)?;
    let fits = names.iter().filter(|name| pattern.is_match(name));
    Ok(Value::set(fits.map(Value::string).collect()))
}

/// A pattern of paths as a regular expression.
fn glob(pattern: &str) -> Option<regex::Regex> {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let mut out = String::from("^");
    let mut braces = 0_usize;
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let mut used = c.len_utf8();
        match c {
            '*' if rest.starts_with("**/") => {
                out.push_str("(?:.*/)?");
                used = 3;
            }
            '*' if rest.starts_with("**") => {
                out.push_str(".*");
                used = 2;
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => {
                let end = rest.find(']').filter(|end| *end > 1)?;
                let inside = rest.get(1..end)?;
                let (not, inside) = match inside.strip_prefix(['!', '^']) {
                    Some(inside) => ("^/", inside),
                    None => ("", inside),
                };
                let plain = inside.replace('\\', "\\\\").replace('[', "\\[");
                out.push_str(&format!("[{not}{}]", plain.replace('&', "\\&")));
                used = end + 1;
            }
            '{' => {
                braces += 1;
                out.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                out.push(')');
            }
            ',' if braces > 0 => out.push('|'),
            '\\' => {
                let next = rest.get(1..)?.chars().next()?;
                out.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
                used += next.len_utf8();
            }
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
        rest = rest.get(used..)?;
    }
    out.push('$');
    regex::Regex::new(&out).ok().filter(|_| braces == 0)
}
