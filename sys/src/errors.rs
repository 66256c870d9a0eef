//! The system's errors, in words for an operator.

use std::io;

/// What went wrong, without the number that `std` appends: `address already in use`.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_goes_and_the_words_stay() {
        assert_eq!(reason(&io::Error::from_raw_os_error(nix::libc::EACCES)), "permission denied");
        assert_eq!(reason(&io::Error::other("Not I/O")), "not I/O");
    }
}
