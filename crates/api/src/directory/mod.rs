//! `/v1/directory`: people, and the departments, posts and roles to which they belong: looked at page by page, changed one by one or,
//! by an import, all at once; and who of them a message to some of these would reach.

mod check;
mod groups;
mod import;
mod users;
mod who;

use axum::{
    Extension, Router,
    extract::{Query, rejection::QueryRejection},
    routing::{get, post},
};
pub use check::{group_faults, user_faults};
use hongyan_core::{
    directory::{DirectoryChange, DirectoryReport},
    store::Store,
};
use serde::Deserialize;

use crate::{Api, problem::Problem};

const PAGE: usize = 100;
const PAGE_MAX: usize = 1_000;

pub(crate) fn routes() -> Router<Api> {
    let import = post(import::import).layer(Extension(import::Turn::new()));
    Router::new()
        .route("/v1/directory/import", import)
        .route("/v1/directory/who", post(who::who))
        .route("/v1/directory/users", get(users::list))
        .route("/v1/directory/users/{code}", get(users::read).put(users::keep))
        .route("/v1/directory/{kind}", get(groups::list))
        .route("/v1/directory/{kind}/{code}", get(groups::read).put(groups::keep))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paging {
    after: Option<String>,
    limit: Option<usize>,
}

/// Behind which code the page begins, and how many it may have.
fn page(paging: Result<Query<Paging>, QueryRejection>) -> Result<(Option<String>, usize), Problem> {
    let Query(Paging { after, limit }) = paging.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let limit = limit.unwrap_or(PAGE);
    if limit == 0 || limit > PAGE_MAX {
        return Err(Problem::bad_request(format!("limit is between 1 and {PAGE_MAX}")));
    }
    Ok((after, limit))
}

/// Cuts a page that was asked for with one more than `limit`; answers the code behind which the next begins, where there is one.
fn cut<T>(page: &mut Vec<T>, limit: usize, code: impl Fn(&T) -> &String) -> Option<String> {
    let is_more = page.len() > limit;
    page.truncate(limit);
    page.last().filter(|_| is_more).map(|last| code(last).clone())
}

/// Makes a small change; what stands against it is said.
async fn change(store: &dyn Store, change: DirectoryChange) -> Result<DirectoryReport, Problem> {
    let report = store.directory_change(change, false, store.clock().now()).await?;
    if report.faults.is_empty() {
        return Ok(report);
    }
    let faults: Vec<_> = report.faults.iter().map(ToString::to_string).collect();
    Err(Problem::bad_request(faults.join("; ")))
}

fn refused(faults: Vec<String>) -> Result<(), Problem> {
    if faults.is_empty() { Ok(()) } else { Err(Problem::bad_request(faults.join("; "))) }
}
