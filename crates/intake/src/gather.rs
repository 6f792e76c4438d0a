//! People of the directory, found a page at a time: first the users who are named, in the order of the request; then the groups that
//! are named, of which only those that there are not leave a trace; then the members of the groups, group by group in the order of
//! their numbers and in each by code. Who is named or was found in an earlier group is not taken again, so each person comes once.
//! Of everyone, users come by code. A [`Mark`] says where the next page begins, and needs nothing that was found before.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    str::FromStr,
};

use hongyan_core::{
    delivery::Reason,
    directory::{GroupKind, GroupNo},
    setup::{ChannelKind, User},
    store::{Addressee, People, Store, StoreError},
};

use crate::submission::{address_of, addressee};

/// How often a page asks for people at most: where all whom it finds were taken before, it stays small.
const ASKED_MAX: usize = 8;

/// Where a page of people begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// At a user who is named, by their place.
    Users(usize),
    /// At a group that is named, by its place.
    Groups(usize),
    /// Behind this member of the groups.
    Members(Option<(GroupNo, String)>),
    /// Behind this one of everyone.
    Everyone(Option<String>),
}

impl Mark {
    /// The beginning.
    pub(crate) const fn first(people: &People) -> Self {
        if people.everyone { Self::Everyone(None) } else { Self::Users(0) }
    }

    /// Whether all who are named have been looked up.
    pub(crate) const fn is_behind_names(&self) -> bool {
        matches!(self, Self::Members(_) | Self::Everyone(_))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Users(place) => write!(f, "users:{place}"),
            Self::Groups(place) => write!(f, "groups:{place}"),
            Self::Members(None) => f.write_str("members"),
            Self::Members(Some((GroupNo(no), code))) => write!(f, "members:{no}:{code}"),
            Self::Everyone(None) => f.write_str("everyone"),
            Self::Everyone(Some(code)) => write!(f, "everyone:{code}"),
        }
    }
}

impl FromStr for Mark {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let wrong = || StoreError::Corrupt(format!("no page of people begins at {text:?}"));
        let place = |text: &str| text.parse().map_err(|_| wrong());
        match text.split_once(':') {
            None if text == "members" => Ok(Self::Members(None)),
            None if text == "everyone" => Ok(Self::Everyone(None)),
            Some(("users", rest)) => place(rest).map(Self::Users),
            Some(("groups", rest)) => place(rest).map(Self::Groups),
            Some(("members", rest)) => {
                let (no, code) = rest.split_once(':').ok_or_else(wrong)?;
                let no = GroupNo(no.parse().map_err(|_| wrong())?);
                Ok(Self::Members(Some((no, code.to_owned()))))
            }
            Some(("everyone", code)) => Ok(Self::Everyone(Some(code.to_owned()))),
            _ => Err(wrong()),
        }
    }
}

/// Someone or something that a page found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A person, enabled.
    Person(Box<User>),
    /// The code of a user whom there is not, or who is disabled.
    NoUser(String),
    /// The code of a group that there is not.
    NoGroup(GroupKind, String),
}

/// A page of people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gathered {
    pub(crate) found: Vec<Found>,
    /// Where the next page begins; absent: there is none.
    pub(crate) next: Option<Mark>,
}

/// The page that begins at `mark`, of at most `room` people. There may be none in it although more follow.
pub(crate) async fn gather(
    store: &dyn Store,
    people: &People,
    mark: Mark,
    room: usize,
) -> Result<Gathered, StoreError> {
    let (mut found, mut next) = (Vec::new(), Some(mark));
    for _ in 0..ASKED_MAX {
        let Some(mark) = next.take_if(|_| found.len() < room) else { break };
        let step = step(store, people, mark, room - found.len()).await?;
        found.extend(step.found);
        next = step.next;
    }
    Ok(Gathered { found, next })
}

