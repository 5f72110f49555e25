//! What the fields of a command may hold. A query parameter and a JSON field of the same name have the same bounds, the
//! same defaults and the same sentences when they are refused.

use crate::dispatch::{
    Class, CommandError, EncodedFrame, Epoch, ErrorCode, ReceiptMode, Scope, Selector, Target,
};
pub(crate) use crate::dispatch::{CommandLimits, Quoted};
use crate::dispatch::{bad_code, check_close_code, check_close_reason};
use crate::session::{Name, SessionId};
use hashbrown::HashSet;
use log::LevelFilter;
use smallvec::SmallVec;
use std::hash::Hash;
use std::path::PathBuf;
use std::time::Duration;

/// The close code of a kick that names none.
pub const KICKED: u16 = 4001;
/// Sessions on a page whose request names no limit, where [`CommandLimits::max_page`] allows as many.
pub const DEFAULT_PAGE: usize = 100;

/// Events of a record whose request names no number, where [`CommandLimits::record_frames`] allows as many.
pub const DEFAULT_FRAMES: usize = 200;

/// [`ErrorCode::BadRequest`] with its sentence.
pub fn bad_request(message: impl Into<Box<str>>) -> CommandError {
    CommandError::new(ErrorCode::BadRequest, message)
}

/// A user, group or tag.
///
/// # Errors
/// [`ErrorCode::BadRequest`] when it is no [`Name`]; likewise below for whatever is out of its bounds.
pub fn name(field: &str, text: &str) -> Result<Name, CommandError> {
    Name::new(text).map_err(|invalid| bad_request(format!("{field}: {invalid}")))
}

/// Several users, groups or tags: at least one, at most `limits.max_selectors`. What is named twice is in the list once.
pub fn names<'a>(
    field: &str,
    texts: impl Iterator<Item = &'a str>,
    limits: &CommandLimits,
) -> Result<Vec<Name>, CommandError> {
    let texts: Vec<&str> = texts.collect();
    check_list(field, texts.len(), limits)?;
    let names: Vec<Name> = texts.into_iter().map(|text| name(field, text)).collect::<Result<_, _>>()?;
    Ok(each_once(names))
}

/// Whether a list may have so many entries.
///
/// # Errors
/// [`ErrorCode::BadRequest`] when it is empty or has more than `limits.max_selectors`.
pub fn check_list(field: &str, named: usize, limits: &CommandLimits) -> Result<(), CommandError> {
    let most = limits.max_selectors;
    match named {
        0 => Err(bad_request(format!("{field} is an empty list: name at least one"))),
        _ if named > most => {
            Err(bad_request(format!("{field} names at most {most}, not {named}: send it in parts")))
        }
        _ => Ok(()),
    }
}

/// Whether one message may hold so many commands.
///
/// # Errors
/// [`ErrorCode::BadRequest`] when it holds none, or more than `most`.
pub fn check_commands(commands: usize, most: usize) -> Result<(), CommandError> {
    match commands {
        0 => Err(bad_request("the message holds no command")),
        _ if commands > most => {
            let message =
                format!("a message holds at most {most} commands, not {commands}: send them in parts");
            Err(bad_request(message))
        }
        _ => Ok(()),
    }
}

/// The first of each that are the same, in their order.
pub fn each_once<T: Clone + Eq + Hash>(mut items: Vec<T>) -> Vec<T> {
    if items.len() > 1 {
        let mut seen = HashSet::with_capacity(items.len());
        items.retain(|item| seen.insert(item.clone()));
    }
    items
}

/// A session id.
pub fn session(field: &str, text: &str) -> Result<SessionId, CommandError> {
    text.parse().map_err(|invalid| bad_request(format!("{field}: {invalid}")))
}

/// An epoch of a group's numbers.
///
/// # Errors
/// [`ErrorCode::BadRequest`] when it is not 16 lowercase hex digits.
pub fn epoch(field: &str, text: &str) -> Result<Epoch, CommandError> {
    text.parse().map_err(|invalid| bad_request(format!("{field}: {invalid}")))
}

