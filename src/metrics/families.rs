//! The figures that a reactor keeps: one line each says its field, its kind, its Prometheus name and its help.

use crossbeam_utils::CachePadded;
use serde::Serialize;

use super::bus::BusMetrics;
use super::by_app::{AppMetrics, ByApp};
use super::carry::{CarriedMetrics, Carry};
use super::histogram::Histogram;
use super::labels::{
    AuthFailure, BackendRefusal, CloseClass, DeliveryOutcome, DropReason, LingerEnd, LinkResume, MemoryLoss,
    PauseReason, ProtocolErrorKind, RefusalReason, ResumeFailure, StatusClass, Throttled, TlsOutcome,
    UnheardKind,
};
use super::render::Text;
use super::value::{Counter, CounterBy, Gauge, Metric};

macro_rules! families {
    ($(#[doc = $help:literal] $field:ident: $kind:ty => $name:literal,)+) => {
        /// The figures of one reactor; only its own thread writes them.
        #[derive(Debug, Default)]
        pub struct ReactorMetrics {
            $(#[doc = $help] pub $field: $kind,)+
            /// What is counted by app alone.
            pub apps: AppMetrics,
            /// What is counted of the links to Redis.
            pub bus: BusMetrics,
        }

        /// The sums over all reactors.
        #[derive(Debug, Clone, Default, Serialize)]
        pub struct Totals {
            $(#[doc = $help] pub $field: <$kind as Metric>::Total,)+
        }

        impl ReactorMetrics {
            /// Every family that counts, under its name.
            pub(super) fn each_family(&self, see: &mut dyn FnMut(&str, &dyn Carry)) {
                let Self { $($field,)+ apps, bus } = self;
                $(see($name, $field);)+
                apps.each_family(see);
                bus.each_family(see);
            }

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
    /// Connections open now on the backend port, links and those that have not shown its key included.
    backend_connections: Gauge => "gannet_backend_connections",
    /// Connections open now on the client port that have not upgraded; limits.max_upgrading bounds them.
    upgrading: Gauge => "gannet_upgrading",
    /// Connections open now on the backend port that have not shown its key; limits.max_backend_strangers bounds them.
    backend_strangers: Gauge => "gannet_backend_strangers",
    /// Links open now.
    links: Gauge => "gannet_links",
    /// Users with a session on the reactor; a user with sessions on several reactors counts on each.
    users: Gauge => "gannet_users",
    /// Groups with a member on the reactor; a group with members on several reactors counts on each.
    groups: Gauge => "gannet_groups",
    /// Tags on a session of the reactor; a tag on sessions of several reactors counts on each.
    tags: Gauge => "gannet_tags",
    /// Sessions opened.
    opened: ByApp<Counter> => "gannet_opened_total",
    /// Sessions closed, by close code (RFC 6455 and the 4000s of gannet); 1006 is a lost connection.
    closed: CounterBy<CloseClass, { CloseClass::COUNT }> => "gannet_closed_total",
    /// Connections refused before they became a session, by reason; docs/operations.md says what to do about each.
    refused: CounterBy<RefusalReason, { RefusalReason::COUNT }> => "gannet_refused_total",
    /// Requests for /healthz and /readyz, on both ports.
    health_requests: Counter => "gannet_health_requests_total",
    /// Requests and commands on the backend port that were refused because of who asked, by reason.
    backend_refused: CounterBy<BackendRefusal, { BackendRefusal::COUNT }> => "gannet_backend_refused_total",
    /// TLS handshakes that have ended, by outcome; full and resumed are the good ones.
    tls_handshakes: CounterBy<TlsOutcome, { TlsOutcome::COUNT }> => "gannet_tls_handshakes_total",
    /// Tokens and signed queries that were not accepted, by reason.
    auth_failures: CounterBy<AuthFailure, { AuthFailure::COUNT }> => "gannet_auth_failures_total",
    /// Times that a session was given a new end by another token.
    renewed: Counter => "gannet_renewed_total",
    /// Times that a session sent faster than [rates] allows, by what it sent too much of.
    throttled: CounterBy<Throttled, { Throttled::COUNT }> => "gannet_throttled_total",
    /// Times that accepting paused, mostly because file descriptors ran out; raise the limit of open files then.
    accept_errors: Counter => "gannet_accept_errors_total",
    /// Sessions whose client is away, and that wait for it; they count in gannet_sessions.
    away: Gauge => "gannet_sessions_away",
    /// Sessions that went on with a client that came back.
    resumed: Counter => "gannet_resumed_total",
    /// Those of them that came from another node, where their clients had been before.
    resumed_elsewhere: Counter => "gannet_resumed_from_nodes_total",
    /// Clients that came back and could not have their session, by why: they got a new one.
    resume_failures: CounterBy<ResumeFailure, { ResumeFailure::COUNT }> => "gannet_resume_failed_total",
    /// Times that a session ended while its client was away, or could not wait for it, by why.
    linger_ends: CounterBy<LingerEnd, { LingerEnd::COUNT }> => "gannet_linger_ended_total",
    /// Polls that wait for something to come.
    polls: Gauge => "gannet_polls",
    /// Messages in the rings of sessions that may resume: what has gone to the wire and may not have been read.
    kept_messages: Gauge => "gannet_kept_messages",
    /// Memory of these messages, one in many rings counted once; limits.kept_bytes bounds the sum of the reactors.
    kept_bytes: Gauge => "gannet_kept_bytes",
    /// Messages forgotten because the rings of all sessions were beyond limits.kept_bytes.
    kept_forgotten: Counter => "gannet_kept_forgotten_total",
    /// Messages queued again for a client that came back, since it had not read them.
    resent: Counter => "gannet_resent_total",
    /// Of these, messages that its socket took.
    resent_written: Counter => "gannet_resent_written_total",
    /// Sticky groups that a session was not put into, since it is in limits.groups_per_session already.
    sticky_refused: Counter => "gannet_sticky_refused_total",
    /// Messages received from clients; a message in several fragments counts once.
    messages_in: ByApp<Counter> => "gannet_messages_in_total",
    /// Messages written to clients: pushes, and what an embedded app sends.
    messages_out: Counter => "gannet_messages_out_total",
    /// Bytes read on both ports, heads and frame headers included, TLS not.
    bytes_in: Counter => "gannet_bytes_in_total",
    /// Bytes written on both ports, heads and frame headers included, TLS not.
    bytes_out: Counter => "gannet_bytes_out_total",
    /// Pushes accepted, from backends and from the embedding program.
    pushes: ByApp<Counter> => "gannet_pushes_total",
    /// Deliveries of a push to a session, by outcome; one that is queued counts again when it is written, replaced, expired, closed or dropped.
    deliveries: CounterBy<DeliveryOutcome, { DeliveryOutcome::COUNT }> => "gannet_deliveries_total",
    /// Deliveries with the outcome dropped, by reason: mailbox is a reactor that does not keep up, the others are slow clients.
    dropped: CounterBy<DropReason, { DropReason::COUNT }> => "gannet_dropped_total",
    /// Envelopes in the mailbox of the reactor; limits.mailbox_messages bounds them.
    mailbox_messages: Gauge => "gannet_mailbox_messages",
    /// Bytes that the envelopes in the mailbox of the reactor keep alive; limits.mailbox_bytes bounds them.
    mailbox_bytes: Gauge => "gannet_mailbox_bytes",
    /// Envelopes that the reactor keeps back because the mailbox of another is full; above 0 for long means that a reactor does not keep up.
    mailbox_overflow: Gauge => "gannet_mailbox_overflow_messages",
    /// Messages that wait for the sockets of sessions and links.
    outbox_messages: Gauge => "gannet_outbox_messages",
    /// Bytes of the messages that wait, a push that waits for many sockets counted for each.
    outbox_bytes: Gauge => "gannet_outbox_bytes",
    /// Memory that the messages that wait take, a push that waits for many sockets counted once; limits.outboxes_bytes bounds the sum of the reactors.
    outbox_memory: Gauge => "gannet_outbox_memory_bytes",
    /// Groups that the reactor remembers.
    memory_groups: Gauge => "gannet_memory_groups",
    /// Messages that groups keep; one that is in a log and the newest of its key counts twice.
    memory_messages: Gauge => "gannet_memory_messages",
    /// Memory of the messages that groups keep; limits.group_memory_bytes bounds the sum of the reactors.
    memory_bytes: Gauge => "gannet_memory_bytes",
    /// Messages that groups have lost, by reason, those that were never kept for want of room among them; one that a newer message of its key has replaced is not.
    memory_lost: CounterBy<MemoryLoss, { MemoryLoss::COUNT }> => "gannet_memory_lost_total",
    /// Times that a session which joined a group was sent what the group keeps.
    recalls: Counter => "gannet_recalls_total",
    /// Messages that were queued for such sessions out of what groups keep; they count among the deliveries too.
    recalled_messages: Counter => "gannet_recalled_messages_total",
    /// Pushes of the embedding program that were refused since they named two groups that remember.
    pushes_refused: Counter => "gannet_pushes_refused_total",
    /// Memory of all that is half received: begun messages, heads, bodies, input of paused connections; limits.incoming_bytes bounds the sum of the reactors.
    incoming: Gauge => "gannet_incoming_bytes",
    /// Connections closed because the half-received input of all was beyond limits.incoming_bytes.
    shed: Counter => "gannet_shed_total",
    /// Connections that the server does not read now.
    paused: Gauge => "gannet_paused",
    /// Times that the server stopped reading a connection for a while, by reason.
    pauses: CounterBy<PauseReason, { PauseReason::COUNT }> => "gannet_paused_total",
    /// Sockets that did not take all that waits for them.
    behind: Gauge => "gannet_outboxes_behind",
    /// Connections closed with 4003 because all outboxes together were beyond limits.outboxes_bytes.
    relieved: Counter => "gannet_relieved_total",
    /// Writes to sockets, in system calls.
    socket_writes: Counter => "gannet_socket_writes_total",
    /// Ticks (tick_ms) at which the reactor had something to write.
    ticks: Counter => "gannet_ticks_total",
    /// Writes to sockets that were made at a tick.
    tick_writes: Counter => "gannet_tick_writes_total",
    /// Times that the reactor woke another one that slept.
    wakes: Counter => "gannet_wakes_total",
    /// Times that the reactor could not run for more than 200 ms: the process or the machine stood still, or its core was taken.
    absences: Counter => "gannet_absences_total",
    /// Turns of the event loop.
    turns: Counter => "gannet_turns_total",
    /// Events for links that their sockets took whole.
    link_events: Counter => "gannet_link_events_total",
    /// Events for links that no socket took, because the link was too slow or ended first; the backend has to list its sessions again.
    link_events_lost: Counter => "gannet_link_events_lost_total",
    /// Openings, messages and ends of sessions that no link heard, by kind: none listened for them, and where the app holds them none came in time. Not where an embedding program hears them.
    events_unheard: CounterBy<UnheardKind, { UnheardKind::COUNT }> => "gannet_events_unheard_total",
    /// Links without a connection now that can be resumed; limits.links_away bounds their sum.
    links_away: Gauge => "gannet_links_away",
    /// Links that were to be resumed, by outcome: resumed, or why not.
    link_resumes: CounterBy<LinkResume, { LinkResume::COUNT }> => "gannet_link_resumes_total",
    /// Events kept for links: those that no socket has taken, and those that a link which may be resumed may not have read.
    link_kept_events: Gauge => "gannet_link_kept_events",
    /// Bytes of the events kept for links.
    link_kept_bytes: Gauge => "gannet_link_kept_bytes",
    /// Events that a link of a share did not get, since it ended or the session moved, sent to those that have the sessions.
    link_events_handed_on: Counter => "gannet_link_events_handed_on_total",
    /// Sessions that have gone from one link of their share to another while both were there: by a route or a rebalance.
    link_moves: Counter => "gannet_link_moves_total",
    /// Links of other nodes that hear of the sessions of this one; cluster.links_elsewhere bounds their sum.
    links_elsewhere: Gauge => "gannet_links_elsewhere",
    /// Events of sessions of this node that were sent to links of other nodes; one that may not have come is sent again.
    link_events_sent: Counter => "gannet_link_events_sent_total",
    /// Events of sessions of other nodes that came for links of this one, each once.
    link_events_received: Counter => "gannet_link_events_received_total",
    /// Events that the socket of a link took which ended without a goodbye and may not have read them; nobody gets them again.
    link_events_unconfirmed: Counter => "gannet_link_events_unconfirmed_total",
    /// Requests answered on the backend port, by class of status.
    http_requests: CounterBy<StatusClass, { StatusClass::COUNT }> => "gannet_http_requests_total",
    /// Connections closed because the peer broke RFC 6455 or a bound on messages, by kind.
    protocol_errors: CounterBy<ProtocolErrorKind, { ProtocolErrorKind::COUNT }> => "gannet_protocol_errors_total",
    /// Time of one turn, from the end of the poll to the end of the turn.
    turn_time: Histogram => "gannet_turn_seconds",
    /// Time from the acceptance of a push to its write to a socket, for each session that it was written to.
    push_to_write: Histogram => "gannet_push_to_write_seconds",
}

impl ReactorMetrics {
    /// The counts, for another process.
    pub fn carry(&self) -> CarriedMetrics {
        CarriedMetrics::of(&|see| self.each_family(see))
    }

    /// Goes on from the counts of another process. Only for the reactor's own thread.
    pub fn go_on_from(&self, carried: &CarriedMetrics) {
        carried.add_to(&|see| self.each_family(see));
    }
}
