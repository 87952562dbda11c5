//! Where a module's text comes from: `source = "./rack"` or `source = "git::https://example.org/racks.git//rack?ref=v1"`.

use std::fmt;

/// A module's `source`, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModuleSource {
    /// A directory, from that of the module that calls it.
    Local(String),
    Git(GitSource),
}

/// A repository, a place in it, and a branch, tag or commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GitSource {
    /// As git understands it.
    pub url: String,
    pub reference: Option<String>,
    /// A directory in the repository; empty for its top.
    pub subdir: String,
}

/// Hosts whose addresses are understood without a scheme.
const HOSTS: [&str; 3] = ["github.com/", "gitlab.com/", "bitbucket.org/"];

/// A name in front of `@` that is so long is an access token: hosts take one there, and it would come into the lock file.
const TOKEN_LENGTH_MIN: usize = 20;

const FORMS: &str = "expected a directory such as \"./rack\" or a repository such as \"git::https://example.org/racks.git//rack?ref=v1.2\"";

impl ModuleSource {
    /// The error says what was expected.
    pub fn parse(text: &str) -> Result<ModuleSource, String> {
        if text == "." || text == ".." || text.starts_with("./") || text.starts_with("../") {
            return Ok(ModuleSource::Local(text.to_owned()));
        }
        if let Some(rest) = text.strip_prefix("git::") {
            return git(rest).map(ModuleSource::Git);
        }
        if text.starts_with("git@") {
            return git(text).map(ModuleSource::Git);
        }
        if HOSTS.iter().any(|h| text.starts_with(h)) {
            return git(&format!("https://{text}")).map(ModuleSource::Git);
        }
        if text.starts_with('/') {
            return Err(format!(
                "{FORMS}; an absolute path is another one on each machine"
            ));
        }
        if !text.contains(':') && !text.is_empty() {
            return Err(format!(
                "{FORMS}; a directory beside the file is \"./{text}\""
            ));
        }
        Err(FORMS.to_owned())
    }
}

fn git(text: &str) -> Result<GitSource, String> {
    let (place, query) = match text.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (text, None),
    };
    let mut reference = None;
    for part in query.into_iter().flat_map(|q| q.split('&')) {
        match part.split_once('=') {
            Some(("ref", name)) if is_reference(name) => reference = Some(name.to_owned()),
            Some(("ref", name)) => {
                return Err(format!(
                    "expected a branch, tag or commit after ref=, found `{name}`"
                ));
            }
            _ => {
                return Err(format!(
                    "expected ?ref=NAME and nothing else, found `{part}`"
                ));
            }
        }
    }
    let after_scheme = place.find("://").map_or(0, |at| at + 3);
    let (url, subdir) = match place.get(after_scheme..).and_then(|rest| rest.find("//")) {
        Some(at) => {
            let (url, subdir) = place.split_at(after_scheme + at);
            (url, subdir.trim_matches('/'))
        }
        None => (place, ""),
    };
    if url.len() <= after_scheme || url.starts_with('-') {
        return Err(FORMS.to_owned());
    }
    if url.starts_with('.') {
        return Err("expected the address of a repository, found a relative path, which another clone would not have: git::file:///srv/racks.git is one on this machine".to_owned());
    }
    if subdir.split('/').any(|part| part == "..") {
        return Err(
            "expected a directory in the repository after `//`, found one with `..`".to_owned(),
        );
    }
    let user = url
        .get(after_scheme..)
        .and_then(|rest| rest.split_once('@'));
    if user.is_some_and(|(user, _)| user.contains(':') || user.len() >= TOKEN_LENGTH_MIN) {
        return Err(
            "a password in an address would be seen by everyone; git's credential helpers hold it"
                .to_owned(),
        );
    }
    Ok(GitSource {
        url: url.to_owned(),
        reference,
        subdir: subdir.to_owned(),
    })
}

/// What git may be handed as a name: never something it would read as an option.
fn is_reference(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '+'))
}

impl GitSource {
    /// What the lock file knows it by: directories of one repository at one reference share a checkout.
    pub fn repository(&self) -> String {
        match &self.reference {
            Some(reference) => format!("git::{}?ref={reference}", self.url),
            None => format!("git::{}", self.url),
        }
    }
}

impl fmt::Display for GitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "git::{}", self.url)?;
        if !self.subdir.is_empty() {
            write!(f, "//{}", self.subdir)?;
        }
        match &self.reference {
            Some(reference) => write!(f, "?ref={reference}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read() {
        for (text, url, reference, subdir) in [
            (
                "git::https://example.org/racks.git",
                "https://example.org/racks.git",
                None,
                "",
            ),
            (
                "git::https://example.org/racks.git//a/b?ref=v1.2",
                "https://example.org/racks.git",
                Some("v1.2"),
                "a/b",
            ),
            (
                "git::file:///srv/racks.git//rack",
                "file:///srv/racks.git",
                None,
                "rack",
            ),
            (
                "git@example.org:org/racks.git//rack?ref=main",
                "git@example.org:org/racks.git",
                Some("main"),
                "rack",
            ),
            (
                "github.com/org/racks//rack",
                "https://github.com/org/racks",
                None,
                "rack",
            ),
            (
                "git::ssh://git@example.org/racks",
                "ssh://git@example.org/racks",
                None,
                "",
            ),
        ] {
            let expected = GitSource {
                url: url.to_owned(),
                reference: reference.map(str::to_owned),
                subdir: subdir.to_owned(),
            };
            assert_eq!(
                ModuleSource::parse(text),
                Ok(ModuleSource::Git(expected)),
                "{text}"
            );
        }
        assert_eq!(
            ModuleSource::parse("../x"),
            Ok(ModuleSource::Local("../x".to_owned()))
        );
    }

    #[test]
    fn what_is_no_source_is_refused() {
        for (text, why) in [
            ("", "expected a directory"),
            ("rack", "\"./rack\""),
            ("/srv/rack", "absolute"),
            ("hashicorp/consul/aws", "expected a directory"),
            ("https://example.org/a.zip", "expected a directory"),
            ("git::https://u:p@example.org/a.git", "password"),
            (
                "git::https://ghp_0123456789abcdefghij@example.org/a.git",
                "password",
            ),
            ("git::../a.git//rack", "relative path"),
            ("git::https://example.org/a.git?depth=1", "?ref=NAME"),
            (
                "git::https://example.org/a.git?ref=--upload-pack=x",
                "branch, tag or commit",
            ),
            ("git::--upload-pack=x", "expected a directory"),
            ("git::https://example.org/a.git//../b", "`..`"),
        ] {
            let error = ModuleSource::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
