//! Who asks, for whose inbox, and what of it they may see.

use std::sync::Arc;

use axum::http::{Extensions, HeaderMap};
use hongyan_core::{
    inbox::{InboxFilter, InboxToken},
    setup::{App, AppNo},
    store::StoreResult,
};

use super::{Inbox, tokens};
use crate::{app_auth, problem::Problem};

const NOBODY: &str =
    "send a token of the inbox as Authorization: Bearer …, or an app's code and secret as Authorization: Basic …";
const NO_TOKEN: &str = "this token does not count, or not any more";

/// Somebody who reads an inbox.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    /// Whose inbox.
    pub(super) user: String,
    /// The app that asks, or for which its token asks.
    app: AppNo,
    /// The SHA-256 of the token; absent where the app itself asks.
    token: Option<[u8; 32]>,
    /// The app of whose items they may see; absent: of all.
    pub(super) only: Option<AppNo>,
}

impl Reader {
    fn new(user: String, app: &App, token: Option<[u8; 32]>) -> Self {
        Self { user, app: app.no, token, only: (!app.trusted).then_some(app.no) }
    }

    /// What of the items that they may see `filter` selects.
    pub(super) fn filter(&self, filter: InboxFilter) -> InboxFilter {
        InboxFilter { app: self.only, ..filter }
    }
}

impl Inbox {
    /// Who asks. `user` is whom the query names.
    ///
    /// # Errors
    /// 401 where nobody is known by these credentials, 400 where an app names nobody, 404 where it names somebody unknown.
    pub(super) async fn reader(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
        user: Option<String>,
    ) -> Result<Reader, Problem> {
        let credentials = app_auth::credentials(headers);
        match credentials.as_ref().map(|(scheme, rest)| (scheme.as_str(), *rest)) {
            Some(("bearer", token)) => {
                let reader = self.by_token(tokens::hash(token)).await?;
                let reader = reader.ok_or_else(|| Problem::unknown_caller(NO_TOKEN))?;
                if user.is_some_and(|user| user != reader.user) {
                    return Err(Problem::bad_request("user: a token reads the inbox of its own person only"));
                }
                Ok(reader)
            }
            Some(("basic", given)) => {
                let app = app_auth::app(&self.setup.get(), given, extensions)?;
                let user = user.filter(|user| !user.is_empty());
                let user = user.ok_or_else(|| Problem::bad_request("user: an app says whose inbox it means"))?;
                self.known(&user).await?;
                Ok(Reader::new(user, &app, None))
            }
            _ => Err(Problem::unknown_caller(NOBODY)),
        }
    }

    /// The app that asks for itself.
    pub(super) fn app(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<Arc<App>, Problem> {
        match app_auth::credentials(headers) {
            Some((scheme, given)) if scheme == "basic" => app_auth::app(&self.setup.get(), given, extensions),
            _ => Err(Problem::unknown_caller("send the app's code and secret as Authorization: Basic …")),
        }
    }

    /// Makes sure that there is such a person.
    pub(super) async fn known(&self, user: &str) -> Result<bool, Problem> {
        let found = self.store.users_find(vec![user.to_owned()]).await?;
        let found = found.first().ok_or_else(|| Problem::not_found("user: the directory has no such person"))?;
        Ok(found.enabled)
    }

    async fn by_token(&self, hash: [u8; 32]) -> StoreResult<Option<Reader>> {
        let found = self.store.inbox_token_find(hash, self.now()).await?;
        let setup = self.setup.get();
        Ok(found.and_then(|InboxToken { user, app }| Some(Reader::new(user, setup.app_by_no(app)?, Some(hash)))))
    }

    /// Who a reader is by now; nobody where their token or their app is gone.
    pub(super) async fn again(&self, reader: &Reader) -> StoreResult<Option<Reader>> {
        match reader.token {
            Some(hash) => self.by_token(hash).await,
            None => {
                let setup = self.setup.get();
                Ok(setup.app_by_no(reader.app).map(|app| Reader::new(reader.user.clone(), app, None)))
            }
        }
    }
}
