//! The loop's impure half: wakes are brought to `reason`, and what it wants is carried out, in
//! order. Records first: nothing that follows one starts before the disk has it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use hostmedic_model::{
    decision::PlaybookRef,
    incident::IncidentStatus,
    playbook::Playbook,
    record::{Body, Record, Started},
    signal::Signal,
    time::At,
    view::ReplicationStatus,
    wake::{Effect, Wake},
};
use hostmedic_observe::{host::clock, subject::Subjects};
use hostmedic_reason::pipeline::State;
use hostmedic_respond::{
    capture::Capture,
    crash::{self, crash_point},
};
use hostmedic_retain::{keys::HostKey, ledger::Ledger};
use hostmedic_serve as serve;
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{broadcast, mpsc, oneshot, watch},
    time::MissedTickBehavior,
};

use crate::{
    answers::Api,
    attribute::Attribution,
    config::Config,
    history::History,
    meaning,
    playbooks::Read,
    sink::EventSink,
    sources::{self, Outlets},
    vitals::Vitals,
};

mod advisor;
mod bus_link;
mod evidence;
mod learned;
mod open;
mod pause_flag;
mod pulse;
mod questions;
mod status;

use advisor::Advisor;
use bus_link::Bus;
use pause_flag::PauseFlag;

/// Records of one append.
const APPEND_MAX: usize = 128;
/// Signals that may wait for the loop.
const SIGNALS_MAX: usize = 4096;
/// Answers of adapters that may wait; each incident has at most two out.
const ANSWERS_MAX: usize = 256;
/// Questions of the local API that may wait.
const QUESTIONS_MAX: usize = 64;
/// Records that a slow reader of `medic watch` may be behind.
const WATCHED_MAX: usize = 256;
/// Signals taken in before others get their turn.
const BATCH_MAX: usize = 256;
/// Time passes for `reason` at least this often.
const TICK: Duration = Duration::from_millis(500);
/// Coverage rows go into the chain this often.
const COVERAGE_EVERY: Duration = Duration::from_secs(15 * 60);
/// The calendar is read this often beside every decision's own look, for `medic status`.
const CALENDAR_EVERY: Duration = Duration::from_secs(60);
/// Baselines are written down this often: what is lost at worst when the power goes.
const KEEP_EVERY: Duration = Duration::from_secs(10 * 60);
/// How far back the chain is read at the start: what limits and recurrence look at.
const RECALL_MS: i64 = 31 * 24 * 3_600_000;

/// Everything that carries effects out.
struct Driver {
    config: Config,
    state: State,
    ledger: Arc<Ledger>,
    records: broadcast::Sender<Arc<Record>>,
    answers: mpsc::Sender<Wake>,
    bus: Bus,
    advisor: Advisor,
    capture: Capture,
    vitals: Arc<Vitals>,
    replication: watch::Receiver<ReplicationStatus>,
    /// Operators who wait for an answer.
    asked: HashMap<u64, oneshot::Sender<Result<String, String>>>,
    asked_next: u64,
    started_at: At,
    hostname: String,
    failing: bool,
    pause_flag: PauseFlag,
    history: History,
    /// The newest writing of what was learned.
    keeping: Option<tokio::task::JoinHandle<()>>,
}

