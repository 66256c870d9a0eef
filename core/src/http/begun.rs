//! The beginning of a line, kept until it is clear what becomes of it. Pure; for `edit.rs`.

/// Of a line, so much is kept until it is clear which header it is; longer ones tell no length.
pub(super) const BEGUN_BYTES_MAX: usize = 64;

/// The beginning of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    bytes: [u8; BEGUN_BYTES_MAX],
    pub(super) length: u8,
    /// So many of them have gone out.
    pub(super) written: u8,
}

impl Begun {
    pub(super) const EMPTY: Begun = Begun { bytes: [0; BEGUN_BYTES_MAX], length: 0, written: 0 };

    pub(super) fn push(&mut self, byte: u8) {
        self.bytes[usize::from(self.length)] = byte;
        self.length += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        usize::from(self.length) == BEGUN_BYTES_MAX
    }

    pub(super) fn get(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    pub(super) fn unwritten(&self) -> &[u8] {
        &self.get()[usize::from(self.written)..]
    }

    pub(super) fn clear(&mut self) {
        (self.length, self.written) = (0, 0);
    }

    /// Forgets what is behind so many bytes, which have gone out.
    pub(super) fn shorten(&mut self, length: u8) {
        self.length = self.length.min(length);
        self.written = self.written.min(length);
    }

    pub(super) fn take(&mut self) -> Begun {
        std::mem::replace(self, Begun::EMPTY)
    }
}
