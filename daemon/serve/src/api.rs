//! The routes: what may be asked, by whom, and which form the answer has.
//!
//! `openapi.json` beside this file's crate says the same for programs; a test holds the two
//! together.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    body::{Bytes, to_bytes},
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::{Method, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use hostmedic_model::{
    anomaly::Anomaly,
    incident::{Incident, IncidentId},
    playbook::Playbook,
    record::Record,
    view::{
        BaselineList, CommandAnswer, EventPage, HookCoverage, IncidentDetail, Probes, SeriesView,
        Status, Top, Why,
    },
};
use http_body_util::LengthLimitError;

use crate::{
    auth::{self, Access, Identity, Peer, Role},
    failure::ApiFailure,
    port::Daemon,
    query::{
        self, AUDIT_LIMIT_MAX, AnomaliesQuery, AuditQuery, EventsQuery, HookQuery, IncidentsQuery,
        SeriesQuery,
    },
    watch,
};

/// The published description of this API (OpenAPI 3.1).
pub const OPENAPI: &str = include_str!("../openapi.json");

/// No command is nearly as large.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// One route of the API.
#[derive(Debug)]
pub struct Route<D> {
    /// `GET` or `POST`.
    pub method: Method,
    /// Path, with its parameters in braces.
    pub path: &'static str,
    handler: MethodRouter<Arc<D>>,
}

/// Every route: the router is built from these and from nothing else.
pub fn routes<D: Daemon>() -> Vec<Route<D>> {
    let read = |path, handler| Route {
        method: Method::GET,
        path,
        handler,
    };
    vec![
        read("/v1/status", get(status::<D>)),
        read("/v1/incidents", get(incidents::<D>)),
        read("/v1/incidents/{id}", get(incident::<D>)),
        read("/v1/incidents/{id}/why", get(why::<D>)),
        read("/v1/audit", get(records::<D>)),
        read("/v1/playbooks", get(playbooks::<D>)),
        read("/v1/probes", get(probes::<D>)),
        read("/v1/top", get(top::<D>)),
        read("/v1/events", get(events::<D>)),
        read("/v1/coverage", get(coverage::<D>)),
        read("/v1/baselines", get(baselines::<D>)),
        read("/v1/series", get(series::<D>)),
        read("/v1/anomalies", get(anomalies::<D>)),
        read("/v1/watch", get(watched::<D>)),
        Route {
            method: Method::POST,
            path: "/v1/commands",
            handler: post(command::<D>),
        },
        read("/v1/openapi.json", get(openapi)),
    ]
}

/// The API of `daemon` for those whom `access` admits.
///
/// Each request must carry its [`Peer`] as an extension; [`crate::serve`] puts it there from the
/// connection's credentials. `request_max` bounds the time until an answer begins.
pub fn router<D: Daemon>(daemon: Arc<D>, access: Access, request_max: Duration) -> Router {
    routes::<D>()
        .into_iter()
        .fold(Router::new(), |router, route| {
            router.route(route.path, route.handler)
        })
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(Arc::new(access), admit))
        .layer(middleware::from_fn_with_state(request_max, bounded))
        .with_state(daemon)
}

/// Gives up on a request that takes too long to begin its answer.
async fn bounded(State(request_max): State<Duration>, request: Request, next: Next) -> Response {
    let changes = *request.method() == Method::POST;
    tokio::time::timeout(request_max, next.run(request))
        .await
        .unwrap_or_else(|_| ApiFailure::timeout(request_max, changes).into_response())
}

