//! Baselines as bytes, so that a restart forgets nothing. At most 16 KiB a series and 1 MiB for the host.

use hostmedic_model::sample::Series;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{Detector, SERIES_MAX, together::Together, track::Track};
use crate::sealed;

/// What the bytes are, and the version of their form.
const KIND: &str = "hostmedic-baselines 2";
/// The version before, whose detector of the host judged otherwise: the host is learned anew, a week of
/// each series is not.
const KIND_BEFORE: &str = "hostmedic-baselines 1";

/// What is written.
#[derive(Serialize)]
struct Written<'a> {
    host: Option<&'a Together>,
    tracks: Vec<(&'a Series, &'a Track)>,
}

/// What is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    host: Option<Box<Together>>,
    tracks: Vec<(Series, Box<Track>)>,
}

/// What is read of the version before.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadBefore {
    #[serde(rename = "host")]
    _host: IgnoredAny,
    tracks: Vec<(Series, Box<Track>)>,
}

impl From<ReadBefore> for Read {
    fn from(before: ReadBefore) -> Self {
        Self {
            host: None,
            tracks: before.tracks,
        }
    }
}

impl Detector {
    /// All baselines as bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let written = Written {
            host: self.host.as_deref(),
            tracks: self
                .tracks
                .iter()
                .map(|(series, track)| (series, &**track))
                .collect(),
        };
        sealed::seal(KIND, &written)
    }

    /// Takes in what [`Self::to_bytes`] gave, and how many series that were. What was learned of a
    /// series meanwhile is added to its baseline; its detector is the one of the bytes.
    pub(crate) fn load(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let read = parse(bytes)?;
        let count = read.tracks.len();
        for (series, mut track) in read.tracks {
            if let Some(live) = self.tracks.get(&series) {
                track.baseline.merge(&live.baseline);
                track.at = live.at;
            }
            self.tracks.insert(series, track);
        }
        self.host = read.host.or(self.host.take());
        Ok(count)
    }
}

