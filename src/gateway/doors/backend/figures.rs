//! A stream of figures: an answer without an end, whose parts come from the observer's thread. What its reader has not taken when the
//! next part comes is not joined by that: so a slow reader has one part in its queue, and holds nothing up.

use super::feeding::Feeding;
use super::{Answer, Backend, Waiting};
use crate::core::{Core, StatsPart, StatsStream};
use crate::dispatch::{CommandError, ErrorCode};
use crate::gateway::api::responses::refusal_response;
use crate::gateway::doors::observer::Observer;
use crate::http::Response;
use crate::session::SessionId;
use std::sync::Arc;

impl Backend {
    /// The answer `sequence` of the connection `id` is a stream of figures from now on.
    pub(super) fn begin_figures(
        &mut self,
        core: &Core,
        observer: &Observer,
        (id, sequence): (SessionId, u64),
        waiting: Waiting,
    ) {
        if waiting.head_only {
            return self.fill_page(sequence, Response::new(200, "text/event-stream", Vec::new()));
        }
        let most = core.rules.settings.config.limits.stats_streams;
        let opened =
            self.asker.as_ref().and_then(|asker| core.shared.stats.open(id, asker.access(), most, None));
        let Some(stream) = opened else {
            let message = format!(
                "as many streams of figures are open as limits.stats_streams allows ({most}): close one, or ask GET /v1/stats"
            );
            let error = CommandError::new(ErrorCode::Overloaded, message);
            return self.fill_page(sequence, refusal_response(&error.into()));
        };
        self.last = true;
        self.feeding =
            Some(Box::new(Feeding::Figures { sequence, stream: Some(stream), goes_on_from: None }));
        self.queue.fill(sequence, |_| Answer::Stream(Vec::new()));
        observer.look_at_figures(id);
    }

    /// What a stream is sent.
    pub fn stats_part(&mut self, core: &mut Core, stream: &Arc<StatsStream>, part: StatsPart) {
        let is_its = |feeding: &Feeding| match feeding {
            Feeding::Figures { stream: Some(own), .. } => Arc::ptr_eq(own, stream),
            _ => false,
        };
        if !self.feeding.as_deref().is_some_and(is_its) {
            return;
        }
        let outbox =
            core.connections.get(stream.connection).and_then(|connection| connection.outbox.as_ref());
        if core.stands_still || outbox.is_some_and(|outbox| !outbox.is_empty()) {
            return stream.is_skipped();
        }
        core.append(stream.connection.slot(), part.events);
        stream.is_taken(part.last_line);
        if part.is_last {
            self.feeding = None;
        }
    }

    /// Ends the stream where the server stops; opens it anew where it has come from another process.
    pub(super) fn go_on_with_figures(&mut self, core: &Core, observer: &Observer, id: SessionId) {
        let Some(Feeding::Figures { stream, goes_on_from, .. }) = self.feeding.as_deref_mut() else {
            return;
        };
        if core.draining {
            self.feeding = None;
            return;
        }
        if stream.is_some() || core.stands_still {
            return;
        }
        let goes_on_from = *goes_on_from;
        match &self.asker {
            Some(asker) => {
                *stream = core.shared.stats.open(id, asker.access(), 0, goes_on_from);
                observer.look_at_figures(id);
            }
            // Its key is gone.
            None => self.feeding = None,
        }
    }

    /// The stream on its way to another process: the number of its request, and the newest line of the audit trail that it has been
    /// sent.
    pub(super) fn carry_figures(&self) -> Option<(u64, u64)> {
        match self.feeding.as_deref() {
            Some(Feeding::Figures { sequence, stream, goes_on_from }) => {
                let line = stream.as_ref().map(|stream| stream.last_line()).or(*goes_on_from);
                Some((*sequence, line.unwrap_or(0)))
            }
            _ => None,
        }
    }
}

impl Feeding {
    /// The stream of figures that was carried.
    pub(super) fn restore_figures((sequence, line): (u64, u64)) -> Box<Self> {
        Box::new(Self::Figures { sequence, stream: None, goes_on_from: Some(line) })
    }
}
