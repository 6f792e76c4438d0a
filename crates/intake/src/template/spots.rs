//! Where in HTML a variable stands. Escaping makes a value harmless between tags and in quoted attributes; in other places nothing
//! does. This follows how a browser reads tags (HTML living standard, 13.2.5), as far as that decides it. It guards whoever writes a
//! template against mistakes, and is no cleaner: what the template itself says is trusted.

/// Attributes that are addresses.
const ADDRESSES: [&str; 10] =
    ["action", "background", "cite", "data", "formaction", "href", "longdesc", "poster", "src", "xlink:href"];
/// Elements between whose tags there is no HTML.
const RAW: [&str; 10] =
    ["iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "textarea", "title", "xmp"];
/// Those of them that show text, in which an escaped value is seen as it is.
const SHOWN: [&str; 2] = ["textarea", "title"];
/// Beginnings of addresses that lead somewhere and run nothing.
const SCHEMES: [&str; 4] = ["http", "https", "mailto", "tel"];

/// What a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// An escaped value is seen there as it is.
    Text,
    /// The value begins an address.
    Address,
    /// No value is safe there.
    Unsafe,
}

/// How far HTML has been read.
#[derive(Debug, Default)]
pub(super) struct Spots {
    state: State,
    /// The element of the tag that is read, a `/` in front if it ends one; between the tags of a raw one, that.
    element: String,
    /// The attribute that is read.
    attribute: String,
    /// What is read of a value, comment or raw text so far.
    read: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// Behind `<`.
    Open,
    /// Behind `<!`, which may begin a comment.
    Declaration,
    Comment,
    /// To the next `>`.
    Bogus,
    /// In the name of an element.
    Name,
    /// In a tag, perhaps in the name of an attribute.
    Inside,
    /// Behind the `=` of an attribute.
    Equals,
    Quoted(char),
    Unquoted,
    /// Between the tags of a raw element.
    Raw,
}

/// Whether an address that begins so leads somewhere whatever follows.
pub(super) fn is_safe_start(address: &str) -> bool {
    let address = address.trim_start();
    match address.find([':', '/', '?', '#', '&']) {
        None => false,
        Some(at) if address[at..].starts_with(':') => {
            SCHEMES.iter().any(|scheme| scheme.eq_ignore_ascii_case(&address[..at]))
        }
        Some(at) => !address[at..].starts_with('&'),
    }
}

impl Spots {
    /// Reads on.
    pub(super) fn read(&mut self, html: &str) {
        html.chars().for_each(|c| self.step(c));
    }

    /// What the place is that is reached.
    pub(super) fn here(&self) -> Spot {
        match self.state {
            State::Text | State::Comment | State::Bogus => Spot::Text,
            State::Raw if SHOWN.contains(&&*self.element) => Spot::Text,
            State::Quoted(_) => self.in_value(),
            State::Open
            | State::Declaration
            | State::Name
            | State::Inside
            | State::Equals
            | State::Unquoted
            | State::Raw => Spot::Unsafe,
        }
    }

    /// Notes that a value stands here.
    pub(super) fn filled(&mut self) {
        if matches!(self.state, State::Quoted(_)) && self.read.trim().is_empty() {
            // What began an address is safe, whatever follows it.
            self.read.push('#');
        }
    }

    fn in_value(&self) -> Spot {
        if self.attribute.starts_with("on") || matches!(&*self.attribute, "srcdoc" | "srcset") {
            Spot::Unsafe
        } else if !ADDRESSES.contains(&&*self.attribute) || is_safe_start(&self.read) {
            Spot::Text
        } else if self.read.trim().is_empty() {
            Spot::Address
        } else {
            Spot::Unsafe
        }
    }

    fn step(&mut self, c: char) {
        match (self.state, c) {
            (State::Text, '<') => self.enter(State::Open),
            (State::Open, '!') => self.enter(State::Declaration),
            (State::Open, '/') if self.element.is_empty() => self.element.push('/'),
            (State::Open, c) if c.is_ascii_alphabetic() => {
                self.state = State::Name;
                self.element.push(c.to_ascii_lowercase());
            }
            (State::Open, '<') => self.enter(State::Open),
            (State::Open, '?') => self.enter(State::Bogus),
            (State::Open, _) if self.element == "/" && c != '>' => self.enter(State::Bogus),
            (State::Open, _) => self.enter(State::Text),
            (State::Declaration, '-') if self.read == "-" => self.enter(State::Comment),
            (State::Declaration, '-') => self.read.push('-'),
            (State::Declaration | State::Bogus, '>') => self.enter(State::Text),
            (State::Declaration, _) => self.enter(State::Bogus),
            (State::Comment, '>') if ["", "-"].contains(&&*self.read) || self.read.ends_with("--") => {
                self.enter(State::Text);
            }
            (State::Comment, '>') if self.read.ends_with("--!") => self.enter(State::Text),
            (State::Comment, c) => self.read.push(c),
            (State::Name | State::Inside | State::Equals | State::Unquoted, '>') => self.close(),
            (State::Name, c) if c.is_ascii_whitespace() || c == '/' => self.state = State::Inside,
            (State::Name, c) => self.element.push(c.to_ascii_lowercase()),
            (State::Inside, '=') if !self.attribute.is_empty() => self.state = State::Equals,
            (State::Inside, '/') => self.next_attribute(),
            // A name ends with white space; another character behind that begins the next.
            (State::Inside, c) if c.is_ascii_whitespace() => self.read.push(' '),
            (State::Inside, c) => {
                if !self.read.is_empty() {
                    self.next_attribute();
                }
                self.attribute.push(c.to_ascii_lowercase());
            }
            (State::Equals, c) if c.is_ascii_whitespace() => {}
            (State::Equals, '"' | '\'') => {
                self.state = State::Quoted(c);
                self.read.clear();
            }
            (State::Equals, _) => self.state = State::Unquoted,
            (State::Quoted(quote), c) if c == quote => self.next_attribute(),
            (State::Unquoted, c) if c.is_ascii_whitespace() => self.next_attribute(),
            (State::Quoted(_), c) => self.read.push(c),
            (State::Raw, c) => self.raw(c),
            (State::Text | State::Bogus | State::Unquoted, _) => {}
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.element.clear();
        self.attribute.clear();
        self.read.clear();
    }

    fn next_attribute(&mut self) {
        self.state = State::Inside;
        self.attribute.clear();
        self.read.clear();
    }

    /// Ends a tag.
    fn close(&mut self) {
        if RAW.contains(&&*self.element) {
            self.state = State::Raw;
            self.read.clear();
        } else {
            self.enter(State::Text);
        }
    }

    /// Reads on until the raw element's end tag. A script has no end that is sure: what looks like it may be within it.
    fn raw(&mut self, c: char) {
        if c == '<' {
            self.read.clear();
        }
        let is_behind = c.is_ascii_whitespace() || matches!(c, '/' | '>');
        let is_end = self.read.strip_prefix("</").is_some_and(|name| name == self.element);
        if !(is_behind && is_end) || matches!(&*self.element, "script" | "plaintext") {
            if self.read.len() <= "</plaintext".len() {
                self.read.push(c.to_ascii_lowercase());
            }
        } else if c == '>' {
            self.enter(State::Text);
        } else {
            self.element.insert(0, '/');
            self.next_attribute();
        }
    }
}
