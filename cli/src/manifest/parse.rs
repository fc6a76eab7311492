//! YAML (and so JSON) to nodes. Duplicate keys are mistakes, aliases are copied, `<<` merges; a
//! document that does not parse does not keep the next one from being read.

use std::{collections::HashMap, ops::Range};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::{
    Problem, Source,
    node::{Content, Entry, Node},
    problem, scalar,
};

/// Aliases may blow a document up to this many values, no further.
const MAX_VALUES: usize = 100_000;

/// The documents of a file; the empty ones are left out.
pub(super) fn documents(source: &Source, problems: &mut Vec<Problem>) -> Vec<Node> {
    let mut options = granit_parser::options! {};
    options.set_emit_comments(false);
    let mut reader = Reader {
        source,
        parser: Parser::new_from_str_with_options(&source.text, options),
        anchors: HashMap::new(),
        copied: 0,
        problems,
    };
    let mut documents = Vec::new();
    loop {
        match reader.document() {
            Ok(Some(node)) if node.content == Content::Null => {}
            Ok(Some(node)) => documents.push(node),
            Ok(None) => return documents,
            Err(error) => {
                reader.broken(&error);
                if !matches!(reader.parser.proceed_next_document(), Ok(true)) {
                    return documents;
                }
            }
        }
    }
}

struct Reader<'a> {
    source: &'a Source,
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    copied: usize,
    problems: &'a mut Vec<Problem>,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    /// The next document's root.
    fn document(&mut self) -> Result<Option<Node>, ScanError> {
        self.anchors.clear();
        self.copied = 0;
        while let Some(next) = self.parser.next_event() {
            let (event, span) = next?;
            if event.is_node() {
                return self.node(event, &span).map(Some);
            }
        }
        Ok(None)
    }

    fn node(&mut self, event: Event<'a>, span: &Span) -> Result<Node, ScanError> {
        let start = offset(span).start;
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let content = content(&text, style, tag.as_deref());
                (anchor, Node { span: offset(span), content })
            }
            Event::SequenceStart(_, anchor, _) => (anchor, self.list(start)?),
            Event::MappingStart(_, anchor, _) => (anchor, self.map(start)?),
            Event::Alias(anchor) => (0, self.alias(anchor, offset(span))),
            _ => (0, Node { span: offset(span), content: Content::Null }),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, start: usize) -> Result<Node, ScanError> {
        let mut items = Vec::new();
        let mut end = start;
        while let Some(next) = self.parser.next_event() {
            let (event, span) = next?;
            if event == Event::SequenceEnd {
                end = end.max(closing(&span, self.source));
                break;
            }
            let item = self.node(event, &span)?;
            end = end.max(item.span.end);
            items.push(item);
        }
        Ok(Node { span: start..end, content: Content::List(items) })
    }

    fn map(&mut self, start: usize) -> Result<Node, ScanError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        let mut end = start;
        while let Some(next) = self.parser.next_event() {
            let (event, span) = next?;
            if event == Event::MappingEnd {
                end = end.max(closing(&span, self.source));
                break;
            }
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.key(event, &span)?;
            let Some(next) = self.parser.next_event() else { break };
            let (event, span) = next?;
            let value = self.node(event, &span)?;
            end = end.max(value.span.end);
            let Some((key, key_span)) = key else { continue };
            if merge {
                self.merge(&value, &mut merged);
            } else if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                let place = problem::at(self.source, first.key_span.start);
                self.problem(
                    &key_span,
                    format!("`{key}` stands twice in one map"),
                    format!("the first is at {place}"),
                );
            } else {
                entries.push(Entry { key, key_span, value });
            }
        }
        for entry in merged {
            if !entries.iter().any(|own| own.key == entry.key) {
                entries.push(entry);
            }
        }
        Ok(Node { span: start..end, content: Content::Map(entries) })
    }

    /// A map's key. JSON has only strings there: a number is taken as it is written, and an
    /// unquoted `on` is `true`, since kubectl reads it so.
    fn key(&mut self, event: Event<'a>, span: &Span) -> Result<Option<(String, Range<usize>)>, ScanError> {
        let place = offset(span);
        match event {
            Event::Scalar(text, style, _, tag) => Ok(Some(match content(&text, style, tag.as_deref()) {
                Content::Bool(value) => (value.to_string(), place),
                _ => (text.into_owned(), place),
            })),
            other => {
                let node = self.node(other, span)?;
                if let Some(text) = node.text() {
                    return Ok(Some((text.to_owned(), place)));
                }
                let what = format!("{} cannot be the key of a map", node.type_name());
                self.problem(&node.span, what, "a key is a string".to_owned());
                Ok(None)
            }
        }
    }

    fn alias(&mut self, anchor: usize, place: Range<usize>) -> Node {
        let nothing = Node { span: place.clone(), content: Content::Null };
        let Some(node) = self.anchors.get(&anchor) else {
            self.problem(&place, "a value cannot contain itself".to_owned(), String::new());
            return nothing;
        };
        self.copied += node.count();
        if self.copied > MAX_VALUES {
            let what = format!("the aliases of this document stand for more than {MAX_VALUES} values");
            self.problem(&place, what, String::new());
            return nothing;
        }
        node.clone()
    }

    /// `<<: *other`, or a list of such.
    fn merge(&mut self, value: &Node, merged: &mut Vec<Entry>) {
        match &value.content {
            Content::Map(entries) => {
                for entry in entries {
                    if !merged.iter().any(|earlier| earlier.key == entry.key) {
                        merged.push(entry.clone());
                    }
                }
            }
            Content::List(items) => items.iter().for_each(|item| self.merge(item, merged)),
            _ => {
                let what = format!("`<<` takes a map, and this is {}", value.type_name());
                self.problem(&value.span, what, String::new());
            }
        }
    }

    fn problem(&mut self, span: &Range<usize>, what: String, remedy: String) {
        let problem = Problem::new(self.source, span, what);
        self.problems.push(if remedy.is_empty() { problem } else { problem.remedy(remedy) });
    }

    fn broken(&mut self, error: &ScanError) {
        let at = error.marker().byte_offset().unwrap_or(0);
        self.problem(&(at..at + 1), format!("this is not YAML: {}", error.info()), String::new());
    }
}

fn content(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Content {
    let string = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
    if style == ScalarStyle::Plain && !string { scalar::plain(text) } else { Content::Text(text.to_owned()) }
}

fn offset(span: &Span) -> Range<usize> {
    span.byte_range().unwrap_or(0..0)
}

/// The end of `]` or `}`; a block has none of its own.
fn closing(span: &Span, source: &Source) -> usize {
    match span.slice(&source.text) {
        Some("]" | "}") => offset(span).end,
        _ => 0,
    }
}
