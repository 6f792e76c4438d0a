//! `POST /v1/directory/import`: people, departments, posts and roles from CSV, as parts of a `multipart/form-data` body named
//! `users`, `departments`, `posts` and `roles`. The body is read as it arrives, row by row, so that what is in memory is the change
//! itself, once, and no file; then the whole change is one commit, or nothing. Without `dry=false` it is only tried.

mod columns;
mod dn;
mod draft;
mod faults;
mod person;
mod report;
mod resolve;
mod sheet;
mod table;

use std::{
    collections::HashMap,
    io::{self, Read},
    sync::Arc,
};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use hongyan_core::{
    directory::{DirectoryChange, DirectoryReport, GroupKind},
    limits,
    store::Store,
};
use multer::{Constraints, Field, Multipart, SizeLimit};
use serde::Deserialize;
use tokio::{
    sync::{Semaphore, mpsc},
    task::spawn_blocking,
    time::timeout,
};

use self::{
    columns::Format,
    draft::Draft,
    report::{Files, Report, add_stored},
    sheet::{Place, Sheet},
};
use crate::{Api, problem::Problem};

/// Pieces of a file that may wait for the reader of rows.
const PIECES_AHEAD: usize = 16;

/// An import's turn: a node carries out one at a time, for each holds its whole change in memory.
#[derive(Clone)]
pub(super) struct Turn(Arc<Semaphore>);

impl Turn {
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    dry: Option<bool>,
    format: Option<String>,
}

pub(super) async fn import(
    State(api): State<Api>,
    Extension(Turn(turn)): Extension<Turn>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let format = match asked.format.as_deref() {
        None | Some("auto") => None,
        Some(name) => Some(
            Format::from_name(name).ok_or_else(|| Problem::bad_request("format is auto, plain, blueking or ldap"))?,
        ),
    };
    let _turn = turn
        .try_acquire_owned()
        .map_err(|_| Problem::unavailable("another import is under way at this node; try again when it is over"))?;
    let (draft, files) = read(&headers, body, Draft::new(format)).await?;
    Ok(carry_out(&*api.store, draft, &files, asked.dry.unwrap_or(true)).await?.into_response())
}

/// Reads every file of the body.
async fn read(headers: &HeaderMap, body: Body, mut draft: Draft) -> Result<(Draft, Files), Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(kind).map_err(|_| {
        Problem::bad_request("the body is multipart/form-data with files named users, departments, posts or roles")
    })?;
    let most = SizeLimit::new().whole_stream(limits::DIRECTORY_IMPORT_BYTES_MAX);
    let parts = Constraints::new().size_limit(most);
    let mut parts = Multipart::with_constraints(body.into_data_stream(), boundary, parts);
    let mut files = Files::new();
    while let Some(part) = in_time(parts.next_field()).await? {
        let named = part.name().and_then(Sheet::from_name);
        let Some(sheet) = named else {
            return Err(Problem::bad_request("a part of the body is named users, departments, posts or roles"));
        };
        let name = part.file_name().filter(|name| !name.is_empty()).unwrap_or(sheet.as_str()).to_owned();
        if files.insert(sheet.as_str(), name).is_some() {
            return Err(Problem::bad_request(format!("there are two parts named {}", sheet.as_str())));
        }
        draft = read_part(sheet, part, draft).await?;
    }
    if files.is_empty() {
        return Err(Problem::bad_request("the body has no files: users, departments, posts or roles"));
    }
    let finishing = spawn_blocking(move || {
        draft.finish();
        draft
    });
    Ok((finishing.await.map_err(broken)?, files))
}

/// Hands a file to the reader of rows, which has a thread of its own, piece by piece.
async fn read_part(sheet: Sheet, mut part: Field<'_>, mut draft: Draft) -> Result<Draft, Problem> {
    let (pieces, arriving) = mpsc::channel(PIECES_AHEAD);
    let reading = spawn_blocking(move || {
        draft.read(sheet, Arriving { pieces: arriving, piece: Bytes::new() });
        draft
    });
    while let Some(piece) = in_time(part.chunk()).await? {
        // A reader that has found the file to be none wants no more of it; the rest passes by, so that the reply is heard.
        drop(pieces.send(piece).await);
    }
    drop(pieces);
    reading.await.map_err(broken)
}

fn broken(error: tokio::task::JoinError) -> Problem {
    tracing::error!(%error, "the files of an import could not be read");
    Problem::unavailable("the files could not be read for a fault of the node's; its log says more")
}

async fn in_time<T>(arriving: impl Future<Output = multer::Result<T>>) -> Result<T, Problem> {
    match timeout(limits::BODY_TIME_MAX, arriving).await {
        Ok(Ok(arrived)) => Ok(arrived),
        Ok(Err(multer::Error::StreamSizeExceeded { limit })) => {
            Err(Problem::bad_body(format!("the files are larger than {} MiB together", limit / 1024 / 1024)))
        }
        Ok(Err(error)) => Err(Problem::bad_request(format!("the body did not come whole: {error}"))),
        Err(_) => Err(Problem::bad_request("the body stopped coming")),
    }
}

/// A file as it arrives, for a reader that waits on a thread of its own.
struct Arriving {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Arriving {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let size = into.len().min(self.piece.len());
        into[..size].copy_from_slice(&self.piece.split_to(size));
        Ok(size)
    }
}

/// Tries or does what the files say, unless something is wrong with them.
async fn carry_out(store: &dyn Store, mut draft: Draft, files: &Files, dry: bool) -> Result<Report, Problem> {
    resolve::groups(store, &mut draft).await?;
    let listed = (draft.change.groups.len(), draft.change.users.len());
    if !draft.faults.is_empty() {
        return Ok(Report::new(dry, listed, &DirectoryReport::default(), draft.faults, files));
    }
    resolve::people(store, &mut draft).await?;
    let Draft { change, group_places, mut faults, .. } = draft;
    let places = places(&change, group_places);
    let mut report = store.directory_change(change, dry, store.clock().now()).await?;
    add_stored(&mut faults, std::mem::take(&mut report.faults), &places);
    Ok(Report::new(dry, listed, &report, faults, files))
}

/// Where each group stands.
fn places(change: &DirectoryChange, places: Vec<Place>) -> HashMap<(GroupKind, String), Place> {
    change.groups.iter().map(|group| (group.kind, group.code.clone())).zip(places).collect()
}