/// A target of at least one selector and at most `limits.max_selectors`; what is named twice is in it once, so that
/// nothing counts twice as offline.
pub fn target(
    mut selectors: SmallVec<[Selector; 1]>,
    limits: &CommandLimits,
) -> Result<Target, CommandError> {
    if selectors.is_empty() {
        return Err(bad_request("a push needs a target: session, user, group, tag, all or all_of"));
    }
    let (named, most) = (named_in(&selectors), limits.max_selectors);
    if named > most {
        return Err(bad_request(format!(
            "a target has at most {most} selectors, not {named}: push in parts"
        )));
    }
    if selectors.len() > 1 {
        let mut seen = HashSet::with_capacity(selectors.len());
        selectors.retain(|selector| seen.insert(selector.clone()));
    }
    let mut target = Target::nobody();
    selectors.into_iter().for_each(|selector| target.push(selector));
    Ok(target)
}

/// Who does not get a push beside the one session of `except`: at most `limits.max_selectors` selectors, or none.
pub fn without(selectors: Vec<Selector>, limits: &CommandLimits) -> Result<Vec<Selector>, CommandError> {
    let (named, most) = (named_in(&selectors), limits.max_selectors);
    if named > most {
        return Err(bad_request(format!("except has at most {most} selectors, not {named}")));
    }
    Ok(each_once(selectors))
}

/// What several selectors have in common. They stand in the order of their kinds.
pub fn all_of(mut parts: Vec<Selector>) -> Result<Selector, CommandError> {
    if parts.is_empty() {
        return Err(bad_request("all_of needs something to have in common: session, user, group or tag"));
    }
    parts.sort_by_key(|part| match part {
        Selector::Session(_) => 0,
        Selector::User(_) => 1,
        Selector::Group(_) => 2,
        Selector::Tag(_) => 3,
        Selector::All => 4,
        Selector::AllOf(_) => 5,
    });
    Ok(Selector::AllOf(each_once(parts).into()))
}

/// So many names and ids are in a union.
fn named_in(selectors: &[Selector]) -> usize {
    selectors.iter().map(|selector| selector.parts().len()).sum()
}

/// One way of naming sessions as a parameter has it: `group:red`.
pub fn selector(field: &str, text: &str) -> Result<Selector, CommandError> {
    match text.split_once(':') {
        Some(("session", id)) => session(field, id).map(Selector::Session),
        Some(("user", user)) => name(field, user).map(Selector::User),
        Some(("group", group)) => name(field, group).map(Selector::Group),
        Some(("tag", tag)) => name(field, tag).map(Selector::Tag),
        _ => Err(not_one_of(field, text, "session:ID, user:NAME, group:NAME, tag:NAME")),
    }
}

/// `ttl_ms`, or the default.
pub fn ttl(ttl_ms: Option<u64>, limits: &CommandLimits) -> Result<Duration, CommandError> {
    let Some(ttl) = ttl_ms.map(Duration::from_millis) else { return Ok(limits.default_ttl) };
    if ttl > limits.max_ttl {
        return Err(bad_request(format!("ttl_ms is at most {}", limits.max_ttl.as_millis())));
    }
    Ok(ttl)
}

/// `key`: bounded as names are.
pub fn conflation_key(text: &str) -> Result<Box<str>, CommandError> {
    Name::check(text).map_err(|invalid| bad_request(format!("key: {invalid}")))?;
    Ok(text.into())
}

/// `class`.
pub fn class(text: &str) -> Result<Class, CommandError> {
    match text {
        "normal" => Ok(Class::Normal),
        "urgent" => Ok(Class::Urgent),
        "droppable" => Ok(Class::Droppable),
        _ => Err(not_one_of("class", text, "normal, urgent, droppable")),
    }
}

/// `scope`.
pub fn scope(text: &str) -> Result<Scope, CommandError> {
    Scope::named(text).ok_or_else(|| not_one_of("scope", text, &Scope::NAMES.join(", ")))
}

