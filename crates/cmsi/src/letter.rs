//! What a component makes of its form: ready to be sent, once it is known where people are reached.

use std::sync::Arc;

use hongyan_core::setup::{App, Channel, ChannelKind};
use hongyan_intake::{Audience, Draft};

use crate::{error::Problem, route::Component};

/// A message that is ready to be sent.
#[derive(Debug)]
pub(crate) struct Letter {
    /// By what kind of channel it goes: where people are reached, and how failures call it.
    pub(crate) kind: ChannelKind,
    /// Absent where the deployment has no such channel.
    pub(crate) channel: Option<Arc<Channel>>,
    pub(crate) audience: Audience,
    pub(crate) draft: Draft,
}

/// The channel that `component` sends by, if there is one and the app may use it (sections 1 and 3).
pub(crate) fn permitted(
    channel: Option<&Arc<Channel>>,
    app: &App,
    component: Component,
) -> Result<Option<Arc<Channel>>, Problem> {
    let Some(channel) = channel else { return Ok(None) };
    if !app.channels.is_empty() && !app.channels.contains(&channel.code) {
        return Err(Problem::NoPermission(component.name()));
    }
    if channel.enabled { Ok(Some(Arc::clone(channel))) } else { Err(Problem::Inactive) }
}
