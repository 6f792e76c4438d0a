//! Who was still to follow when a backup was made, as a restore holds it for review and a backup counts it.

use hongyan_core::{
    directory::GroupKind,
    store::{Addressee, Listed, People, Place, Way, Who},
};

/// Who is still to follow, by channel. People of the directory are not looked for: some of them may have got it since, and nobody knows
/// who. What was named is held in their place, so that it is seen who was meant.
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

/// How many deliveries are known to follow. Of people of the directory as many as are named: who they are is found only when their page is
/// expanded.
pub(crate) fn following(who: Who, place: &Place) -> u64 {
    let lists = lists_left(who, place);
    lists.iter().flat_map(|(_, list)| list).filter(|who| who.skipped.is_none()).count() as u64
}
