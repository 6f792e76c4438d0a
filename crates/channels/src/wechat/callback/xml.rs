//! Messages as the platform writes them: one element `xml` and in it one element a field, of text. Read without any expansion: a
//! document that declares anything (DOCTYPE) is refused, and so is any entity but the five of XML itself and characters by number.

use std::{collections::HashMap, io};

use quick_xml::{
    Reader, Writer,
    escape::resolve_xml_entity,
    events::{BytesCData, BytesEnd, BytesRef, BytesStart, BytesText, Event},
};

/// The element around everything.
const ROOT: &str = "xml";
/// How deep elements may lie in each other; those of the platform lie in five at most.
const DEPTH_MAX: usize = 16;

/// A document as far as it has been read.
#[derive(Default)]
struct Document {
    fields: HashMap<String, String>,
    /// The field that is open, and its text so far.
    open: (String, String),
    depth: usize,
    is_over: bool,
}

/// The fields of a document; absent where it is none, has one twice, or holds what is refused.
pub(super) fn read(text: &str) -> Option<HashMap<String, String>> {
    let mut reader = Reader::from_str(text);
    let mut document = Document::default();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => document.start(start.name().as_ref())?,
            Event::Empty(start) => {
                document.start(start.name().as_ref())?;
                document.end()?;
            }
            Event::End(_) => document.end()?,
            Event::Text(text) => document.text(&text)?,
            Event::CData(text) => document.text(&text)?,
            Event::GeneralRef(entity) => document.text(resolved(&entity)?.encode_utf8(&mut [0; 4]))?,
            Event::DocType(_) => return None,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return document.is_over.then_some(document.fields),
        }
    }
}

impl Document {
    fn start(&mut self, name: &str) -> Option<()> {
        let is_right = match self.depth {
            0 => name == ROOT && !self.is_over,
            1 => {
                self.open = (name.to_owned(), String::new());
                true
            }
            depth => depth < DEPTH_MAX,
        };
        self.depth += 1;
        is_right.then_some(())
    }

    fn end(&mut self) -> Option<()> {
        self.depth = self.depth.checked_sub(1)?;
        self.is_over = self.depth == 0;
        let is_twice = self.depth == 1 && {
            let (name, text) = std::mem::take(&mut self.open);
            self.fields.insert(name, text).is_some()
        };
        (!is_twice).then_some(())
    }

    /// What stands in an element of a field says nothing here; outside of everything, only white space may.
    fn text(&mut self, text: &str) -> Option<()> {
        if self.depth == 2 {
            self.open.1.push_str(text);
        }
        (self.depth > 0 || text.trim().is_empty()).then_some(())
    }
}

/// The character that a reference stands for.
fn resolved(entity: &BytesRef<'_>) -> Option<char> {
    match entity.resolve_char_ref().ok()? {
        Some(found) => Some(found),
        None => resolve_xml_entity(entity)?.chars().next(),
    }
}

/// A document with these fields: numbers as they are, texts as CDATA.
///
/// # Errors
/// Never: memory takes what is written.
pub(super) fn written(fields: &[(&str, &str)]) -> io::Result<String> {
    let mut writer = Writer::new(Vec::new());
    writer.write_event(Event::Start(BytesStart::new(ROOT)))?;
    for (name, text) in fields {
        writer.write_event(Event::Start(BytesStart::new(*name)))?;
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            writer.write_event(Event::Text(BytesText::new(text)))?;
        } else {
            for part in BytesCData::escaped(text) {
                writer.write_event(Event::CData(part))?;
            }
        }
        writer.write_event(Event::End(BytesEnd::new(*name)))?;
    }
    writer.write_event(Event::End(BytesEnd::new(ROOT)))?;
    String::from_utf8(writer.into_inner()).map_err(io::Error::other)
}
