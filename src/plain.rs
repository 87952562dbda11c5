//! Text from elsewhere, as a terminal and a page may show it. A name or a message with an escape sequence in it could hide the line of a
//! plan that says which disk is lost, and one with a change of direction could say another thing than it is.

/// Each character that steers instead of showing something is told by its number; ends of lines stay.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match steers(c) && c != '\n' {
            true => out.extend(c.escape_unicode()),
            false => out.push(c),
        }
    }
    out
}

/// The same of what is a part of one line.
pub fn plain_line(text: &str) -> String {
    plain(text).replace('\n', "\\n")
}

/// Control characters, and those that turn the direction of what follows (the Unicode bidirectional algorithm, UAX #9, section 2).
pub fn steers(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_told_by_its_number() {
        assert_eq!(
            plain("a\u{1b}[8mb\u{9b}c\r\n"),
            "a\\u{1b}[8mb\\u{9b}c\\u{d}\n"
        );
        assert_eq!(plain_line("S\n1\u{202e}ü"), "S\\n1\\u{202e}ü");
        let harmless = "web[\"ü\"] | ` <b> 日本 👩‍🔧";
        assert_eq!(plain(harmless), harmless);
    }
}
