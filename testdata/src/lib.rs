//! Real etcd servers, certificates, fake servers and damaged files for the tests.
