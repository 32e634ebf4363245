//! Real certificates in real files.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::{read::find_in, *};

/// 2026-01-01.
const NEW_YEAR_S: i64 = 1_767_225_600;
const DAY_S: i64 = 86_400;

/// A certificate and its key, as PEM; the days count from 2026-01-01.
fn made(name: &str, begins: i64, ends: i64) -> (rcgen::Certificate, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let day = |days: i64| {
        let far = Duration::from_secs(days.unsigned_abs() * DAY_S.unsigned_abs());
        let new_year = date_time_ymd(2026, 1, 1);
        if days < 0 {
            new_year - far
        } else {
            new_year + far
        }
    };
    params.not_before = day(begins);
    params.not_after = day(ends);
    (params.self_signed(&key).unwrap(), key.serialize_pem())
}

fn pem(name: &str, begins: i64, ends: i64) -> String {
    made(name, begins, ends).0.pem()
}

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn watch(&self, patterns: &[&str]) -> Certificates {
        let files = patterns.iter().map(|pattern| self.name(pattern)).collect();
        let config = CertificatesConfig { files: Some(files) };
        assert_eq!(config.check(), Ok(()));
        Certificates::new(config)
    }

    /// File, share used in percent and seconds left, after a reading has ended.
    fn told(&self, watch: &mut Certificates, now_s: i64) -> Vec<(String, i64, i64)> {
        let taken = taken(watch, now_s);
        assert_eq!(taken.problems, []);
        let (used, left): (Vec<_>, Vec<_>) = taken
            .samples
            .into_iter()
            .partition(|sample| sample.series.measure == Measure::CertificateUsedRatio);
        let both = used.iter().zip(&left).map(|(used, left)| {
            assert_eq!(used.series.subject, left.series.subject);
            let Subject::Certificate(path) = &used.series.subject else {
                panic!("{used:?}");
            };
            let short = Path::new(path).strip_prefix(self.0.path()).unwrap();
            let percent = (used.value * 100.0).round() as i64;
            (short.display().to_string(), percent, left.value as i64)
        });
        both.collect()
    }
}

/// A round at this moment of both clocks, and more of them until no reading is under way.
fn taken(watch: &mut Certificates, now_s: i64) -> Taken {
    loop {
        let mut taken = Taken {
            at: At {
                boot_ns: u64::try_from(now_s).unwrap() * 1_000_000_000,
                wall_ms: now_s * 1000,
            },
            samples: Vec::new(),
            problems: Vec::new(),
        };
        watch.sample(&mut taken);
        if watch.answer.is_none() {
            return taken;
        }
    }
}

/// Goal: what is little depends on the whole life, and the end is exact.
#[test]
fn fresh_ending_short_lived_and_expired() {
    let tree = Tree::new();
    let now_s = NEW_YEAR_S + 100 * DAY_S;
    for (name, begins, ends) in [
        ("fresh.pem", 99, 189),
        ("days21.pem", 31, 121),
        ("years.pem", -900, 121),
        ("week-fresh.pem", 97, 103),
        ("week-late.pem", 95, 101),
        ("over.pem", 0, 90),
        ("later.pem", 110, 200),
    ] {
        tree.write(name, pem(name, begins, ends));
    }
    let mut watch = tree.watch(&["*.pem"]);
    let expected = [
        ("days21.pem", 77, 21),
        ("fresh.pem", 1, 89),
        ("later.pem", 0, 100),
        ("over.pem", 100, -10),
        ("week-fresh.pem", 50, 3),
        ("week-late.pem", 83, 1),
        ("years.pem", 77, 21),
    ];
    let expected = expected.map(|(name, used, days)| (name.to_owned(), used, days * DAY_S));
    assert_eq!(tree.told(&mut watch, now_s), expected);
}

