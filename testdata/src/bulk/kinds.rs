//! What the keys and values are: kinds of Kubernetes objects, how many there are of each, how large they get, how often
//! they change.

use super::{Profile, seeded};

/// A kind of object.
#[derive(Debug)]
pub(super) struct Kind {
    /// Below `/registry/`.
    pub(super) resource: &'static str,
    pub(super) namespaced: bool,
    pub(super) api_version: &'static str,
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// Of 1000 keys.
    share: u64,
    /// Bytes of a value: the least, those that a quarter, half, three quarters, nine of ten and 99 of 100 stay below, the most.
    pub(super) sizes: [u64; 7],
    /// How likely a key of this kind is taken when one is to be changed.
    pub(super) churn_percent: usize,
    pub(super) leased_percent: u64,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// What fills it up stands in the annotations.
    Annotated,
    /// It stands in the data, as in config maps and secrets.
    Data,
    /// A custom resource.
    Json,
}

/// The kinds of a profile.
#[derive(Debug)]
pub(super) struct Kinds {
    pub(super) first_revision: i64,
    kinds: &'static [Kind],
}

impl Kinds {
    pub(super) fn new(profile: Profile) -> &'static Self {
        match profile {
            Profile::Small => &SMALL,
            Profile::Large => &LARGE,
            Profile::Kubernetes => &KUBERNETES,
        }
    }

    /// The kind of a key.
    pub(super) fn of(&self, seed: u64, number: u64) -> &'static Kind {
        let mut chance = seeded(seed, 5, number) % 1000;
        for kind in self.kinds {
            if chance < kind.share {
                return kind;
            }
            chance -= kind.share;
        }
        &self.kinds[0]
    }
}

impl Kind {
    /// The bytes of a value, from a number that may be anything.
    pub(super) fn size(&self, chance: u64) -> u64 {
        const BOUNDS: [u64; 7] = [0, 250, 500, 750, 900, 990, 1000];
        let place = chance % 1000;
        let step = BOUNDS
            .iter()
            .rposition(|bound| *bound <= place)
            .unwrap_or(0);
        let width = self.sizes[step + 1] - self.sizes[step];
        let within = (place - BOUNDS[step]) * width / (BOUNDS[step + 1] - BOUNDS[step]);
        // Nothing but the steps would be rather few sizes.
        let fine = (chance >> 32) % (width / 64 + 1);
        self.sizes[step] + (within + fine).min(width)
    }
}

const fn kind(resource: &'static str, api_version: &'static str, name: &'static str) -> Kind {
    Kind {
        resource,
        namespaced: true,
        api_version,
        name,
        form: Form::Annotated,
        share: 0,
        sizes: [0; 7],
        churn_percent: 20,
        leased_percent: 0,
    }
}

const AROUND_300: [u64; 7] = [240, 270, 300, 330, 345, 358, 360];

static SMALL: Kinds = Kinds {
    first_revision: 40_000_003,
    kinds: &[
        Kind {
            share: 700,
            sizes: AROUND_300,
            ..kind("pods", "v1", "Pod")
        },
        Kind {
            share: 200,
            sizes: AROUND_300,
            ..kind("serviceaccounts", "v1", "ServiceAccount")
        },
        Kind {
            share: 100,
            sizes: AROUND_300,
            leased_percent: 100,
            ..kind("events", "v1", "Event")
        },
    ],
};

static LARGE: Kinds = Kinds {
    first_revision: 1_003,
    kinds: &[
        Kind {
            share: 950,
            sizes: [4096; 7],
            form: Form::Data,
            ..kind("configmaps", "v1", "ConfigMap")
        },
        Kind {
            share: 50,
            sizes: [4096; 7],
            leased_percent: 100,
            ..kind("events", "v1", "Event")
        },
    ],
};

