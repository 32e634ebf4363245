//! `medic-collector`: reads the command line and does what it says.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};
use hostmedic_retain::{bundle::Role, keys::PublicKey};
use medic_collector::{
    authority::{self, Application},
    config::{self, Config},
    enrolled::Directory,
    serve, verify,
};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

/// Takes, verifies and keeps the audit chains of many hosts.
///
/// Exit codes: 0 all well, 1 it could not be done, 2 wrong usage, 3 a copy does not verify.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    task: Task,
}

/// Where the configuration lies.
#[derive(Args, Debug)]
struct Place {
    /// The configuration.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/hostmedic/collector.toml"
    )]
    config: PathBuf,
    /// A directory that holds everything: configuration, authority and state.
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Sets a collector up: a small certificate authority, its own certificate, a configuration.
    Init(Init),
    /// Enrols a host or an operator: makes the bundle that it connects with.
    Enrol(Enrol),
    /// Locks a host or an operator out, at once.
    Revoke {
        /// The name it was enrolled under.
        name: String,
    },
    /// Runs the collector.
    Serve,
    /// Verifies the copies on disk; works beside a running collector, too.
    Verify(Verify),
}

#[derive(Args, Debug)]
struct Init {
    /// Names and addresses that hosts know the collector by; they connect to the first one.
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "localhost"
    )]
    name: Vec<String>,
    /// Where to listen. Default: the port 7443 of every address, or of the loopback address if
    /// the only name is `localhost`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<std::net::SocketAddr>,
    /// Where the collector keeps its state and the copies.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/lib/hostmedic-collector",
        conflicts_with = "dir"
    )]
    state: PathBuf,
    /// Where the authority's key is kept, for `enrol` alone.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/etc/hostmedic/authority",
        conflicts_with = "dir"
    )]
    authority: PathBuf,
}

#[derive(Args, Debug)]
struct Enrol {
    /// Name of the host, or of the operator. Default: the name of this host.
    name: Option<String>,
    /// Where to write the bundle: a file, or a directory that gets a `bundle.toml`.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Enrol an operator, who may ask about every host and change nothing.
    #[arg(long)]
    operator: bool,
    /// The host's public audit key, 64 hex digits. Without it the first key the host shows holds.
    #[arg(long, value_name = "HEX", conflicts_with = "operator")]
    key: Option<String>,
}

#[derive(Args, Debug)]
struct Verify {
    /// Only this host: its id or name.
    #[arg(long)]
    host: Option<String>,
    /// The copies, if they do not lie where the configuration says.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

/// A copy does not verify.
const EXIT_FINDING: u8 = 3;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("medic-collector: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let path = match &cli.place.dir {
        Some(dir) => dir.join(config::FILE_NAME),
        None => cli.place.config.clone(),
    };
    match &cli.task {
        Task::Init(init) => set_up(init, &path, cli.place.dir.as_deref()),
        Task::Enrol(enrol) => admit(enrol, &Config::load(&path)?),
        Task::Revoke { name } => lock_out(name, &Config::load(&path)?),
        Task::Serve => serve_until_told(&Config::load(&path)?),
        Task::Verify(wanted) => check(wanted, &path),
    }
}

fn set_up(init: &Init, path: &Path, dir: Option<&Path>) -> Result<ExitCode> {
    let first = init.name.first().context("a collector needs a name")?;
    let local_only = init.name.iter().all(|name| name == "localhost");
    let any = if local_only {
        [127, 0, 0, 1]
    } else {
        [0, 0, 0, 0]
    };
    let listen = init.listen.unwrap_or_else(|| (any, config::PORT).into());
    // An IPv6 address needs brackets before its port.
    let shown = if first.contains(':') {
        format!("[{first}]")
    } else {
        first.clone()
    };
    let (state, authority) = match dir {
        Some(dir) => {
            let dir = std::path::absolute(dir).context("cannot find the current directory")?;
            (dir.join("state"), dir.join("authority"))
        }
        None => (init.state.clone(), init.authority.clone()),
    };
    let config = Config {
        listen,
        address: format!("{shown}:{}", listen.port()),
        state,
        authority,
        links_max: Config::links_max_default(),
    };
    let mut names = init.name.clone();
    if local_only {
        names.push("127.0.0.1".to_owned());
    }
    authority::init(&config, path, &names)?;
    println!(
        "Collector {} is set up in {}.",
        config.address,
        path.display()
    );
    println!(
        "The authority's key lies in {}: keep a copy of it offline.",
        config.authority.display()
    );
    println!("\nNext:");
    println!("  systemctl enable --now medic-collector.service");
    println!("  medic-collector enrol HOST --out HOST.toml             for each host");
    println!("  medic-collector enrol --operator YOU --out operator.toml");
    if local_only {
        println!("\nOnly this machine can reach it: it was given no --name that others know.");
    }
    Ok(ExitCode::SUCCESS)
}

