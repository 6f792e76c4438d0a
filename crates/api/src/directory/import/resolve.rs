//! What an import says beside what the store has: the groups that it names but does not make, and what of people stays as it is
//! because no column tells of it.

use std::collections::{HashMap, HashSet};

use hongyan_core::{
    directory::{GroupEntry, GroupKind, UserEntry},
    store::{Store, StoreResult},
};

use super::{columns::Column, draft::Draft};

/// People or groups of one look-up.
const LOOKUP: usize = 1_000;

/// Makes the departments that an export names and that there are not yet; any other group that is named and does not exist is a
/// fault.
pub(super) async fn groups(store: &dyn Store, draft: &mut Draft) -> StoreResult<()> {
    for kind in GroupKind::ALL {
        let named = std::mem::take(draft.named.of_kind(kind));
        let mut unknown: HashSet<&String> = named.keys().collect();
        let codes: Vec<&String> = named.keys().collect();
        for codes in codes.chunks(LOOKUP) {
            for group in store.groups_find(kind, codes.iter().copied().cloned().collect()).await? {
                unknown.remove(&group.code);
            }
        }
        let mut unknown: Vec<_> = unknown.into_iter().map(|code| (&named[code], code)).collect();
        unknown.sort_unstable_by(|(one, code), (other, next)| (one.place, code).cmp(&(other.place, next)));
        for (named, code) in unknown {
            if kind == GroupKind::Department && draft.makes_departments && named.has_members {
                draft.change.groups.push(of_path(code));
                draft.group_places.push(named.place);
                continue;
            }
            let more = match named.more {
                0 => String::new(),
                more => format!("; {more} more rows name it"),
            };
            draft.faults.add(named.place, format!("there is no {} {code:?}{more}", kind.as_str()));
        }
    }
    Ok(())
}

/// The department that a path names: its last part, below the one that the rest names.
fn of_path(path: &str) -> GroupEntry {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let [code, name, parent] = [path, name, parent].map(str::to_owned);
    GroupEntry { kind: GroupKind::Department, code, name, parent }
}

/// Fills in what the file of people has no columns for with what the store has of them.
pub(super) async fn people(store: &dyn Store, draft: &mut Draft) -> StoreResult<()> {
    let all = [
        Column::Name,
        Column::Email,
        Column::Phone,
        Column::Wecom,
        Column::Openid,
        Column::Departments,
        Column::Posts,
        Column::Roles,
        Column::Enabled,
    ];
    let absent: Vec<_> = all.into_iter().filter(|column| !draft.given.contains(column)).collect();
    if absent.is_empty() || store.users_page(None, 1).await?.is_empty() {
        return Ok(());
    }
    for entries in draft.change.users.chunks_mut(LOOKUP) {
        let codes = entries.iter().map(|entry| entry.user.code.clone()).collect();
        let known = store.user_entries(codes).await?.into_iter().map(|known| (known.user.code.clone(), known));
        let mut known: HashMap<_, _> = known.collect();
        for entry in entries {
            if let Some(known) = known.remove(&entry.user.code) {
                keep(entry, known, &absent);
            }
        }
    }
    Ok(())
}

fn keep(entry: &mut UserEntry, known: UserEntry, absent: &[Column]) {
    let user = known.user;
    for column in absent {
        match column {
            Column::Name => entry.user.name.clone_from(&user.name),
            Column::Email => entry.user.email.clone_from(&user.email),
            Column::Phone => entry.user.phone.clone_from(&user.phone),
            Column::Wecom => entry.user.wecom.clone_from(&user.wecom),
            Column::Openid => entry.user.openid.clone_from(&user.openid),
            Column::Departments => entry.departments.clone_from(&known.departments),
            Column::Posts => entry.posts.clone_from(&known.posts),
            Column::Roles => entry.roles.clone_from(&known.roles),
            Column::Enabled => entry.user.enabled = user.enabled,
            // The others tell one of these.
            _ => {}
        }
    }
}
