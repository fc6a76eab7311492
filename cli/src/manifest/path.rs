//! Paths of fields, `spec.rules[2].match`, and where they lead in a file.

use std::ops::Range;

use super::node::Node;

/// Where a path leads: the key of its last field, or as far as the file has it.
pub(super) fn find(root: &Node, path: &str) -> Range<usize> {
    let mut node = root;
    let mut span = root.span.clone();
    for step in steps(path) {
        match step {
            Step::Field(name) => match node.entry(name) {
                Some(entry) => {
                    span = entry.key_span.clone();
                    node = &entry.value;
                }
                None => break,
            },
            Step::Index(index) => match node.items().get(index) {
                Some(item) => {
                    span = item.span.clone();
                    node = item;
                }
                None => break,
            },
        }
    }
    span
}

enum Step<'a> {
    Field(&'a str),
    Index(usize),
}

fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split(['.', '[']).filter(|part| !part.is_empty()).map(|part| {
        let index = part.strip_suffix(']').and_then(|index| index.parse().ok());
        index.map_or(Step::Field(part), Step::Index)
    })
}
