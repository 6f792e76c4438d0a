//! Who follows in later pages of a message: how they are stored while the message is being expanded, and how that ends.

use hongyan_core::{id::Id, store::Addressee};

use crate::{
    row::{bucket_of, reason_named},
    session::Session,
    sql::page,
    trouble::{Outcome, Trouble},
};

/// Ends the expansion of a message: nothing more follows.
pub(crate) async fn expansion_end(db: &Session, message: Id) -> Outcome<()> {
    db.execute(page::EXPANSION_END, &[&bucket_of(message), &message.get()]).await?;
    Ok(())
}

/// The stored form of who follows in later pages.
pub(crate) fn rest_encode(rest: &[Addressee]) -> Vec<u8> {
    let rows: Vec<_> =
        rest.iter().map(|who| (&who.recipient, &who.address, who.skipped.map(|reason| reason.as_str()))).collect();
    serde_json::to_vec(&rows).unwrap_or_default()
}

/// Reads what [`rest_encode`] wrote.
pub(crate) fn rest_decode(bytes: &[u8]) -> Outcome<Vec<Addressee>> {
    let rows: Vec<(String, String, Option<String>)> =
        serde_json::from_slice(bytes).map_err(|error| Trouble::Damaged(format!("an audience: {error}")))?;
    rows.into_iter()
        .map(|(recipient, address, skipped)| {
            Ok(Addressee { recipient, address, skipped: skipped.as_deref().map(reason_named).transpose()? })
        })
        .collect()
}
