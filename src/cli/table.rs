//! Tables for the terminal: rows where they fit, else each row as a block of its own.

use comfy_table::{ContentArrangement, Table, presets};

/// Left and right of each cell.
const PADDING: usize = 2;

/// What the terminal has room for; `None` when the answer goes elsewhere, which has no width.
fn room() -> Option<usize> {
    Table::new().width().map(usize::from)
}

/// Ends without a newline.
pub fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    within(room(), header, rows)
}

fn within<const N: usize>(room: Option<usize>, header: [&str; N], rows: &[[String; N]]) -> String {
    let Some(room) = room.map(|room| room.max(1)) else {
        return as_rows(None, header, rows);
    };
    // Words that are broken a little are still read; a column of three letters is not.
    if natural(header, rows) * 3 <= room * 4 {
        as_rows(Some(room), header, rows)
    } else {
        as_blocks(header, rows)
    }
}

fn natural<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> usize {
    let longest = header.iter().enumerate().map(|(at, title)| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        let most = cells.map(|cell| cell.chars().count()).max();
        most.unwrap_or(0).max(title.len()) + PADDING
    });
    longest.sum()
}

fn as_rows<const N: usize>(room: Option<usize>, header: [&str; N], rows: &[[String; N]]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = room.and_then(|room| u16::try_from(room).ok()) {
        table.set_width(width);
    }
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

fn as_blocks<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let longest = header.iter().skip(1).map(|title| title.len()).max();
    let longest = longest.unwrap_or(0);
    let block = |row: &[String; N]| {
        let mut cells = header.iter().zip(row);
        let mut out = cells.next().map_or(String::new(), |(_, name)| name.clone());
        for (title, cell) in cells.filter(|(_, cell)| !cell.is_empty()) {
            out.push_str(&format!("\n  {title:longest$}  {cell}"));
        }
        out
    };
    let blocks: Vec<String> = rows.iter().map(block).collect();
    blocks.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: [&str; 3] = ["run", "began", "by"];

    fn rows() -> [[String; 3]; 2] {
        [
            ["r-1", "2026-01-31", "somebody on a host"].map(str::to_owned),
            ["r-2", "2026-02-01", ""].map(str::to_owned),
        ]
    }

    #[test]
    fn a_wide_terminal_and_a_file_get_rows() {
        let wide = " run  began       by                 \n r-1  2026-01-31  somebody on a host \n r-2  2026-02-01                     ";
        assert_eq!(within(Some(100), HEADER, &rows()), wide);
        assert_eq!(within(None, HEADER, &rows()), wide);
    }

    #[test]
    fn a_narrow_terminal_gets_blocks() {
        let blocks =
            "r-1\n  began  2026-01-31\n  by     somebody on a host\nr-2\n  began  2026-02-01";
        assert_eq!(within(Some(20), HEADER, &rows()), blocks);
        assert_eq!(within(Some(0), HEADER, &rows()), blocks);
    }

    #[test]
    fn what_nearly_fits_is_wrapped_within_the_room() {
        let text = within(Some(34), HEADER, &rows());
        assert!(
            text.lines().all(|line| line.chars().count() <= 34),
            "{text}"
        );
        assert!(text.starts_with(" run "), "{text}");
    }
}