/// Runs until a signal says stop. Ready is told to systemd once everything is open.
pub(crate) async fn run(config: Config, library: Read) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let boot = clock::boot_id().context("cannot read /proc/sys/kernel/random/boot_id")?;
    std::fs::create_dir_all(&config.state_dir)
        .with_context(|| format!("cannot create {}", config.state_dir.display()))?;
    let key = HostKey::load_or_create(&config.state_dir.join("host-key.pem"))?;
    let ledger = Arc::new(Ledger::open(
        &config.state_dir.join("ledger"),
        key,
        boot.clone(),
    )?);
    let started_at = clock::now();
    let read = library.playbooks.len();
    let mut state = State::new(
        ledger.store().host(),
        boot.clone(),
        config.policy.clone(),
        library.playbooks,
    );
    if read > state.playbooks().len() {
        let left_out = read - state.playbooks().len();
        tracing::info!(left_out, tags = ?config.policy.tags, "Playbooks for other hosts are left out.");
    }
    let advisor = Advisor::open(&config, &mut state)?;
    let mut unreadable = None;
    let mut seen_until = None;
    let past = ledger
        .store()
        .since(started_at.wall_ms.saturating_sub(RECALL_MS))?;
    state.recall(
        past.map_while(|record| record.map_err(|error| unreadable = Some(error)).ok())
            .inspect(|record| {
                // The newest record that was written while hooks were attached.
                if matches!(
                    record.body,
                    Body::Started(_) | Body::Coverage(_) | Body::Stopped { .. }
                ) {
                    seen_until = Some((record.at, record.boot != boot));
                }
            }),
        started_at,
    );
    if let Some(error) = unreadable {
        // Limits that cannot be rebuilt are limits that do not hold.
        return Err(error).context("cannot rebuild limits and incidents from the audit ledger");
    }

    learned::load(&mut state, &config.state_dir);
    let mut library = meaning::learn(state.playbooks(), library.unmatched, &config.state_dir);
    let mut is_learning = true;

    let subjects = Subjects::below(&config.cgroup_below);
    let (signals_in, mut signals) = mpsc::channel(SIGNALS_MAX);
    let outlets = Outlets {
        signals: signals_in.clone(),
        sink: Arc::new(EventSink::open(&config.state_dir.join("events"))),
        attribution: Attribution::new(subjects.clone()),
    };
    let vitals = open::capture(&config, &outlets, seen_until);
    let _bus_status = sources::start_unit_watch(&config, &outlets);
    let mut samples = sources::start_sampler(&config, &subjects, &vitals);
    let mut loads = pulse::start(&vitals);
    let (answers_in, mut answers) = mpsc::channel(ANSWERS_MAX);
    let (questions_in, mut questions) = mpsc::channel(QUESTIONS_MAX);
    let (records, _) = broadcast::channel(WATCHED_MAX);
    let hostname = nix::sys::utsname::uname().map_or_else(
        |_| "unknown".to_owned(),
        |name| name.nodename().to_string_lossy().into_owned(),
    );
    let (replication, mut refusals) = open::replication(&config, ledger.store(), &hostname)?;

    let mut driver = Driver {
        pause_flag: PauseFlag::in_dir(&config.state_dir),
        capture: Capture {
            subjects,
            journal_dir: config.journal_dir.clone(),
            bus_address: config.bus_address.clone(),
            root: config.root.clone(),
        },
        advisor,
        bus: Bus::new(config.bus_address.clone(), config.calendar.clone()),
        state,
        ledger: Arc::clone(&ledger),
        records: records.clone(),
        answers: answers_in,
        vitals: Arc::clone(&vitals),
        replication,
        keeping: None,
        asked: HashMap::new(),
        asked_next: 1,
        started_at,
        hostname,
        failing: false,
        history: History::default(),
        config,
    };
    driver.begin().await;

    let (stop_serving, stopped) = oneshot::channel::<()>();
    let socket = serve::BoundSocket::bind(&serve::SocketOptions {
        // Everybody may connect; peer credentials decide at each request.
        mode: 0o666,
        ..serve::SocketOptions::at(&driver.config.socket)
    })?;
    let limits = serve::Limits::default();
    let access = serve::Access {
        reader_group: driver.config.access.reader_group.clone(),
        operator_group: driver.config.access.operator_group.clone(),
    };
    let api = Arc::new(Api::new(
        questions_in,
        ledger.store(),
        records,
        outlets.sink.store(),
        Arc::clone(&vitals),
    ));
    let router = serve::router(api, access, limits.request_max);
    let serving = tokio::spawn(serve::serve(socket, router, limits, async {
        // Either way the daemon is stopping.
        _ = stopped.await;
    }));

    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut coverage =
        tokio::time::interval_at(tokio::time::Instant::now() + COVERAGE_EVERY, COVERAGE_EVERY);
    let mut calendar = tokio::time::interval(CALENDAR_EVERY);
    calendar.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut keep = tokio::time::interval_at(tokio::time::Instant::now() + KEEP_EVERY, KEEP_EVERY);
    keep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    notify(&[NotifyState::Ready]);
    tracing::info!(host = %driver.ledger.store().host(), phase = ?driver.config.policy.phase, "Started.");
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let reason = loop {
        tokio::select! {
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            count = signals.recv_many(&mut batch, BATCH_MAX) => {
                if count == 0 {
                    break "every source ended";
                }
                for signal in batch.drain(..) {
                    driver.take(signal).await;
                }
            }
            Some(wake) = answers.recv() => driver.apply(wake).await,
            Some(set) = samples.recv() => {
                let row = driver.vitals.read();
                driver.apply(Wake::Counters { hooks: row.hooks, queues: row.queues }).await;
                driver.history.take(&set);
                driver.apply(Wake::Samples(set)).await;
            }
            learned = &mut library, if is_learning => {
                is_learning = false;
                // Without a sender the structure of triggers alone goes on deciding.
                if let Ok(catalogue) = learned {
                    driver.state.adopt_catalogue(catalogue);
                }
            }
            _ = keep.tick() => driver.begin_keeping(),
            Some(question) = questions.recv() => driver.answer(question).await,
            Some(refusal) = refusals.recv() => {
                let reason = format!("{}: {}", refusal.kind, refusal.reason);
                driver.carry_out(vec![Effect::Record(Body::ReplicationRefused { reason })]).await;
            }
            _ = tick.tick() => {
                driver.look_for_pause_flag();
                driver.apply(Wake::Tick).await;
                notify(&[NotifyState::Watchdog]);
            }
            _ = coverage.tick() => {
                let row = driver.vitals.row();
                driver.carry_out(vec![Effect::Record(Body::Coverage(row))]).await;
            }
            _ = calendar.tick() => {
                let (bus, answers) = (driver.bus.clone(), driver.answers.clone());
                tokio::spawn(async move {
                    _ = answers.send(Wake::Calendar(bus.calendar().await)).await;
                });
            }
            Some(loads) = loads.recv() => {
                let budget = driver.vitals.budget();
                driver.apply(Wake::HookLoads { budget, loads }).await;
            }
        }
    };
    notify(&[NotifyState::Stopping]);
    _ = stop_serving.send(());
    // Its own bound holds; what hangs beyond it is cut off with the runtime.
    _ = serving.await;
    driver.end(reason).await;
    Ok(())
}

