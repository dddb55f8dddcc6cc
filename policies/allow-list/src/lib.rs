//! Tenants announce addresses of their Services from their own ranges only.
//!
//! | address of a Service, of a kind that is watched | decision |
//! |---|---|
//! | its namespace is a tenant's, and a range of that tenant covers it | abstain |
//! | its namespace is a tenant's, and none does | reject |
//! | its namespace is nobody's, and a tenant's range covers it | reject |
//! | its namespace is nobody's, and none does | `others`: reject (the default) or abstain |
//!
//! Everything else, it abstains from. Namespaces decide who a tenant is and labels do not: whoever
//! may edit a Service may edit its labels. Settings and examples are in the README.

use std::collections::BTreeSet;

use rutter_policy::{
    Candidate, Cidr, Context, Decision, Description, Policy, RouteKind, description, export_policy,
};
use serde::Deserialize;

/// The policy.
#[derive(Clone, Debug)]
pub struct AllowList(Settings);

/// What the operator may set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    tenants: Vec<Tenant>,
    #[serde(default)]
    others: Others,
    /// Which addresses are watched. Cluster IPs are not unless named: Kubernetes gives them out.
    #[serde(default = "given_by_tenants")]
    routes: Vec<RouteKind>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tenant {
    name: String,
    /// By name, or by how they begin: `shop-*`.
    namespaces: Vec<String>,
    /// None: the tenant announces nothing.
    ranges: Vec<Cidr>,
}

/// What becomes of addresses in no tenant's range of Services in no tenant's namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Others {
    #[default]
    Reject,
    Abstain,
}

fn given_by_tenants() -> Vec<RouteKind> {
    vec![RouteKind::ExternalIp, RouteKind::LoadBalancerIp]
}

impl Policy for AllowList {
    type Settings = Settings;

    fn describe() -> Description {
        Description {
            name: "allow-list".into(),
            ..description!(
                "Tenants announce only from their own ranges",
                include_str!("../settings.schema.json")
            )
        }
    }

    fn new(settings: Settings) -> Result<Self, String> {
        if settings.tenants.is_empty() {
            return Err("tenants is empty: name who may announce from where".into());
        }
        let mut names = BTreeSet::new();
        for (index, tenant) in settings.tenants.iter().enumerate() {
            if !names.insert(&tenant.name) {
                return Err(format!(
                    "tenants[{index}].name: there are two tenants `{}`",
                    tenant.name
                ));
            }
            tenant
                .check()
                .map_err(|error| format!("tenants[{index}].{error}"))?;
        }
        for (index, kind) in settings.routes.iter().enumerate() {
            match kind {
                RouteKind::PodCidr
                | RouteKind::IpamBlock
                | RouteKind::ServiceCidr
                | RouteKind::StaticRoute
                | RouteKind::LearnedRoute => {
                    return Err(format!(
                        "routes[{index}]: only addresses of Services belong to tenants; write \
                         cluster-ip, external-ip or load-balancer-ip"
                    ));
                }
                RouteKind::ClusterIp | RouteKind::ExternalIp | RouteKind::LoadBalancerIp => {}
            }
        }
        Ok(Self(settings))
    }

    fn decide(&self, context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
        let Settings {
            tenants,
            others,
            routes,
        } = &self.0;
        let Some(service) = candidate.service() else {
            return Decision::abstain();
        };
        if !routes.contains(&candidate.kind()) {
            return Decision::abstain();
        }
        let namespace = service.namespace();
        let covering = |tenant: &&Tenant| tenant.covers(candidate);
        let own: Vec<&Tenant> = tenants.iter().filter(|one| one.has(namespace)).collect();
        if let Some(tenant) = own.iter().copied().find(|tenant| covering(tenant)) {
            return Decision::abstain()
                .because(context.explain(|| format!("in a range of tenant `{}`", tenant.name)));
        }
        if !own.is_empty() {
            return Decision::reject(context.explain(|| only_from(namespace, &own)));
        }
        match (tenants.iter().find(covering), others) {
            (Some(tenant), Others::Reject | Others::Abstain) => {
                Decision::reject(context.explain(|| {
                    format!(
                        "in a range of tenant `{}`, which namespace `{namespace}` does not belong to",
                        tenant.name
                    )
                }))
            }
            (None, Others::Reject) => Decision::reject(
                context.explain(|| format!("namespace `{namespace}` is no tenant's")),
            ),
            (None, Others::Abstain) => Decision::abstain(),
        }
    }
}

export_policy!(AllowList);

impl Tenant {
    fn check(&self) -> Result<(), String> {
        if self.name.is_empty() {
            return Err("name is empty: reasons tell tenants by it".into());
        }
        if self.namespaces.is_empty() {
            return Err("namespaces is empty: name those of the tenant".into());
        }
        for (index, namespace) in self.namespaces.iter().enumerate() {
            let stem = namespace.strip_suffix('*').unwrap_or(namespace);
            if stem.is_empty() || stem.contains('*') {
                return Err(format!(
                    "namespaces[{index}]: `{namespace}` is neither a namespace nor the beginning \
                     of one, as `shop-*` is"
                ));
            }
        }
        Ok(())
    }

    fn has(&self, namespace: &str) -> bool {
        self.namespaces
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(beginning) => namespace.starts_with(beginning),
                None => namespace == pattern,
            })
    }

    fn covers(&self, candidate: &Candidate<'_>) -> bool {
        self.ranges
            .iter()
            .any(|range| range.0.covers(&candidate.prefix))
    }
}

fn only_from(namespace: &str, tenants: &[&Tenant]) -> String {
    let ranges: Vec<_> = tenants
        .iter()
        .flat_map(|tenant| &tenant.ranges)
        .map(ToString::to_string)
        .collect();
    if ranges.is_empty() {
        return format!("namespace `{namespace}` may announce nothing");
    }
    format!(
        "namespace `{namespace}` may announce only from {}",
        ranges.join(", ")
    )
}

#[cfg(test)]
mod tests;