fn admit(enrol: &Enrol, config: &Config) -> Result<ExitCode> {
    let name = match &enrol.name {
        Some(name) => name.clone(),
        // gethostname(2) by another way.
        None => std::fs::read_to_string("/proc/sys/kernel/hostname")
            .context("cannot read the name of this host")?
            .trim()
            .to_owned(),
    };
    let role = if enrol.operator {
        Role::Operator
    } else {
        Role::Host
    };
    let key = match &enrol.key {
        Some(key) => Some(
            key.parse::<PublicKey>()
                .map_err(|why| anyhow::anyhow!(why))?,
        ),
        None => None,
    };
    let path = authority::enrol(
        config,
        &Application {
            name: &name,
            role,
            key,
        },
        &enrol.out,
    )?;
    match role {
        Role::Host => {
            println!("Host {name} is enrolled; its bundle is {}.", path.display());
            println!("\nNext, on {name}:");
            println!(
                "  put it at /etc/hostmedic/collector/bundle.toml, group hostmedic, mode 0640"
            );
            println!("  in /etc/hostmedic/medicd.toml:  [collector]");
            println!("                                  bundle = \"/etc/hostmedic/collector\"");
            println!("  systemctl restart medicd.service");
        }
        Role::Operator => {
            println!(
                "Operator {name} is enrolled; the bundle is {}.",
                path.display()
            );
            println!("\nNext, where {name} works:");
            println!("  put it at /etc/hostmedic/operator.toml, readable by {name} alone");
            println!("  medic fleet hosts");
        }
    }
    println!("It holds a private key: carry it over a safe way, and delete this copy.");
    Ok(ExitCode::SUCCESS)
}

fn lock_out(name: &str, config: &Config) -> Result<ExitCode> {
    let directory = Directory::new(config.enrolled());
    let certificates = directory.of_name(name)?;
    ensure!(!certificates.is_empty(), "nobody is enrolled as `{name}`");
    for (fingerprint, _) in &certificates {
        directory.remove(fingerprint)?;
    }
    println!("{name} is locked out; its copy stays.");
    Ok(ExitCode::SUCCESS)
}

fn serve_until_told(config: &Config) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        let told = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            notify(&[NotifyState::Stopping]);
        };
        serve::serve(config, |_| notify(&[NotifyState::Ready]), told).await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Tells systemd; outside of it there is nobody to tell.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "Cannot tell systemd.");
    }
}

fn check(wanted: &Verify, path: &Path) -> Result<ExitCode> {
    let copies = match &wanted.store {
        Some(store) => store.clone(),
        None => Config::load(path)?.copies(),
    };
    let live = io::stderr().is_terminal();
    let findings = verify::run(&copies, wanted.host.as_deref(), |host, done, all| {
        if live {
            // Progress is for people who wait; nothing depends on it.
            let _ = write!(io::stderr(), "\r{host}: {done} of {all} records");
        }
    })?;
    if live {
        let _ = writeln!(io::stderr());
    }
    if findings.is_empty() {
        bail!("{} holds no host's copy", copies.display());
    }
    let mut code = ExitCode::SUCCESS;
    for finding in &findings {
        match &finding.verdict {
            Ok(verified) => println!("ok   {} {verified}", finding.name),
            Err(error) => {
                println!("BAD  {} host {}: {error}", finding.name, finding.host);
                code = ExitCode::from(EXIT_FINDING);
            }
        }
    }
    Ok(code)
}
