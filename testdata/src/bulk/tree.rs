//! A bucket of its own, from the leaves up: records come in the order of their keys, pages go out as they are full.

use anyhow::Result;

use super::space::{PAGE, Role, Space};
use crate::database::{BRANCH, ELEMENT, HEADER, LEAF, Random, header};

/// How full pages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// As etcd leaves them where it only appends.
    Fresh,
    /// As a compaction leaves them, which takes records out and joins only leaves of less than a quarter.
    LivedIn,
}

/// Builds the tree of one bucket.
#[derive(Debug)]
pub(super) struct Tree {
    role: Role,
    fill: Fill,
    random: Random,
    leaf: Node,
    /// From the parents of leaves up.
    branches: Vec<Node>,
    records: u64,
    crc: u32,
    bytes: u64,
    leaf_pages: u64,
    image: Vec<u8>,
}

/// A page that still takes elements.
#[derive(Debug, Default)]
struct Node {
    elements: Vec<Element>,
    /// Keys and values back to back.
    bodies: Vec<u8>,
    /// It is full when it would be larger than this,
    limit: usize,
    /// but not with fewer elements than this.
    fewest: usize,
}

#[derive(Debug, Clone, Copy)]
struct Element {
    key_size: u32,
    rest: Rest,
}

#[derive(Debug, Clone, Copy)]
enum Rest {
    Value(u32),
    Child(u64),
}

impl Node {
    fn size(&self) -> usize {
        HEADER + self.elements.len() * ELEMENT + self.bodies.len()
    }

    fn is_full_before(&self, body: usize) -> bool {
        self.elements.len() >= self.fewest && self.size() + ELEMENT + body > self.limit
    }

    fn first_key(&self) -> &[u8] {
        &self.bodies[..self.elements[0].key_size as usize]
    }

    fn write(&self, kind: u16, out: &mut Vec<u8>) {
        out.clear();
        let extent = self.size().div_ceil(PAGE);
        out.extend_from_slice(&header(0, kind, self.elements.len() as u16, extent));
        let mut position = self.elements.len() * ELEMENT;
        for element in &self.elements {
            let key = element.key_size.to_le_bytes();
            let at = (position as u32).to_le_bytes();
            position += element.key_size as usize;
            match element.rest {
                Rest::Value(size) => {
                    for field in [[0; 4], at, key, size.to_le_bytes()] {
                        out.extend_from_slice(&field);
                    }
                    position += size as usize;
                }
                Rest::Child(id) => {
                    out.extend_from_slice(&at);
                    out.extend_from_slice(&key);
                    out.extend_from_slice(&id.to_le_bytes());
                }
            }
            position -= ELEMENT;
        }
        out.extend_from_slice(&self.bodies);
    }
}

/// What came of a tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grown {
    pub(super) root: u64,
    pub(super) records: u64,
    /// CRC-32C of keys and values, in their order.
    pub(super) crc: u32,
    /// How many bytes that is of.
    pub(super) bytes: u64,
    pub(super) leaf_pages: u64,
}

impl Tree {
    pub(super) fn new(role: Role, fill: Fill, seed: u64) -> Self {
        let mut tree = Self {
            role,
            fill,
            random: Random::new(seed),
            leaf: Node::default(),
            branches: Vec::new(),
            records: 0,
            crc: 0,
            bytes: 0,
            leaf_pages: 0,
            image: Vec::new(),
        };
        tree.reopen_leaf();
        tree
    }

    /// How the leaves from now on are filled.
    pub(super) fn set_fill(&mut self, fill: Fill) {
        self.fill = fill;
    }

    pub(super) fn push(&mut self, key: &[u8], value: &[u8], space: &mut Space) -> Result<()> {
        if self.leaf.is_full_before(key.len() + value.len()) {
            self.close_leaf(space)?;
        }
        self.leaf.elements.push(Element {
            key_size: key.len() as u32,
            rest: Rest::Value(value.len() as u32),
        });
        self.leaf.bodies.extend_from_slice(key);
        self.leaf.bodies.extend_from_slice(value);
        self.records += 1;
        Ok(())
    }

    /// Writes the last page of every level.
    pub(super) fn finish(mut self, space: &mut Space) -> Result<Grown> {
        let mut root = self.close_leaf(space)?;
        let mut level = 0;
        // What is closed may open one above.
        while level < self.branches.len() {
            let only_child = match self.branches[level].elements[..] {
                [
                    Element {
                        rest: Rest::Child(id),
                        ..
                    },
                ] if level + 1 == self.branches.len() => Some(id),
                _ => None,
            };
            match only_child {
                Some(id) => root = id,
                None => root = self.close_branch(level, space)?,
            }
            level += 1;
        }
        Ok(Grown {
            root,
            records: self.records,
            crc: self.crc,
            bytes: self.bytes,
            leaf_pages: self.leaf_pages,
        })
    }

    fn close_leaf(&mut self, space: &mut Space) -> Result<u64> {
        let mut node = std::mem::take(&mut self.leaf);
        self.crc = crc32c::crc32c_append(self.crc, &node.bodies);
        self.bytes += node.bodies.len() as u64;
        node.write(LEAF, &mut self.image);
        let id = space.place(self.role, &mut self.image)?;
        self.leaf_pages += self.image.len().div_ceil(PAGE) as u64;
        if !node.elements.is_empty() {
            self.add_child(0, node.first_key(), id, space)?;
        }
        node.elements.clear();
        node.bodies.clear();
        self.leaf = node;
        self.reopen_leaf();
        Ok(id)
    }

    fn reopen_leaf(&mut self) {
        self.leaf.limit = match self.fill {
            Fill::Fresh => PAGE * 9 / 10,
            Fill::LivedIn => PAGE * self.lived_in_percent() / 100,
        };
        // bbolt does not part a leaf of up to four records, at any size.
        self.leaf.fewest = match self.random.below(20) {
            0 => 4,
            1 | 2 => 3,
            _ => 2,
        };
    }

    /// Half of the leaves have lost nothing, the others anything down to where they are joined.
    fn lived_in_percent(&mut self) -> usize {
        match self.random.below(100) {
            0..50 => 90,
            50..95 => 28 + self.random.below(60),
            _ => 100,
        }
    }

    fn add_child(&mut self, level: usize, key: &[u8], child: u64, space: &mut Space) -> Result<()> {
        if level == self.branches.len() {
            self.branches.push(Node::default());
            self.reopen_branch(level);
        }
        if self.branches[level].is_full_before(key.len()) {
            self.close_branch(level, space)?;
        }
        let node = &mut self.branches[level];
        node.elements.push(Element {
            key_size: key.len() as u32,
            rest: Rest::Child(child),
        });
        node.bodies.extend_from_slice(key);
        Ok(())
    }

    fn close_branch(&mut self, level: usize, space: &mut Space) -> Result<u64> {
        let mut node = std::mem::take(&mut self.branches[level]);
        node.write(BRANCH, &mut self.image);
        let id = space.place(Role::Other, &mut self.image)?;
        self.add_child(level + 1, node.first_key(), id, space)?;
        node.elements.clear();
        node.bodies.clear();
        self.branches[level] = node;
        self.reopen_branch(level);
        Ok(id)
    }

    fn reopen_branch(&mut self, level: usize) {
        let percent = match self.fill {
            Fill::Fresh => 90,
            Fill::LivedIn => 45 + self.random.below(46),
        };
        let node = &mut self.branches[level];
        node.limit = PAGE * percent / 100;
        node.fewest = 2;
    }
}