/// `receipt`.
pub fn receipt(text: &str) -> Result<ReceiptMode, CommandError> {
    match text {
        "none" => Ok(ReceiptMode::None),
        "queued" => Ok(ReceiptMode::Queued),
        "written" => Ok(ReceiptMode::Written),
        _ => Err(not_one_of("receipt", text, "none, queued, written")),
    }
}

/// A number in a parameter: decimal digits.
pub fn number(field: &str, text: &str) -> Result<u64, CommandError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => Ok(number),
        _ => Err(bad_request(format!("{field} cannot be {}; it is a number", Quoted(text)))),
    }
}

/// `field` is `text`, which is none of its values.
pub fn not_one_of(field: &str, text: &str, values: &str) -> CommandError {
    bad_request(format!("{field} cannot be {}; it is one of {values}", Quoted(text)))
}

/// `code` of a kick, or [`KICKED`].
pub fn close_code(code: Option<u64>) -> Result<u16, CommandError> {
    let Some(code) = code else { return Ok(KICKED) };
    let code = u16::try_from(code).map_err(|_| bad_code())?;
    check_close_code(code).map(|()| code)
}

/// `reason` of a kick.
pub fn close_reason(reason: Option<&str>) -> Result<Box<str>, CommandError> {
    let reason = reason.unwrap_or_default();
    check_close_reason(reason).map(|()| reason.into())
}

/// How much a server logs.
pub const LOG_LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// `1` or `true`, `0` or `false`.
pub fn switch(field: &str, text: &str) -> Result<bool, CommandError> {
    match text {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(bad_request(format!("{field} cannot be {}; it is 1 or 0", Quoted(text)))),
    }
}

/// A path on the machine of the server, whose working directory nobody need know.
pub fn absolute_path(field: &str, path: &str) -> Result<PathBuf, CommandError> {
    /// PATH_MAX of Linux, less the zero at its end.
    const MOST: usize = 4095;
    match path.starts_with('/') && path.len() <= MOST && !path.contains('\0') {
        true => Ok(path.into()),
        false => Err(bad_request(format!("{field} is an absolute path of at most {MOST} bytes"))),
    }
}

/// A time that an operator names.
pub fn up_to_a_day(field: &str, ms: u64) -> Result<u64, CommandError> {
    const MOST: u64 = 24 * 60 * 60 * 1000;
    match ms <= MOST {
        true => Ok(ms),
        false => Err(bad_request(format!("{field} is at most {MOST}, a day"))),
    }
}

/// `level` of the log.
pub fn level(level: &str) -> Result<LevelFilter, CommandError> {
    let known = LOG_LEVELS.contains(&level).then(|| level.parse().ok()).flatten();
    known.ok_or_else(|| {
        bad_request(format!("{} is no level: it is one of {}", Quoted(level), LOG_LEVELS.join(", ")))
    })
}

/// `to` of a drain: it has to fit into the reason of a Close frame (RFC 6455 §5.5).
pub fn destination(to: &str) -> Result<Box<str>, CommandError> {
    let is_url = to.starts_with("ws://") || to.starts_with("wss://");
    match is_url && to.len() <= 100 && to.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(to.into()),
        false => Err(bad_request("to is a URL of ws:// or wss://, of visible ASCII and at most 100 bytes")),
    }
}

/// `limit` of a page, or the default.
pub fn page_limit(limit: Option<u64>, limits: &CommandLimits) -> Result<usize, CommandError> {
    let Some(limit) = limit else { return Ok(DEFAULT_PAGE.min(limits.max_page)) };
    usize::try_from(limit)
        .ok()
        .filter(|limit| (1..=limits.max_page).contains(limit))
        .ok_or_else(|| bad_request(format!("limit is between 1 and {}", limits.max_page)))
}

/// `frames` of a record, or the default.
pub fn record_frames(frames: Option<u64>, limits: &CommandLimits) -> Result<usize, CommandError> {
    let Some(frames) = frames else { return Ok(DEFAULT_FRAMES.min(limits.record_frames)) };
    usize::try_from(frames)
        .ok()
        .filter(|frames| (1..=limits.record_frames).contains(frames))
        .ok_or_else(|| bad_request(format!("frames is between 1 and {}", limits.record_frames)))
}

