//! Templates in the store, each a declaration of kind `template`: what a plan declares with the version that it has become.
//! Plans and the administration API change them by the same code, each change on what it was made from: a race is run again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use anyhow::Context;
use async_trait::async_trait;
use hongyan_api::{TemplateBook, TemplateChange, TemplateError};
use hongyan_core::{
    limits,
    setup::{ChannelKind, Template},
    store::{Declaration, DeclarationChange, Store, StoreError},
};
use serde::{Deserialize, Serialize};

use crate::plan::{ChannelPlan, MessageTemplatePlan, is_code};

/// The kind of declaration.
const KIND: &str = "template";
/// How often a change is made anew because somebody else was faster.
const TRIES: usize = 32;

/// What the store keeps of a template.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    template: MessageTemplatePlan,
}

/// Reads the templates among what is declared.
///
/// # Errors
/// When one cannot be understood; its code is in the error.
pub fn templates(declared: &[Declaration]) -> anyhow::Result<BTreeMap<String, Template>> {
    let templates = declared.iter().filter(|declared| declared.kind == KIND).map(|declared| {
        let stored: Stored =
            serde_json::from_str(&declared.doc).with_context(|| format!("the stored template {:?}", declared.code))?;
        Ok((declared.code.clone(), stored.template.template(stored.version)))
    });
    templates.collect()
}

fn declaration(template: Template) -> anyhow::Result<Declaration> {
    let (code, version) = (template.code.clone(), template.version);
    let doc = serde_json::to_string(&Stored { version, template: template.into() })?;
    Ok(Declaration { kind: KIND.to_owned(), code, no: 0, doc })
}

/// The kinds of the channels that are declared, by their codes.
fn kinds(declared: &[Declaration]) -> anyhow::Result<HashMap<&str, ChannelKind>> {
    let channels = declared.iter().filter(|declared| declared.kind == "channel").map(|declared| {
        let plan: ChannelPlan = serde_json::from_str(&declared.doc)?;
        let kind = ChannelKind::from_name(&plan.kind).with_context(|| format!("there is no kind {:?}", plan.kind))?;
        anyhow::Ok((declared.code.as_str(), kind))
    });
    channels.collect()
}

/// The templates of a store.
pub struct StoredTemplates {
    store: Arc<dyn Store>,
}

impl StoredTemplates {
    /// Those of this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Declares the templates of a plan, in one commit. They have been checked.
    ///
    /// # Errors
    /// When the store cannot be read or written, or has too many templates then.
    pub async fn declare(&self, plans: Vec<MessageTemplatePlan>) -> Result<(), TemplateError> {
        let puts = plans.into_iter().map(|plan| {
            let template = plan.template(0);
            (template.code.clone(), TemplateChange::Put { template, from: None })
        });
        self.change_all(puts.collect(), |_, _| Ok(())).await.map(drop)
    }

    /// Makes every change or none; answers what the template of the last is then. `check` sees each template that changes,
    /// beside everything declared.
    async fn change_all(
        &self,
        changes: Vec<(String, TemplateChange)>,
        check: impl Fn(&Template, &[Declaration]) -> Result<(), TemplateError> + Send + Sync,
    ) -> Result<Option<Template>, TemplateError> {
        for _ in 0..TRIES {
            let (version, declared) = self.store.declarations().await?;
            let mut known = templates(&declared).map_err(unreadable)?;
            let (mut change, mut last) = (DeclarationChange { version, ..DeclarationChange::default() }, None);
            for (code, wanted) in &changes {
                let old = known.get(code);
                last = wanted.clone().of(old)?;
                match &last {
                    Some(template) if old == Some(template) => {}
                    Some(template) => {
                        check(template, &declared)?;
                        change.put.push(declaration(template.clone()).map_err(unreadable)?);
                        known.insert(code.clone(), template.clone());
                    }
                    None => {
                        change.remove.push((KIND.to_owned(), code.clone()));
                        known.remove(code);
                    }
                }
            }
            if known.len() > limits::TEMPLATES_MAX && !change.put.is_empty() {
                return Err(TemplateError::Wrong(format!("there may be {} templates at most", limits::TEMPLATES_MAX)));
            }
            let is_same = change.put.is_empty() && change.remove.is_empty();
            if is_same || self.store.declare(change).await? {
                return Ok(last);
            }
        }
        Err(StoreError::Conflict("what is declared changes all the time".to_owned()).into())
    }
}

#[async_trait]
impl TemplateBook for StoredTemplates {
    async fn templates(&self) -> Result<Vec<Template>, TemplateError> {
        let (_, declared) = self.store.declarations().await?;
        Ok(templates(&declared).map_err(unreadable)?.into_values().collect())
    }

    async fn change(&self, code: &str, change: TemplateChange) -> Result<Option<Template>, TemplateError> {
        // Whether it may be used is no matter of what it says: what was right once may be enabled and disabled.
        let is_put = matches!(change, TemplateChange::Put { .. });
        let check = |template: &Template, declared: &[Declaration]| {
            if is_put { right(template, declared) } else { Ok(()) }
        };
        self.change_all(vec![(code.to_owned(), change)], check).await
    }
}

/// Whether a template is right beside what is declared.
fn right(template: &Template, declared: &[Declaration]) -> Result<(), TemplateError> {
    if !is_code(&template.code) {
        return Err(TemplateError::Wrong(format!("{:?} cannot be a code", template.code)));
    }
    let kinds = kinds(declared).map_err(unreadable)?;
    let plan = MessageTemplatePlan::from(template.clone());
    let checked = plan.check().and_then(|()| plan.fits(|code| kinds.get(code).copied()));
    checked.map_err(|error| TemplateError::Wrong(format!("{error:#}")))
}

fn unreadable(error: anyhow::Error) -> TemplateError {
    TemplateError::Unreadable(format!("{error:#}"))
}
