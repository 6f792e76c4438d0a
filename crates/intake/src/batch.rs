//! A request as one batch, however many channels it has and whether its recipients are known already or are found later: message,
//! content, key, first page, and who follows.

use std::sync::Arc;

use hongyan_core::{
    account::AccountNo,
    address::Mailbox,
    content::{Content, InApp},
    id::{Id, IdSource, bucket_of_key},
    limits,
    message::{Dialect, Idempotency, Label, Message, MessageState, Priority},
    ports::Sealer,
    quota::Admission,
    setup::{AppNo, Channel, ChannelNo, Setup},
    store::{Batch, Listed, People, Rest, Way, Who},
    time::Timestamp,
};

use crate::{
    page::{count, cut, lots},
    refusal::Refusal,
    submission::{Draft, Resolved, Windows},
};

/// A request of any dialect.
pub(crate) struct Request {
    pub(crate) app: AppNo,
    pub(crate) dialect: Dialect,
    pub(crate) operation: &'static str,
    pub(crate) user: String,
    pub(crate) client: String,
    pub(crate) priority: Priority,
    pub(crate) windows: Option<Windows>,
    pub(crate) label: Label,
    pub(crate) idempotency: Option<Idempotency>,
    /// Not before this time; absent or past: now.
    pub(crate) due: Option<Timestamp>,
    /// What it says on each of its channels, at least one, and to whom.
    pub(crate) parts: Vec<Part>,
    /// Who is found when it is due, and gets it on all of the channels, beside those of the parts.
    pub(crate) people: Option<People>,
}

/// What a request says on one channel.
pub(crate) struct Part {
    pub(crate) channel: Arc<Channel>,
    pub(crate) draft: Draft,
    /// Who gets it there; nobody where they are people to be found.
    pub(crate) to: Resolved,
}

/// What a batch is made with.
pub(crate) struct Press<'a> {
    pub(crate) ids: &'a IdSource,
    pub(crate) setup: &'a Setup,
    pub(crate) sealer: &'a dyn Sealer,
}

impl Press<'_> {
    /// The request as one batch. What is due now has its first page in it; what is due later has nobody yet.
    pub(crate) fn batch(&self, request: Request, now: Timestamp) -> Result<Batch, Refusal> {
        let account = AccountNo::of_app(request.app);
        let bucket = match (account, &request.idempotency) {
            (Some(account), _) => account.bucket(),
            (None, Some(key)) => bucket_of_key(request.app, &key.key),
            (None, None) => self.ids.home(),
        };
        let later = request.due.filter(|due| *due > now);
        let due = later.unwrap_or(now);
        let expires = due + limits::TIME_TO_LIVE;
        let recipients = request.parts.iter().map(|part| part.to.all().count()).sum::<usize>();
        let first_page = if later.is_some() { 0 } else { recipients.min(limits::PAGE_RECIPIENTS_MAX) };
        let id = self.ids.block(1 + first_page, bucket, now)?;
        let Contents { content, attachments, lists } = self.contents(request.parts, &request.label, id, now)?;
        let sent = lists.iter().flat_map(|listed| &listed.addressees).filter(|a| a.skipped.is_none()).count();
        let channel = lists.first().map_or(ChannelNo(0), |listed| listed.way.channel);
        let ways = lists.iter().map(|listed| listed.way).collect();
        let (page, behind) = cut(lists, first_page);
        let who = match request.people {
            Some(people) => Some(Who::People { ways, people }),
            None => (count(&behind) > 0).then_some(Who::Listed(behind)),
        };
        let rest = who.map(|who| Rest { due, who });
        let admission = account.zip(request.windows).map(|(account, windows)| Admission {
            account: account.windows(),
            id,
            amount: u32::try_from(sent).unwrap_or(u32::MAX),
            hour_max: windows.per_hour,
            day_max: windows.per_day,
            day: windows.day,
            fit: windows.fit,
        });
        let state = match (&rest, later) {
            (None, _) => MessageState::Expanded,
            (Some(_), None) => MessageState::Expanding,
            (Some(_), Some(_)) => MessageState::Scheduled,
        };
        let message = Message {
            id,
            app: request.app,
            dialect: request.dialect,
            operation: request.operation.to_owned(),
            user: request.user,
            client: request.client,
            priority: request.priority,
            state,
            label: request.label,
            accepted: now,
            expires,
        };
        Ok(Batch {
            message,
            idempotency: request.idempotency,
            admission,
            channel,
            content: Arc::new(content),
            attachments: Arc::new(attachments),
            page: lots(page, id.plus(1), now, expires),
            rest,
        })
    }

    /// What the parts say, and their lists.
    fn contents(&self, parts: Vec<Part>, label: &Label, message: Id, now: Timestamp) -> Result<Contents, Refusal> {
        let (mut contents, mut attachments, mut lists) = (Vec::new(), Vec::new(), Vec::new());
        for Part { channel, draft, to } in parts {
            let parcel_max = match &draft {
                Draft::Mails(_) => 1,
                _ => self.setup.call_recipients_max(&channel),
            };
            let (content, bytes) = self.settled(draft, &channel, label).render(&to, message, now, self.sealer)?;
            contents.push((channel.no.0, content));
            attachments.extend(bytes);
            let way = Way { channel: channel.no, parcel_max };
            lists.push(Listed { way, addressees: to.to.into_iter().chain(to.cc).collect() });
        }
        let content = match contents.len() {
            1 => contents.remove(0).1,
            _ => Content::Each(contents.into_iter().collect()),
        };
        Ok(Contents { content, attachments, lists })
    }

    /// A draft with all that is the same for everybody, whoever gets it and by whichever provider.
    fn settled(&self, mut draft: Draft, channel: &Channel, label: &Label) -> Draft {
        match &mut draft {
            Draft::Mail(mail) | Draft::Mails(mail) if mail.from.is_none() => {
                mail.from = sender_of(self.setup, channel, &label.sender_name);
            }
            Draft::InApp(InApp { label: shown, .. }) => label.clone_into(shown),
            _ => {}
        }
        draft
    }
}

/// What a request says, and its lists, one a channel.
struct Contents {
    content: Content,
    attachments: Vec<Vec<u8>>,
    lists: Vec<Listed>,
}

/// Who a mail of `channel` is from that names nobody: the sender of the first provider that is in use, under the name of whoever
/// has it sent. Settled at acceptance, so that a try by another provider, or after a change of the plan, sends the same bytes with
/// the same Message-ID.
fn sender_of(setup: &Setup, channel: &Channel, name: &str) -> Option<Mailbox> {
    let provider = channel.providers.iter().filter_map(|no| setup.provider(*no)).find(|provider| provider.enabled)?;
    let mut sender = Mailbox::parse(provider.kind.sender()).ok()?;
    if !name.is_empty() {
        name.clone_into(&mut sender.name);
    }
    Some(sender)
}
