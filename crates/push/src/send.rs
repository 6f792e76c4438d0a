//! One request as one post: what is said on which channels, to whom, when; and what its caller is told (decisions 1 and 2).

use std::{collections::HashMap, sync::Arc};

use hongyan_core::{
    directory::GroupKind,
    message::{Dialect, Idempotency},
    setup::{App, Channel, ChannelNo},
    store::{Addressee, People},
};
use hongyan_intake::{
    Intake, Post, PostPart, PostTo,
    wire::{Held, Json},
};

use crate::{
    accounts::Known,
    answer::Answers,
    call::Call,
    channels,
    content::{Part, Speaker},
    envelope::Envelope,
    fields,
    place::Place,
    problem::Problem,
    receivers::{Accounts, Receivers},
    reply::{Accepted, Invalid},
    route::Route,
    template,
};

/// Under which name the reply says on which channels something was said to nobody (row 19).
const UNHEARD: &str = "channelData";

/// What is said on channels, on each to accounts of its own.
type Addressed = Vec<(Part, Accounts)>;

/// A request, understood.
pub(crate) struct Order {
    route: Route,
    app: Arc<App>,
    client: String,
    key: Option<Idempotency>,
    envelope: Envelope,
    to: To,
    /// What the caller is told besides.
    invalid: Invalid,
}

/// Who gets what.
enum To {
    /// The same people on every channel.
    People(Vec<Part>, People),
    /// On each channel accounts of its own.
    Accounts(Addressed),
}

impl Order {
    /// What `app` asks for. Nothing here waits for anything.
    pub(crate) fn read(
        intake: &Intake,
        app: Arc<App>,
        call: &Call<'_>,
        key: Option<Idempotency>,
    ) -> Result<Self, Problem> {
        let setup = intake.setup().get();
        let speaker = Speaker { setup: &setup, app: &app };
        let mut invalid = Invalid::default();
        let receivers = Receivers::read(call, &setup, &app, &mut invalid)?;
        let template = match call.route {
            Route::Channel => None,
            Route::Template => Some(template::named(&speaker, call)?),
        };
        let parts = match &template {
            None => parts(&speaker, call)?,
            Some(template) => template::parts(&speaker, call, template, receivers.channels().as_ref())?,
        };
        let to = match receivers {
            Receivers::People(people) => {
                let nowhere = |part: &&Part| !channels::reaches_people(part.channel.kind);
                let unheard: Vec<String> = parts.iter().filter(nowhere).map(|part| part.key.clone()).collect();
                if unheard.len() == parts.len() {
                    return Err(Problem::Nobody);
                }
                invalid.tell(UNHEARD, unheard);
                To::People(parts, people)
            }
            Receivers::Accounts(accounts) => {
                let (both, unheard) = matched(parts, accounts)?;
                // The channels of a template that a caller leaves out are left out on purpose (row 38).
                if template.is_none() && !unheard.is_empty() {
                    invalid.tell(UNHEARD, unheard);
                }
                To::Accounts(both)
            }
        };
        let envelope = Envelope::read(call, &setup.settings, template.as_deref(), intake.now())?;
        let client = call.client().map(|address| address.to_string()).unwrap_or_default();
        Ok(Self { route: call.route, client, key, envelope, to, invalid, app })
    }

    /// Finds whom it means, stores it, and answers.
    pub(crate) async fn carry_out(self, intake: &Intake, answers: &Answers, room: Held) -> Result<Accepted, Problem> {
        let Self { route, app, client, key, envelope, to, mut invalid } = self;
        let (parts, to) = match to {
            To::People(parts, people) => {
                unknown(intake, &people, &mut invalid).await?;
                (parts, PostTo::People(people))
            }
            To::Accounts(both) => {
                let (parts, lists) = resolved(intake, both, &mut invalid).await?;
                (parts, PostTo::Addresses(lists))
            }
        };
        let Envelope { label, priority, due } = envelope;
        let parts = parts.into_iter().map(|part| PostPart { channel: part.channel, draft: part.draft });
        let post = Post {
            app: app.no,
            dialect: Dialect::Push,
            operation: route.name(),
            // Whom the app names as the sender is in the label: nobody vouches for it.
            user: String::new(),
            client,
            priority,
            label,
            idempotency: key.clone(),
            due,
            parts: parts.collect(),
            to,
        };
        // From here on it counts among what waits for the store.
        drop(room);
        let posted = intake.post(post).await?;
        Ok(answers.keep(app.no, key, Accepted { message: posted.message, invalid: invalid.into() }).await)
    }
}