/// Goal: the server's own certificate counts, wherever it stands in the file.
#[test]
fn the_first_certificate_of_a_file_counts() {
    let tree = Tree::new();
    let (own, key) = made("own.example", 0, 90);
    let chain = pem("authority.example", -10, 30);
    tree.write("fullchain.pem", own.pem() + &chain);
    tree.write("key-first.pem", key + &pem("haproxy.example", 0, 80));
    tree.write("binary.der", made("binary.example", 0, 70).0.der());
    tree.write(
        "text-first.pem",
        format!("subject=CN\n{}", pem("s_client", 0, 60)),
    );
    let mut watch = tree.watch(&["*"]);
    let told = tree.told(&mut watch, NEW_YEAR_S);
    let left: Vec<_> = told
        .iter()
        .map(|(name, _, left)| (name.as_str(), left / DAY_S))
        .collect();
    let expected = [
        ("binary.der", 70),
        ("fullchain.pem", 90),
        ("key-first.pem", 80),
        ("text-first.pem", 60),
    ];
    assert_eq!(left, expected);
}

/// Goal: a link is followed, a renewal is seen within the hour and not read before, and a file that
/// is gone tells nothing.
/// Method: what certbot does: `live` links to `archive`, and is turned to the next number.
#[test]
fn a_renewal_behind_a_link_is_seen_within_an_hour() {
    let tree = Tree::new();
    tree.write("archive/shop/fullchain1.pem", pem("shop", -80, 10));
    tree.write("archive/shop/fullchain2.pem", pem("shop", 0, 90));
    let live = tree.path("live/shop/fullchain.pem");
    fs::create_dir_all(live.parent().unwrap()).unwrap();
    symlink("../../archive/shop/fullchain1.pem", &live).unwrap();
    let mut watch = tree.watch(&["live/*/fullchain.pem"]);
    let name = "live/shop/fullchain.pem".to_owned();
    let at = |watch: &mut Certificates, s: i64| tree.told(watch, NEW_YEAR_S + s);
    assert_eq!(at(&mut watch, 0), [(name.clone(), 89, 10 * DAY_S)]);
    fs::remove_file(&live).unwrap();
    symlink("../../archive/shop/fullchain2.pem", &live).unwrap();
    let old = [(name.clone(), 89, 10 * DAY_S - 3599)];
    assert_eq!(at(&mut watch, 3599), old);
    assert_eq!(at(&mut watch, 3600), [(name, 0, 90 * DAY_S - 3600)]);
    fs::remove_file(&live).unwrap();
    let gone = taken(&mut watch, NEW_YEAR_S + 7200);
    assert!(gone.samples.is_empty());
    assert!(gone.problems[0].to_string().contains("no file has such"));
}

/// Goal: each thing that is no certificate is named with its reason, hinders no other, and does
/// not make the reader wait; in places that nobody named it is no problem.
#[test]
fn what_is_no_certificate_is_named_where_somebody_named_it() {
    let tree = Tree::new();
    let good = pem("good", 0, 90);
    tree.write("a-good.pem", &good);
    tree.write("b-garbage.pem", [0xff; 300]);
    tree.write("c-cut.pem", &good[..good.len() / 2]);
    tree.write("d-key.pem", made("key", 0, 90).1);
    tree.write(
        "e-malformed.pem",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    );
    tree.write("f-backwards.pem", pem("backwards", 90, 0));
    tree.write("g-empty.pem", "");
    mkfifo(&tree.path("h-pipe.pem"), Mode::S_IRWXU).unwrap();
    fs::create_dir(tree.path("i-directory.pem")).unwrap();
    symlink("nowhere", tree.path("j-dangling.pem")).unwrap();
    symlink("k-loop.pem", tree.path("k-loop.pem")).unwrap();
    tree.write("l-good.pem", pem("other", 0, 90));
    let mut watch = tree.watch(&[
        "[a-i]-*.pem",
        "j-dangling.pem",
        "k-loop.pem",
        "l*",
        "missing.pem",
    ]);
    let taken = taken(&mut watch, NEW_YEAR_S);
    let mut names: Vec<_> = taken
        .samples
        .iter()
        .map(|sample| sample.series.subject.to_string())
        .collect();
    names.dedup();
    let certificate = |name: &str| format!("certificate {}", tree.name(name));
    assert_eq!(
        names,
        [certificate("a-good.pem"), certificate("l-good.pem")]
    );
    let problems: Vec<String> = taken.problems.iter().map(ToString::to_string).collect();
    let expected = [
        ("b-garbage.pem", "no certificate in it"),
        ("c-cut.pem", "no certificate in it"),
        ("d-key.pem", "no certificate in it"),
        ("e-malformed.pem", "is malformed"),
        ("f-backwards.pem", "ends before it begins"),
        ("g-empty.pem", "no certificate in it"),
        ("h-pipe.pem", "no regular file"),
        ("i-directory.pem", "no regular file"),
        ("j-dangling.pem", "No such file"),
        ("k-loop.pem", "symbolic links"),
        ("missing.pem", "No such file"),
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, (name, why)) in problems.iter().zip(expected) {
        assert!(problem.contains(&tree.name(name)), "{problem}");
        assert!(problem.contains(why), "{problem}");
    }
    let pattern = tree.name("*");
    let quiet = find_in([pattern.as_str(), "/nowhere/*/x.pem"].into_iter(), false);
    assert_eq!((quiet.certificates.len(), quiet.problems.len()), (2, 0));
}

