//! The token among threads; among processes in [`super::processes`].

use super::pair;
use crate::upgrade::{Cause, Token};
use std::sync::Barrier;
use std::thread;

#[test]
fn a_token_is_taken_once() {
    let mut token = Token::new().unwrap();
    assert!(!token.take().unwrap());
    token.offer().unwrap();
    token.offer().unwrap();
    assert!(token.take().unwrap());
    assert!(!token.take().unwrap());
    token.offer().unwrap();
    assert!(!token.take().unwrap());
}

#[test]
fn one_of_two_ends_takes_the_token() {
    let (mut old, mut new) = pair();
    let barrier = Barrier::new(2);
    for _ in 0..1_000 {
        let mut mine = Token::new().unwrap();
        old.send_token(&mine).unwrap();
        let theirs = new.receive_token().unwrap();
        mine.offer().unwrap();
        let (first, second) = thread::scope(|scope| {
            let second = scope.spawn(|| {
                barrier.wait();
                theirs.take().unwrap()
            });
            barrier.wait();
            (mine.take().unwrap(), second.join().unwrap())
        });
        assert!(first != second);
    }
}

#[test]
fn the_new_process_waits_for_the_offer() {
    let (mut old, mut new) = pair();
    let mut token = Token::new().unwrap();
    old.send_token(&token).unwrap();
    let received = new.receive_token().unwrap();
    let waiting = thread::spawn(move || new.take(&received).map(|()| new));
    token.offer().unwrap();
    waiting.join().unwrap().unwrap();
    assert!(!token.take().unwrap());
}

#[test]
fn the_new_process_hears_that_it_was_called_off() {
    let (mut old, mut new) = pair();
    old.send_bye().unwrap();
    assert!(matches!(new.take(&Token::new().unwrap()).unwrap_err().cause, Cause::CalledOff));
}
