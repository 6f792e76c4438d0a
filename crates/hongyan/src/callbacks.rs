//! What providers call us with: `/callbacks/{provider}/{secret}`, and `/weixin/bind`, where the original service answered
//! (`contracts/imsg.md` 2.5 and decision 12). An official account asks whether we are there (GET) and tells what its followers do
//! (POST); a follower who asks for their tag gets it in the answer.
//!
//! WeChat waits five seconds for an answer and calls three times in all where it gets none. Nothing that a call does is done
//! differently the second time, so a store that cannot be reached is answered 500: WeChat calls again, and only then tells the
//! follower that the service is out of order. openids are in no log line here.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use hongyan_api::Problem;
use hongyan_channels::wechat::callback::{
    Act, BODY_BYTES_MAX, CANNOT_SERVE, Callback, Event, Query, Refused, SUCCESS, WELCOME, tag_words,
};
use hongyan_core::{
    limits,
    setup::{ChannelKind, CurrentSetup, Provider, ProviderKind, Setup, WechatCallback, WechatProvider},
    store::{Followers, StoreError, StoreResult},
    time::Clock,
};
use http_body_util::BodyExt;
use subtle::ConstantTimeEq;
use tokio::time::timeout;

use crate::vault::random_token;

/// How long a body may take to arrive; with [`STORE_WAIT`] less than the five seconds that WeChat waits.
const BODY_WAIT: Duration = Duration::from_secs(2);
/// How long the store may take.
const STORE_WAIT: Duration = Duration::from_millis(2_500);

/// What calls are answered from.
pub struct Callbacks {
    /// Where followers are kept.
    pub followers: Arc<dyn Followers>,
    /// Which providers there are.
    pub setup: Arc<CurrentSetup>,
    /// The time by which calls are old.
    pub clock: Arc<dyn Clock>,
}

/// A provider that calls us, and by what its calls are known.
struct Caller {
    provider: Arc<Provider>,
    callback: Callback,
}

/// The routes of callbacks.
pub fn routes(callbacks: Callbacks) -> Router {
    Router::new()
        .route("/callbacks/{provider}/{secret}", any(by_secret))
        .route("/weixin/bind", any(by_signature))
        .fallback(|| async { nothing() })
        .with_state(Arc::new(callbacks))
}

async fn by_secret(
    State(callbacks): State<Arc<Callbacks>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    let caller = path.ok().and_then(|Path((code, secret))| called(&callbacks.setup.get(), &code, &secret));
    callbacks.answer(caller, request).await
}

async fn by_signature(State(callbacks): State<Arc<Callbacks>>, request: Request) -> Response {
    let caller = bound(&callbacks.setup.get());
    callbacks.answer(caller, request).await
}

/// As any other path where there is nothing, so that a guess learns nothing.
fn nothing() -> Response {
    Problem::not_found("there is nothing at this path").into_response()
}

/// The provider with this code, where `secret` is its own. Whether it is enabled does not matter: it sends nothing here, and what
/// its followers do is not told twice.
fn called(setup: &Setup, code: &str, secret: &str) -> Option<Caller> {
    let provider = setup.providers().iter().find(|provider| provider.code == code)?;
    let (keys, callback) = official_account(provider)?;
    bool::from(callback.secret.expose().as_bytes().ct_eq(secret.as_bytes())).then_some(())?;
    caller(provider, keys, callback)
}

/// The official account that calls without a secret in the path: the only one that calls at all, or the first such of the channel
/// that is meant by `wechat`.
fn bound(setup: &Setup) -> Option<Caller> {
    let all: Vec<_> = setup.providers().iter().filter(|provider| official_account(provider).is_some()).collect();
    let provider = match all[..] {
        [only] => only,
        _ => {
            let channel = setup.channel_of_kind(ChannelKind::Wechat)?;
            let of_channel = channel.providers.iter();
            of_channel.filter_map(|no| setup.provider(*no)).find(|provider| official_account(provider).is_some())?
        }
    };
    let (keys, callback) = official_account(provider)?;
    caller(provider, keys, callback)
}

fn official_account(provider: &Provider) -> Option<(&WechatProvider, &WechatCallback)> {
    match &provider.kind {
        ProviderKind::Wechat(keys) => keys.callback.as_ref().map(|callback| (keys, callback)),
        _ => None,
    }
}

fn caller(provider: &Arc<Provider>, keys: &WechatProvider, callback: &WechatCallback) -> Option<Caller> {
    match Callback::new(&keys.app_id, callback) {
        Ok(callback) => Some(Caller { provider: Arc::clone(provider), callback }),
        Err(error) => {
            tracing::error!(provider = provider.code, %error, "a provider's callback cannot be answered");
            None
        }
    }
}