/// Goal: one certificate in several files is one thing to renew.
#[test]
fn the_same_certificate_in_two_files_is_told_once() {
    let tree = Tree::new();
    let own = pem("own", 0, 90);
    tree.write("cert.pem", &own);
    tree.write("fullchain.pem", own + &pem("authority", -10, 900));
    tree.write("renewed-elsewhere.pem", pem("own", 30, 120));
    let mut watch = tree.watch(&["*.pem"]);
    let told = tree.told(&mut watch, NEW_YEAR_S);
    let names: Vec<_> = told.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["cert.pem", "renewed-elsewhere.pem"]);
}

/// Goal: however many files there are, reading and numbers are bounded, what is left out is named,
/// and what matters is not left out.
#[test]
fn thousands_of_files_are_bounded() {
    let tree = Tree::new();
    let same = pem("same", 0, 90);
    for number in 0..4200 {
        tree.write(&format!("many/{number:04}.pem"), &same);
    }
    for number in 0..40 {
        tree.write(&format!("bad/{number:02}.pem"), "nothing");
    }
    let many = taken(&mut tree.watch(&["many/*.pem"]), NEW_YEAR_S);
    assert_eq!(many.samples.len(), 2);
    assert_eq!(many.problems.len(), 1, "{:?}", many.problems);
    assert!(
        many.problems[0]
            .reason
            .starts_with("104 beyond the first 4096")
    );
    let bad = taken(&mut tree.watch(&["bad/*.pem"]), NEW_YEAR_S);
    assert_eq!(bad.problems.len(), 17);
    assert!(bad.problems[16].reason.starts_with("24 more"));
}

/// Goal: of more certificates than are told, those near their end come first, one that is renewed
/// stays to be seen, and the rest changes nothing.
#[test]
fn those_near_their_end_are_told_first() {
    let validity = |number: i64, ends: i64| Validity {
        path: format!("/c/{number:03}"),
        begins_s: NEW_YEAR_S,
        ends_s: NEW_YEAR_S + ends * DAY_S,
    };
    let mut all: Vec<Validity> = (0..300)
        .map(|number| validity(number, 400 - number))
        .collect();
    let now_s = NEW_YEAR_S + 50 * DAY_S;
    let paths = |all: &[Validity], told: &BTreeSet<String>, now_s| -> BTreeSet<String> {
        let chosen = choose(all, told, now_s);
        chosen.iter().map(|chosen| chosen.path.clone()).collect()
    };
    let first = paths(&all, &BTreeSet::new(), now_s);
    assert_eq!(first.len(), TOLD_MAX);
    assert_eq!(first.first().unwrap(), "/c/172");
    // The one that ends next is renewed for long: it is told still.
    all[299] = validity(299, 900);
    let second = paths(&all, &first, now_s);
    assert!(second.contains("/c/299"));
    assert_eq!(second, first);
    // One that nobody told of comes near its end: it takes the place of who ends last.
    all[0] = validity(0, 51);
    let third = paths(&all, &second, now_s);
    assert!(third.contains("/c/000") && !third.contains("/c/299"));
    assert_eq!(third.len(), TOLD_MAX);
}
