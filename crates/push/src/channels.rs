//! Which channel a key means (row 16): the one with this code, else the one with this number, which has
//! no zeros in front. Whether the app may use it, and
//! whether it is in use (rows 3 and 20).

use std::sync::Arc;

use hongyan_core::setup::{App, Channel, ChannelKind, ChannelNo, Setup};

use crate::problem::Problem;

/// The channel that `key` means.
pub(crate) fn named<'s>(setup: &'s Setup, key: &str) -> Result<&'s Arc<Channel>, Problem> {
    let key = key.trim();
    let by_code = setup.channels().iter().find(|channel| channel.code == key);
    let by_number = || {
        let no = key.parse().ok().filter(|_| key.bytes().all(|byte| byte.is_ascii_digit()) && !key.starts_with('0'))?;
        setup.channel(ChannelNo(no))
    };
    by_code.or_else(by_number).ok_or_else(|| Problem::UnknownChannel(key.to_owned()))
}

/// The channel, if `app` may send by it now.
pub(crate) fn usable<'s>(channel: &'s Arc<Channel>, app: &App) -> Result<&'s Arc<Channel>, Problem> {
    if !app.channels.is_empty() && !app.channels.contains(&channel.code) {
        return Err(Problem::ChannelNotAllowed(channel.code.clone()));
    }
    if !channel.enabled {
        return Err(Problem::ChannelDisabled(channel.code.clone()));
    }
    Ok(channel)
}

/// Whether people have addresses on channels of this kind. Robots and webhooks speak to a place, not to a person.
pub(crate) const fn reaches_people(kind: ChannelKind) -> bool {
    !matches!(kind, ChannelKind::Robot | ChannelKind::Webhook)
}
