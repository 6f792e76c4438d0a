//! The way in: a dialect makes a [`Submission`] of a request, [`Intake::people`] finds the people it means, and
//! [`Intake::accept`] stores the whole of it in one commit and, if the caller is patient, waits for the outcome. A dialect that
//! answers on acceptance makes a [`Post`] of it, for one channel or several, for people or addresses, now or later:
//! [`Intake::post`]. Either becomes one batch by the same code.
//!
//! ```text
//! Submission ──resolve──▶ Resolved ──┐
//! Post ──(people named, due now)─────┴──render──▶ content + lists ──▶ Batch ── Store::submit (one commit)
//!   └─(groups, everyone, later)──▶ Rest ── … its time comes ──▶ Expander ──▶ Page ── Store::page_add (a commit each)
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
