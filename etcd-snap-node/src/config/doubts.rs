//! What is wrong with the settings as a whole, or surprises whoever does not know.

use std::collections::BTreeSet;

use super::{Configuration, flags, urls, values};
use crate::description::is_secured;
use crate::{Finding, Origin};

pub(super) fn of(configuration: &Configuration) -> Vec<Finding> {
    let mut doubts = Doubts {
        configuration,
        findings: Vec::new(),
    };
    doubts.about_values();
    doubts.about_times();
    doubts.about_data();
    doubts.about_advertised_urls();
    doubts.about_the_cluster();
    doubts.about_tls("", "listen-client-urls");
    doubts.about_tls("peer-", "listen-peer-urls");
    doubts.findings
}

struct Doubts<'a> {
    configuration: &'a Configuration,
    findings: Vec<Finding>,
}

impl Doubts<'_> {
    fn error(&mut self, code: &str, message: String, remedy: &str) {
        self.findings
            .push(Finding::error(code, message).with_remedy(remedy));
    }

    fn warning(&mut self, code: &str, message: String, remedy: &str) {
        self.findings
            .push(Finding::warning(code, message).with_remedy(remedy));
    }

    fn about_values(&mut self) {
        let settings = &self.configuration.settings;
        let known = |name: &str| !self.configuration.is_unknown(name);
        for (name, setting) in settings.iter().filter(|(name, _)| known(name)) {
            let Some(flag) = flags::flag(name) else {
                continue;
            };
            // The file has its own rules, and what breaks them is not among the settings.
            let problem = if setting.from == Origin::ConfigFile {
                None
            } else {
                values::problem(flag.kind, &setting.value)
            };
            if let Some(problem) = problem {
                self.error(
                    "setting-invalid",
                    format!(
                        "{} {problem}: {:?}; etcd does not start with that",
                        self.called(name),
                        setting.value
                    ),
                    "correct the value",
                );
            }
            if flag.kind == flags::Kind::Urls && !setting.value.is_empty() {
                for problem in urls::problems(&setting.value) {
                    self.error(
                        "setting-invalid",
                        format!(
                            "{} has a URL that etcd does not start with: {problem}",
                            self.called(name)
                        ),
                        "write it like https://10.0.0.1:2379",
                    );
                }
            }
        }
        for name in [
            "listen-client-urls",
            "listen-peer-urls",
            "listen-metrics-urls",
            "listen-client-http-urls",
        ] {
            self.about_binding(name);
        }
        let state = self.configuration.initial_cluster_state();
        let is_known = !self.configuration.is_unknown("initial-cluster-state");
        if is_known && !["new", "existing"].contains(&state) {
            self.error(
                "setting-invalid",
                format!(
                    "{} is {state:?}, and etcd knows only new and existing",
                    self.called("initial-cluster-state")
                ),
                "correct the value",
            );
        }
    }

    /// etcd binds to addresses only.
    fn about_binding(&mut self, name: &str) {
        if self.configuration.is_unknown(name) {
            return;
        }
        let Some(list) = self.configuration.filled(name) else {
            return;
        };
        for url in urls::listed(list) {
            let Some(host) = urls::host(&url) else {
                continue;
            };
            let is_address = host
                .split('%')
                .next()
                .is_some_and(|host| host.parse::<std::net::IpAddr>().is_ok());
            if urls::problems(&url).is_empty() && host != "localhost" && !is_address {
                self.error(
                    "setting-invalid",
                    format!(
                        "{} has {url}, and etcd listens at addresses only, not at names",
                        self.called(name)
                    ),
                    "write the address in place of the name; 0.0.0.0 stands for all of them",
                );
            }
        }
    }

    fn about_times(&mut self) {
        let number = |name: &str, default| {
            let value = self.configuration.value(name);
            value.map_or(Some(default), values::number)
        };
        let (Some(heartbeat), Some(election)) = (
            number("heartbeat-interval", 100),
            number("election-timeout", 1000),
        ) else {
            return;
        };
        let problem = if heartbeat == 0 {
            "heartbeat-interval must not be 0".to_owned()
        } else if 5 * heartbeat > election {
            format!(
                "election-timeout ({election} ms) must be at least five times heartbeat-interval ({heartbeat} ms)"
            )
        } else if election > 50_000 {
            format!("election-timeout ({election} ms) must be at most 50000 ms")
        } else {
            return;
        };
        self.error(
            "setting-invalid",
            format!("{problem}: etcd does not start with that"),
            "correct the value",
        );
    }

    fn about_data(&mut self) {
        let configuration = self.configuration;
        if configuration.filled("data-dir").is_none() {
            let directory = configuration.data_dir();
            let place = if directory.is_absolute() {
                directory.display().to_string()
            } else {
                format!(
                    "{} in the directory that etcd is started in",
                    directory.display()
                )
            };
            self.warning(
                "data-dir-not-set",
                format!("nobody says where the data is, so it is etcd's default: {place}"),
                "set data-dir, so that the data does not depend on where etcd is started, and under which name",
            );
        }
        if configuration.is_on("force-new-cluster") {
            self.error(
                "force-new-cluster",
                format!(
                    "{} is on: with every start the member throws all others out of its cluster",
                    self.called("force-new-cluster")
                ),
                "take it out; it is for one single start",
            );
        }
        if configuration.is_on("unsafe-no-fsync") {
            self.warning(
                "unsafe-no-fsync",
                format!(
                    "{} is on: a crash of the machine loses data",
                    self.called("unsafe-no-fsync")
                ),
                "take it out, unless the data may be lost",
            );
        }
    }

    fn about_advertised_urls(&mut self) {
        let configuration = self.configuration;
        let listens = configuration.settings.contains_key("listen-client-urls");
        let advertises = configuration.settings.contains_key("advertise-client-urls");
        if listens && !advertises {
            if configuration.config_file.is_some() {
                self.warning(
                    "advertise-client-urls-missing",
                    "listen-client-urls is set and advertise-client-urls is not: the member tells all clients to come to http://localhost:2379".to_owned(),
                    "set advertise-client-urls to where other machines reach the member",
                );
            } else {
                self.error(
                    "advertise-client-urls-missing",
                    format!(
                        "{} is set and advertise-client-urls is not: etcd does not start with that",
                        self.called("listen-client-urls")
                    ),
                    "set advertise-client-urls to where other machines reach the member",
                );
            }
        }
        for name in ["advertise-client-urls", "initial-advertise-peer-urls"] {
            if configuration.is_unknown(name) {
                continue;
            }
            let Some(list) = configuration.filled(name) else {
                continue;
            };
            let mut all = urls::listed(list).into_iter();
            let Some(url) = all.find(|url| urls::is_unspecified(url)) else {
                continue;
            };
            if urls::host(&url) == Some("") {
                self.error(
                    "setting-invalid",
                    format!(
                        "{} has {url}, which names no host: etcd does not start with that",
                        self.called(name)
                    ),
                    "advertise the address that others reach the member at",
                );
            } else {
                self.warning(
                    "unspecified-address-advertised",
                    format!("{} has {url}, which is for listening: nobody can dial it from another machine", self.called(name)),
                    "advertise the address that others reach the member at",
                );
            }
        }
        let listens_everywhere = configuration
            .listen_peer_urls()
            .iter()
            .any(|url| urls::host(url) == Some("0.0.0.0"));
        if listens_everywhere
            && configuration
                .filled("initial-advertise-peer-urls")
                .is_none()
        {
            self.warning(
                "advertised-by-default-route",
                "initial-advertise-peer-urls is not set and peers are taken at 0.0.0.0: etcd then advertises the address of the machine's default route, whichever that is when it is founded".to_owned(),
                "set initial-advertise-peer-urls",
            );
        }
    }

    fn about_the_cluster(&mut self) {
        let configuration = self.configuration;
        // What is not known agrees with nothing, and contradicts nothing.
        let decides = ["name", "initial-cluster", "initial-advertise-peer-urls"];
        if decides.iter().any(|name| configuration.is_unknown(name)) {
            return;
        }
        let name = configuration.name();
        let entries = configuration.initial_cluster();
        if configuration.is_discovered() {
            if configuration.filled("initial-cluster").is_some() {
                self.error(
                    "setting-invalid",
                    "initial-cluster and a discovery are both set: etcd does not start with that"
                        .to_owned(),
                    "take one of them out",
                );
            }
            return;
        }
        for entry in &entries {
            for problem in urls::problems(&entry.peer_url) {
                self.error(
                    "setting-invalid",
                    format!("{} has a URL for {:?} that etcd does not take: {problem}", self.called("initial-cluster"), entry.name),
                    "write it like NAME=https://10.0.0.1:2380, without blanks and with one comma between two",
                );
            }
        }
        let own: BTreeSet<_> = entries
            .iter()
            .filter(|entry| entry.name == name)
            .map(|entry| entry.peer_url.clone())
            .collect();
        let advertised: BTreeSet<_> = configuration
            .initial_advertise_peer_urls()
            .into_iter()
            .collect();
        if own.is_empty() {
            let blank = entries.iter().find(|entry| entry.name.trim() == name);
            let message = match blank {
                Some(entry) => format!(
                    "{} calls this member {:?}, with a blank: etcd does not trim names, and does not find {name:?}",
                    self.called("initial-cluster"),
                    entry.name
                ),
                None => format!(
                    "{} does not name this member, {name:?}",
                    self.called("initial-cluster")
                ),
            };
            self.warning(
                "name-not-in-initial-cluster",
                format!("{message}; a member that has data does not look at it, one without does not start"),
                "make name and initial-cluster agree",
            );
        } else if own != advertised
            && configuration
                .filled("initial-advertise-peer-urls")
                .is_some()
        {
            let list = |urls: &BTreeSet<String>| urls.iter().cloned().collect::<Vec<_>>().join(",");
            self.warning(
                "initial-cluster-differs",
                format!(
                    "initial-cluster gives this member the peer URLs {}, initial-advertise-peer-urls {}; a member that has data does not look at them, one without does not start",
                    list(&own),
                    list(&advertised)
                ),
                "make them agree",
            );
        }
    }

    fn about_tls(&mut self, side: &str, listens: &str) {
        let configuration = self.configuration;
        let names_scheme = |list: &str| list.contains("://");
        if configuration.is_unknown(listens)
            && !configuration.filled(listens).is_some_and(names_scheme)
        {
            return;
        }
        let (tls, list) = if side.is_empty() {
            (
                configuration.client_tls(),
                configuration.listen_client_urls(),
            )
        } else {
            (configuration.peer_tls(), configuration.listen_peer_urls())
        };
        let given = tls.certificate.is_some() || tls.key.is_some();
        let any_secured = list.iter().any(|url| is_secured(url));
        if any_secured && tls.certificate.is_some() != tls.key.is_some() {
            self.error(
                "certificate-without-key",
                format!("of {side}cert-file and {side}key-file only one is set: etcd does not start with that"),
                "set both",
            );
        } else if any_secured && !given && !tls.auto {
            self.error(
                "https-without-certificate",
                format!("{} has https://, and there is no {side}cert-file: etcd does not start with that", self.called(listens)),
                "set certificate and key",
            );
        } else if given && !any_secured {
            self.findings.push(Finding::note(
                "certificate-unused",
                format!("{side}cert-file is set, but {listens} has no https://: it is not used"),
            ));
        }
    }

    /// The setting as whoever made it knows it.
    fn called(&self, name: &str) -> String {
        match self
            .configuration
            .settings
            .get(name)
            .map(|setting| &setting.from)
        {
            Some(Origin::Flag) => format!("--{name}"),
            Some(Origin::Variable {
                name,
                file: Some(file),
            }) => format!("{name} in {}", file.display()),
            Some(Origin::Variable { name, file: None }) => name.clone(),
            Some(Origin::ConfigFile) | None => name.to_owned(),
        }
    }
}
