//! Measures contenders in turn, round after round, so that a busy machine is busy for all of them, and tells medians.

use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 51;

/// One way to do the work: gives something that depends on all of it.
pub type Work<'w> = Box<dyn FnMut() -> u64 + 'w>;

/// The median time of each contender for one run, in nanoseconds, in their order.
pub fn measure(contenders: &mut [(&'static str, Work<'_>)]) -> Vec<f64> {
    let mut times = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    for round in 0..=ROUNDS {
        for ((_, work), times) in contenders.iter_mut().zip(&mut times) {
            let start = Instant::now();
            black_box(work());
            let elapsed = start.elapsed().as_nanos() as f64;
            // The first round warms the caches.
            if round > 0 {
                times.push(elapsed);
            }
        }
    }
    times.iter_mut().map(|times| median(times)).collect()
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Prints a row of a Markdown table: the first contender's figure, and the others' with their ratio to it.
pub fn print_row(about: &str, figures: &[f64], unit: &str) {
    print!("| {about} |");
    for (index, figure) in figures.iter().enumerate() {
        match index {
            0 => print!(" {figure:.1} {unit} |"),
            _ => print!(" {figure:.1} {unit} ({:.2} ×) |", figure / figures[0]),
        }
    }
    println!();
}

pub fn print_header(about: &str, names: &[&str]) {
    println!("\n| {about} | {} |", names.join(" | "));
    println!("| --- |{}", " --- |".repeat(names.len()));
}
