//! Where templates are kept, as the API sees it, and what a change makes of one. Their stored form is the binary's.

use async_trait::async_trait;
use hongyan_core::{setup::Template, store::StoreError};

/// Where templates are kept.
#[async_trait]
pub trait TemplateBook: Send + Sync {
    /// Every template, in the order of their codes.
    async fn templates(&self) -> Result<Vec<Template>, TemplateError>;

    /// Changes the template with this code; answers what it is then, `None` where it is gone.
    async fn change(&self, code: &str, change: TemplateChange) -> Result<Option<Template>, TemplateError>;
}

/// A change of one template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateChange {
    /// It is this from now on.
    Put {
        /// The template; its version does not count.
        template: Template,
        /// The version that it replaces; absent: whichever there is, or none.
        from: Option<u32>,
    },
    /// It may be used, or not.
    Enabled(bool),
    /// It is no more.
    Removed {
        /// The version that is removed; absent: whichever there is.
        from: Option<u32>,
    },
}

impl TemplateChange {
    /// What becomes of a template, `old` where there is one. Its version is 1 at first and grows when what it says changes, or the
    /// type of its messages: not with its name, nor when it is enabled or disabled.
    ///
    /// # Errors
    /// [`TemplateError::Unknown`] and [`TemplateError::Stale`].
    pub fn of(self, old: Option<&Template>) -> Result<Option<Template>, TemplateError> {
        let expect = |from: Option<u32>| match (from, old.map(|old| old.version)) {
            (Some(from), Some(now)) if from != now => Err(TemplateError::Stale(now)),
            (Some(_), None) => Err(TemplateError::Unknown),
            _ => Ok(()),
        };
        match self {
            Self::Put { template, from } => {
                expect(from)?;
                let version = match old {
                    Some(old) if (&old.contents, &old.kind) == (&template.contents, &template.kind) => old.version,
                    Some(old) => old.version + 1,
                    None => 1,
                };
                Ok(Some(Template { version, ..template }))
            }
            Self::Enabled(enabled) => Ok(Some(Template { enabled, ..old.ok_or(TemplateError::Unknown)?.clone() })),
            Self::Removed { from } => {
                old.ok_or(TemplateError::Unknown)?;
                expect(from).map(|()| None)
            }
        }
    }
}

/// Why a template is not changed.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// There is none with this code.
    #[error("there is no template with this code")]
    Unknown,
    /// It is of another version by now.
    #[error("the template has changed meanwhile: it is of version {0}")]
    Stale(u32),
    /// Something is wrong with it.
    #[error("{0}")]
    Wrong(String),
    /// What is stored cannot be understood.
    #[error("{0}")]
    Unreadable(String),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    use hongyan_core::setup::TemplateContent;

    use super::*;

    fn template(version: u32, content: &str) -> Template {
        let content = TemplateContent { content: content.into(), ..TemplateContent::default() };
        Template { version, enabled: true, contents: [("1003".to_owned(), content)].into(), ..Template::default() }
    }

    #[test]
    fn a_version_grows_with_what_is_said_and_with_nothing_else() {
        let put = |template: Template, from| TemplateChange::Put { template, from };
        let old = template(4, "a");
        let version = |change: TemplateChange, old: Option<&Template>| {
            change.of(old).map(|now| now.map(|now| now.version)).map_err(|error| error.to_string())
        };
        assert_eq!(version(put(template(9, "a"), None), None), Ok(Some(1)), "the first");
        assert_eq!(version(put(template(0, "b"), None), Some(&old)), Ok(Some(5)));
        assert_eq!(
            version(put(Template { name: "n".into(), enabled: false, ..template(0, "a") }, None), Some(&old)),
            Ok(Some(4))
        );
        assert_eq!(
            version(put(Template { kind: "reminder".into(), ..template(0, "a") }, None), Some(&old)),
            Ok(Some(5))
        );
        assert_eq!(version(put(template(0, "b"), Some(4)), Some(&old)), Ok(Some(5)));
        let stale = "the template has changed meanwhile: it is of version 4".to_owned();
        let unknown = "there is no template with this code".to_owned();
        assert_eq!(version(put(template(0, "b"), Some(3)), Some(&old)), Err(stale.clone()));
        assert_eq!(version(put(template(0, "b"), Some(3)), None), Err(unknown.clone()));
        let off = TemplateChange::Enabled(false).of(Some(&old)).expect("there is one").expect("and it stays");
        assert_eq!(off, Template { enabled: false, ..old.clone() });
        assert_eq!(version(TemplateChange::Enabled(true), None), Err(unknown.clone()));
        assert_eq!(version(TemplateChange::Removed { from: None }, Some(&old)), Ok(None));
        assert_eq!(version(TemplateChange::Removed { from: Some(4) }, Some(&old)), Ok(None));
        assert_eq!(version(TemplateChange::Removed { from: Some(5) }, Some(&old)), Err(stale));
        assert_eq!(version(TemplateChange::Removed { from: None }, None), Err(unknown));
    }
}