/// At most `limit` people, asked for at once.
pub(crate) async fn step(store: &dyn Store, people: &People, mark: Mark, limit: usize) -> Result<Gathered, StoreError> {
    match mark {
        Mark::Users(place) => users(store, people, place, limit).await,
        Mark::Groups(place) => groups(store, people, place, limit).await,
        Mark::Members(after) => members(store, people, after, limit).await,
        Mark::Everyone(after) => everyone(store, after, limit).await,
    }
}

async fn users(store: &dyn Store, people: &People, place: usize, limit: usize) -> Result<Gathered, StoreError> {
    let (before, from) = people.users.split_at(place.min(people.users.len()));
    let page = &from[..limit.min(from.len())];
    let mut seen: HashSet<&str> = before.iter().map(String::as_str).collect();
    let codes: Vec<String> = page.iter().filter(|code| seen.insert(code)).cloned().collect();
    let known = if codes.is_empty() { Vec::new() } else { store.users_find(codes.clone()).await? };
    let mut known: HashMap<String, User> =
        known.into_iter().filter(|user| user.enabled).map(|user| (user.code.clone(), user)).collect();
    let find = |code: String| match known.remove(&code) {
        Some(user) => Found::Person(Box::new(user)),
        None => Found::NoUser(code),
    };
    let found = codes.into_iter().map(find).collect();
    let next = if page.len() < from.len() {
        Some(Mark::Users(place + page.len()))
    } else {
        names(people).next().map(|_| Mark::Groups(0))
    };
    Ok(Gathered { found, next })
}

/// The groups that are named: departments, posts, roles.
fn names(people: &People) -> impl Iterator<Item = (GroupKind, &String)> {
    let kinds = [
        (GroupKind::Department, &people.departments),
        (GroupKind::Post, &people.posts),
        (GroupKind::Role, &people.roles),
    ];
    kinds.into_iter().flat_map(|(kind, codes)| codes.iter().map(move |code| (kind, code)))
}

async fn groups(store: &dyn Store, people: &People, place: usize, limit: usize) -> Result<Gathered, StoreError> {
    let mut seen: HashSet<_> = names(people).take(place).collect();
    let page: Vec<_> = names(people).skip(place).take(limit).collect();
    let next = Some(if page.len() < limit { Mark::Members(None) } else { Mark::Groups(place + page.len()) });
    let page: Vec<_> = page.into_iter().filter(|name| seen.insert(*name)).collect();
    let mut found = Vec::new();
    for kind in GroupKind::ALL {
        let codes: Vec<String> = page.iter().filter(|name| name.0 == kind).map(|name| name.1.clone()).collect();
        if codes.is_empty() {
            continue;
        }
        let known = store.groups_find(kind, codes.clone()).await?;
        let known: HashSet<&str> = known.iter().map(|group| group.code.as_str()).collect();
        found.extend(codes.into_iter().filter(|code| !known.contains(code.as_str())).map(|c| Found::NoGroup(kind, c)));
    }
    Ok(Gathered { found, next })
}

