//! Hosts
mod npz;
mod score;
mod set;
use hostmedic_reason::detect::host::HostDetector;
use score::Scored;
pub(crate) fn run(args: &crate::detect::Args) -> anyhow::Result<()> {
    let sets = set::read(&args.data)?;
    let dump = std::env::var("DUMP").ok();
    for s in &sets {
        let mut all: Vec<Vec<f64>> = vec![];
        let start = std::time::Instant::now();
        let mut n = 0usize;
        for h in &s.hosts {
            let mut d = HostDetector::new(
                h.train.columns,
                std::time::Duration::from_secs(s.step_s as u64),
            );
            let mut sc = vec![];
            let mut notes: Vec<usize> = vec![];
            let mut text: Vec<u8> = vec![];
            let mut wall = 0i64;
            for (part, a) in [(0, &h.train), (1, &h.test)] {
                for row in a.values.chunks_exact(a.columns) {
                    let v: Vec<Option<f64>> = row.iter().map(|v| Some(f64::from(*v))).collect();
                    let r = d.observe(wall, &v);
                    wall += s.step_s;
                    n += v.len();
                    if part == 1 {
                        sc.push(f64::from(r.anomaly));
                        if r.notify {
                            notes.push(sc.len() - 1);
                        };
                    }
                    if dump.is_some() {
                        for x in [
                            r.anomaly,
                            if r.notify { 1.0 } else { 0.0 },
                            r.mean_square_rank,
                            r.forest_rank,
                            0.0,
                            0.0,
                        ] {
                            text.extend(x.to_le_bytes());
                        }
                    }
                }
            }
            if let Some(d) = &dump {
                std::fs::create_dir_all(d)?;
                std::fs::write(format!("{d}/{}_{}.f32", s.name, h.name), text)?;
            }
            all.push(sc);
        }
        let ns = start.elapsed().as_nanos() as f64 / n as f64;
        let mut line = format!("{:5}", s.name);
        for part in [Some(true), Some(false), None] {
            let hosts: Vec<Scored> = s
                .hosts
                .iter()
                .zip(&all)
                .filter(|(h, _)| part.is_none_or(|p| h.fit == p))
                .map(|(h, sc)| Scored {
                    scores: sc,
                    events: &h.events,
                })
                .collect();
            let r = score::ranked(&hosts, s.step_s as f64);
            line += &format!(
                " | {:.3} w{:.2} m{:.2} f1 {:.2}",
                r.froc, r.recall_1_a_week, r.recall_1_a_month, r.event_f1
            );
        }
        println!("{line} {ns:.0} ns");
    }
    Ok(())
}
