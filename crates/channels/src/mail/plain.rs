//! The plain-text alternative of an HTML mail: one pass over the text, no tree, no recursion, so that hostile HTML costs no
//! more than honest HTML of its size. What it yields is a courtesy to readers without HTML, not a rendering.

/// How much of the HTML is read, in bytes: a reader without HTML is served by less, and a large mail must not become twice
/// as large.
pub(super) const INPUT_MAX: usize = 256 * 1024;
/// What ends a text that is not all.
const CUT: &str = "\n\n[…]";
/// The longest name of an element that is known here.
const NAME_MAX: usize = 10;
/// The longest name of a character reference that is known here.
const REFERENCE_MAX: usize = 10;
/// Named character references (HTML section 13.5) that mails use.
const REFERENCES: [(&str, &str); 31] = [
    ("amp", "&"),
    ("lt", "<"),
    ("gt", ">"),
    ("quot", "\""),
    ("apos", "'"),
    ("nbsp", "\u{a0}"),
    ("ensp", "\u{2002}"),
    ("emsp", "\u{2003}"),
    ("copy", "©"),
    ("reg", "®"),
    ("trade", "™"),
    ("hellip", "…"),
    ("mdash", "—"),
    ("ndash", "–"),
    ("lsquo", "‘"),
    ("rsquo", "’"),
    ("ldquo", "“"),
    ("rdquo", "”"),
    ("laquo", "«"),
    ("raquo", "»"),
    ("bull", "•"),
    ("middot", "·"),
    ("times", "×"),
    ("deg", "°"),
    ("euro", "€"),
    ("yen", "¥"),
    ("pound", "£"),
    ("rarr", "→"),
    ("larr", "←"),
    ("check", "✓"),
    ("zwnj", "\u{200c}"),
];

/// The text of `html`.
pub(super) fn from_html(html: &str) -> String {
    let read = &html[..html.floor_char_boundary(INPUT_MAX)];
    let mut text = Text { out: String::with_capacity(read.len() / 2), gap: Gap::None, pre: 0, link: None };
    let mut rest = read;
    while let Some(at) = rest.find('<') {
        text.push(&rest[..at]);
        let markup = &rest[at..];
        rest = if let Some(comment) = markup.strip_prefix("<!--") {
            after(comment, "-->")
        } else if markup[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
            let (tag, after_tag) = markup[1..].split_at(tag_end(&markup[1..]));
            text.tag(tag, after_tag.strip_prefix('>').unwrap_or_default())
        } else {
            text.push("<");
            &markup[1..]
        };
    }
    text.push(rest);
    text.out.truncate(text.out.trim_end().len());
    if read.len() < html.len() {
        text.out.push_str(CUT);
    }
    text.out
}

/// What stands between what is written and what comes next. The greater one wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Space,
    Line,
    Paragraph,
}

/// What an element stands apart by, at its beginning and at its end.
fn gap_around(name: &str) -> Gap {
    match name {
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "dl" | "table" | "blockquote" | "pre" | "hr" => {
            Gap::Paragraph
        }
        "div" | "li" | "tr" | "dt" | "dd" | "section" | "article" | "header" | "footer" | "main" | "nav" | "form"
        | "fieldset" | "figure" | "address" | "option" | "center" | "body" => Gap::Line,
        _ => Gap::None,
    }
}

struct Text<'a> {
    out: String,
    gap: Gap,
    /// How many `pre` are open: white space counts while any is.
    pre: u32,
    /// The target of the open link, and where its text begins.
    link: Option<(&'a str, usize)>,
}

