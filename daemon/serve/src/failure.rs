//! Every answer that is no success, in its one form: code, message, hint.

use std::time::Duration;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use hostmedic_model::view::{Failure, FailureBody};

use crate::port::{CommandRefused, DaemonError};

/// A failed request, on its way out.
#[derive(Debug)]
pub(crate) struct ApiFailure {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: String,
}

impl ApiFailure {
    fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// The request makes no sense as it stands.
    pub(crate) fn bad_request(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message, hint)
    }

    /// The peer may not do this.
    pub(crate) fn forbidden(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message, hint)
    }

    /// The thing does not exist.
    pub(crate) fn not_found(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message, hint)
    }

    /// The path exists, the method does not.
    pub(crate) fn method_not_allowed(message: impl Into<String>) -> Self {
        let hint = "see the `allow` header and GET /v1/openapi.json";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            message,
            hint,
        )
    }

    /// The body is larger than any command can be.
    pub(crate) fn too_large(bytes_max: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("the body is larger than {bytes_max} bytes"),
            "send one command",
        )
    }

    /// No answer in time. `changes` tells whether the request was to change something.
    pub(crate) fn timeout(waited: Duration, changes: bool) -> Self {
        let hint = if changes {
            "the command may still be carried out: look at `medic status` before you repeat it"
        } else {
            "try again; if it stays so, see `systemctl status medicd` and `journalctl -u medicd`"
        };
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timeout",
            format!("no answer within {waited:?}"),
            hint,
        )
    }

    /// A check of who asks failed; not knowing is no permission.
    pub(crate) fn unknown_peer(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            message,
            "ask as root, or repair the host's user database",
        )
    }
}

impl From<DaemonError> for ApiFailure {
    fn from(error: DaemonError) -> Self {
        let message = error.to_string();
        match error {
            DaemonError::Unavailable { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                message,
                "try again; see `journalctl -u medicd`",
            ),
            DaemonError::Unreadable { .. } => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "unreadable",
                message,
                "see `journalctl -u medicd`; check the store with `medic audit verify`",
            ),
        }
    }
}

impl From<CommandRefused> for ApiFailure {
    fn from(refused: CommandRefused) -> Self {
        let message = refused.to_string();
        match refused {
            CommandRefused::Unknown { .. } => {
                Self::not_found(message, "see `medic status` and `medic incidents`")
            }
            CommandRefused::Refused { .. } => Self::new(
                StatusCode::CONFLICT,
                "refused",
                message,
                "the refusal is in the audit chain: `medic audit show`",
            ),
            CommandRefused::Unanswered(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiFailure {
    fn into_response(self) -> Response {
        let body = Failure {
            error: FailureBody {
                code: self.code.to_owned(),
                message: self.message,
                hint: self.hint,
            },
        };
        (self.status, Json(body)).into_response()
    }
}
