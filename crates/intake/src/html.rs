//! HTML on its way in. [`clean`] is for the in-app inbox: what comes out can be shown inside another page and does nothing there.
//! [`strip_tags`] is for short texts, which callers write once for all channels: tags that HTML knows go, everything else stays.
//!
//! What an item of the inbox may hold is what a mail's text needs, and nothing that acts, asks for input, or is placed outside of
//! the item:
//!
//! * links to `http`, `https` and `mailto` and to paths, each opened apart from the page that shows it (`noopener`);
//! * pictures from `http` and `https` alone. `cid:` names an attachment, of which an item has none; `data:` makes stored items
//!   large; a path would make the reader's browser ask the page's own host for whatever the sender chose, with the reader's cookies;
//! * colours, fonts, borders and alignment in `style`, but no property that moves, covers or loads;
//! * no `id`, `name` or `class`, by which an item could pass for a part of the page or take its styles.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use ammonia::Builder;

/// Properties of `style` that stay within their own box and load nothing.
const STYLES: [&str; 22] = [
    "background-color",
    "border",
    "border-bottom",
    "border-collapse",
    "border-color",
    "border-left",
    "border-radius",
    "border-right",
    "border-style",
    "border-top",
    "border-width",
    "color",
    "font-family",
    "font-size",
    "font-style",
    "font-weight",
    "line-height",
    "padding",
    "text-align",
    "text-decoration",
    "vertical-align",
    "white-space",
];

static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::default();
    builder
        .rm_tags(["area", "map"])
        .add_tags(["font"])
        .add_tag_attributes("font", ["color", "size", "face"])
        .add_generic_attributes(["style", "align", "valign", "bgcolor"])
        .filter_style_properties(HashSet::from(STYLES))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .link_rel(Some("noopener noreferrer"))
        .set_tag_attribute_values(HashMap::from([
            ("a", HashMap::from([("target", "_blank")])),
            ("img", HashMap::from([("referrerpolicy", "no-referrer")])),
        ]))
        .attribute_filter(|element, attribute, value| match (element, attribute) {
            ("img", "src") if !is_web(value) => None,
            _ => Some(Cow::Borrowed(value)),
        });
    builder
});

/// Whether an address is one of the web, written out whole.
fn is_web(address: &str) -> bool {
    let address = address.trim_start();
    ["http://", "https://"]
        .iter()
        .any(|start| address.get(..start.len()).is_some_and(|s| s.eq_ignore_ascii_case(start)))
}

/// The HTML with everything taken out that an item of the inbox may not hold: harmless wherever it stands in the body of a page.
/// HTML that takes long to read ([`is_heavy`]) is shown as its text.
pub fn clean(html: &str) -> String {
    if is_heavy(html) { ammonia::clean_text(&strip_tags(html)) } else { CLEANER.clean(html).to_string() }
}

/// Start tags that an item may have: a reader looks through all that are open at each.
const TAGS_MAX: usize = 10_000;
/// Elements that an item may grow by: HTML repeats an open `<font …>` in every paragraph that follows.
const GROWTH_MAX: usize = 500_000;
/// Elements that HTML repeats, each as often as it is open with other attributes.
const REPEATED: [&str; 13] =
    ["b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];

/// Whether it could take a server long to read, or become many times its size: by how many tags it has at most, and how many of
/// them may be repeated. What only looks like a tag counts too.
fn is_heavy(html: &str) -> bool {
    let (mut tags, mut repeated) = (0_usize, 0_usize);
    for tag in html.split('<').skip(1) {
        let Some(end) = tag.find(|c: char| !c.is_ascii_alphanumeric()) else { continue };
        let (name, behind) = tag.split_at(end);
        tags += usize::from(!name.is_empty());
        repeated +=
            usize::from(!behind.starts_with('>') && REPEATED.iter().any(|known| known.eq_ignore_ascii_case(name)));
    }
    tags > TAGS_MAX || tags.saturating_mul(repeated) > GROWTH_MAX
}

/// The elements of HTML whose tags are taken out of a text. What is written alike and is none of them is text.
const ELEMENTS: [&str; 61] = [
    "a",
    "abbr",
    "address",
    "article",
    "aside",
    "b",
    "big",
    "blockquote",
    "body",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "div",
    "dl",
    "dt",
    "em",
    "figure",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hr",
    "html",
    "i",
    "img",
    "ins",
    "kbd",
    "label",
    "li",
    "main",
    "mark",
    "ol",
    "p",
    "pre",
    "s",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "tr",
    "u",
    "ul",
];
/// Elements whose content is no text either.
const UNREAD: [&str; 3] = ["script", "style", "title"];
/// Elements before and behind which a line ends.
const LINES: [&str; 17] = [
    "address",
    "article",
    "blockquote",
    "div",
    "dd",
    "dt",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "p",
    "table",
    "tr",
];
/// Character references that are written in texts; those with a number are known without a table.
const REFERENCES: [(&str, char); 20] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("ensp", ' '),
    ("emsp", ' '),
    ("copy", '©'),
    ("reg", '®'),
    ("hellip", '…'),
    ("mdash", '—'),
    ("ndash", '–'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("middot", '·'),
    ("yen", '¥'),
    ("times", '×'),
];
/// The longest reference that is looked for, between `&` and `;`.
const REFERENCE_BYTES_MAX: usize = 8;

/// The text without the tags of HTML (`contracts/push.md` 3, row 28): `a<b` and `<姓名>` stay as they are, comments, scripts and
/// styles go, a line ends where a paragraph does, and character references become what they stand for.
pub fn strip_tags(text: &str) -> String {
    let mut stripped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, marked) = rest.split_at(at);
        stripped.push_str(before);
        let found =
            if marked.starts_with('&') { reference(marked, &mut stripped) } else { markup(marked, &mut stripped) };
        // What is no mark is text, its first character at least.
        let taken = found.unwrap_or_else(|| {
            stripped.push_str(&marked[..1]);
            1
        });
        rest = &marked[taken..];
    }
    stripped.push_str(rest);
    stripped.truncate(stripped.trim_end().len());
    stripped
}