impl Callbacks {
    async fn answer(&self, caller: Option<Caller>, request: Request) -> Response {
        let Some(caller) = caller else { return nothing() };
        let query = Query::parse(request.uri().query().unwrap_or_default());
        if let Err(refused) = caller.callback.admit(&query, self.clock.now()) {
            return refusal(&caller, refused).into_response();
        }
        match *request.method() {
            Method::GET => text("text/plain; charset=utf-8", query.echostr),
            Method::POST => self.take(&caller, &query, request.into_body()).await.into_response(),
            _ => Problem::method_not_allowed().into_response(),
        }
    }

    async fn take(&self, caller: &Caller, query: &Query, body: Body) -> Result<Response, StatusCode> {
        let body = timeout(BODY_WAIT, whole(body)).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))?;
        let event = caller.callback.read(query, &body).map_err(|refused| refusal(caller, refused))?;
        let told = timeout(STORE_WAIT, self.act(caller, &event)).await;
        match told.unwrap_or_else(|_| Err(StoreError::Busy(String::new()))) {
            Ok(Some(words)) => self.say(caller, &event, &words),
            Ok(None) => Ok(text("text/plain; charset=utf-8", SUCCESS.to_owned())),
            Err(error) => {
                // The store's words may name what was to be kept.
                tracing::error!(provider = caller.provider.code, why = kind(&error), "a callback could not be kept");
                Err(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// Does what the follower asks for; answers what they are told.
    async fn act(&self, caller: &Caller, event: &Event) -> StoreResult<Option<String>> {
        let (no, openid) = (caller.provider.no, event.openid.clone());
        match event.act {
            Act::AskedForTag => {
                let (follower, is_new) = self.followers.follower_tag(no, openid).await?;
                if !follower.subscribed {
                    // Who clicks follows, whether or not their coming back was told.
                    self.followers.follower_subscribed(no, follower.openid, true).await?;
                }
                Ok(Some(tag_words(follower.tag, is_new)))
            }
            Act::Subscribed => {
                self.followers.follower_subscribed(no, openid, true).await?;
                Ok(Some(WELCOME.to_owned()))
            }
            Act::Unsubscribed => {
                self.followers.follower_subscribed(no, openid, false).await?;
                Ok(None)
            }
            Act::Told => Ok(None),
            Act::Other => Ok(Some(CANNOT_SERVE.to_owned())),
        }
    }

    fn say(&self, caller: &Caller, event: &Event, words: &str) -> Result<Response, StatusCode> {
        let failed = |error: anyhow::Error| {
            tracing::error!(provider = caller.provider.code, error = format!("{error:#}"), "an answer cannot be made");
            StatusCode::INTERNAL_SERVER_ERROR
        };
        let random = random_token().map_err(failed)?;
        let random = random.as_bytes().first_chunk().copied().unwrap_or_default();
        let reply = caller.callback.reply(event, words, self.clock.now(), random);
        reply.map(|reply| text("application/xml; charset=utf-8", reply)).map_err(|error| failed(error.into()))
    }
}

/// Says why a call is not taken, and the status of that.
fn refusal(caller: &Caller, refused: Refused) -> StatusCode {
    tracing::warn!(provider = caller.provider.code, why = %refused, "a callback is refused");
    match refused {
        Refused::Signature | Refused::Time => StatusCode::FORBIDDEN,
        Refused::Plain | Refused::NoKey | Refused::Envelope | Refused::Message => StatusCode::BAD_REQUEST,
    }
}

fn text(kind: &'static str, body: String) -> Response {
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// The whole body. One that is too large is not kept, but read on for a while: who still writes does not read the answer.
async fn whole(mut body: Body) -> Result<Vec<u8>, StatusCode> {
    let (mut kept, mut size) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| StatusCode::BAD_REQUEST)?.into_data() else { continue };
        size += data.len();
        if size <= BODY_BYTES_MAX {
            kept.extend_from_slice(&data);
        } else if size > limits::BODY_BYTES_MAX {
            break;
        }
    }
    if size > BODY_BYTES_MAX { Err(StatusCode::PAYLOAD_TOO_LARGE) } else { Ok(kept) }
}

const fn kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::Conflict(_) => "the store refused a conflicting change",
        StoreError::Gone(_) => "it is about something that is gone",
        StoreError::Busy(_) => "the store is busy",
        StoreError::Unavailable { .. } => "the store is unavailable",
        StoreError::Corrupt(_) => "the store is damaged",
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use axum::body::to_bytes;
    use hongyan_core::{
        account::Follower,
        setup::{Channel, ChannelNo, NoticeFields, ProviderNo, Secret, Settings},
        time::{ManualClock, Timestamp},
    };
    use tower::ServiceExt;

    use super::*;

    /// A store that fails, or never answers.
    struct Away {
        is_silent: bool,
    }

    impl Away {
        async fn fail<T>(&self) -> StoreResult<T> {
            if self.is_silent {
                std::future::pending::<()>().await;
            }
            Err(StoreError::Unavailable { why: "o-canary".to_owned(), certain: true })
        }
    }

    #[async_trait]
    impl Followers for Away {
        async fn follower_tag(&self, _: ProviderNo, _: String) -> StoreResult<(Follower, bool)> {
            self.fail().await
        }

        async fn follower_subscribed(&self, _: ProviderNo, _: String, _: bool) -> StoreResult<()> {
            self.fail().await
        }

        async fn followers(&self, _: ProviderNo, _: Vec<u32>) -> StoreResult<Vec<Follower>> {
            self.fail().await
        }
    }

    fn account(no: u32, callback: Option<WechatCallback>) -> Provider {
        let kind = ProviderKind::Wechat(WechatProvider {
            app_id: "wx1".to_owned(),
            app_secret: Secret::new("s"),
            template: "t".to_owned(),
            fields: NoticeFields::default(),
            base_url: "http://127.0.0.1:1".to_owned(),
            callback,
        });
        Provider { no: ProviderNo(no), code: format!("account{no}"), enabled: true, rate: None, max_in_flight: 1, kind }
    }

    fn callback() -> Option<WechatCallback> {
        Some(WechatCallback { secret: Secret::new("secret"), token: Secret::new("tok"), aes_key: None })
    }

    fn channel(providers: &[u32]) -> Channel {
        Channel {
            no: ChannelNo(1),
            code: "wechat".to_owned(),
            kind: ChannelKind::Wechat,
            providers: providers.iter().copied().map(ProviderNo).collect(),
            enabled: true,
            paused: false,
            default: false,
        }
    }

    fn setup(channels: Vec<Channel>, providers: Vec<Provider>) -> Setup {
        Setup::new(1, Settings::default(), Vec::new(), channels, providers)
    }

    #[test]
    fn the_original_path_is_the_only_accounts_or_that_of_the_channel() {
        let bound = |channels, providers| bound(&setup(channels, providers)).map(|caller| caller.provider.no.0);
        let (calls, silent) = (|no| account(no, callback()), |no| account(no, None));
        assert_eq!(bound(vec![], vec![]), None);
        assert_eq!(bound(vec![], vec![silent(1)]), None);
        assert_eq!(bound(vec![], vec![silent(1), calls(2)]), Some(2));
        assert_eq!(bound(vec![], vec![calls(1), calls(2)]), None, "nobody knows which");
        assert_eq!(bound(vec![channel(&[3, 2, 1])], vec![calls(1), calls(2), silent(3)]), Some(2));
        assert_eq!(bound(vec![channel(&[3])], vec![calls(1), calls(2), silent(3)]), None);
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_store_is_away_wechat_is_to_call_again() {
        // The signature of tok/1700000000/nonce123 (`contracts/providers.md` 8.1).
        let query = "signature=9248ec9f6410495fa2ef4008cc3f9b3a25342d17&timestamp=1700000000&nonce=nonce123";
        for is_silent in [false, true] {
            let routes = routes(Callbacks {
                followers: Arc::new(Away { is_silent }),
                setup: Arc::new(CurrentSetup::new(setup(Vec::new(), vec![account(1, callback())]))),
                clock: Arc::new(ManualClock::at(Timestamp::from_ms(1_700_000_000_000))),
            });
            for (event, status) in [("subscribe", 500), ("unsubscribe", 500), ("SCAN", 200), ("VIEW", 200)] {
                let body = format!(
                    "<xml><ToUserName>gh</ToUserName><FromUserName>oA</FromUserName><MsgType>event</MsgType><Event>{event}</Event></xml>"
                );
                let request = Request::post(format!("/callbacks/account1/secret?{query}")).body(Body::from(body));
                let began = tokio::time::Instant::now();
                let Ok(reply) = routes.clone().oneshot(request.expect("a request")).await;
                assert_eq!(reply.status(), status, "{event}");
                assert!(began.elapsed() < Duration::from_secs(5), "within the time that WeChat waits");
                let said = to_bytes(reply.into_body(), 10_000).await.expect("read");
                assert!(status == 200 || said.is_empty(), "{said:?}");
            }
        }
    }
}
