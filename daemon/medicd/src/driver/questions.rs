//! Answers what the local API asks of the loop.

use hostmedic_model::{anomaly::Anomaly, command::Command, view::SeriesView, wake::Wake};

use super::Driver;
use crate::answers::Question;

impl Driver {
    pub(super) fn reply(&mut self, request: u64, answer: Result<String, String>) {
        if let Some(asked) = self.asked.remove(&request) {
            // The asker may have given up.
            _ = asked.send(answer);
        }
    }

    pub(super) async fn answer(&mut self, question: Question) {
        match question {
            Question::Status(reply) => _ = reply.send(self.status()),
            Question::Incidents { all, reply } => _ = reply.send(self.state.incidents(all)),
            Question::Incident { id, reply } => {
                let incident = self.state.incident(&id).cloned();
                let proposal = self
                    .state
                    .proposals()
                    .into_iter()
                    .find(|proposal| proposal.incident == id);
                _ = reply.send((incident, proposal));
            }
            Question::Baselines(reply) => _ = reply.send(self.state.baseline_list()),
            Question::Series { name, reply } => _ = reply.send(self.series(&name)),
            Question::Anomalies { since_ms, reply } => {
                let is_wanted =
                    |anomaly: &&Anomaly| since_ms.is_none_or(|since| anomaly.at.wall_ms >= since);
                let wanted = self.state.anomalies().filter(is_wanted);
                _ = reply.send(wanted.cloned().collect());
            }
            Question::Playbooks(reply) => _ = reply.send(self.state.playbooks().to_vec()),
            Question::Command { by, command, reply } => {
                if command == Command::Resume
                    && let Err(reason) = self.pause_flag.remove()
                {
                    _ = reply.send(Err(reason));
                    return;
                }
                let request = self.asked_next;
                self.asked_next += 1;
                self.asked.insert(request, reply);
                self.apply(Wake::Command {
                    request,
                    by,
                    command,
                })
                .await;
            }
        }
    }

    /// One series by the name that people see, with its recent past.
    fn series(&self, name: &str) -> Option<SeriesView> {
        let mut known = self.state.baseline_list().baselines.into_iter();
        let baseline = known.find(|known| known.series.to_string() == name)?;
        let of_it = |anomaly: &&Anomaly| anomaly.series == baseline.series;
        Some(SeriesView {
            points: self.history.of(&baseline.series),
            anomalies: self.state.anomalies().filter(of_it).cloned().collect(),
            baseline,
        })
    }
}
