//! Options with one dash, as Terraform writes them: `-var-file=x` is `--var-file=x`.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::Command;

/// The arguments, with a second dash before every long option that has one. What follows `--` is left alone, and so is whatever
/// is not the name of a long option of some command.
pub fn with_two_dashes(command: &Command, args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut known = BTreeSet::new();
    long_options(command, &mut known);
    let mut over = false;
    let all = args.map(|arg| {
        over |= arg == "--";
        let name = arg.to_str().and_then(|text| text.strip_prefix('-'));
        let name = name.filter(|n| !over && !n.starts_with('-'));
        let is_long = name.is_some_and(|n| known.contains(n.split('=').next().unwrap_or(n)));
        if is_long {
            let mut twice = OsString::from("-");
            twice.push(arg);
            twice
        } else {
            arg
        }
    });
    all.collect()
}

/// Names of more than one letter: `-C` stays what it is.
fn long_options(command: &Command, out: &mut BTreeSet<String>) {
    let own = command.get_arguments().filter_map(clap::Arg::get_long);
    out.extend(own.filter(|name| name.len() > 1).map(str::to_owned));
    for inner in command.get_subcommands() {
        long_options(inner, out);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn long_options_may_have_one_dash() {
        let given = [
            "bmctl",
            "-C",
            "d",
            "plan",
            "-var-file=a",
            "-var",
            "x=-var",
            "--var",
            "y=1",
            "-z",
            "-",
            "--",
            "-var",
        ];
        let found = with_two_dashes(
            &crate::cli::Cli::command(),
            given.iter().map(OsString::from),
        );
        let expected = [
            "bmctl",
            "-C",
            "d",
            "plan",
            "--var-file=a",
            "--var",
            "x=-var",
            "--var",
            "y=1",
            "-z",
            "-",
            "--",
            "-var",
        ];
        assert_eq!(found, expected.map(OsString::from));
    }
}
