//! Drawing under caps: the arithmetic is `core`'s, this loads the tallies that it works on and keeps those that grew.

use std::collections::HashMap;

use hongyan_core::{
    cap::{Cap, Draw, Drawn, Tally},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{operation::Operation, transaction::Transaction, trouble::Outcome};

/// The operation.
pub(crate) struct CapsDraw {
    pub caps: Vec<Cap>,
    pub draws: Vec<Draw>,
    pub now: Timestamp,
}

/// A tally as it was found and as the draws so far leave it.
struct Drawing {
    tally: Tally,
    grew: bool,
}

impl Operation for CapsDraw {
    type Answer = Vec<Drawn>;

    fn bytes(&self) -> usize {
        self.draws.iter().map(|draw| 64 + draw.key.len()).sum()
    }

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Vec<Drawn>> {
        tx.memory.see(self.now);
        let mut drawings: HashMap<&str, Drawing> = HashMap::with_capacity(self.draws.len());
        let mut answers = Vec::with_capacity(self.draws.len());
        for draw in &self.draws {
            let key = &draw.key;
            let drawing = match drawings.entry(key) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => {
                    new.insert(Drawing { tally: tally_read(tx.db, key)?, grew: false })
                }
            };
            let drawn = drawing.tally.apply(&self.caps, draw, self.now);
            drawing.grew |= drawn == Drawn::Yes;
            answers.push(drawn);
        }
        for (key, Drawing { tally, .. }) in drawings.iter().filter(|(_, drawing)| drawing.grew) {
            tx.db.prepare_cached("INSERT OR REPLACE INTO tally VALUES (?1, ?2, ?3)")?.execute(params![
                key,
                tally.to_bytes(),
                tally.over(&self.caps).ms()
            ])?;
        }
        Ok(answers)
    }
}

/// What was admitted under a key. Nothing is said about the key, which names a person.
fn tally_read(db: &Connection, key: &str) -> Outcome<Tally> {
    let body: Option<Vec<u8>> =
        db.prepare_cached("SELECT body FROM tally WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()?;
    Ok(body.map_or_else(Tally::default, |body| {
        Tally::from_bytes(&body).unwrap_or_else(|| {
            tracing::warn!("a tally is damaged and begins anew");
            Tally::default()
        })
    }))
}
