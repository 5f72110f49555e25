//! A socket that takes no more than a turn's share of bytes: one connection with much to be sent does not keep the others
//! waiting while the kernel copies it all.

use std::io::{self, IoSlice, Write};

/// See the module. When the share is used up it says what a full socket says.
pub struct Budgeted<'a, S> {
    socket: &'a mut S,
    left: usize,
}

impl<'a, S: Write> Budgeted<'a, S> {
    /// `socket` for `bytes` bytes, of which there is at least one.
    pub fn new(socket: &'a mut S, bytes: usize) -> Self {
        Self { socket, left: bytes }
    }

    /// The socket.
    pub fn get_ref(&self) -> &S {
        self.socket
    }

    /// Whether it took its share: then the socket itself may take more.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }

    fn spend(&mut self, result: io::Result<usize>) -> io::Result<usize> {
        self.left -= *result.as_ref().unwrap_or(&0);
        result
    }
}

impl<S: Write> Write for Budgeted<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = self.socket.write(&bytes[..bytes.len().min(self.left)]);
        self.spend(result)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut total = 0;
        let fits = slices.iter().take_while(|slice| {
            total += slice.len();
            total <= self.left
        });
        let fitting = &slices[..fits.count()];
        let offered: usize = fitting.iter().map(|slice| slice.len()).sum();
        if offered == 0 {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.write(first.map_or(&[], |slice| slice));
        }
        let result = self.socket.write_vectored(fitting);
        let taken = self.spend(result)?;
        if taken == offered && fitting.len() < slices.len() {
            // It is the share that keeps the rest back, not the socket, which will not call for it.
            self.left = 0;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is written, the bytes arrive as they were, and never more of them than the share.
    #[test]
    fn the_share_is_the_bound_however_the_bytes_are_cut() {
        let pieces: Vec<Vec<u8>> = [0, 3, 5, 0, 8, 1, 40].map(|length| vec![length as u8; length]).into();
        let whole = pieces.concat();
        for share in 1..=whole.len() + 1 {
            let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let mut socket = Vec::new();
            let mut budgeted = Budgeted::new(&mut socket, share);
            let written = budgeted.write_vectored(&slices).unwrap();
            // This socket takes everything: what is left was kept back.
            assert_eq!(budgeted.is_spent(), written < whole.len() || written == share, "{share}");
            assert!((1..=share).contains(&written));
            assert_eq!(socket, whole[..written]);

            let mut socket = Vec::new();
            let mut budgeted = Budgeted::new(&mut socket, share);
            let written = budgeted.write(&whole).unwrap();
            assert_eq!(written, share.min(whole.len()));
            if budgeted.is_spent() {
                assert_eq!(budgeted.write(b"more").unwrap_err().kind(), io::ErrorKind::WouldBlock);
            }
            assert_eq!(socket, whole[..written]);
        }
    }
}
