//! What a member needs beside the database: the WAL and the `.snap` file (formats.md 5.5, 5.6).