/// The numbers of the groups whose members are meant, those below departments included, in their order.
async fn meant(store: &dyn Store, people: &People) -> Result<Vec<GroupNo>, StoreError> {
    let mut numbers = Vec::new();
    for kind in GroupKind::ALL {
        let codes: Vec<String> = names(people).filter(|name| name.0 == kind).map(|name| name.1.clone()).collect();
        if codes.is_empty() {
            continue;
        }
        let known = store.groups_find(kind, codes).await?.into_iter().map(|group| group.no).collect();
        let below = kind == GroupKind::Department && people.with_below;
        numbers.extend(if below { store.groups_below(known).await? } else { known });
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

async fn members(
    store: &dyn Store,
    people: &People,
    after: Option<(GroupNo, String)>,
    limit: usize,
) -> Result<Gathered, StoreError> {
    let groups = meant(store, people).await?;
    if groups.is_empty() {
        return Ok(Gathered { found: Vec::new(), next: None });
    }
    let named: HashSet<&str> = people.users.iter().map(String::as_str).collect();
    let page = store.members(groups.clone(), after, limit).await?;
    let last = page.last().map(|member| (member.group, member.user.code.clone()));
    let next = last.filter(|_| page.len() >= limit).map(|last| Mark::Members(Some(last)));
    // The first of their groups is the one with the lowest number: groups come in that order.
    let is_first = |groups_of: &[GroupNo], group| {
        groups_of.iter().filter(|no| groups.binary_search(no).is_ok()).min().is_none_or(|first| *first == group)
    };
    let taken = page.into_iter().filter(|member| {
        member.user.enabled && !named.contains(member.user.code.as_str()) && is_first(&member.groups, member.group)
    });
    Ok(Gathered { found: taken.map(|member| Found::Person(Box::new(member.user))).collect(), next })
}

async fn everyone(store: &dyn Store, after: Option<String>, limit: usize) -> Result<Gathered, StoreError> {
    let page = store.users_page(after, limit).await?;
    let last = page.last().map(|user| user.code.clone());
    let next = last.filter(|_| page.len() >= limit).map(|last| Mark::Everyone(Some(last)));
    let enabled = page.into_iter().filter(|user| user.enabled);
    Ok(Gathered { found: enabled.map(|user| Found::Person(Box::new(user))).collect(), next })
}

/// What was found, as addressees of a channel of `kind`; absent: the channel is declared no more, and reaches nobody. Who or what
/// there is not stands on record once, on the first channel of the message.
pub(crate) fn addressees(found: &[Found], kind: Option<ChannelKind>, is_first: bool) -> Vec<Addressee> {
    let missing = |code: &String, reason| is_first.then(|| addressee(code.clone(), Err(reason)).1);
    let one = |found: &Found| match found {
        Found::Person(user) => {
            let place = kind.ok_or(Reason::NoAddress).and_then(|kind| address_of(kind, Some(user)));
            Some(addressee(user.code.clone(), place).1)
        }
        Found::NoUser(code) => missing(code, Reason::UnknownUser),
        Found::NoGroup(_, code) => missing(code, Reason::UnknownGroup),
    };
    found.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let marks = [
            (Mark::Users(7), "users:7"),
            (Mark::Groups(0), "groups:0"),
            (Mark::Members(None), "members"),
            (Mark::Members(Some((GroupNo(3), "a:b".into()))), "members:3:a:b"),
            (Mark::Everyone(None), "everyone"),
            (Mark::Everyone(Some(":张".into())), "everyone::张"),
        ];
        for (mark, text) in marks {
            assert_eq!(mark.to_string(), text);
            assert_eq!(text.parse(), Ok(mark));
        }
        for wrong in ["", "users", "users:x", "members:1", "members:x:a", "nobody", "groups:-1"] {
            assert!(matches!(wrong.parse::<Mark>(), Err(StoreError::Corrupt(_))), "{wrong}");
        }
    }

    #[test]
    fn who_there_is_not_stands_on_the_first_channel_alone() {
        let user = User { code: "a".into(), email: "a@x.cn".into(), enabled: true, ..User::default() };
        let found =
            [Found::Person(Box::new(user)), Found::NoUser("b".into()), Found::NoGroup(GroupKind::Post, "P".into())];
        let rows = |kind, is_first| -> Vec<(String, String, Option<Reason>)> {
            let all = addressees(&found, kind, is_first);
            all.into_iter().map(|a| (a.recipient, a.address, a.skipped)).collect()
        };
        let row = |name: &str, address: &str, skipped| (name.to_owned(), address.to_owned(), skipped);
        let no_user = row("b", "", Some(Reason::UnknownUser));
        let no_group = row("P", "", Some(Reason::UnknownGroup));
        assert_eq!(rows(Some(ChannelKind::Mail), true), [row("a", "a@x.cn", None), no_user, no_group]);
        assert_eq!(rows(Some(ChannelKind::Sms), false), [row("a", "", Some(Reason::NoAddress))]);
        assert_eq!(rows(Some(ChannelKind::Inbox), false), [row("a", "a", None)]);
        assert_eq!(rows(None, false), [row("a", "", Some(Reason::NoAddress))]);
    }
}
