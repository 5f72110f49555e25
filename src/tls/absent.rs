//! What stands for TLS in a build without it: an acceptor and a session that cannot be.

use super::{Failed, Received, Shaken, TlsError};
use crate::config::{Certificate, TlsVersion};
use crate::upgrade::InvalidState;
use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder};
use minicbor::{Decode, Encode};
use std::io::{self, IoSlice, Read, Write};

/// What would have been read.
#[derive(Default)]
pub struct PemFiles(());

impl PemFiles {
    pub fn again() -> Self {
        Self(())
    }
}

/// Nothing is encrypted in it.
#[derive(Debug, Default)]
pub struct Scratch(());

/// There is none.
#[derive(Debug)]
pub enum CarriedSession {}

/// There are none.
#[derive(Debug)]
pub enum CarriedTickets {}

/// There is none.
#[derive(Debug)]
pub enum Acceptor {}

/// There is none.
#[derive(Debug)]
pub enum Session {}

impl Acceptor {
    pub fn load(
        _certificates: &[Certificate],
        _versions: &[TlsVersion],
        _before: Option<&Self>,
        _pem: &mut PemFiles,
    ) -> Result<Self, TlsError> {
        Err(TlsError::NotBuilt)
    }

    pub fn shows_those_of(&self, _other: &Self) -> bool {
        match *self {}
    }

    pub fn ends(&self) -> Vec<(String, u64)> {
        match *self {}
    }

    pub fn carry_tickets(&self) -> CarriedTickets {
        match *self {}
    }

    pub fn take_over_tickets(&self, _carried: CarriedTickets) -> Result<(), InvalidState> {
        match *self {}
    }

    pub fn accept(&self) -> Result<Session, Failed> {
        match *self {}
    }
}

impl Session {
    pub fn shake(&mut self, _socket: &mut (impl Read + Write)) -> Result<Shaken, Failed> {
        match *self {}
    }

    pub fn read(&mut self, _socket: &mut (impl Read + Write), _buffer: &mut [u8]) -> io::Result<Received> {
        match *self {}
    }

    pub fn write(
        &mut self,
        _socket: &mut (impl Read + Write),
        _buffers: &[IoSlice<'_>],
        _scratch: &mut Scratch,
    ) -> io::Result<usize> {
        match *self {}
    }

    pub fn flush(&mut self, _socket: &mut (impl Read + Write)) -> io::Result<bool> {
        match *self {}
    }

    pub fn has_unsent(&self) -> bool {
        match *self {}
    }

    pub fn close(&mut self) {
        match *self {}
    }

    pub fn has_unread(&self) -> bool {
        match *self {}
    }

    pub fn is_untouched(&self) -> bool {
        match *self {}
    }

    pub fn carry(&self) -> Option<CarriedSession> {
        match *self {}
    }
}

impl TryFrom<CarriedSession> for Session {
    type Error = InvalidState;

    fn try_from(carried: CarriedSession) -> Result<Self, InvalidState> {
        match carried {}
    }
}

/// They come from a build with TLS alone, and none of them can be taken.
macro_rules! not_carried {
    ($($name:ident)*) => {$(
        impl<C> Encode<C> for $name {
            fn encode<W: encode::Write>(
                &self,
                _: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), encode::Error<W::Error>> {
                match *self {}
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(_: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                Err(decode::Error::message("this build has no TLS"))
            }
        }
    )*};
}

not_carried!(CarriedSession CarriedTickets);
