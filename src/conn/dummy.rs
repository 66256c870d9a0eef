//! `dummy`: pen answers by itself, for tests and the demonstration.

/// The answer to whatever a client sends; without a name byte for byte that of the original Pen.
pub fn answer(name: Option<&str>) -> String {
    let text = name.unwrap_or("Ulric was here.");
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type: text/html\r\n\r\n{text}", text.len())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_default_answer_is_pens() {
        let original =
            "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nContent-Type: text/html\r\n\r\nUlric was here.";
        assert_eq!(super::answer(None), original);
        assert!(
            super::answer(Some("server 1\n"))
                .ends_with("Content-Length: 9\r\nContent-Type: text/html\r\n\r\nserver 1\n")
        );
    }
}
