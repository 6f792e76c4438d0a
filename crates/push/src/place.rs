//! Where in a body something is, as its caller is told: `channelData.1001.content`. Nothing is built until something is wrong.

use std::fmt;

/// How much of a name that the caller chose is told again, in characters: a reply has room for a hundred in all (row 5).
const NAME_CHARS_MAX: usize = 24;

/// A member of the body, or of one of its objects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'p> {
    above: Option<&'p Place<'p>>,
    name: &'p str,
}

impl<'p> Place<'p> {
    /// A member of the body.
    pub(crate) const fn top(name: &'p str) -> Self {
        Self { above: None, name }
    }

    /// A member of what is here.
    pub(crate) const fn at(&'p self, name: &'p str) -> Self {
        Self { above: Some(self), name }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            write!(f, "{above}.")?;
        }
        f.write_str(&shown(self.name))
    }
}

/// A name that the caller chose, short and without control characters.
pub(crate) fn shown(name: &str) -> String {
    let plain = |c: char| if c.is_control() { '?' } else { c };
    let mut shown: String = name.chars().take(NAME_CHARS_MAX).map(plain).collect();
    if name.chars().nth(NAME_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
