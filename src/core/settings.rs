//! The configuration in the units of the hot path.

use crate::config::Config;
use crate::connection::{InboundLimits, OutboxLimits, Silence};
use crate::dispatch::CommandLimits;
use crate::http::MessageLimits;
use crate::protocol::{DeflateConfig, Limits};
use std::sync::Arc;
use std::time::Duration;

/// The configuration in the units of the hot path, worked out once.
#[derive(Debug)]
pub struct Settings {
    /// The configuration itself.
    pub config: Config,
    /// Bounds of a session's outbox.
    pub outbox: OutboxLimits,
    /// Bounds of a link's outbox.
    pub link_outbox: OutboxLimits,
    /// When silent connections are pinged and closed.
    pub silence: Silence,
    /// Milliseconds from the first byte of a message or a body to its last.
    pub message_ms: u64,
    /// Milliseconds after which a receipt is answered with what is known.
    pub receipt_ms: u64,
    /// Bounds of a player's frames and messages.
    pub player_limits: Arc<Limits>,
    /// Bounds of a link's frames and messages.
    pub link_limits: Arc<Limits>,
    /// Bounds of HTTP requests.
    pub message_limits: MessageLimits,
    /// Bounds of what commands say.
    pub command_limits: CommandLimits,
    /// What is agreed on with clients that offer permessage-deflate; `None` declines.
    pub deflate: Option<DeflateConfig>,
    /// How fast a session may send; `None` where that is not bounded.
    pub inbound: Option<InboundLimits>,
}

impl Settings {
    /// Works out a configuration that has been validated.
    pub fn new(config: Config) -> Self {
        let limits = &config.limits;
        let timeouts = &config.timeouts;
        let ms = |duration: Duration| duration.as_millis() as u64;
        Self {
            outbox: OutboxLimits { bytes: limits.outbox_bytes, messages: limits.outbox_messages },
            link_outbox: OutboxLimits {
                bytes: limits.link_outbox_bytes,
                messages: limits.link_outbox_messages,
            },
            silence: Silence {
                upgrade_ms: ms(timeouts.upgrade),
                head_ms: ms(timeouts.head),
                ping_ms: ms(timeouts.ping),
                probe_ms: ms(timeouts.probe),
                heartbeat_ms: ms(timeouts.heartbeat),
                idle_ms: ms(timeouts.idle),
                link_ping_ms: ms(timeouts.link_ping),
                link_idle_ms: ms(timeouts.link_idle),
                backend_idle_ms: ms(timeouts.backend_idle),
                close_ms: ms(timeouts.close),
                link_stalled_ms: ms(timeouts.link_stalled),
            },
            message_ms: ms(timeouts.message),
            receipt_ms: ms(config.delivery.receipt),
            player_limits: Arc::new(Limits {
                max_frame_bytes: limits.max_frame_bytes,
                max_message_bytes: limits.max_message_bytes,
                max_fragments: u32::try_from(limits.max_fragments).unwrap_or(u32::MAX),
            }),
            // A push in base64 with its frame around it: a link's messages are bounded like a request's body.
            link_limits: Arc::new(Limits {
                max_frame_bytes: limits.max_body_bytes,
                max_message_bytes: limits.max_body_bytes,
                max_fragments: u32::try_from(limits.max_fragments).unwrap_or(u32::MAX),
            }),
            message_limits: MessageLimits { head: limits.head(), max_body_bytes: limits.max_body_bytes },
            command_limits: CommandLimits {
                max_push_bytes: limits.max_push_bytes,
                default_ttl: config.delivery.ttl,
                max_ttl: config.delivery.max_ttl,
                max_page: limits.max_page,
                max_selectors: limits.max_selectors,
                receipt_names: u32::try_from(limits.receipt_names).unwrap_or(u32::MAX),
                record_frames: limits.record_frames,
                max_batch_lines: limits.max_batch_lines,
            },
            deflate: config.deflate.enabled.then(|| DeflateConfig {
                min_bytes: config.deflate.min_bytes,
                level: config.deflate.level.clamp(1, 9) as u8,
                ..DeflateConfig::default()
            }),
            inbound: InboundLimits::new(&config.rates),
            config,
        }
    }
}