fn parse(bytes: &[u8]) -> Result<Read, String> {
    let (kind, body) = sealed::open(bytes, "baselines", &[KIND, KIND_BEFORE])?;
    let read = if kind == KIND {
        serde_json::from_slice::<Read>(body)
    } else {
        serde_json::from_slice::<ReadBefore>(body).map(Read::from)
    };
    let read = read.map_err(|error| format!("the baselines cannot be read: {error}"))?;
    if read.tracks.len() > SERIES_MAX {
        return Err(format!(
            "the baselines are of {} series; {SERIES_MAX} is the most",
            read.tracks.len()
        ));
    }
    if let Some((series, _)) = read.tracks.iter().find(|(_, track)| !track.is_sound()) {
        return Err(format!(
            "the baseline of {series} cannot have come from samples"
        ));
    }
    if read.host.as_ref().is_some_and(|host| !host.is_sound()) {
        return Err("the baseline of the host cannot have come from samples".to_owned());
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use hostmedic_model::{
        sample::{Measure, Sample},
        subject::Subject,
        time::At,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Policy;

    /// Two series over `days`, every 30 s, with a wave each day.
    fn learned(days: u64) -> Detector {
        let mut detector = Detector::default();
        for row in 0..days * 2880 {
            feed(&mut detector, row);
        }
        detector
    }

    fn feed(detector: &mut Detector, row: u64) {
        let at = At {
            boot_ns: (row + 1) * 30_000_000_000,
            wall_ms: i64::try_from(row).unwrap() * 30_000 + 1_700_000_000_000,
        };
        let wave = (row as f64 * std::f64::consts::TAU / 2880.0).sin();
        let samples = [
            (
                Measure::CpuBusyRatio,
                0.3 + 0.1 * wave + 0.01 * (row % 7) as f64,
            ),
            (Measure::ExecPerS, 5.0 + wave + (row % 13) as f64),
        ];
        let samples = samples.map(|(measure, value)| Sample {
            at,
            series: Series {
                subject: Subject::Host,
                measure,
            },
            value,
        });
        detector.detect(&samples, true, &Policy::default());
    }

    fn sealed(body: &[u8]) -> Vec<u8> {
        sealed::seal_bytes(KIND, body)
    }

    #[test]
    fn what_is_read_back_goes_on_bit_for_bit() {
        let mut detector = learned(3);
        let bytes = detector.to_bytes();
        assert!(bytes.len() < 2 * 16_384 + (1 << 20), "{}", bytes.len());
        let mut copy = Detector::default();
        assert_eq!(copy.load(&bytes), Ok(2));
        for row in 3 * 2880..3 * 2880 + 500 {
            feed(&mut detector, row);
            feed(&mut copy, row);
        }
        assert_eq!(copy.to_bytes(), detector.to_bytes());
    }

    #[test]
    fn of_the_version_before_all_but_the_host_is_kept() {
        let kept = learned(2);
        let mut bytes = String::from_utf8(kept.to_bytes()).unwrap();
        // What stood there then has another form.
        let host = bytes.find("\"host\":{").unwrap() + 7;
        bytes.insert_str(host + 1, "\"of\":[\"the version before\"],");
        let body = bytes.split_once('\n').unwrap().1;
        let before = String::from_utf8(sealed(body.as_bytes())).unwrap();
        let mut detector = Detector::default();
        assert!(detector.load(before.as_bytes()).is_err());
        let before = before.replacen(KIND, KIND_BEFORE, 1);
        assert_eq!(detector.load(before.as_bytes()), Ok(2));
        assert!(detector.host.is_none() && kept.host.is_some());
        let tracks = |detector: &Detector| {
            serde_json::to_value(detector.tracks.values().collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(tracks(&detector), tracks(&kept));
    }

    #[test]
    fn damage_changes_nothing() {
        let whole = learned(1).to_bytes();
        let head = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let other = String::from_utf8(whole[head..].to_vec()).unwrap();
        let odd = [
            Vec::new(),
            b"{}".to_vec(),
            whole[..whole.len() - 1].to_vec(),
            [whole.as_slice(), b" "].concat(),
            String::from_utf8(whole.clone())
                .unwrap()
                .replacen("baselines 2", "baselines 3", 1)
                .into_bytes(),
            sealed(b""),
            sealed(b"{\"host\":null}"),
            sealed(b"{\"host\":null,\"tracks\":[],\"more\":1}"),
            sealed(other.replacen("\"hour\":", "\"hour\":9", 1).as_bytes()),
            sealed(
                other
                    .replacen("\"usual_16ths\":", "\"usual_16ths\":-", 1)
                    .as_bytes(),
            ),
        ];
        let mut detector = learned(1);
        let before = detector.to_bytes();
        for bytes in odd {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(90)]).into_owned();
            assert!(detector.load(&bytes).is_err(), "{shown}");
        }
        assert_eq!(detector.to_bytes(), before);
    }

    #[test]
    fn what_was_learned_meanwhile_is_kept() {
        let samples = |detector: &Detector| -> Vec<u64> {
            let rows = detector.list().baselines;
            rows.iter().map(|row| row.samples).collect()
        };
        let kept = learned(1);
        let mut later = Detector::default();
        for row in 2 * 2880..2 * 2880 + 240 {
            feed(&mut later, row);
        }
        let sum: Vec<u64> = samples(&kept)
            .iter()
            .zip(samples(&later))
            .map(|(one, two)| one + two)
            .collect();
        later.load(&kept.to_bytes()).unwrap();
        assert_eq!(samples(&later), sum);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// No bytes make it panic, sealed or not; a byte of real ones that is another is found.
        #[test]
        fn any_bytes_are_an_answer(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let mut detector = Detector::default();
            prop_assert!(detector.load(&bytes).is_err());
            prop_assert!(detector.load(&sealed(&bytes)).is_err());
            feed(&mut detector, 0);
            let mut real = detector.to_bytes();
            let at = at.index(real.len());
            real[at] ^= flip;
            prop_assert!(Detector::default().load(&real).is_err());
            // Sealed anew it may be read; then it must also be fit to go on with.
            let head = real.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let mut forged = Detector::default();
            if forged.load(&sealed(&real[head..])).is_ok() {
                for row in 0..200 {
                    feed(&mut forged, row);
                }
                forged.list();
            }
        }
    }
}
