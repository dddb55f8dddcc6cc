//! `[[ip-pools]]`: how traffic to the pods of other nodes is carried, where it is not simply routed.

use ipnet::IpNet;

use super::raw::{Report, Section};
use crate::types::{Encapsulation, IpPool, PoolRoutes, Prefix, Tunnelled};

pub(super) const KEYS: &[&str] = &["cidr", "ipip", "vxlan", "routes"];

/// Between which nodes, if any.
const MODES: [(&str, Option<Tunnelled>); 3] = [
    ("never", None),
    ("always", Some(Tunnelled::Always)),
    ("cross-subnet", Some(Tunnelled::CrossSubnet)),
];

const ROUTES: [(&str, PoolRoutes); 2] = [("bgp", PoolRoutes::Bgp), ("felix", PoolRoutes::Felix)];

/// Reads them; they do not overlap.
pub(super) fn read(top: &Section<'_>, report: &mut Report) -> Vec<IpPool> {
    let tables = top
        .value("ip-pools")
        .and_then(|value| value.list("[[ip-pools]], with two brackets", report));
    let mut pools: Vec<IpPool> = Vec::new();
    for table in tables.into_iter().flatten() {
        let section = Section::of(Some(&table), KEYS, report);
        let Some(pool) = pool(&section, report) else {
            continue;
        };
        let mut before = pools.iter();
        let overlaps =
            |other: &&IpPool| other.cidr.covers(&pool.cidr) || pool.cidr.covers(&other.cidr);
        if let (Some(other), Some(value)) = (before.find(overlaps), section.value("cidr")) {
            let problem = format!(
                "is {}, which overlaps the pool {}; pools are apart from each other",
                pool.cidr, other.cidr
            );
            value.problem(problem, report);
            continue;
        }
        pools.push(pool);
    }
    pools
}

fn pool(section: &Section<'_>, report: &mut Report) -> Option<IpPool> {
    const CIDR: &str = "the pool's range, such as \"10.244.0.0/16\"";
    let cidr = section.required("cidr", CIDR, report)?;
    let text = cidr.text(CIDR, report)?;
    let net = text.parse::<IpNet>().ok().filter(|net| net.trunc() == *net);
    let Some(net) = net else {
        cidr.problem(format!("is {text:?}; write {CIDR}"), report);
        return None;
    };
    let mut mode = |key| {
        let value = section.value(key)?;
        let mode = value.choice(&MODES, report)??;
        Some((value, mode))
    };
    let encapsulation = match (mode("ipip"), mode("vxlan")) {
        (None, None) => Encapsulation::None,
        (None, Some((_, tunnelled))) => Encapsulation::Vxlan(tunnelled),
        (Some((_, tunnelled)), None) => Encapsulation::IpInIp(tunnelled),
        (Some(_), Some((value, _))) => {
            value.problem(
                "is set, and so is ipip; a pool has one of the two: write \"never\" for the other",
                report,
            );
            return None;
        }
    };
    let routes = section.value("routes");
    let routes = routes.and_then(|value| Some((value.choice(&ROUTES, report)?, value)));
    let vxlan = matches!(encapsulation, Encapsulation::Vxlan(_));
    let routes = match routes {
        Some((PoolRoutes::Bgp, value)) if vxlan => {
            let advice = "with vxlan only Felix makes them: leave this out";
            value.problem(format!("is \"bgp\"; {advice}"), report);
            return None;
        }
        Some((routes, _)) => routes,
        None if vxlan => PoolRoutes::Felix,
        None => PoolRoutes::Bgp,
    };
    Some(IpPool {
        cidr: Prefix::new(net),
        encapsulation,
        routes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    fn parse(text: &str) -> Result<Vec<IpPool>, String> {
        let config = Config::parse("rutter.toml", text, &Overrides::default());
        Ok(config.map_err(|errors| errors.to_string())?.ip_pools)
    }

    #[test]
    fn every_mode_is_read() {
        let text = "[[ip-pools]]\ncidr = '10.244.0.0/16'\nipip = 'cross-subnet'\n\
                    [[ip-pools]]\ncidr = '10.245.0.0/16'\nipip = 'always'\nvxlan = 'never'\n\
                    routes = 'felix'\n\
                    [[ip-pools]]\ncidr = '10.246.0.0/16'\nvxlan = 'always'\n\
                    [[ip-pools]]\ncidr = 'fd00:10::/48'";
        let pool = |cidr: &str, encapsulation, routes| IpPool {
            cidr: cidr.parse().unwrap(),
            encapsulation,
            routes,
        };
        let cross_subnet = Encapsulation::IpInIp(Tunnelled::CrossSubnet);
        let always = Encapsulation::IpInIp(Tunnelled::Always);
        let vxlan = Encapsulation::Vxlan(Tunnelled::Always);
        let expected = vec![
            pool("10.244.0.0/16", cross_subnet, PoolRoutes::Bgp),
            pool("10.245.0.0/16", always, PoolRoutes::Felix),
            pool("10.246.0.0/16", vxlan, PoolRoutes::Felix),
            pool("fd00:10::/48", Encapsulation::None, PoolRoutes::Bgp),
        ];
        assert_eq!(parse(text), Ok(expected));
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn a_pool_that_makes_no_sense_is_refused() {
        for (text, words) in [
            (
                "ipip = 'always'",
                "ip-pools[0].cidr is missing; set it to the pool's range",
            ),
            (
                "cidr = '10.244.0.1/16'",
                "is \"10.244.0.1/16\"; write the pool's range",
            ),
            (
                "cidr = '10.244.0.1'",
                "is \"10.244.0.1\"; write the pool's range",
            ),
            (
                "cidr = '10.244.0.0/16'\nipip = 'sometimes'",
                "ip-pools[0].ipip is \"sometimes\"",
            ),
            (
                "cidr = '10.244.0.0/16'\nipip = 'always'\nvxlan = 'always'",
                "ip-pools[0].vxlan is set, and so is ipip",
            ),
            (
                "cidr = '10.244.0.0/16'\nvxlan = 'always'\nroutes = 'bgp'",
                "ip-pools[0].routes is \"bgp\"; with vxlan only Felix",
            ),
            (
                "cidr = '10.244.0.0/16'\n[[ip-pools]]\ncidr = '10.244.1.0/24'",
                "ip-pools[1].cidr is 10.244.1.0/24, which overlaps the pool 10.244.0.0/16",
            ),
            (
                "cidr = '10.244.0.0/16'\nmode = 'bgp'",
                "ip-pools[0].mode is not a key",
            ),
        ] {
            let error = parse(&format!("[[ip-pools]]\n{text}")).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
