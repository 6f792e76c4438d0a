//! Who gets a message in pages to come, and from when on: how that is stored while the message is being expanded, and how it ends.

use hongyan_core::{
    id::Id,
    message::Message,
    setup::ChannelNo,
    store::{Rest, Who},
};

use crate::{
    row::{bucket_of, signed},
    session::{Param, Query, Session},
    sql::{hot, page},
    trouble::{Outcome, Trouble},
};

/// The rest of a message on its way into the tables.
pub(crate) struct Sequel {
    message: i64,
    due: i64,
    who: Vec<u8>,
    app: i32,
    template: String,
    channels: String,
}

impl Sequel {
    /// Who is to follow of `message`.
    pub(crate) fn new(message: &Message, rest: &Rest) -> Self {
        Self {
            message: message.id.get(),
            due: rest.due.ms(),
            who: rest.who.to_bytes(),
            app: signed(message.app.0),
            template: message.label.template.clone(),
            channels: channels_text(&rest.who),
        }
    }

    /// How many bytes it brings, roughly.
    pub(crate) const fn bytes(&self) -> usize {
        self.who.len()
    }
}

/// The channels by which these are reached, each once, as PostgreSQL writes an array.
pub(crate) fn channels_text(who: &Who) -> String {
    let ways: Vec<ChannelNo> = match who {
        Who::Listed(lists) => lists.iter().map(|listed| listed.way.channel).collect(),
        Who::People { ways, .. } => ways.iter().map(|way| way.channel).collect(),
    };
    let mut channels: Vec<String> = Vec::with_capacity(ways.len());
    for channel in ways.iter().map(|channel| signed(channel.0).to_string()) {
        if !channels.contains(&channel) {
            channels.push(channel);
        }
    }
    format!("{{{}}}", channels.join(","))
}

/// The rests of messages of one bucket as columns.
#[derive(Default)]
pub(crate) struct Sequels<'a> {
    message: Vec<i64>,
    due: Vec<i64>,
    who: Vec<&'a [u8]>,
    app: Vec<i32>,
    template: Vec<&'a str>,
    channels: Vec<&'a str>,
}

impl<'a> Sequels<'a> {
    /// Adds one.
    pub(crate) fn push(&mut self, sequel: &'a Sequel) {
        self.message.push(sequel.message);
        self.due.push(sequel.due);
        self.who.push(&sequel.who);
        self.app.push(sequel.app);
        self.template.push(&sequel.template);
        self.channels.push(&sequel.channels);
    }

    /// The statement that keeps them in `bucket`, if there are any.
    pub(crate) fn query<'q>(&'q self, bucket: &'q i16) -> Option<Query<'q>> {
        let params: Vec<Param<'q>> =
            vec![bucket, &self.message, &self.due, &self.who, &self.app, &self.template, &self.channels];
        (!self.message.is_empty()).then_some(Query { sql: hot::EXPANSION_INSERT, params })
    }
}

/// Ends the expansion of a message: nothing more follows. Answers whether anything would have.
pub(crate) async fn expansion_end(db: &Session, message: Id) -> Outcome<bool> {
    Ok(db.execute(page::EXPANSION_END, &[&bucket_of(message), &message.get()]).await? > 0)
}

/// Reads who follows of a message whose channel is `channel`.
pub(crate) fn who_read(bytes: &[u8], channel: ChannelNo) -> Outcome<Who> {
    Who::from_bytes(bytes, channel).map_err(|error| Trouble::Damaged(format!("an audience: {error}")))
}
