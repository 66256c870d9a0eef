//! The snapshot as one line of JSON: the answer to `status json`, read back by penctl and webstats.

use pen_proto::status::Status;

/// One JSON object and a newline. The field names are those of [`Status`].
pub fn render(status: &Status) -> String {
    // Numbers, strings and lists always have a JSON form; only maps with odd keys do not, and there are none.
    let mut json = serde_json::to_string(status).expect("a status has a JSON form");
    json.push('\n');
    json
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn is_one_line_that_reads_back_as_the_same_snapshot() {
        for status in [samples::busy(), samples::hostile(), Status::default()] {
            let json = render(&status);
            assert_eq!(json.find('\n'), Some(json.len() - 1));
            assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
        }
    }
}
