//! Every step may be the last.
