//! Who was still to follow when a backup was made, as a restore holds it for review and a backup counts it.

use hongyan_core::{
    directory::GroupKind,
    store::{Addressee, Listed, People, Place, Way, Who},
};

/// Who is still to follow, by channel. People of the directory are not looked for: some of them may have got it since, and
/// nobody knows who. What was named is held in their place, so that it is seen who was meant.
pub(crate) fn lists_left(who: Who, place: &Place) -> Vec<(Way, Vec<Addressee>)> {
    match who {
        Who::Listed(lists) => {
            let mut skip = usize::try_from(place.step).unwrap_or(usize::MAX);
            let mut left = Vec::with_capacity(lists.len());
            for Listed { way, mut addressees } in lists {
                let done = skip.min(addressees.len());
                skip -= done;
                left.push((way, addressees.split_off(done)));
            }
            left
        }
        Who::People { ways, people } => {
            let named = people_named(&people);
            ways.into_iter().map(|way| (way, named.clone())).collect()
        }
    }
}

/// One row for each user, department, post and role that is named, or for everyone.
fn people_named(people: &People) -> Vec<Addressee> {
    let named = |recipient: String| Addressee { recipient, address: String::new(), skipped: None };
    if people.everyone {
        return vec![named("everyone".to_owned())];
    }
    let groups = [
        (GroupKind::Department, &people.departments),
        (GroupKind::Post, &people.posts),
        (GroupKind::Role, &people.roles),
    ];
    let groups = groups
        .into_iter()
        .flat_map(|(kind, codes)| codes.iter().map(move |code| named(format!("{} {code}", kind.as_str()))));
    people.users.iter().cloned().map(named).chain(groups).collect()
}

/// How many deliveries are known to follow. Of people of the directory as many as are named: who they are is found only when
/// their page is expanded.
pub(crate) fn following(who: Who, place: &Place) -> u64 {
    let lists = lists_left(who, place);
    lists.iter().flat_map(|(_, list)| list).filter(|who| who.skipped.is_none()).count() as u64
}

#[cfg(test)]
mod tests {
    use hongyan_core::{delivery::Reason, setup::ChannelNo};

    use super::*;

    fn way(channel: u32) -> Way {
        Way { channel: ChannelNo(channel), parcel_max: 1 }
    }

    fn list(names: &[&str]) -> Vec<Addressee> {
        let one = |name: &&str| Addressee {
            recipient: (*name).into(),
            address: (*name).into(),
            skipped: name.starts_with('-').then_some(Reason::NoAddress),
        };
        names.iter().map(one).collect()
    }

    /// The place counts over all lists, one after the other.
    #[test]
    fn lists_go_on_behind_the_place() {
        for (step, first, second) in [
            (0, &["a", "-b"][..], &["c", "d", "e"][..]),
            (1, &["-b"], &["c", "d", "e"]),
            (2, &[], &["c", "d", "e"]),
            (4, &[], &["e"]),
            (9, &[], &[]),
        ] {
            let lists = [(1, &["a", "-b"][..]), (7, &["c", "d", "e"])];
            let lists = lists.map(|(channel, names)| Listed { way: way(channel), addressees: list(names) });
            let (who, place) = (Who::Listed(lists.to_vec()), Place { step, mark: String::new() });
            assert_eq!(lists_left(who.clone(), &place), [(way(1), list(first)), (way(7), list(second))], "{step}");
            let skipped = u64::from(first.contains(&"-b"));
            assert_eq!(following(who, &place), (first.len() + second.len()) as u64 - skipped, "{step}");
        }
    }
}
