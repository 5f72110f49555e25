//! The figures that a reactor keeps: one line each says its field, its kind, its Prometheus name and its help.

use crossbeam_utils::CachePadded;
use serde::Serialize;

use super::histogram::Histogram;
use super::labels::{
    AuthFailure, BackendRefusal, CloseClass, DeliveryOutcome, DropReason, PauseReason, ProtocolErrorKind,
    RefusalReason, StatusClass, Throttled, TlsOutcome,
};
use super::render::Text;
use super::value::{Counter, CounterBy, Gauge, Metric};

macro_rules! families {
    ($(#[doc = $help:literal] $field:ident: $kind:ty => $name:literal,)+) => {
        /// The figures of one reactor; only its own thread writes them.
        #[derive(Debug, Default)]
        pub struct ReactorMetrics {
            $(#[doc = $help] pub $field: $kind,)+
        }

        /// The sums over all reactors.
        #[derive(Debug, Clone, Default, Serialize)]
        pub struct Totals {
            $(#[doc = $help] pub $field: <$kind as Metric>::Total,)+
        }

        impl ReactorMetrics {
            pub(super) fn add_to(&self, totals: &mut Totals) {
                $(self.$field.add_to(&mut totals.$field);)+
            }
        }

        pub(super) fn render(reactors: &[CachePadded<ReactorMetrics>], text: &mut Text<'_>) {
            let numbers: Vec<String> = (0..reactors.len()).map(|number| number.to_string()).collect();
            $(
                text.family($name, $help, <$kind as Metric>::TYPE);
                for (reactor, number) in reactors.iter().zip(&numbers) {
                    reactor.$field.render($name, number, text);
                }
            )+
        }
    };
}

families! {
    /// Client sessions open now.
    sessions: Gauge => "gannet_sessions",
    /// Connections open now on the backend port.
    backend_connections: Gauge => "gannet_backend_connections",
    /// Connections open now on the client port that have not upgraded.
    upgrading: Gauge => "gannet_upgrading",
    /// Those of the connections on the backend port that have not shown its key.
    backend_strangers: Gauge => "gannet_backend_strangers",
    /// Links open now.
    links: Gauge => "gannet_links",
    /// Users with a session on the reactor; who has sessions on several counts on each.
    users: Gauge => "gannet_users",
    /// Groups with a member on the reactor; one with members on several counts on each.
    groups: Gauge => "gannet_groups",
    /// Tags on a session of the reactor; one that is on several counts on each.
    tags: Gauge => "gannet_tags",
    /// Sessions opened.
    opened: Counter => "gannet_opened_total",
    /// Sessions closed, by close code.
    closed: CounterBy<CloseClass, { CloseClass::COUNT }> => "gannet_closed_total",
    /// Connections refused before they became a session, by reason.
    refused: CounterBy<RefusalReason, { RefusalReason::COUNT }> => "gannet_refused_total",
    /// Requests for `/healthz` and `/readyz`, on both ports.
    health_requests: Counter => "gannet_health_requests_total",
    /// Requests and commands on the backend port that were refused for who asked, by reason.
    backend_refused: CounterBy<BackendRefusal, { BackendRefusal::COUNT }> => "gannet_backend_refused_total",
    /// TLS handshakes that are over, by outcome.
    tls_handshakes: CounterBy<TlsOutcome, { TlsOutcome::COUNT }> => "gannet_tls_handshakes_total",
    /// Tokens and signed queries that were not taken, by reason.
    auth_failures: CounterBy<AuthFailure, { AuthFailure::COUNT }> => "gannet_auth_failures_total",
    /// Times that a session sent beyond its rate, by what it sent.
    throttled: CounterBy<Throttled, { Throttled::COUNT }> => "gannet_throttled_total",
    /// Times that accepting paused, mostly because file descriptors ran out.
    accept_errors: Counter => "gannet_accept_errors_total",
    /// Messages from clients.
    messages_in: Counter => "gannet_messages_in_total",
    /// Messages written to clients.
    messages_out: Counter => "gannet_messages_out_total",
    /// Bytes read from clients.
    bytes_in: Counter => "gannet_bytes_in_total",
    /// Bytes written to clients.
    bytes_out: Counter => "gannet_bytes_out_total",
    /// Pushes taken from backends.
    pushes: Counter => "gannet_pushes_total",
    /// Deliveries of a push to a session, by outcome.
    deliveries: CounterBy<DeliveryOutcome, { DeliveryOutcome::COUNT }> => "gannet_deliveries_total",
    /// Messages for which there was no room, by reason; in sum the deliveries with the outcome `dropped`.
    dropped: CounterBy<DropReason, { DropReason::COUNT }> => "gannet_dropped_total",
    /// Items in the reactor's mailbox.
    mailbox_messages: Gauge => "gannet_mailbox_messages",
    /// Bytes that the items in the reactor's mailbox keep alive.
    mailbox_bytes: Gauge => "gannet_mailbox_bytes",
    /// Items that the reactor keeps back for full mailboxes of others.
    mailbox_overflow: Gauge => "gannet_mailbox_overflow_messages",
    /// Messages in the outboxes of sessions.
    outbox_messages: Gauge => "gannet_outbox_messages",
    /// Bytes in the outboxes of sessions.
    outbox_bytes: Gauge => "gannet_outbox_bytes",
    /// Memory that the outboxes keep alive; a push that waits in many counts once on each reactor.
    outbox_memory: Gauge => "gannet_outbox_memory_bytes",
    /// Memory of all that is half received: begun messages, heads, bodies, input of paused connections.
    incoming: Gauge => "gannet_incoming_bytes",
    /// Connections closed because all that is half received was beyond its bound.
    shed: Counter => "gannet_shed_total",
    /// Connections that are not read now.
    paused: Gauge => "gannet_paused",
    /// Times that a connection began not to be read, by reason.
    pauses: CounterBy<PauseReason, { PauseReason::COUNT }> => "gannet_paused_total",
    /// Sockets that took less than waits for them.
    behind: Gauge => "gannet_outboxes_behind",
    /// Connections closed with 4003 because all outboxes together were beyond their bound.
    relieved: Counter => "gannet_relieved_total",
    /// Writes to sockets: system calls.
    socket_writes: Counter => "gannet_socket_writes_total",
    /// Ticks at which the reactor had something to write.
    ticks: Counter => "gannet_ticks_total",
    /// Those of the writes to sockets that were made at ticks.
    tick_writes: Counter => "gannet_tick_writes_total",
    /// Wakes written for other reactors.
    wakes: Counter => "gannet_wakes_total",
    /// Times that the reactor could not run when it was due: the process or the machine was stopped, or it was held up.
    absences: Counter => "gannet_absences_total",
    /// Turns.
    turns: Counter => "gannet_turns_total",
    /// Events that the sockets of links took whole.
    link_events: Counter => "gannet_link_events_total",
    /// Events that no socket took: their link was too slow for them, or ended first.
    link_events_lost: Counter => "gannet_link_events_lost_total",
    /// Requests answered on the backend port, by class of status.
    http_requests: CounterBy<StatusClass, { StatusClass::COUNT }> => "gannet_http_requests_total",
    /// Connections closed because the peer broke the protocol, by kind.
    protocol_errors: CounterBy<ProtocolErrorKind, { ProtocolErrorKind::COUNT }> => "gannet_protocol_errors_total",
    /// Time from the end of the poll to the end of the turn.
    turn_time: Histogram => "gannet_turn_seconds",
    /// Time from the arrival of a push to the write to a socket.
    push_to_write: Histogram => "gannet_push_to_write_seconds",
}
