//! What is known of the server beside its players: what it keeps, from its configuration, and its counters before and after.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::load::Load;
use super::players::Bounds;
use crate::cli::backend::BackendArgs;
use crate::cli::bench::checked::faults::Fault;
use crate::cli::bench::checked::gauges::Figures;
use crate::cli::bench::error::BenchError;
use crate::cli::error::CliError;

/// Between two looks at the counters.
const PAUSE: Duration = Duration::from_millis(100);
/// What a server is given to notice that all have gone, beside the time that sessions wait.
const AFTERMATH: Duration = Duration::from_secs(15);

/// The bounds of the app that `path` names, `/ws` or `/ws/APP`.
///
/// # Errors
/// Its sessions may not resume, or the server is not asked in the right way.
pub fn bounds(backend: &BackendArgs, path: &str) -> Result<Bounds, CliError> {
    let app = path.split(['?', '/']).filter(|part| !part.is_empty()).nth(1).unwrap_or("default");
    let text = backend.call("GET", "/v1/admin/config", None)?;
    let config: Value = serde_json::from_str(&text).map_err(|_| BenchError::Configuration)?;
    let number = |value: &Value| value.as_u64().ok_or(BenchError::Configuration);
    let (resume, limits) = (&config["apps"][app]["resume"], &config["limits"]);
    let linger_ms = number(&resume["linger_ms"])?;
    if linger_ms == 0 {
        return Err(BenchError::NoResume { app: app.to_owned() }.into());
    }
    // What has not been written yet is bounded as well.
    let least = |of_ring: &str, of_outbox: &str| -> Result<usize, BenchError> {
        Ok(number(&resume[of_ring])?.min(number(&limits[of_outbox])?) as usize)
    };
    Ok(Bounds {
        linger: linger_ms * 1_000_000,
        messages: least("messages", "outbox_messages")?,
        bytes: least("bytes", "outbox_bytes")?,
    })
}

/// Waits until the server is as it was at `start`, as far as it gets, tells what is left, and holds what is doubtful against its
/// counters.
pub fn compare(backend: &BackendArgs, start: &Figures, load: &mut Load<'_>) -> Result<(), CliError> {
    // Whoever was away when the others left lingers, and so does a session that was opened on a connection which was cut then.
    let deadline = Instant::now() + Duration::from_nanos(load.bounds.linger) + AFTERMATH;
    let now = loop {
        let now = Figures::of(backend)?;
        if now.leftovers(start).is_empty() || Instant::now() >= deadline {
            break now;
        }
        thread::sleep(PAUSE);
    };
    for (name, then, now) in now.leftovers(start) {
        load.faults.add(Fault::Leftover, format_args!("{name} was {then} and is {now}"));
    }
    if load.faults.count(Fault::Broken) == 0 {
        let pushes = load.counts.pushes + load.counts.to_others;
        now.check(start, &load.losses, pushes, 0, &mut load.faults);
    }
    let grew = |names: &[&str]| names.iter().any(|name| now.growth(start, name) > 0);
    let forgotten = [
        "gannet_kept_forgotten_total",
        "gannet_linger_ended_total{why=\"overflow\"}",
        "gannet_closed_total{code=\"4003\"}",
    ];
    if !grew(&forgotten) {
        load.doubts.forgotten.drain(..).for_each(|detail| load.faults.add(Fault::Reason, detail));
    }
    if !grew(&["gannet_linger_ended_total{why=\"full\"}"]) {
        load.doubts.full.drain(..).for_each(|detail| load.faults.add(Fault::Reason, detail));
    }
    Ok(())
}
