//! Decisions 4 and 5: accepting a checked mail, waiting for what becomes of it, and telling it in the reference's words.

use std::sync::Arc;

use hongyan_core::{
    delivery::Reason,
    message::{Dialect, Idempotency, Priority},
    setup::{App, Channel, ChannelKind, Settings},
    store::{Addressee, StoreError},
};
use hongyan_intake::{Audience, Draft, Intake, Receipt, RecipientOutcome, Refusal, Submission};

use crate::{
    error::{Failure, Problem, Why},
    reply::Success,
    route::Component,
};

/// A letter that is ready to be sent, and the component that was asked for it.
pub(crate) struct Order {
    pub(crate) letter: Letter,
    pub(crate) component: Component,
    pub(crate) key: Option<Idempotency>,
}

/// What some component makes of its form.
pub(crate) struct Letter {
    /// Absent where the deployment has no such channel.
    pub(crate) channel: Option<Arc<Channel>>,
    pub(crate) audience: Audience,
    pub(crate) draft: Draft,
}

/// Sends a letter of `app` in the name of `user` and answers what became of everyone.
pub(crate) async fn send(
    intake: &Arc<Intake>,
    app: Arc<App>,
    user: String,
    order: Order,
    settings: &Settings,
) -> Result<Success, Failure> {
    let Order { letter: Letter { channel, audience, draft }, component, key } = order;
    let people = intake.people(audience.user_codes()).await.map_err(not_stored)?;
    let resolved = audience.resolve(ChannelKind::Mail, &people);
    let everyone = || resolved.all().map(|addressee| addressee.recipient.clone()).collect();
    if !resolved.reaches_anyone() {
        let problem = Problem::NobodyReached(Why::of_skipped(resolved.all()));
        return Err(Failure { problem, invalid: Some(everyone()), message: None });
    }
    let Some(channel) = channel else {
        return Err(Failure { problem: Problem::Unfinished, invalid: Some(everyone()), message: None });
    };
    let submission = Submission {
        app,
        dialect: Dialect::Cmsi,
        operation: component.name(),
        user,
        channel,
        priority: Priority::default(),
        draft,
        idempotency: key,
    };
    match intake.accept(submission, resolved, settings.cmsi_wait).await {
        Ok(receipt) if receipt.failures.is_empty() => {
            Ok(Success::mail(receipt.message, settings.cmsi_mail_success_code))
        }
        Ok(receipt) => Err(failed(receipt)),
        Err(Refusal::KeyReused) => Err(Problem::KeyReused.into()),
        Err(Refusal::Store(error)) => Err(not_stored(error)),
        Err(error @ (Refusal::Ids(_) | Refusal::Seal(_))) => {
            tracing::warn!(%error, "a message could not be accepted");
            Err(Problem::NotStored.into())
        }
    }
}

/// Decision 3: whatever is wrong with the store, the caller may try again.
fn not_stored(error: StoreError) -> Failure {
    tracing::warn!(%error, "a message could not be accepted");
    Problem::NotStored.into()
}

/// An accepted mail that some or all did not get.
fn failed(receipt: Receipt) -> Failure {
    // "Some users failed" is read as a success by some callers (section 9), so it must not stand where nobody got anything.
    let is_nobody = receipt.failures.len() >= receipt.recipients;
    let problem =
        if is_nobody { Problem::AllRefused } else { Problem::SomeFailed(Why::of_failures(&receipt.failures)) };
    let invalid = receipt.failures.into_iter().map(|outcome| outcome.recipient).collect();
    Failure { problem, invalid: Some(invalid), message: Some(receipt.message) }
}

impl Why {
    fn of_skipped<'a>(addressees: impl Iterator<Item = &'a Addressee>) -> Self {
        let mut why = Self::default();
        for addressee in addressees {
            if let Some(reason) = addressee.skipped {
                why.add(&addressee.recipient, Some(reason));
            }
        }
        why
    }

    fn of_failures(failures: &[RecipientOutcome]) -> Self {
        let mut why = Self::default();
        for failure in failures {
            why.add(&failure.recipient, failure.reason);
        }
        why
    }

    fn add(&mut self, recipient: &str, reason: Option<Reason>) {
        let list = match reason {
            Some(Reason::UnknownUser) => &mut self.unknown,
            Some(Reason::NoAddress) => &mut self.no_address,
            _ => &mut self.refused,
        };
        list.push(recipient.to_owned());
    }
}
