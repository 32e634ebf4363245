//! The link to systemd: looks and acts through one connection that is made anew after a loss.

use std::sync::Arc;

use hostmedic_model::{
    calendar::CalendarReading,
    intent::Intent,
    outcome::{StepEnd, StepResult},
    subject::UnitName,
    wake::Inspection,
};
use hostmedic_observe::{
    bus::{self, calendar::CalendarConfig},
    host::clock,
};
use hostmedic_respond::systemd;

/// The systemd that is looked at and acted through. Connects when needed and again after a loss.
#[derive(Clone)]
pub(super) struct Bus {
    address: Option<String>,
    calendar: Arc<CalendarConfig>,
    connection: Arc<tokio::sync::Mutex<Option<zbus::Connection>>>,
}

impl Bus {
    pub(super) fn new(address: Option<String>, calendar: CalendarConfig) -> Self {
        Self {
            address,
            calendar: Arc::new(calendar),
            connection: Arc::default(),
        }
    }

    async fn connection(&self) -> Result<zbus::Connection, String> {
        let mut connection = self.connection.lock().await;
        if let Some(alive) = connection
            .as_ref()
            .filter(|connection| !connection.is_closed())
        {
            return Ok(alive.clone());
        }
        let new = bus::connect(self.address.as_deref())
            .await
            .map_err(|error| error.to_string())?;
        *connection = Some(new.clone());
        Ok(new)
    }

    /// A connection that did not answer is not used again.
    async fn drop_connection(&self) {
        *self.connection.lock().await = None;
    }

    pub(super) async fn inspect(&self, unit: &UnitName, also: &[UnitName]) -> Inspection {
        let connection = match self.connection().await {
            Ok(connection) => connection,
            Err(reason) => {
                let calendar = CalendarReading::Unreadable {
                    at: clock::now(),
                    reason: reason.clone(),
                };
                return Inspection {
                    unit: Err(reason),
                    calendar,
                    also_down: Vec::new(),
                };
            }
        };
        let (unit, calendar, down) = tokio::join!(
            bus::inspect::inspect(&connection, unit),
            bus::calendar::read(&connection, &self.calendar),
            bus::inspect::down(&connection, also),
        );
        let also_down = down.unwrap_or_else(|error| {
            // Unknown is not up.
            tracing::warn!(%error, "Cannot tell whether dependents are up; taking them as down.");
            also.to_vec()
        });
        if unit.is_err() {
            self.drop_connection().await;
        }
        Inspection {
            unit: unit.map_err(|error| error.to_string()),
            calendar,
            also_down,
        }
    }

    /// What is supposed to be happening now.
    pub(super) async fn calendar(&self) -> CalendarReading {
        match self.connection().await {
            Ok(connection) => bus::calendar::read(&connection, &self.calendar).await,
            Err(reason) => CalendarReading::Unreadable {
                at: clock::now(),
                reason,
            },
        }
    }

    pub(super) async fn act(&self, intent: &Intent) -> StepEnd {
        match self.connection().await {
            Ok(connection) => systemd::act(&connection, intent).await,
            Err(reason) => StepEnd {
                at: clock::now(),
                intent: intent.id.clone(),
                result: StepResult::Refused { reason },
                after: None,
            },
        }
    }
}
