//! `GET /api/query` (section 5 of the document, decisions 7 and 10, rows 32 and 33): what accounts have sent, the newest first.

use std::collections::HashMap;

use hongyan_core::{
    account::{Account, Role},
    content::{Body, Content, Mail},
    delivery::{Reason, State},
    history::{HistoryFilter, HistoryPage, HistoryRow},
    limits,
    setup::Setup,
    text,
};
use hongyan_intake::account_name;
use serde_json::{Map, Value, json};

use crate::{
    call::Call,
    code::Code,
    deps::ImsgDeps,
    method::Method,
    reply::{Answer, Reply},
    token,
    turn::Turns,
    zone::Zone,
};

/// Rows of a page, where the caller does not say how many.
const SIZE: usize = 100;
/// Rows of a page at most.
const SIZE_MAX: usize = 1_000;
/// The last page.
const PAGE_MAX: usize = 1_000_000;

/// Answers what was sent: by everyone to an administrator, by themselves to others.
pub(crate) async fn query(deps: &ImsgDeps, turns: &Turns, call: &Call<'_>) -> Answer {
    let caller = token::account(deps, call).await?;
    let setup = deps.intake.setup().get();
    let zone = Zone::named(&setup.settings.time_zone);
    let size = number(call, "size")?.unwrap_or(SIZE).min(SIZE_MAX);
    let page = number(call, "page")?.unwrap_or(1).min(PAGE_MAX);
    let found = match filter(deps, call, &caller, &setup, &zone).await? {
        Some(filter) => {
            let _turn = match filter.is_plain() {
                true => None,
                false => Some(turns.take(caller.no).ok_or_else(Reply::later)?),
            };
            deps.book.store().history(filter, (page - 1) * size, size).await?
        }
        None => HistoryPage { rows: Vec::new(), total: 0 },
    };
    let mut accounts: Vec<_> = found.rows.iter().map(|row| row.account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let names: HashMap<_, _> = match accounts.is_empty() {
        true => HashMap::new(),
        false => deps.book.store().account_names(accounts).await?.into_iter().collect(),
    };
    let row = |(n, row): (usize, &HistoryRow)| {
        // An account that was removed has its number alone: who has got its name since is another one.
        let from = names.get(&row.account).map_or_else(|| format!("#{}", row.account.0), String::clone);
        ((n + 1).to_string(), told(row, &from, &zone))
    };
    let rows: Map<String, Value> = found.rows.iter().enumerate().map(row).collect();
    Ok(Reply::new(Code::Done).with("total", found.total).with("total_data", rows))
}

/// A whole number from 1 on.
fn number(call: &Call<'_>, name: &str) -> Result<Option<usize>, Code> {
    let Some(text) = call.query(name) else { return Ok(None) };
    text.trim().parse().ok().filter(|number| *number > 0).map(Some).ok_or(Code::Type)
}

/// Which rows are asked for; `None` where there can be none.
async fn filter(
    deps: &ImsgDeps,
    call: &Call<'_>,
    caller: &Account,
    setup: &Setup,
    zone: &Zone,
) -> Result<Option<HistoryFilter>, Reply> {
    let mut filter = HistoryFilter::default();
    if let Some(method) = call.query("method") {
        let kind = Method::named(method.trim()).ok_or(Code::Method)?.kind();
        let channels = setup.channels().iter().filter(|channel| channel.kind == kind);
        filter.channels = Some(channels.map(|channel| channel.no).collect());
    }
    filter.failed = match call.query("result").map(|result| result.trim().to_ascii_lowercase()).as_deref() {
        None => None,
        Some("true" | "1") => Some(false),
        Some("false" | "0") => Some(true),
        Some(_) => return Err(Code::Type.into()),
    };
    let time = |name: &str| match call.query(name) {
        Some(text) => zone.read(&text).map(Some).ok_or(Code::Type),
        None => Ok(None),
    };
    filter.since = time("start")?.map(|(begin, _)| begin);
    // What is of the second, or the day, that is named as the end is of the range.
    filter.before = time("end")?.map(|(_, over)| over);
    filter.recipient = call.query("to").map(|to| to.trim().to_owned());
    filter.account = (caller.profile.role != Role::Admin).then_some(caller.no);
    if let Some(from) = call.query("from") {
        let account = match account_name(&from) {
            Some(name) if name == caller.name => Some(caller.no),
            Some(name) if filter.account.is_none() => {
                deps.book.store().account_find(name.to_owned()).await?.map(|account| account.no)
            }
            _ => None,
        };
        let Some(account) = account else { return Ok(None) };
        filter.account = Some(account);
    }
    let is_nowhere = filter.channels.as_ref().is_some_and(Vec::is_empty)
        || filter.recipient.as_deref().is_some_and(text::has_control);
    Ok((!is_nowhere).then_some(filter))
}

/// A row as the original shows it.
fn told(row: &HistoryRow, from: &str, zone: &Zone) -> Value {
    let is_failed = row.state.is_failure() || row.state == State::Undelivered;
    json!({
        "from": from,
        "ip": row.client,
        "to": row.recipient,
        "method": Method::of(&row.content).name(),
        "result": !is_failed,
        "time": zone.write(row.accepted),
        "content": said(&row.content),
        "error": if is_failed { why(row) } else { Code::Done.text().to_owned() },
    })
}

/// What was said: a mail as JSON, as it was sent but for the bytes of its attachments.
fn said(content: &Content) -> String {
    match content {
        Content::Mail(mail) => said_by_mail(mail),
        Content::Text(text) => text.text.clone(),
        Content::Notice(notice) => notice.message.clone(),
        // What accounts send is nothing else.
        _ => String::new(),
    }
}

fn said_by_mail(mail: &Mail) -> String {
    let (name, text) = match &mail.body {
        Body::Text(text) => ("text", text),
        Body::Html(html) => ("html", html),
    };
    let mut said = json!({"subject": mail.subject, name: cut(text)});
    if !mail.attachments.is_empty() {
        let names: Vec<_> = mail.attachments.iter().map(|attachment| attachment.filename.as_str()).collect();
        said["attachment"] = json!(names);
    }
    said.to_string()
}

/// A text that is not longer in a list than the other channels' are.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(limits::TEXT_BYTES_MAX)]
}

/// Why it came to nothing: what the provider said of it, else what the caller was told.
fn why(row: &HistoryRow) -> String {
    let code = match row.reason {
        Some(Reason::OverLimit) => Code::OverLimit,
        Some(Reason::NotFollowing) => Code::NotFollowing,
        Some(Reason::NoSuchRecipient) => Code::NoSuchRecipient,
        _ => Code::Internal,
    };
    match (row.reply.as_str(), row.reason) {
        ("", Some(reason)) if code == Code::Internal => format!("{} ({})", code.text(), reason.as_str()),
        ("", _) => code.text().to_owned(),
        (reply, _) => reply.to_owned(),
    }
}
