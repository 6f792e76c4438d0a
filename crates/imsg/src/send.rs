//! `POST /api/send` (section 3 of the document): the checks in the order of decision 2, then one submission, then what became
//! of everyone (decision 9).

use std::{collections::HashMap, sync::Arc, time::Duration};

use hongyan_core::{
    account::Account,
    cap::{Cap, Drawn},
    delivery::Reason,
    message::{Dialect, Idempotency, Priority},
    store::Addressee,
};
use hongyan_intake::{
    Draft, Receipt, RecipientOutcome, Refusal, Resolved, Submission, Windows,
    wire::{Held, Json},
};
use serde_json::Value;

use crate::{
    call::Call,
    code::Code,
    content::{self, Frame},
    deps::ImsgDeps,
    fingerprint,
    method::Method,
    recipients::{self, Recipients},
    reply::{Answer, Reply, told},
    zone::Zone,
};

/// What a caller is told of a method that the deployment has no channel for.
const NO_CHANNEL: &str = "未配置该发送方式的通道";
/// What a caller is told who used a key for something else.
const KEY_REUSED: &str = "Idempotency-Key已用于另一请求";
/// Refused calls of an account that leave a row in its history (decision 4).
const TRACES: Cap = Cap { most: 60, span: Duration::from_secs(60) };

/// A call of an account, understood; whether it may be carried out is not known yet.
pub(crate) struct Order {
    account: Account,
    method: Method,
    /// Who is none is told after everything else (decision 2).
    to: Recipients,
    draft: Draft,
    key: Option<Idempotency>,
    client: String,
}

impl Order {
    /// What `account` asks for.
    pub(crate) fn read(deps: &ImsgDeps, account: Account, call: &Call<'_>) -> Result<Self, Reply> {
        let [to, method, content] = ["to", "method", "content"].map(|name| call.get(name));
        if [to, method, content].contains(&&Json::Null) {
            return Err(Code::Missing.into());
        }
        let Json::Text(method) = method else { return Err(Code::Method.into()) };
        let method = Method::named(method).ok_or(Code::Method)?;
        let setup = deps.intake.setup().get();
        let date = Zone::named(&setup.settings.time_zone).write(deps.intake.now());
        let attachment = call.get("attachment");
        let draft = content::draft(method, content, attachment, Frame { from: &account.name, date })?;
        let to = Recipients::read(method, to)?;
        let key = fingerprint::key(call).map_err(|error| Reply::details(Code::Details, error.to_string()))?;
        let client = call.client().map(|address| address.to_string()).unwrap_or_default();
        Ok(Self { account, method, to, draft, key, client })
    }

    /// Sends it, waits, and answers what became of everyone. The order takes up `room`.
    pub(crate) async fn carry_out(self, deps: &ImsgDeps, room: Held) -> Answer {
        let Self { account, method, to, draft, key, client } = self;
        let Account { no, name, profile, .. } = account;
        let setup = deps.intake.setup().get();
        let channel = setup.channel_of_kind(method.kind());
        let official = channel.and_then(|channel| recipients::account_of(&setup, channel));
        let resolved = to.resolve(deps, official).await?;
        let Some(channel) = channel else {
            return Err(if profile.available { no_channel() } else { Code::OverLimit.into() });
        };
        let submission = |draft, windows, idempotency| Submission {
            app: no.as_app(),
            dialect: Dialect::Imsg,
            operation: "send",
            user: name.clone(),
            channel: Arc::clone(channel),
            client: client.clone(),
            priority: Priority::default(),
            windows,
            draft,
            idempotency,
        };
        let refused = (submission(content::trace(&draft), None, None), resolved.to.first().cloned());
        if !profile.available {
            leave_trace(deps, refused).await;
            return Err(Code::OverLimit.into());
        }
        if !channel.enabled {
            return Err(no_channel());
        }
        let settings = &setup.settings;
        let windows = Windows {
            per_hour: profile.per_hour,
            per_day: profile.per_day,
            day: Zone::named(&settings.time_zone).day(deps.intake.now()),
            fit: settings.imsg_fit,
        };
        // From here on it counts among what waits for the store.
        drop(room);
        match deps.intake.accept(submission(draft, Some(windows), key), resolved, settings.imsg_wait).await {
            Ok(receipt) => told_all(&to, receipt),
            Err(Refusal::KeyReused) => Err(Reply::details(Code::Details, KEY_REUSED)),
            Err(Refusal::OverLimit(_)) => {
                leave_trace(deps, refused).await;
                Err(Code::OverLimit.into())
            }
            Err(error @ (Refusal::Store(_) | Refusal::Ids(_) | Refusal::Seal(_))) => {
                tracing::warn!(%error, "a message could not be accepted");
                Err(Code::Internal.into())
            }
        }
    }
}

fn no_channel() -> Reply {
    Reply::details(Code::Internal, NO_CHANNEL)
}

/// Leaves one failed row of a refused call in the history of its account, under the name of its first recipient. What goes
/// wrong here changes nothing of the answer.
async fn leave_trace(deps: &ImsgDeps, (refused, first): (Submission, Option<Addressee>)) {
    let Some(first) = first else { return };
    let key = format!("imsg/refused/{}", refused.app.0);
    match deps.intake.draw(TRACES, key).await {
        Ok(Drawn::Yes) => {}
        Ok(Drawn::No { .. }) => return,
        Err(error) => return tracing::warn!(%error, "a refused call could not be counted"),
    }
    let first = Addressee { skipped: Some(Reason::OverLimit), ..first };
    let resolved = Resolved { to: vec![first], ..Resolved::default() };
    if let Err(error) = deps.intake.accept(refused, resolved, Duration::ZERO).await {
        tracing::warn!(%error, "a refused call could not be recorded");
    }
}

/// What became of everyone: of one recipient its code, of a list 10016 where anything failed; `details` say it of each.
fn told_all(to: &Recipients, receipt: Receipt) -> Answer {
    let done = |code| Reply::new(code).with("msgId", receipt.message.to_string());
    if receipt.failures.is_empty() {
        return Ok(done(Code::Done));
    }
    let failures: HashMap<&str, Code> =
        receipt.failures.iter().map(|failure| (failure.recipient.as_str(), code_of(failure))).collect();
    let code = |name: &String| failures.get(name.as_str()).copied().unwrap_or(Code::Done);
    let whole = if to.is_list { Code::Details } else { to.names.first().map_or(Code::Internal, code) };
    let details: Vec<Value> = to.names.iter().map(|name| told(name, code(name))).collect();
    Err(done(whole).with("details", details))
}

/// Row 23: what the provider said of a recipient.
const fn code_of(failure: &RecipientOutcome) -> Code {
    match failure.reason {
        Some(Reason::NotFollowing) => Code::NotFollowing,
        Some(Reason::NoSuchRecipient) => Code::NoSuchRecipient,
        _ => Code::Internal,
    }
}
