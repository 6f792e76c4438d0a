//! The way in: a dialect makes a [`Submission`] of a request, [`Intake::people`] finds the people it means, and
//! [`Intake::accept`] stores the whole of it in one commit and, if the caller is patient, waits for the outcome.
//!
//! ```text
//! Submission ──resolve──▶ Resolved ──render──▶ content + addressees ──▶ Batch ── Store::submit (one commit)
//! ```
//!
//! Nothing here sends anything: what is accepted reaches the dispatcher through the store alone, and what the dispatcher
//! achieved comes back the same way: after the commit [`Waiting`] hears of it from the store where this node moved it, and
//! from the [`OutcomePoller`] where another one did.

mod accept;
mod account;
mod batch;
mod expand;
mod gather;
pub mod html;
mod metrics;
mod page;
mod password;
mod poll;
mod post;
mod receipt;
mod refusal;
mod submission;
pub mod template;
mod waiting;
pub mod wire;

pub use accept::{Intake, IntakeDeps};
pub use account::{AccountBook, AccountError, LIMIT_MAX, NewAccount, PER_DAY, PER_HOUR, WithPassword, account_name};
pub use expand::Expander;
pub use metrics::IntakeMetrics;
pub use password::{PASSWORD_BYTES_MAX, PasswordError, Passwords, generate_password};
pub use poll::OutcomePoller;
pub use post::{LookUp, Post, PostPart, PostTo, Posted};
pub use receipt::{Receipt, RecipientOutcome};
pub use refusal::Refusal;
pub use submission::{Audience, Draft, MailDraft, NoticeDraft, Resolved, Submission, Target, Windows};
pub use waiting::Waiting;
