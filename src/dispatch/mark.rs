//! The character that tells gannet's own messages to a player from the game's.

use std::borrow::Cow;

/// Record separator: begins gannet's own texts to and from a client that has agreed on them.
pub const MARK: char = '\u{1e}';

/// A text of the game's as it goes to such a client: one that begins with the mark has it twice.
pub fn marked(text: &str) -> Cow<'_, str> {
    match text.starts_with(MARK) {
        true => Cow::Owned(format!("{MARK}{text}")),
        false => Cow::Borrowed(text),
    }
}
