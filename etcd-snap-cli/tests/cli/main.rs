//! The command as people and scripts meet it: what it prints where, and how it ends.

mod attest;
mod defrag;
mod discover;
mod doctor;
mod drill;
mod drop_in;
mod help;
mod journal;
mod metrics;
mod online;
mod real_etcd;
mod recover;
mod reports;
mod restore;
mod save;
mod shell;
mod signals;
mod squeeze;
mod streams;
mod support;
mod terminal;
mod usage;
mod wrong_files;