/// What a caller says on each channel, in its order; of a key that is there twice the last counts.
fn parts(speaker: &Speaker<'_>, call: &Call<'_>) -> Result<Vec<Part>, Problem> {
    let place = Place::top("channelData");
    let members = fields::object(call.get("channelData"), &place)?.ok_or_else(|| Problem::missing(&place))?;
    if members.is_empty() {
        return Err(Problem::empty(&place));
    }
    let mut named: Vec<(&str, &Arc<Channel>, &Json<'_>)> = Vec::new();
    let mut places: HashMap<ChannelNo, usize> = HashMap::new();
    for (key, value) in members {
        let channel = channels::usable(channels::named(speaker.setup, key)?, speaker.app)?;
        match places.get(&channel.no).map(|at| &mut named[*at]) {
            Some(first) if first.0 == key => first.2 = value,
            Some(first) => return Err(Problem::ChannelTwice(first.0.to_owned())),
            None => {
                places.insert(channel.no, named.len());
                named.push((key, channel, value));
            }
        }
    }
    let part = |(key, channel, value): (&str, &Arc<Channel>, &Json<'_>)| {
        let draft = speaker.read(channel, value, &place.at(key))?;
        Ok(Part { key: key.to_owned(), channel: Arc::clone(channel), draft })
    };
    named.into_iter().map(part).collect()
}

/// Row 19: what is said with those to whom it is said, and the keys of the channels on which nobody hears it.
fn matched(parts: Vec<Part>, accounts: Vec<Accounts>) -> Result<(Addressed, Vec<String>), Problem> {
    let mut accounts: HashMap<ChannelNo, Accounts> =
        accounts.into_iter().map(|accounts| (accounts.channel, accounts)).collect();
    let (mut both, mut unheard) = (Vec::new(), Vec::new());
    for part in parts {
        match accounts.remove(&part.channel.no) {
            Some(accounts) => both.push((part, accounts)),
            None => unheard.push(part.key),
        }
    }
    match accounts.into_values().map(|accounts| accounts.key).min() {
        Some(key) => Err(Problem::NothingSaid(key)),
        None => Ok((both, unheard)),
    }
}

/// Row 14: who is named and not known, by the members of `receiverData`. Everyone is whoever there is when it is sent.
async fn unknown(intake: &Intake, people: &People, invalid: &mut Invalid) -> Result<(), Problem> {
    if people.everyone {
        return Ok(());
    }
    let found = intake.look_up(people).await?;
    if !found.anybody {
        return Err(Problem::Nobody);
    }
    invalid.tell("user", found.unknown_users);
    for (kind, code) in found.unknown_groups {
        let name = match kind {
            GroupKind::Department => "dept",
            GroupKind::Post => "post",
            GroupKind::Role => "role",
        };
        invalid.tell(name, vec![code]);
    }
    Ok(())
}

/// Row 17: where the accounts are reached; those who are nowhere are told under the channel's key.
async fn resolved(
    intake: &Intake,
    both: Addressed,
    invalid: &mut Invalid,
) -> Result<(Vec<Part>, Vec<Vec<Addressee>>), Problem> {
    let lists = both.iter().map(|(part, accounts)| (&*part.channel, accounts.names.as_slice()));
    let known = Known::of(intake, lists).await?;
    let (mut parts, mut all) = (Vec::with_capacity(both.len()), Vec::with_capacity(both.len()));
    for (part, accounts) in both {
        let addressees = known.resolve(part.channel.kind, accounts.names);
        let nowhere = addressees.iter().filter(|addressee| addressee.skipped.is_some());
        invalid.tell(&accounts.key, nowhere.map(|addressee| addressee.recipient.clone()).collect());
        parts.push(part);
        all.push(addressees);
    }
    if all.iter().flatten().all(|addressee: &Addressee| addressee.skipped.is_some()) {
        return Err(Problem::Nobody);
    }
    Ok((parts, all))
}