/// Tells systemd; outside systemd there is nobody to tell.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "Cannot tell systemd.");
    }
}

impl Driver {
    /// First records: what is watched, and what of the last run is unknown.
    async fn begin(&mut self) {
        let reference = |playbook: &Playbook| PlaybookRef {
            name: playbook.name.clone(),
            version: playbook.version,
            sha256: playbook.sha256.clone(),
        };
        let kernel = nix::sys::utsname::uname().map_or_else(
            |_| String::new(),
            |name| name.release().to_string_lossy().into_owned(),
        );
        let started = Started {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel,
            hostname: self.hostname.clone(),
            hooks: self.vitals.reports(),
            playbooks: self.state.playbooks().iter().map(reference).collect(),
            phase: self.state.policy().phase,
            blind: self.vitals.blind(),
        };
        let mut effects = vec![Effect::Record(Body::Started(started))];
        self.look_for_pause_flag();
        effects.extend(self.state.begin());
        self.carry_out(effects).await;
    }

    /// Last record, after the last event.
    async fn end(&mut self, reason: &str) {
        self.keep().await;
        let mut effects = Vec::new();
        if let Some(row) = self.vitals.stop() {
            effects.push(Effect::Record(Body::Coverage(row)));
        }
        effects.push(Effect::Record(Body::Stopped {
            reason: reason.to_owned(),
        }));
        self.carry_out(effects).await;
        tracing::info!(reason, "Stopped.");
    }

    async fn take(&mut self, signal: Signal) {
        tracing::debug!(subject = %signal.subject, fact = ?signal.fact.kind(), "Took a signal in.");
        self.apply(Wake::Signal(signal)).await;
    }

    async fn apply(&mut self, wake: Wake) {
        let effects = self.state.apply(clock::now(), wake);
        self.carry_out(effects).await;
    }

