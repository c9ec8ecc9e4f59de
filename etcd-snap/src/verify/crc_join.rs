//! Joins CRC-32C values: that of two parts one behind the other follows from theirs and the length of the second.
//!
//! Putting `n` bytes behind a part multiplies its CRC by x^8n, modulo the polynomial. The crate that computes CRCs does that
//! too, in some microseconds; here powers are kept, because hundreds of thousands of parts have a handful of lengths.

/// The polynomial of CRC-32C, the lowest power in the highest bit.
const POLYNOMIAL: u32 = 0x82F6_3B78;
/// x^0.
const ONE: u32 = 1 << 31;
/// Lengths below this are remembered.
const REMEMBERED: usize = 1 << 15;

/// Multiplies by powers of x.
pub(super) struct Joiner {
    /// x^(8 * 2^n).
    squares: [u32; 64],
    /// x^(8 * n); 0, which no power is, where it has not been computed.
    powers: Vec<u32>,
}

impl Joiner {
    pub(super) fn new() -> Self {
        // x^8.
        let mut power = ONE >> 8;
        let squares = std::array::from_fn(|_| {
            let this = power;
            power = multiply(power, power);
            this
        });
        Self {
            squares,
            powers: vec![0; REMEMBERED],
        }
    }

    /// The CRC of a part with `first` and, behind it, one of `second_bytes` bytes with `second`.
    pub(super) fn join(&mut self, first: u32, second: u32, second_bytes: u64) -> u32 {
        multiply(self.power(second_bytes), first) ^ second
    }

    fn power(&mut self, bytes: u64) -> u32 {
        let place = usize::try_from(bytes).unwrap_or(usize::MAX);
        if let Some(power) = self.powers.get(place).filter(|power| **power != 0) {
            return *power;
        }
        let power = self
            .squares
            .iter()
            .enumerate()
            .filter(|(n, _)| bytes >> n & 1 == 1)
            .fold(ONE, |power, (_, square)| multiply(power, *square));
        if let Some(remembered) = self.powers.get_mut(place) {
            *remembered = power;
        }
        power
    }
}

/// The product of two polynomials modulo that of CRC-32C.
fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    for n in (0..32).rev() {
        // Without a branch: the bits are as good as random.
        product ^= b & (a >> n & 1).wrapping_neg();
        b = b >> 1 ^ POLYNOMIAL & (b & 1).wrapping_neg();
    }
    product
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Joiner;

    proptest! {
        #[test]
        fn the_crc_of_two_parts_is_that_of_both_together(first: Vec<u8>, second: Vec<u8>) {
            let whole = [first.as_slice(), &second].concat();
            let mut joiner = Joiner::new();
            for _ in 0..2 {
                let joined = joiner.join(crc32c::crc32c(&first), crc32c::crc32c(&second), second.len() as u64);
                prop_assert_eq!(joined, crc32c::crc32c(&whole));
            }
        }

        #[test]
        fn any_length_is_joined_as_the_crate_joins_it(first: u32, second: u32, bytes in any::<u32>()) {
            let theirs = crc32c::crc32c_combine(first, second, bytes as usize);
            prop_assert_eq!(Joiner::new().join(first, second, bytes.into()), theirs);
        }
    }
}
