//! What each word of the command line does; one file a group.

mod baseline;
mod capture;
#[cfg(feature = "offline")]
mod chain;
mod completions;
mod detect;
#[cfg(feature = "offline")]
mod fleet;
mod operate;
mod pause_file;
mod playbook;
mod replay;
mod show;
mod top;
mod watch;

use crate::{
    cli::{Audit, Cli, Task},
    client::Client,
    exit::{Exit, Failed},
    out::Out,
};

/// Does what the command line asks for.
pub(crate) async fn run(cli: &Cli, out: &Out) -> Result<Exit, Failed> {
    let client = Client::new(cli.socket.clone());
    match &cli.task {
        Task::Status => show::status(&client, out).await,
        Task::Incidents { all } => show::incidents(&client, out, *all).await,
        Task::Incident { id } => show::incident(&client, out, id).await,
        Task::Why { id } => show::why(&client, out, id).await,
        Task::Approve { id, binding } => {
            operate::approve(&client, out, id, binding.as_deref()).await
        }
        Task::Reject { id, reason } => operate::reject(&client, out, id, reason).await,
        Task::Judge {
            id,
            judgement,
            playbook,
        } => operate::judge(&client, out, id, *judgement, playbook.clone()).await,
        Task::Inhibit(inhibit) => operate::inhibit(&client, out, inhibit).await,
        Task::Pause { reason, state } => operate::pause(&client, out, reason, &state.dir).await,
        Task::Resume { state } => operate::resume(&client, out, &state.dir).await,
        Task::Watch => watch::watch(&client, out).await,
        Task::Probes { ledger } => capture::probes(&client, out, *ledger).await,
        Task::Events(wanted) => capture::events(&client, out, wanted).await,
        Task::Coverage(wanted) => capture::coverage(&client, out, wanted).await,
        Task::Baseline(wanted) => baseline::baseline(&client, out, wanted).await,
        Task::Anomalies(wanted) => baseline::anomalies(&client, out, wanted).await,
        Task::Top(wanted) => top::top(&client, out, wanted).await,
        Task::Replay(wanted) => replay::run(&client, out, wanted).await,
        Task::Detect(wanted) => detect::run(wanted),
        Task::Playbook(task) => playbook::run(&client, out, task).await,
        Task::Audit(Audit::Show { from, limit }) => show::audit(&client, out, *from, *limit).await,
        #[cfg(feature = "offline")]
        Task::Audit(Audit::Export { store, out: file }) => chain::export(out, store, file),
        #[cfg(feature = "offline")]
        Task::Audit(Audit::Verify(verify)) => chain::verify(out, verify),
        #[cfg(feature = "offline")]
        Task::Fleet(fleet) => fleet::run(out, fleet).await,
        Task::Completions { shell } => completions::print(out, *shell),
    }
}