/// Lets a request in, or not. GET needs the reader group, anything else the operator group.
async fn admit(
    State(access): State<Arc<Access>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let identity = match identify(peer, Arc::clone(&access)).await {
        Ok(identity) => identity,
        Err(message) => {
            tracing::warn!(uid = peer.uid, error = %message, "Refused a peer that could not be looked up.");
            return ApiFailure::unknown_peer(message).into_response();
        }
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let needed = if reads { Role::Reader } else { Role::Operator };
    if identity.role < needed {
        tracing::warn!(
            uid = peer.uid,
            user = %identity.operator.name,
            pid = peer.pid,
            method = %request.method(),
            path = request.uri().path(),
            "Refused a request at the door."
        );
        return refusal(&identity, needed, &access).into_response();
    }
    request.extensions_mut().insert(identity);
    next.run(request).await
}

/// Asks the user database off the async threads: it may be on the network.
async fn identify(peer: Peer, access: Arc<Access>) -> Result<Identity, String> {
    match tokio::task::spawn_blocking(move || auth::look_up(peer, &access)).await {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(error) => Err(format!("looking up user {} failed: {error}", peer.uid)),
    }
}

/// Says which group would help.
fn refusal(identity: &Identity, needed: Role, access: &Access) -> ApiFailure {
    let (may_not, group) = if needed == Role::Reader {
        ("read", &access.reader_group)
    } else {
        ("command", &access.operator_group)
    };
    let name = &identity.operator.name;
    ApiFailure::forbidden(
        format!(
            "user {name} (uid {}) may not {may_not} hostmedic",
            identity.operator.uid
        ),
        format!("join group {group} (`usermod -aG {group} {name}`), or ask as root"),
    )
}

async fn status<D: Daemon>(State(daemon): State<Arc<D>>) -> Result<Json<Status>, ApiFailure> {
    Ok(Json(daemon.status().await?))
}

async fn incidents<D: Daemon>(
    State(daemon): State<Arc<D>>,
    uri: Uri,
    query: Result<Query<IncidentsQuery>, QueryRejection>,
) -> Result<Json<Vec<Incident>>, ApiFailure> {
    let Query(query) = query.map_err(|rejection| query::bad_query(&uri, &rejection))?;
    Ok(Json(daemon.incidents(query.all).await?))
}

async fn incident<D: Daemon>(
    State(daemon): State<Arc<D>>,
    Path(id): Path<String>,
) -> Result<Json<IncidentDetail>, ApiFailure> {
    find(&*daemon, id).await.map(Json)
}

async fn why<D: Daemon>(
    State(daemon): State<Arc<D>>,
    Path(id): Path<String>,
) -> Result<Json<Why>, ApiFailure> {
    find(&*daemon, id).await.map(|detail| Json(detail.into()))
}

async fn find<D: Daemon>(daemon: &D, id: String) -> Result<IncidentDetail, ApiFailure> {
    let found = daemon.incident(IncidentId(id.clone())).await?;
    found.ok_or_else(|| {
        ApiFailure::not_found(
            format!("there is no incident {id}"),
            "`medic incidents --all` lists those that are kept",
        )
    })
}

async fn records<D: Daemon>(
    State(daemon): State<Arc<D>>,
    uri: Uri,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Json<Vec<Record>>, ApiFailure> {
    let Query(query) = query.map_err(|rejection| query::bad_query(&uri, &rejection))?;
    if query.limit == 0 || query.limit > AUDIT_LIMIT_MAX {
        return Err(ApiFailure::bad_request(
            format!("limit {} is not within 1..={AUDIT_LIMIT_MAX}", query.limit),
            "ask again with `from` set to the last number you got, plus one",
        ));
    }
    Ok(Json(daemon.records(query.from, query.limit).await?))
}

async fn playbooks<D: Daemon>(
    State(daemon): State<Arc<D>>,
) -> Result<Json<Vec<Playbook>>, ApiFailure> {
    Ok(Json(daemon.playbooks().await?))
}

async fn probes<D: Daemon>(State(daemon): State<Arc<D>>) -> Result<Json<Probes>, ApiFailure> {
    Ok(Json(daemon.probes().await?))
}

async fn top<D: Daemon>(State(daemon): State<Arc<D>>) -> Result<Json<Top>, ApiFailure> {
    Ok(Json(daemon.top().await?))
}

async fn events<D: Daemon>(
    State(daemon): State<Arc<D>>,
    uri: Uri,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Json<EventPage>, ApiFailure> {
    let Query(query) = query.map_err(|rejection| query::bad_query(&uri, &rejection))?;
    Ok(Json(daemon.events(query.check()?).await?))
}

async fn coverage<D: Daemon>(
    State(daemon): State<Arc<D>>,
    uri: Uri,
    query: Result<Query<HookQuery>, QueryRejection>,
) -> Result<Json<HookCoverage>, ApiFailure> {
    let Query(query) = query.map_err(|rejection| query::bad_query(&uri, &rejection))?;
    let query = query.check()?;
    let hook = query.hook.clone();
    let found = daemon.coverage(query).await?;
    found.map(Json).ok_or_else(|| {
        ApiFailure::not_found(
            format!("the audit chain knows no hook {hook}"),
            "`medic probes` lists the hooks",
        )
    })
}

async fn baselines<D: Daemon>(
    State(daemon): State<Arc<D>>,
) -> Result<Json<BaselineList>, ApiFailure> {
    Ok(Json(daemon.baselines().await?))
}

async fn series<D: Daemon>(
    State(daemon): State<Arc<D>>,
    uri: Uri,
    query: Result<Query<SeriesQuery>, QueryRejection>,
) -> Result<Json<SeriesView>, ApiFailure> {
    let Query(SeriesQuery { name }) =
        query.map_err(|rejection| query::bad_query(&uri, &rejection))?;
    let found = daemon.series(name.clone()).await?;
    found.map(Json).ok_or_else(|| {
        ApiFailure::not_found(
            format!("there is no series `{name}`"),
            "`medic baseline` lists those that are known",
        )
    })
}

async fn anomalies<D: Daemon>(
    State(daemon): State<Arc<D>>,
    uri: Uri,
    query: Result<Query<AnomaliesQuery>, QueryRejection>,
) -> Result<Json<Vec<Anomaly>>, ApiFailure> {
    let Query(query) = query.map_err(|rejection| query::bad_query(&uri, &rejection))?;
    Ok(Json(daemon.anomalies(query.since).await?))
}

async fn watched<D: Daemon>(State(daemon): State<Arc<D>>) -> impl IntoResponse {
    watch::stream(daemon.watch())
}

async fn command<D: Daemon>(
    State(daemon): State<Arc<D>>,
    Extension(identity): Extension<Identity>,
    request: Request,
) -> Result<Json<CommandAnswer>, ApiFailure> {
    let body = body_of(request).await?;
    let command = query::read_command(&body)?;
    let answer = daemon.command(identity.operator, command).await?;
    Ok(Json(CommandAnswer { answer }))
}

/// The request's body, if it is no larger than any command can be.
async fn body_of(request: Request) -> Result<Bytes, ApiFailure> {
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(ApiFailure::too_large(BODY_BYTES_MAX));
    }
    // A chunked body declares nothing; it is cut while it comes.
    to_bytes(request.into_body(), BODY_BYTES_MAX)
        .await
        .map_err(|error| {
            let error = error.into_inner();
            if error.is::<LengthLimitError>() {
                ApiFailure::too_large(BODY_BYTES_MAX)
            } else {
                ApiFailure::bad_request(format!("the body broke off: {error}"), "send it again")
            }
        })
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn no_such_path(uri: Uri) -> ApiFailure {
    ApiFailure::not_found(
        format!("there is no path {}", uri.path()),
        "GET /v1/openapi.json lists the paths",
    )
}

async fn no_such_method(method: Method, uri: Uri) -> ApiFailure {
    ApiFailure::method_not_allowed(format!("{} cannot be asked with {method}", uri.path()))
}