/// How long the tag or comment is with which `marked` begins, the content of what nobody reads included.
fn markup(marked: &str, stripped: &mut String) -> Option<usize> {
    if let Some(comment) = marked.strip_prefix("<!--") {
        return Some(comment.find("-->").map_or(marked.len(), |end| "<!--".len() + end + "-->".len()));
    }
    let inside = &marked[1..];
    let (is_end, inside) = inside.strip_prefix('/').map_or((false, inside), |inside| (true, inside));
    let name_end = inside.find(|c: char| !c.is_ascii_alphanumeric())?;
    let (name, behind) = inside.split_at(name_end);
    if !behind.starts_with(|c: char| c == '>' || c == '/' || c.is_ascii_whitespace()) {
        return None;
    }
    let (name, end) = (name.to_ascii_lowercase(), tag_end(behind)?);
    let attributes = behind[..end - 1].trim_matches(|c: char| c == '/' || c.is_ascii_whitespace());
    // `a <b and c> d` has none.
    if !attributes.is_empty() && !attributes.contains('=') {
        return None;
    }
    let length = marked.len() - behind.len() + end;
    if UNREAD.contains(&name.as_str()) {
        let rest = &marked[length..];
        return Some(if is_end { length } else { length + close_of(rest, &name).unwrap_or(rest.len()) });
    }
    if !ELEMENTS.contains(&name.as_str()) {
        return None;
    }
    if name == "br" || LINES.contains(&name.as_str()) && !stripped.is_empty() && !stripped.ends_with('\n') {
        stripped.push('\n');
    }
    Some(length)
}

/// Where a tag ends, behind its `>`, which does not stand in a quoted value. Tags are on few lines: another `<` before the end
/// says that this was none.
fn tag_end(behind: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in behind.char_indices() {
        match (quote, c) {
            (None, '>') => return Some(at + 1),
            (None, '<') => return None,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

/// Where an element that nobody reads ends, behind its end tag.
fn close_of(rest: &str, name: &str) -> Option<usize> {
    let ends = rest.match_indices("</").map(|(at, _)| at);
    let end = ends.into_iter().find(|at| {
        let found = rest.get(at + 2..at + 2 + name.len());
        found.is_some_and(|found| found.eq_ignore_ascii_case(name))
    })?;
    Some(end + rest[end..].find('>')? + 1)
}

/// How long the character reference is with which `marked` begins; without its `;` it is none, for `?a=1&copy=2` is an address.
fn reference(marked: &str, stripped: &mut String) -> Option<usize> {
    let inside = &marked[1..];
    let end = inside.bytes().take(REFERENCE_BYTES_MAX + 1).position(|byte| byte == b';')?;
    let name = &inside[..end];
    let number = name.strip_prefix('#').and_then(|digits| match digits.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    });
    let named = || REFERENCES.iter().find(|(known, _)| *known == name).map(|(_, character)| *character);
    let character = match number {
        Some(number) => char::from_u32(number).filter(|c| !c.is_control() || *c == '\n')?,
        None => named()?,
    };
    stripped.push(character);
    Some(1 + end + 1)
}

#[cfg(test)]
mod tests;
