//! Text in pieces is judged as `std` judges it, at the same byte.

use gannet::protocol::TextAssembly;

use super::choices::{Choices, pieces};

/// The sizes of the pieces, the text.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let sizes = choices.sizes();
    let bytes = choices.rest();

    let mut text = TextAssembly::default();
    let mut taken = 0;
    for piece in pieces(bytes, &sizes) {
        let before = taken;
        taken += piece.len();
        if text.push(piece).is_err() {
            assert!(!is_start_of_text(&bytes[..taken]), "refused too early");
            assert!(is_start_of_text(&bytes[..before]), "refused too late");
            return;
        }
    }
    assert!(is_start_of_text(bytes), "refused too late");
    match (text.finish(), std::str::from_utf8(bytes)) {
        (Ok(text), Ok(expected)) => assert_eq!(text, expected),
        (Err(_), Err(_)) => {}
        (ours, expected) => panic!("{ours:?}, but std says {expected:?}"),
    }
}

/// Whether something could follow that makes UTF-8 of it.
fn is_start_of_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true)
}
