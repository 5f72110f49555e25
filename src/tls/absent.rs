//! What stands for TLS in a build without it: an acceptor and a session that cannot be.

use super::{Failed, Received, Shaken, TlsError};
use crate::config::{Certificate, TlsVersion};
use std::io::{self, IoSlice, Read, Write};

/// What would have been read.
#[derive(Default)]
pub struct PemFiles(());

impl PemFiles {
    pub fn again() -> Self {
        Self(())
    }
}

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
}