impl<'a> Text<'a> {
    /// Handles a tag (what stands between its brackets) and answers where reading goes on.
    fn tag(&mut self, tag: &'a str, rest: &'a str) -> &'a str {
        let (is_end, tag) = tag.strip_prefix('/').map_or((false, tag), |tag| (true, tag));
        let name_end = tag.bytes().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(tag.len());
        let (name, attributes) = tag.split_at(name_end);
        let mut lower = [0; NAME_MAX];
        let Some(lower) = lower.get_mut(..name.len()) else { return rest };
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        let name = std::str::from_utf8(lower).unwrap_or_default();
        self.widen(gap_around(name));
        match (name, is_end) {
            ("br", _) => self.line_break(),
            ("li", false) => self.word("- "),
            ("hr", false) => {
                self.word("---");
                self.widen(Gap::Paragraph);
            }
            ("td" | "th", false) => self.widen(Gap::Space),
            ("pre", false) => self.pre += 1,
            ("pre", true) => self.pre = self.pre.saturating_sub(1),
            ("a", false) => self.link = attribute(attributes, "href").map(|href| (href, self.out.len())),
            ("a", true) => self.end_link(),
            ("img", false) => self.push(attribute(attributes, "alt").unwrap_or_default()),
            ("script" | "style" | "head" | "title" | "template", false) => return after_end_tag(rest, name),
            _ => {}
        }
        rest
    }

    /// Adds text, its character references decoded, its white space collapsed.
    fn push(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find('&') {
            self.push_decoded(&rest[..at]);
            let (decoded, length) = reference(&rest[at..]);
            self.push_decoded(decoded.as_str());
            rest = &rest[at + length..];
        }
        self.push_decoded(rest);
    }

    fn push_decoded(&mut self, text: &str) {
        if self.pre > 0 {
            if !text.is_empty() {
                self.word(text);
            }
            return;
        }
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|b| b.is_ascii_whitespace()) {
            let (word, after) = rest.split_at(at);
            if !word.is_empty() {
                self.word(word);
            }
            self.widen(Gap::Space);
            rest = &after[1..];
        }
        if !rest.is_empty() {
            self.word(rest);
        }
    }

    /// Adds `word` after the gap that is due.
    fn word(&mut self, word: &str) {
        let gap = if self.out.is_empty() { Gap::None } else { self.gap };
        match gap {
            Gap::None => {}
            Gap::Space if self.out.ends_with(['\n', ' ']) => {}
            Gap::Space => self.out.push(' '),
            Gap::Line if self.out.ends_with('\n') => {}
            Gap::Line => self.out.push('\n'),
            Gap::Paragraph => self.out.push_str(if self.out.ends_with('\n') { "\n" } else { "\n\n" }),
        }
        self.gap = Gap::None;
        self.out.push_str(word);
    }

    fn widen(&mut self, gap: Gap) {
        self.gap = self.gap.max(gap);
    }

    fn line_break(&mut self) {
        if self.gap == Gap::Space {
            self.gap = Gap::None;
        }
        self.word("");
        self.out.push('\n');
    }

    /// Names the target of a link behind its text, where it is one to follow and not the text itself.
    fn end_link(&mut self) {
        let Some((href, from)) = self.link.take() else { return };
        let is_followed = ["http://", "https://", "mailto:"].iter().any(|scheme| href.starts_with(scheme));
        let shown = self.out.get(from..).unwrap_or_default().trim();
        if is_followed && shown != href && href.strip_prefix("mailto:") != Some(shown) {
            self.widen(Gap::Space);
            self.word("(");
            self.push(href);
            self.word(")");
        }
    }
}

/// The value of an attribute in a tag.
fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = attributes;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            return None;
        }
        let key_end = rest.find(|c: char| c.is_ascii_whitespace() || c == '=').unwrap_or(rest.len());
        let (key, after_key) = rest.split_at(key_end);
        let Some(value) = after_key.trim_start().strip_prefix('=') else {
            rest = after_key;
            continue;
        };
        let (value, after_value) = attribute_value(value.trim_start());
        if key.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = after_value;
    }
}

/// A value, quoted or not, and what follows it.
fn attribute_value(text: &str) -> (&str, &str) {
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => text[1..].split_once(quote).unwrap_or((&text[1..], "")),
        _ => text.split_at(text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len())),
    }
}

/// Where the `>` is that ends a tag: not one inside a quoted value. The end of the text where there is none.
fn tag_end(tag: &str) -> usize {
    let mut quote = None;
    let mut before = b' ';
    for (at, b) in tag.bytes().enumerate() {
        match (quote, b) {
            (None, b'>') => return at,
            (None, b'"' | b'\'') if before == b'=' => quote = Some(b),
            (Some(open), b) if open == b => quote = None,
            _ => {}
        }
        if !b.is_ascii_whitespace() {
            before = b;
        }
    }
    tag.len()
}

fn after<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

/// What follows the end tag of `name`; nothing where there is none.
fn after_end_tag<'a>(text: &'a str, name: &str) -> &'a str {
    let end = text.match_indices("</").find(|(at, _)| {
        text.get(at + 2..at + 2 + name.len()).is_some_and(|candidate| candidate.eq_ignore_ascii_case(name))
    });
    end.map_or("", |(at, _)| after(&text[at..], ">"))
}

/// A decoded character reference.
enum Decoded {
    Known(&'static str),
    Char(char, [u8; 4]),
}

impl Decoded {
    fn as_str(&self) -> &str {
        match self {
            Self::Known(text) => text,
            Self::Char(c, bytes) => std::str::from_utf8(&bytes[..c.len_utf8()]).unwrap_or_default(),
        }
    }
}

/// The character reference at the start of `text`, which begins with `&`, and its length; `&` itself where it is none.
fn reference(text: &str) -> (Decoded, usize) {
    let none = (Decoded::Known("&"), 1);
    let Some(end) = text.bytes().take(REFERENCE_MAX + 2).position(|b| b == b';') else { return none };
    let name = &text[1..end];
    let Some(number) = name.strip_prefix('#') else {
        let known = REFERENCES.iter().find(|(known, _)| *known == name);
        return known.map_or(none, |(_, decoded)| (Decoded::Known(decoded), end + 1));
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    match code.ok().and_then(char::from_u32).filter(|c| !c.is_control() || c.is_ascii_whitespace()) {
        Some(c) => {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes);
            (Decoded::Char(c, bytes), end + 1)
        }
        None => none,
    }
}
