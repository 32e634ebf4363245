//! Has evidence captured beside the loop, before a first step.

use hostmedic_model::wake::{Effect, Wake};
use hostmedic_respond::{capture::Asked, crash::crash_point};

use super::Driver;

impl Driver {
    /// Begins to capture what an [`Effect::Capture`] asks for; the answer comes as a wake.
    pub(super) fn take_evidence(&self, effect: Effect) {
        let Effect::Capture {
            incident,
            intent,
            unit,
            about,
            wanted,
        } = effect
        else {
            return;
        };
        let asked = Asked {
            incident,
            intent,
            unit,
            about,
            wanted,
        };
        let (capture, answers) = (self.capture.clone(), self.answers.clone());
        tokio::spawn(async move {
            let captured = capture.capture(asked).await;
            crash_point("evidence-captured");
            _ = answers.send(Wake::Captured(captured)).await;
        });
    }
}
