//! Section 8: `send_voice_msg`.

use std::{borrow::Cow, sync::Arc};

use hongyan_core::setup::{App, Channel, ChannelKind, Setup};
use hongyan_intake::{Audience, Draft, Target, wire::Json};

use crate::{
    audience::{self, Side},
    content,
    error::{Fault, Field, Problem},
    fields,
    letter::{self, Letter},
    params::{Name, Params},
    python,
    route::Component,
};

const MESSAGE: Field = Field::new("auto voice reading info", "auto_read_message");
const USERS: Field = Field::new("user list", "user_list_information");
const USERNAME: Field = Field::new("person notified", "username");
const PHONE: Field = Field::new("Mobile phone", "mobile_phone");

/// `send_voice_msg`: a list of people with their phones beats usernames.
pub(crate) fn send_voice_msg(setup: &Setup, app: &Arc<App>, params: &Params<'_>) -> Result<Letter, Problem> {
    let channel = channel(setup, app)?;
    let message = MESSAGE.required(params.get(Name::AutoReadMessage))?;
    let people = USERS.array(params.get(Name::UserListInformation))?;
    let people =
        people.iter().filter(|person| python::is_true(person)).map(Person::of).collect::<Result<Vec<_>, _>>()?;
    if !people.is_empty() {
        return letter(channel, message, MESSAGE, audience_of(people)?);
    }
    let users = Side::users(fields::list(params.get(Name::ReceiverUsername)));
    if users.is_empty() { Err(Problem::NoVoiceReceiver) } else { to_users(channel, users, message, MESSAGE) }
}

/// The channel of voice messages, if there is one and the app may use it.
pub(crate) fn channel(setup: &Setup, app: &App) -> Result<Option<Arc<Channel>>, Problem> {
    letter::permitted(setup.channel_of_kind(ChannelKind::Voice), app, Component::SendVoiceMsg)
}

/// A message to be read out to people of the directory, which came in `field`.
pub(crate) fn to_users(
    channel: Option<Arc<Channel>>,
    users: Side<'_>,
    message: Cow<'_, str>,
    field: Field,
) -> Result<Letter, Problem> {
    let audience = audience::audience(ChannelKind::Voice, users, Side::default())?;
    letter(channel, message, field, audience)
}

fn letter(
    channel: Option<Arc<Channel>>,
    message: Cow<'_, str>,
    field: Field,
    audience: Audience,
) -> Result<Letter, Problem> {
    let text = content::brief(message, false, field)?;
    Ok(Letter { kind: ChannelKind::Voice, channel, audience, draft: Draft::Text(text) })
}

/// An item of the list.
struct Person<'p> {
    username: Cow<'p, str>,
    /// Digits; empty: the phone that the directory knows.
    phone: Cow<'p, str>,
}

impl<'p> Person<'p> {
    fn of(item: &'p Json<'_>) -> Result<Self, Problem> {
        let Json::Dict(_) = item else { return Err(USERS.is(Fault::Dict)) };
        let username = USERNAME.required(item.get("username"))?;
        let phone = match item.get("mobile_phone") {
            // Python's false: none.
            Json::Int(0) => Cow::Borrowed(""),
            phone => fields::chars(phone),
        };
        if phone.bytes().all(|digit| digit.is_ascii_digit()) {
            Ok(Self { username, phone })
        } else {
            Err(PHONE.is(Fault::PhoneNumber))
        }
    }

    /// Where they are called; what they gave that makes it impossible.
    fn target(&self) -> Result<Target, String> {
        let person = audience::user(&self.username).ok_or_else(|| self.username.as_ref().to_owned())?;
        if self.phone.is_empty() {
            return Ok(person);
        }
        let address = audience::address(ChannelKind::Voice, &self.phone).map_err(|_| self.phone.as_ref().to_owned())?;
        Ok(Target::Address { name: self.username.as_ref().to_owned(), address })
    }
}

fn audience_of(people: Vec<Person<'_>>) -> Result<Audience, Problem> {
    audience::check_number(people.len())?;
    let (mut to, mut wrong) = (Vec::with_capacity(people.len()), Vec::new());
    for person in people {
        match person.target() {
            Ok(target) => to.push(target),
            Err(contact) => wrong.push(contact),
        }
    }
    if wrong.is_empty() { Ok(Audience { to, cc: Vec::new() }) } else { Err(Problem::BadContacts(wrong)) }
}
