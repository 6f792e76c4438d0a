//! Whom a request means (decision 2, rows 9 to 20): everyone, people of the directory, or accounts by channel.

use std::collections::{HashMap, HashSet};

use hongyan_core::{
    limits,
    setup::{App, ChannelNo, Setup},
    store::People,
};
use hongyan_intake::wire::Json;

use crate::{
    call::Call,
    channels,
    fields::{self, Members, Names, Room},
    place::Place,
    problem::Problem,
    reply::Invalid,
};

const DATA: Place<'static> = Place::top("receiverData");

/// Whom a request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Receivers {
    /// People of the directory.
    People(People),
    /// Accounts of channels.
    Accounts(Vec<Accounts>),
}

/// Accounts of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accounts {
    /// The channel as the caller named it.
    pub(crate) key: String,
    pub(crate) channel: ChannelNo,
    /// At least one, each once, as the caller named them.
    pub(crate) names: Vec<String>,
}

impl Receivers {
    /// Those of a call of `app`. What is named and can be nobody is `invalid`, unless nobody is left (row 14).
    pub(crate) fn read(call: &Call<'_>, setup: &Setup, app: &App, invalid: &mut Invalid) -> Result<Self, Problem> {
        let place = Place::top("receiverType");
        let kind = fields::text(call.get("receiverType"), &place)?.ok_or_else(|| Problem::missing(&place))?;
        let mut room = Room::new(app.receivers_max.unwrap_or(limits::PEOPLE_NAMED_MAX));
        match kind.trim() {
            "all" if app.broadcast => Ok(Self::People(People { everyone: true, ..People::default() })),
            "all" => Err(Problem::NoBroadcast),
            "specified" => {
                people(call.get("receiverData"), setup.settings.push_below, &mut room, invalid).map(Self::People)
            }
            "custom" => accounts(call.get("receiverData"), setup, &mut room, invalid).map(Self::Accounts),
            _ => Err(Problem::must(&place, "all、specified或custom")),
        }
    }

    /// The channels that the caller chose by naming accounts on them; `None` where people are meant, who are on all.
    pub(crate) fn channels(&self) -> Option<HashSet<ChannelNo>> {
        match self {
            Self::People(_) => None,
            Self::Accounts(accounts) => Some(accounts.iter().map(|accounts| accounts.channel).collect()),
        }
    }
}

fn data<'j, 'a>(value: &'j Json<'a>) -> Result<&'j Members<'a>, Problem> {
    let members = fields::object(value, &DATA)?.ok_or_else(|| Problem::missing(&DATA))?;
    if members.is_empty() { Err(Problem::empty(&DATA)) } else { Ok(members) }
}

/// The union of whoever is named (row 12); other members are ignored (row 47).
fn people(value: &Json<'_>, with_below: bool, room: &mut Room, invalid: &mut Invalid) -> Result<People, Problem> {
    data(value)?;
    let mut names = |name: &'static str, most| -> Result<Vec<String>, Problem> {
        let Names { good, odd } = fields::names(value.get(name), &DATA.at(name), most, room)?;
        invalid.tell(name, odd);
        Ok(good)
    };
    let people = People {
        everyone: false,
        users: names("user", limits::USER_CODE_BYTES_MAX)?,
        departments: names("dept", limits::GROUP_CODE_BYTES_MAX)?,
        with_below,
        posts: names("post", limits::GROUP_CODE_BYTES_MAX)?,
        roles: names("role", limits::GROUP_CODE_BYTES_MAX)?,
    };
    let is_nobody =
        [&people.users, &people.departments, &people.posts, &people.roles].iter().all(|kind| kind.is_empty());
    if is_nobody { Err(nobody(invalid)) } else { Ok(people) }
}

/// Why there is nobody: nobody is named, or nobody who could be anyone.
fn nobody(invalid: &Invalid) -> Problem {
    if invalid.is_empty() { Problem::empty(&DATA) } else { Problem::Nobody }
}

/// Accounts by channel. A channel without any is as good as not there.
fn accounts(value: &Json<'_>, setup: &Setup, room: &mut Room, invalid: &mut Invalid) -> Result<Vec<Accounts>, Problem> {
    let mut all: Vec<Accounts> = Vec::new();
    let mut places: HashMap<ChannelNo, usize> = HashMap::new();
    for (key, value) in data(value)? {
        let channel = channels::named(setup, key)?.no;
        let Names { good, odd } = fields::names(value, &DATA.at(key), limits::ADDRESS_BYTES_MAX, room)?;
        invalid.tell(key, odd);
        let accounts = Accounts { key: key.to_string(), channel, names: good };
        match places.get(&channel).map(|at| &mut all[*at]) {
            Some(first) if first.key == accounts.key => *first = accounts,
            Some(first) => return Err(Problem::ChannelTwice(first.key.clone())),
            None => {
                places.insert(channel, all.len());
                all.push(accounts);
            }
        }
    }
    all.retain(|accounts| !accounts.names.is_empty());
    if all.is_empty() { Err(nobody(invalid)) } else { Ok(all) }
}
