//! Names of members in place of their ids: nodes know each other by ids only, people know them by their names.

use starling::ids::NodeId;

/// A text with names in place of the ids of members, `n7`.
pub(crate) fn with_names<'a>(text: &str, name_of: impl Fn(NodeId) -> Option<&'a str>) -> String {
    let is_part = |part: char| part.is_ascii_alphanumeric() || part == '_';
    let mut named = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, word) = rest.split_at(start);
        let (word, after) = word.split_at(word.find(|part| !is_part(part)).unwrap_or(word.len()));
        let id = word.strip_prefix('n').and_then(|id| id.parse().ok()).map(NodeId);
        // A number in another form is no id.
        let id = id.filter(|id| id.to_string() == word);
        named.push_str(before);
        named.push_str(id.and_then(&name_of).unwrap_or(word));
        rest = after;
    }
    named + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_the_names_of_nodes_wherever_an_id_stands() {
        let name_of = |id: NodeId| match id.0 {
            1 => Some("a"),
            12 => Some("n1"),
            _ => None,
        };
        for (text, named) in [
            ("1 of 2 answers (n1: disk below its reserve)", "1 of 2 answers (a: disk below its reserve)"),
            ("node n12 was lost, n1 too", "node n1 was lost, a too"),
            ("n3, n01, xn1, n1x and an1_n1 are no members", "n3, n01, xn1, n1x and an1_n1 are no members"),
            ("n1", "a"),
            ("", ""),
            ("…n1…", "…a…"),
        ] {
            assert_eq!(with_names(text, name_of), named);
        }
    }
}
