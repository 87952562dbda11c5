//! The header page of a swap area, as `mkswap` writes it (version 1).

use super::TableError;

pub const PAGE: usize = 4096;
const MAGIC: &[u8; 10] = b"SWAPSPACE2";
/// The kernel takes nothing smaller than ten pages.
const PAGES_MIN: u64 = 10;

/// The first page of an area of `bytes`. The rest of it needs no content.
pub fn header(bytes: u64, uuid: [u8; 16], label: &str) -> Result<Vec<u8>, TableError> {
    let pages = bytes / PAGE as u64;
    let last = u32::try_from(pages.saturating_sub(1)).unwrap_or(u32::MAX);
    if pages < PAGES_MIN {
        return Err(TableError(format!(
            "{bytes} bytes are too few for a swap area"
        )));
    }
    let mut page = vec![0; PAGE];
    page[1024..1028].copy_from_slice(&1u32.to_le_bytes());
    page[1028..1032].copy_from_slice(&last.to_le_bytes());
    page[1036..1052].copy_from_slice(&uuid);
    // 16 bytes, the last of which stays zero.
    for (place, byte) in page[1052..1067].iter_mut().zip(label.bytes()) {
        *place = byte;
    }
    page[PAGE - MAGIC.len()..].copy_from_slice(MAGIC);
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_is_counted_from_zero() {
        let page = header(64 << 20, [7; 16], "swap1").unwrap();
        assert_eq!(page[1028..1032], 16383u32.to_le_bytes());
        assert!(page.ends_with(MAGIC));
        assert!(header(4096, [7; 16], "swap1").is_err());
    }
}
