//! Decisions 4 and 5: accepting a checked message, waiting for what becomes of it, and telling it in the reference's words.

use std::{borrow::Cow, sync::Arc};

use hongyan_core::{
    delivery::Reason,
    message::{Dialect, Idempotency, Priority},
    setup::{App, ChannelKind, MailSuccessCode, Settings, User},
    store::{Addressee, StoreError},
};
use hongyan_intake::{Intake, Receipt, RecipientOutcome, Refusal, Submission, wire::Held};

use crate::{
    calls::Calls,
    directory::Directory,
    errmsg,
    error::{Failure, Problem, Refused, Undelivered, Why},
    letter::Letter,
    reply::{Data, Success},
    route::Component,
};

/// A letter that is ready to be sent, and the component that was asked for it.
pub(crate) struct Order {
    pub(crate) letter: Letter,
    pub(crate) component: Component,
    pub(crate) key: Option<Idempotency>,
}

/// Sends a letter of `app` in the name of `user`, which takes up `room`, and answers what became of everyone.
pub(crate) async fn send(
    intake: &Arc<Intake>,
    directory: &Directory,
    app: Arc<App>,
    user: String,
    order: Order,
    room: Held,
    settings: &Settings,
) -> Result<Success, Failure> {
    let Order { letter: Letter { kind, channel, audience, draft }, component, key } = order;
    let people = people(intake, directory, &app, audience.user_codes(), settings).await?;
    let resolved = audience.resolve(kind, &people);
    let nobody = |problem| {
        let everyone = resolved.all().map(|addressee| &addressee.recipient);
        let everyone = everyone.chain(resolved.shared.iter().map(|(_, other)| other));
        let data = Undelivered { invalid: everyone.cloned().collect(), beside: String::new() };
        Err(Failure { problem, data: Some(Box::new(data)), message: None })
    };
    if !resolved.reaches_anyone() {
        return nobody(Problem::NobodyReached(kind, Why::of_skipped(resolved.all())));
    }
    let Some(channel) = channel else { return nobody(Problem::Unfinished) };
    let calls = (kind == ChannelKind::Voice).then(|| Calls::of(&resolved));
    let submission = Submission {
        app: app.no,
        dialect: Dialect::Cmsi,
        operation: component.name(),
        user,
        channel,
        client: String::new(),
        priority: Priority::default(),
        windows: None,
        draft,
        idempotency: key,
    };
    // From here on it counts among what waits for the store.
    drop(room);
    match intake.accept(submission, resolved, settings.cmsi_wait).await {
        Ok(receipt) => {
            let beside = calls.map(|calls| calls.written(&receipt.failures));
            if receipt.failures.is_empty() {
                Ok(sent(kind, component, &receipt, beside, settings))
            } else {
                Err(failed(intake, kind, receipt, beside.unwrap_or_default()).await)
            }
        }
        Err(Refusal::KeyReused) => Err(Problem::KeyReused.into()),
        Err(Refusal::Store(error)) => Err(not_stored(error)),
        Err(error @ (Refusal::Ids(_) | Refusal::Seal(_) | Refusal::OverLimit(_))) => {
            tracing::warn!(%error, "a message could not be accepted");
            Err(Problem::NotStored.into())
        }
    }
}

/// The people with these codes: of the directory, and of the user service those whom it lacks.
async fn people(
    intake: &Intake,
    directory: &Directory,
    app: &App,
    codes: Vec<String>,
    settings: &Settings,
) -> Result<Vec<User>, Failure> {
    if settings.cmsi_user_url.is_empty() {
        return intake.people(codes).await.map_err(not_stored);
    }
    let mut people = intake.people(codes.clone()).await.map_err(not_stored)?;
    directory.complete(settings, &app.code, &codes, &mut people, intake.now()).await?;
    Ok(people)
}

/// What the reference's provider of SMS answered, which its callers were handed (section 8).
const SMS_ANSWER: &str = r#""detail":[],"errmsg":"OK","ext":"","result":0,"#;

/// An accepted message that everybody has or will get.
fn sent(
    kind: ChannelKind,
    component: Component,
    receipt: &Receipt,
    calls: Option<String>,
    settings: &Settings,
) -> Success {
    let code = match kind {
        ChannelKind::Mail => settings.cmsi_mail_success_code,
        _ => MailSuccessCode::Number,
    };
    let data = match (component, kind) {
        (Component::SendQyWeixin | Component::SendMpWeixin, _) => Data::Nothing,
        (_, ChannelKind::Sms) => Data::AllDelivered(Cow::Borrowed(SMS_ANSWER)),
        _ => Data::AllDelivered(calls.map_or(Cow::Borrowed(""), Cow::Owned)),
    };
    Success::sent(receipt.message, code, data)
}

/// Decision 3: whatever is wrong with the store, the caller may try again.
fn not_stored(error: StoreError) -> Failure {
    tracing::warn!(%error, "a message could not be accepted");
    Problem::NotStored.into()
}

/// An accepted message that some or all did not get.
async fn failed(intake: &Intake, kind: ChannelKind, receipt: Receipt, beside: String) -> Failure {
    // "Some users failed" is read as a success by some callers (section 9), so it must not stand where nobody got anything.
    let is_nobody = receipt.failures.len() >= receipt.recipients;
    let problem = match (is_nobody, kind) {
        (false, _) => Problem::SomeFailed(kind, Why::of_failures(&receipt.failures)),
        (true, ChannelKind::Wecom) => Problem::AllRefused(kind, by_wecom(intake, &receipt).await),
        (true, _) => Problem::AllRefused(kind, Refused::default()),
    };
    let invalid = receipt.failures.into_iter().map(|outcome| outcome.recipient).collect();
    Failure { problem, data: Some(Box::new(Undelivered { invalid, beside })), message: Some(receipt.message) }
}

/// What WeCom says of a message that nobody got. It names users only where it refused users: otherwise a caller would look for
/// the fault with people whom nothing is wrong with.
async fn by_wecom(intake: &Intake, receipt: &Receipt) -> Refused {
    let refused = receipt.failures.iter().filter(|failure| failure.reason == Some(Reason::RecipientRefused));
    let errmsg = match intake.record(receipt.message).await {
        Ok(record) => errmsg::of(&record).to_owned(),
        Err(error) => {
            tracing::warn!(%error, "what WeCom said of a message could not be read");
            String::new()
        }
    };
    Refused { users: refused.map(|failure| failure.recipient.clone()).collect(), errmsg }
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
