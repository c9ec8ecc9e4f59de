//! A table of counts, to be printed.

use std::collections::BTreeMap;
use std::fmt;

use crate::regions::Region;

/// How often what happened to flips of a region.
pub(crate) struct Counts {
    columns: Vec<&'static str>,
    counts: BTreeMap<(Region, &'static str), usize>,
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self {
            columns: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, region: Region, what: &'static str) {
        if !self.columns.contains(&what) {
            self.columns.push(what);
        }
        *self.counts.entry((region, what)).or_default() += 1;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &dyn fmt::Display, numbers: &[String]| {
            write!(f, "{name:<20}")?;
            for number in numbers {
                write!(f, "{number:>12}")?;
            }
            writeln!(f)
        };
        let heads: Vec<_> = self.columns.iter().map(ToString::to_string).collect();
        line(f, &"", &heads)?;
        let mut regions: Vec<_> = self.counts.keys().map(|(region, _)| *region).collect();
        regions.dedup();
        let number = |region, column| self.counts.get(&(region, column)).copied().unwrap_or(0);
        for region in &regions {
            let numbers: Vec<_> = self
                .columns
                .iter()
                .map(|column| number(*region, column).to_string())
                .collect();
            line(f, region, &numbers)?;
        }
        let sums: Vec<_> = self
            .columns
            .iter()
            .map(|column| {
                let all = regions.iter().map(|region| number(*region, column));
                all.sum::<usize>().to_string()
            })
            .collect();
        line(f, &"together", &sums)
    }
}
