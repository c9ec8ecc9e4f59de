//! Choices out of the fuzzer's bytes: one byte a choice, so that a changed byte changes one thing.

/// What is left of the bytes. At their end every choice is the first one.
#[derive(Debug, Clone)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *byte
    }

    /// A number below `bound`, which fits two bytes.
    pub fn below(&mut self, bound: usize) -> usize {
        let choice = if bound > 256 {
            usize::from(self.byte()) << 8 | usize::from(self.byte())
        } else {
            usize::from(self.byte())
        };
        choice % bound.max(1)
    }

    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Bytes behind a byte that says how many.
    pub fn piece(&mut self) -> &'a [u8] {
        let count = usize::from(self.byte());
        self.bytes(count)
    }

    /// A number that has a meaning somewhere, a small one, or any.
    pub fn number(&mut self) -> u64 {
        const MEANING: [u64; 20] = [
            0,
            1,
            2,
            15,
            16,
            17,
            496,
            512,
            0xFFFE,
            0xFFFF,
            0x1_0000,
            0x7FFF_FFFF,
            0x8000_0000,
            0xFFFF_FFF0,
            0xFFFF_FFFF,
            1 << 40,
            i64::MAX as u64,
            1 << 63,
            u64::MAX - 1,
            u64::MAX,
        ];
        match self.byte() {
            0..64 => u64::from(self.byte()),
            64..96 => {
                let mut number = [0; 8];
                let bytes = self.bytes(8);
                number[..bytes.len()].copy_from_slice(bytes);
                u64::from_le_bytes(number)
            }
            other => MEANING[usize::from(other) % MEANING.len()],
        }
    }
}