    /// Carries effects out in order. Neighbouring records become one durable append.
    async fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut effects = effects.into_iter().peekable();
        while let Some(effect) = effects.next() {
            match effect {
                Effect::Record(body) => {
                    let mut bodies = vec![body];
                    while bodies.len() < APPEND_MAX
                        && let Some(Effect::Record(body)) =
                            effects.next_if(|next| matches!(next, Effect::Record(_)))
                    {
                        bodies.push(body);
                    }
                    if let Err(reason) = self.append(bodies.clone()).await {
                        // No audit, no action: the rest of the batch rested on these records.
                        tracing::error!(%reason, "Cannot write audit records; nothing will be done to this host.");
                        self.failing = true;
                        for effect in effects {
                            match effect {
                                Effect::Record(body) => bodies.push(body),
                                Effect::Reply { request, .. } => {
                                    self.reply(request, Err(format!("not carried out: {reason}")));
                                }
                                Effect::Inspect { .. }
                                | Effect::Embed { .. }
                                | Effect::Advise { .. }
                                | Effect::Capture { .. }
                                | Effect::SetHookMode { .. }
                                | Effect::Act(_) => {}
                            }
                        }
                        // Taking a failure in has no effects of its own.
                        self.state
                            .apply(clock::now(), Wake::RecordFailed { bodies, reason });
                        return;
                    }
                }
                Effect::Inspect {
                    incident,
                    unit,
                    also,
                } => {
                    if self.state.status(&incident) == Some(IncidentStatus::Verifying) {
                        crash_point("check-begun");
                    }
                    let (bus, answers) = (self.bus.clone(), self.answers.clone());
                    tokio::spawn(async move {
                        let inspection = bus.inspect(&unit, &also).await;
                        _ = answers
                            .send(Wake::Inspected {
                                incident,
                                inspection,
                            })
                            .await;
                    });
                }
                asked @ Effect::Capture { .. } => self.take_evidence(asked),
                Effect::Embed { incident, text } => {
                    let answers = self.answers.clone();
                    tokio::spawn(async move {
                        let vector = meaning::embed(text.clone()).await;
                        _ = answers
                            .send(Wake::Embedded {
                                incident,
                                text,
                                vector,
                            })
                            .await;
                    });
                }
                Effect::Advise { incident, question } => {
                    self.advisor.ask(incident, question, self.answers.clone());
                }
                Effect::Act(intent) => {
                    let (bus, answers) = (self.bus.clone(), self.answers.clone());
                    tokio::spawn(async move {
                        let end = bus.act(&intent).await;
                        _ = answers.send(Wake::StepEnded(end)).await;
                    });
                }
                Effect::SetHookMode { hook, mode } => self.vitals.set_mode(&hook, mode),
                Effect::Reply { request, answer } => self.reply(request, answer),
            }
        }
    }

    /// Makes records durable and tells those who watch. Off the async threads: a disk may hang.
    async fn append(&mut self, bodies: Vec<Body>) -> Result<(), String> {
        let points: Vec<_> = bodies.iter().filter_map(crash::durable).collect();
        if points.contains(&"outcome-durable") {
            crash_point("outcome-known");
        }
        let ledger = Arc::clone(&self.ledger);
        let at = clock::now();
        let written = tokio::task::spawn_blocking(move || ledger.append(bodies, at)).await;
        let records = match written {
            Ok(Ok(records)) => records,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(error) => return Err(format!("writing to the ledger broke: {error}")),
        };
        points.into_iter().for_each(crash_point);
        for record in records {
            tracing::debug!(seq = record.seq, "Wrote a record.");
            // Nobody has to watch.
            _ = self.records.send(Arc::new(record));
        }
        if std::mem::take(&mut self.failing) {
            tracing::info!("Audit records can be written again.");
            self.state.apply(clock::now(), Wake::RecordsWritten);
        }
        Ok(())
    }

    fn look_for_pause_flag(&mut self) {
        if self.state.paused().is_none()
            && let Some(reason) = self.pause_flag.reason()
        {
            tracing::warn!(%reason, "Paused by the flag file.");
            self.state.pause(reason);
        }
    }
}
