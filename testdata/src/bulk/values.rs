//! The user's keys and values.

use super::kinds::{Form, Kind, Kinds};
use super::seeded;
use crate::database::{Random, length_delimited, varint};

const NAMESPACES: [&str; 12] = [
    "default",
    "kube-system",
    "kube-node-lease",
    "monitoring",
    "ingress",
    "shop",
    "shop-staging",
    "payments",
    "logging",
    "data-platform",
    "ci",
    "team-a",
];
const STEMS: [&str; 12] = [
    "web",
    "api-gateway",
    "worker",
    "cache",
    "frontend",
    "orders",
    "billing-exporter",
    "node-agent",
    "scheduler",
    "mailer",
    "search-indexer",
    "auth",
];

/// Writes keys and values into buffers that are used again and again.
#[derive(Debug)]
pub(super) struct Objects {
    seed: u64,
    kinds: &'static Kinds,
    part: Vec<u8>,
    metadata: Vec<u8>,
    filler: Vec<u8>,
}

impl Objects {
    pub(super) fn new(seed: u64, kinds: &'static Kinds) -> Self {
        Self {
            seed,
            kinds,
            part: Vec::new(),
            metadata: Vec::new(),
            filler: Vec::new(),
        }
    }

    /// Where the object with this number stands.
    pub(super) fn key(&self, number: u64, out: &mut Vec<u8>) {
        let kind = self.kinds.of(self.seed, number);
        out.clear();
        for part in ["/registry/", kind.resource, "/"] {
            out.extend_from_slice(part.as_bytes());
        }
        if kind.namespaced {
            self.namespace(number, out);
            out.push(b'/');
        }
        self.name(number, out);
    }

    /// The object as the change at this revision left it.
    pub(super) fn value(&mut self, number: u64, main: i64, out: &mut Vec<u8>) {
        let kind = self.kinds.of(self.seed, number);
        let chance = seeded(self.seed, 6, number ^ ((main as u64) << 20));
        let size = kind.size(chance) as usize;
        self.filler.clear();
        self.write(kind, number, out);
        let rest = size.saturating_sub(out.len());
        if rest > 0 {
            fill(&mut self.filler, chance, rest);
            self.write(kind, number, out);
            // Lengths take a byte more than those of the empty object.
            let surplus = out.len().saturating_sub(size);
            self.filler.truncate(rest.saturating_sub(surplus));
            self.write(kind, number, out);
        }
    }

    fn write(&mut self, kind: &Kind, number: u64, out: &mut Vec<u8>) {
        out.clear();
        match kind.form {
            Form::Json => self.json(kind, number, out),
            Form::Annotated | Form::Data => self.protobuf(kind, number, out),
        }
    }

    fn json(&self, kind: &Kind, number: u64, out: &mut Vec<u8>) {
        let mut text = |part: &str| out.extend_from_slice(part.as_bytes());
        text("{\"apiVersion\":\"");
        text(kind.api_version);
        text("\",\"kind\":\"");
        text(kind.name);
        text("\",\"metadata\":{\"name\":\"");
        self.name(number, out);
        if kind.namespaced {
            out.extend_from_slice(b"\",\"namespace\":\"");
            self.namespace(number, out);
        }
        out.extend_from_slice(b"\"},\"spec\":{\"notes\":\"");
        out.extend_from_slice(&self.filler);
        out.extend_from_slice(b"\"}}\n");
    }

    /// An envelope with the object's own message in it, whose field 1 is the metadata of every kind.
    fn protobuf(&mut self, kind: &Kind, number: u64, out: &mut Vec<u8>) {
        let mut part = std::mem::take(&mut self.part);
        let mut metadata = std::mem::take(&mut self.metadata);
        metadata.clear();
        part.clear();
        self.name(number, &mut part);
        length_delimited(&mut metadata, 1, &part);
        length_delimited(&mut metadata, 2, &[]);
        part.clear();
        if kind.namespaced {
            self.namespace(number, &mut part);
        }
        length_delimited(&mut metadata, 3, &part);
        length_delimited(&mut metadata, 4, &[]);
        part.clear();
        uid(seeded(self.seed, 8, number), &mut part);
        length_delimited(&mut metadata, 5, &part);
        length_delimited(&mut metadata, 6, &[]);
        // A map of one entry, as the annotations are and the data of config maps and secrets.
        part.clear();
        length_delimited(&mut part, 1, b"notes");
        length_delimited(&mut part, 2, &self.filler);
        if kind.form == Form::Annotated {
            length_delimited(&mut metadata, 12, &part);
            part.clear();
        }

        out.extend_from_slice(b"k8s\0");
        let type_meta = 4 + kind.api_version.len() + kind.name.len();
        out.extend_from_slice(&[0x0A, type_meta as u8]);
        length_delimited(out, 1, kind.api_version.as_bytes());
        length_delimited(out, 2, kind.name.as_bytes());
        let data = if part.is_empty() {
            0
        } else {
            1 + length_of_varint(part.len()) + part.len()
        };
        let raw = 1 + length_of_varint(metadata.len()) + metadata.len() + data;
        out.push(0x12);
        varint(out, raw as u64);
        length_delimited(out, 1, &metadata);
        if data > 0 {
            length_delimited(out, 2, &part);
        }
        out.extend_from_slice(&[0x1A, 0, 0x22, 0]);
        (self.part, self.metadata) = (part, metadata);
    }

    fn namespace(&self, number: u64, out: &mut Vec<u8>) {
        let chance = seeded(self.seed, 9, number);
        let name = NAMESPACES[(chance % NAMESPACES.len() as u64) as usize];
        out.extend_from_slice(name.as_bytes());
    }

    /// Ends in letters that stand for the number alone: no two objects have the same name.
    fn name(&self, number: u64, out: &mut Vec<u8>) {
        const LETTERS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
        let chance = seeded(self.seed, 10, number);
        let stem = STEMS[(chance % STEMS.len() as u64) as usize];
        out.extend_from_slice(stem.as_bytes());
        out.push(b'-');
        // Odd, so that no two numbers meet below 2^40.
        let mut mixed = number.wrapping_mul(0x9E_3779_B97F) & ((1 << 40) - 1);
        for place in 0..8 {
            if place == 5 {
                out.push(b'-');
            }
            out.push(LETTERS[(mixed >> 35) as usize]);
            mixed = (mixed << 5) & ((1 << 40) - 1);
        }
    }
}

fn length_of_varint(number: usize) -> usize {
    ((usize::BITS - number.leading_zeros()).max(1) as usize).div_ceil(7)
}

fn uid(chance: u64, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut random = Random::new(chance);
    let bits = [random.number(), random.number()];
    for place in 0..32 {
        if [8, 12, 16, 20].contains(&place) {
            out.push(b'-');
        }
        let nibble = bits[place / 16] >> (4 * (place % 16)) & 0xF;
        out.push(DIGITS[nibble as usize]);
    }
}

/// Text that cannot be compressed by much.
fn fill(out: &mut Vec<u8>, seed: u64, count: usize) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = Random::new(seed);
    out.reserve(count + 8);
    while out.len() < count {
        let bits = random.number().to_le_bytes();
        out.extend_from_slice(&bits.map(|byte| LETTERS[usize::from(byte & 63)]));
    }
    out.truncate(count);
}
