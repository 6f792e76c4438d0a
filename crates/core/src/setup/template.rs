//! Templates: what a message says on each channel, with variables that the caller fills in.

use std::collections::{BTreeMap, BTreeSet};

/// A template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Its code.
    pub code: String,
    /// Grows with every change of what it says.
    pub version: u32,
    /// The name shown.
    pub name: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// The type of its messages; empty: the dialect's default.
    pub kind: String,
    /// What it says, by the code of the channel.
    pub contents: BTreeMap<String, TemplateContent>,
}

/// What a template says on one channel; which of it is used follows from the channel's kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateContent {
    /// The title of a mail, an item of the inbox, a notice.
    pub title: String,
    /// The text.
    pub content: String,
    /// Where a tap leads.
    pub website: String,
    /// The signature of an SMS; empty: the provider's.
    pub sign: String,
    /// The SMS provider's own template; empty: the text itself is sent.
    pub sms_template: String,
    /// The variables of the provider's template, in its order; empty: in the order of the text.
    pub sms_variables: Vec<String>,
}

impl TemplateContent {
    /// The texts in which variables stand.
    fn texts(&self) -> [&str; 3] {
        [&self.title, &self.content, &self.website]
    }
}

impl Template {
    /// Every variable that it has on any channel, in the order of the alphabet.
    pub fn variables(&self) -> BTreeSet<&str> {
        let contents = self.contents.values();
        contents
            .flat_map(|content| {
                let texts = content.texts().into_iter().flat_map(variables);
                texts.chain(content.sms_variables.iter().map(String::as_str))
            })
            .collect()
    }
}

/// The variables in a text, `${name}`, in their order; a name is letters of any script, digits, `_`, `-` and `.`.
pub fn variables(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Variable(name) => Some(name),
        Piece::Text(_) => None,
    })
}

/// A piece of a text with variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text as it stands.
    Text(&'a str),
    /// A variable, by its name.
    Variable(&'a str),
}

/// Takes a text apart into what stands for itself and variables.
pub fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(name) = variable(rest) {
            rest = &rest[name.len() + "${}".len()..];
            return Some(Piece::Variable(name));
        }
        let ends = rest.char_indices().skip(1).map(|(at, _)| at).find(|at| variable(&rest[*at..]).is_some());
        let (text, after) = rest.split_at(ends.unwrap_or(rest.len()));
        rest = after;
        Some(Piece::Text(text))
    })
}

/// The name of the variable with which a text begins.
fn variable(text: &str) -> Option<&str> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let inside = text.strip_prefix("${")?;
    let (name, end) = inside.split_at(inside.find(|c| !is_part(c))?);
    (!name.is_empty() && end.starts_with('}')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_apart_at_its_variables() {
        let found: Vec<_> = pieces("Hi ${name}, ${}$ {x} ${a b} ${码.1}!").collect();
        assert_eq!(
            found,
            [
                Piece::Text("Hi "),
                Piece::Variable("name"),
                Piece::Text(", ${}$ {x} ${a b} "),
                Piece::Variable("码.1"),
                Piece::Text("!"),
            ]
        );
        assert_eq!(pieces("").count(), 0);
        assert_eq!(variables("${a}${b}${a}").collect::<Vec<_>>(), ["a", "b", "a"]);
    }

    #[test]
    fn the_variables_of_a_template_are_those_of_all_its_channels() {
        let content = |content: &str, order: &[&str]| TemplateContent {
            content: content.to_owned(),
            sms_variables: order.iter().map(|name| (*name).to_owned()).collect(),
            ..TemplateContent::default()
        };
        let contents = [("1".to_owned(), content("${b}", &[])), ("2".to_owned(), content("${a}", &["c", "a"]))];
        let template = Template { contents: contents.into(), ..Template::default() };
        assert_eq!(template.variables().into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
