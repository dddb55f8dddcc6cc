//! Words that somebody else chose, and how much of them is kept.

use std::borrow::Cow;

/// What stands for the rest.
const MARK: &str = "…";

/// The text, or as much of its beginning as makes so many bytes with a mark that says so.
#[must_use]
pub fn shortened(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(bytes_max.saturating_sub(MARK.len()));
    Cow::Owned(format!("{}{MARK}", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_a_character_and_says_so() {
        assert_eq!(shortened("short", 5), "short");
        assert_eq!(shortened("longer", 5), "lo…");
        assert_eq!(shortened("ääää", 7), "ää…");
        assert_eq!(shortened("ääää", 6), "ä…");
        assert_eq!(shortened(&"x".repeat(2_000), 1_024).len(), 1_024);
    }
}