static KUBERNETES: Kinds = Kinds {
    first_revision: 180_000_011,
    kinds: &[
        Kind {
            share: 300,
            sizes: [520, 720, 850, 1000, 1300, 2000, 6000],
            churn_percent: 10,
            leased_percent: 100,
            ..kind("events", "v1", "Event")
        },
        Kind {
            share: 160,
            sizes: [2200, 4300, 6500, 9000, 12_500, 19_000, 40_000],
            churn_percent: 60,
            ..kind("pods", "v1", "Pod")
        },
        Kind {
            share: 80,
            sizes: [1200, 2200, 3000, 4200, 6000, 10_000, 16_000],
            churn_percent: 25,
            ..kind("replicasets", "apps/v1", "ReplicaSet")
        },
        Kind {
            share: 70,
            sizes: [160, 420, 950, 2400, 6000, 60_000, 380_000],
            form: Form::Data,
            churn_percent: 10,
            ..kind("configmaps", "v1", "ConfigMap")
        },
        Kind {
            share: 80,
            sizes: [200, 500, 1200, 3000, 7800, 70_000, 600_000],
            form: Form::Data,
            churn_percent: 5,
            ..kind("secrets", "v1", "Secret")
        },
        Kind {
            share: 50,
            sizes: [180, 210, 240, 300, 400, 520, 700],
            churn_percent: 2,
            ..kind("serviceaccounts", "v1", "ServiceAccount")
        },
        Kind {
            share: 50,
            sizes: [500, 850, 1200, 1900, 3800, 18_000, 48_000],
            churn_percent: 60,
            ..kind("endpointslices", "discovery.k8s.io/v1", "EndpointSlice")
        },
        Kind {
            share: 30,
            sizes: [450, 700, 900, 1200, 1600, 2600, 5000],
            churn_percent: 3,
            ..kind("services/specs", "v1", "Service")
        },
        Kind {
            share: 30,
            sizes: [300, 520, 700, 1200, 2500, 9000, 30_000],
            churn_percent: 50,
            ..kind("services/endpoints", "v1", "Endpoints")
        },
        Kind {
            share: 30,
            sizes: [1400, 2300, 3200, 4500, 6500, 11_000, 20_000],
            churn_percent: 30,
            ..kind("deployments", "apps/v1", "Deployment")
        },
        Kind {
            share: 30,
            sizes: [280, 330, 380, 430, 480, 600, 700],
            churn_percent: 100,
            ..kind("leases", "coordination.k8s.io/v1", "Lease")
        },
        Kind {
            share: 20,
            sizes: [1300, 2000, 2700, 3500, 4800, 9000, 14_000],
            churn_percent: 30,
            ..kind("jobs", "batch/v1", "Job")
        },
        Kind {
            share: 15,
            sizes: [250, 380, 520, 800, 1300, 4000, 9000],
            churn_percent: 2,
            ..kind(
                "rolebindings",
                "rbac.authorization.k8s.io/v1",
                "RoleBinding",
            )
        },
        Kind {
            share: 10,
            sizes: [280, 420, 700, 1400, 2600, 9000, 20_000],
            churn_percent: 2,
            namespaced: false,
            ..kind(
                "clusterroles",
                "rbac.authorization.k8s.io/v1",
                "ClusterRole",
            )
        },
        Kind {
            share: 5,
            sizes: [6000, 9000, 12_000, 15_000, 19_000, 26_000, 40_000],
            churn_percent: 90,
            namespaced: false,
            ..kind("minions", "v1", "Node")
        },
        Kind {
            share: 38,
            sizes: [400, 900, 1600, 3200, 6500, 22_000, 60_000],
            form: Form::Json,
            churn_percent: 40,
            ..kind("shop.example.com/widgets", "shop.example.com/v1", "Widget")
        },
        Kind {
            share: 2,
            sizes: [4000, 12_000, 30_000, 70_000, 140_000, 320_000, 700_000],
            form: Form::Json,
            churn_percent: 4,
            namespaced: false,
            ..kind(
                "shop.example.com/catalogs",
                "shop.example.com/v1",
                "Catalog",
            )
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_a_thousand_and_sizes_ascend() {
        for kinds in [&SMALL, &LARGE, &KUBERNETES] {
            assert_eq!(kinds.kinds.iter().map(|kind| kind.share).sum::<u64>(), 1000);
            for kind in kinds.kinds {
                assert!(kind.sizes.is_sorted(), "{}", kind.resource);
                let sizes: Vec<_> = (0..1000).map(|chance| kind.size(chance)).collect();
                assert!(sizes.is_sorted(), "{}", kind.resource);
                assert_eq!(sizes[0], kind.sizes[0]);
            }
        }
    }
}
