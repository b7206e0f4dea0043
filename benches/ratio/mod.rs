//! The figures as this repository states them: microseconds above a floor that was measured in the same run, and the ratio to it.
//! Rounds go through all rows in turn, so that a machine whose speed drifts drifts for every row.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Something to time, under a name.
pub(crate) struct Row<'r> {
    name: &'static str,
    work: Box<dyn FnMut() + 'r>,
}

impl<'r> Row<'r> {
    /// What `work` returns is not thrown away unseen.
    pub(crate) fn new<T>(name: &'static str, mut work: impl FnMut() -> T + 'r) -> Self {
        Self { name, work: Box::new(move || drop(black_box(work()))) }
    }
}

/// Prints the median of each row beside the first one, the floor. With `--test` on the command line every row runs once.
#[expect(clippy::print_stdout, reason = "a bench tells its figures")]
pub(crate) fn table(title: &str, mut rows: Vec<Row<'_>>) {
    if std::env::args().any(|argument| argument == "--test") {
        rows.iter_mut().for_each(|row| (row.work)());
        return;
    }
    let mut samples = vec![Vec::new(); rows.len()];
    for _ in 0..101 {
        for (row, samples) in rows.iter_mut().zip(&mut samples) {
            samples.push(sample(&mut row.work));
        }
    }
    let medians: Vec<f64> = samples.iter_mut().map(|samples| median(samples)).collect();
    let floor = medians.first().copied().unwrap_or(1.0);
    println!("\n{title}\n{:<34}{:>9}{:>16}{:>10}", "", "us", "us above floor", "of floor");
    for (row, median) in rows.iter().zip(medians) {
        println!("{:<34}{median:>9.2}{:>16.2}{:>10.2}", row.name, median - floor, median / floor);
    }
}

/// Microseconds of one run, over as many runs as take a fifth of a millisecond.
pub(crate) fn sample(work: &mut dyn FnMut()) -> f64 {
    let started = Instant::now();
    let mut runs = 0_u32;
    while started.elapsed() < Duration::from_micros(200) {
        work();
        runs += 1;
    }
    started.elapsed().as_secs_f64() * 1e6 / f64::from(runs)
}

/// The middle one of some samples.
pub(crate) fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}