/// A text message.
///
/// # Errors
/// [`ErrorCode::PayloadTooLarge`].
pub fn text_frame(payload: &str, limits: &CommandLimits) -> Result<EncodedFrame, CommandError> {
    check_payload(payload.len(), limits)?;
    Ok(EncodedFrame::text(payload))
}

/// A binary message.
///
/// # Errors
/// [`ErrorCode::PayloadTooLarge`].
pub fn binary_frame(payload: &[u8], limits: &CommandLimits) -> Result<EncodedFrame, CommandError> {
    check_payload(payload.len(), limits)?;
    Ok(EncodedFrame::binary(payload))
}

/// Whether a message may have so many `bytes`.
///
/// # Errors
/// [`ErrorCode::PayloadTooLarge`].
pub fn check_payload(bytes: usize, limits: &CommandLimits) -> Result<(), CommandError> {
    let most = limits.max_push_bytes;
    if bytes > most {
        let message = format!("the payload has {bytes} bytes; the limit is {most}");
        return Err(CommandError::new(ErrorCode::PayloadTooLarge, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use smallvec::smallvec;

    #[test]
    fn close_codes_are_those_that_a_server_may_choose() {
        let allowed =
            |code: u64| [1000, 1001, 1008, 1011, 1012, 1013].contains(&code) || (3000..5000).contains(&code);
        for code in (0..=70_000).chain([u64::MAX]) {
            assert_eq!(close_code(Some(code)).is_ok(), allowed(code), "{code}");
        }
        assert_eq!(close_code(None), Ok(4001));
    }

    #[test]
    fn bounds_are_inclusive() {
        let limits = CommandLimits::small();
        assert_eq!(ttl(None, &limits), Ok(limits.default_ttl));
        assert_eq!(ttl(Some(0), &limits), Ok(Duration::ZERO));
        assert_eq!(ttl(Some(3_600_000), &limits), Ok(limits.max_ttl));
        assert!(ttl(Some(3_600_001), &limits).is_err());
        assert!(ttl(Some(u64::MAX), &limits).is_err());
        assert_eq!(page_limit(None, &limits), Ok(100));
        assert_eq!(page_limit(None, &CommandLimits { max_page: 10, ..limits.clone() }), Ok(10));
        assert_eq!(page_limit(Some(1000), &limits), Ok(1000));
        for refused in [0, 1001, u64::MAX] {
            assert!(page_limit(Some(refused), &limits).is_err());
        }
        assert!(close_reason(Some(&"x".repeat(123))).is_ok());
        assert!(close_reason(Some(&"x".repeat(124))).is_err());
        assert!(text_frame(&"x".repeat(64), &limits).is_ok());
        assert_eq!(text_frame(&"x".repeat(65), &limits).unwrap_err().code, ErrorCode::PayloadTooLarge);
        assert_eq!(binary_frame(&[0; 65], &limits).unwrap_err().code, ErrorCode::PayloadTooLarge);
    }

    #[test]
    fn a_target_names_each_selector_once() {
        let user = |text| Selector::User(Name::new(text).unwrap());
        let tag = |text| Selector::Tag(Name::new(text).unwrap());
        let named = smallvec![user("ada"), tag("ada"), user("ada"), Selector::All];
        assert_eq!(
            target(named, &CommandLimits::small()).unwrap().selectors(),
            [user("ada"), tag("ada"), Selector::All]
        );
        assert!(target(smallvec![], &CommandLimits::small()).is_err());
        assert!(target(smallvec![Selector::All; 5], &CommandLimits::small()).is_err());
    }

    #[test]
    fn quoted_text_is_short_and_on_one_line() {
        assert_eq!(Quoted("a'b\n\"").to_string(), r#""a'b\n\"""#);
        let long = Quoted(&"é".repeat(1000)).to_string();
        assert_eq!(long.chars().count(), 48 + 3);
        assert!(long.ends_with("…\""));
    }
}
