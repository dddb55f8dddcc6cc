//! Every default, every key, and the words of every error.

mod environment;
mod peer_options;
mod restart_time;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use proptest::prelude::*;

use super::{
    ApiConfig, BgpConfig, Builtin, Config, Guard, OnStartFailure, Overrides, Peer, Pinning, Place,
    PolicyLink, PolicyModule, RepositoryName, RouterIdConfig, Source,
};
use crate::candidates::{AddressSharing, AdvertiseConfig, PodCidrs, RouteLimits};
use crate::policy::{Audience, ChainDefault, Limits, Mode, OnError};
use crate::types::{
    Asn, ConnectMode, FirstAs, HoldTime, NextHopMode, PeerType, ReceiveLimits, Reflection,
    RestartTime,
};

const REFERENCE: &str = include_str!("reference.toml");

pub(super) fn parse(text: &str) -> Config {
    match Config::parse("rutter.toml", text, &Overrides::default()) {
        Ok(config) => config,
        Err(errors) => panic!("{errors}\nin:\n{text}"),
    }
}

/// The errors of a text that has some, one a line.
pub(super) fn errors(text: &str) -> String {
    match Config::parse("rutter.toml", text, &Overrides::default()) {
        Ok(_) => format!("valid:\n{text}"),
        Err(errors) => errors.to_string(),
    }
}

/// What the environment says, as `RUTTER_...` and `CALICO_...`.
fn environment(ours: Option<&str>, calicos: Option<&str>) -> Overrides {
    Overrides {
        rutter_advertise_cluster_ips: ours.map(str::to_owned),
        calico_advertise_cluster_ips: calicos.map(str::to_owned),
    }
}

/// Each text with its errors, for a snapshot.
fn catalogue(texts: &[&str]) -> String {
    let entries = texts
        .iter()
        .map(|text| format!("{text}\n  => {}\n", errors(text).replace('\n', "\n  => ")));
    entries.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_words_for_import_policies() {
    insta::assert_snapshot!(catalogue(&[
        "import-policies = 1",
        "[[import-policies]]",
        "[[import-policies]]\nname = 'a'",
        "[[import-policies]]\nname = 'a'\nmodule = 'builtin:default'",
        "[[import-policies]]\nname = 'a'\nmodule = 'oci://registry.example/a:1'",
        "[[import-policies]]\nname = 'a'\nmodule = 'a.wasm'\nsetings = {}",
        "[[import-policies]]\nname = 'a'\nmodule = 'a.wasm'\non-error = 'keep'",
        "[[import-policies]]\nname = 'a'\nmodule = 'a.wasm'\n\
         [[import-policies]]\nname = 'a'\nmodule = 'b.wasm'",
        "[[import-policies]]\nname = 'a'\nmodule = 'https://a.example/a.wasm'",
        "[[import-policies]]\nname = 'a'\nmodule = 'a.wasm'\ndigest = 'sha256:1'",
        "[[import-policies]]\nname = 'a'\nmodule = 'a.wasm'\npeers = ['nobody']",
        "[[import-policies]]\nname = 'a'\nmodule = 'a.wasm'\nmode = 'shadow'",
        "[[import-policies]]\nname = 'a'\nmodule = 'a.wasm'\nmode = 'off'",
        "[[import-policies]]\nname = 'a'\nmodule = 'a.wasm'\nmode = 'shadow'\n\
         [[import-policies]]\nname = 'b'\nmodule = 'b.wasm'\nmode = 'shadow'",
        "import-policy-default = 'accept'",
    ]));
}

/// The first TOML of a page.
fn example(page: &str) -> &str {
    let (_, example) = page.split_once("```toml\n").unwrap();
    example.split_once("```").unwrap().0
}

#[test]
fn the_default_policys_readme_configures_what_is_built_in() {
    let readme = include_str!("../../policies/default/README.md");
    assert_eq!(parse(example(readme)).policies, parse("").policies);
}

#[test]
fn the_readmes_configuration_is_valid_with_what_is_commented_out() {
    let written = example(include_str!("../../README.md"));
    assert_eq!(parse(written).warnings, [""; 0]);
    // A key or a table that is commented out starts its line.
    let whole = written.replace("\n# ", "\n");
    let config = parse(&whole);
    assert_eq!(config.import_policies[0].name, "import-filter");
    assert!(config.kernel.is_some());
}

#[test]
fn import_policies_that_are_all_in_shadow_mode_leave_everything_in_use() {
    let shadow = "[[import-policies]]\nname = 'a'\nmodule = 'a.wasm'\nmode = 'shadow'";
    let config = parse(&format!("import-policy-default = 'accept'\n{shadow}"));
    assert_eq!(config.import_policies[0].mode, Mode::Shadow);
    let enforced = "[[import-policies]]\nname = 'b'\nmodule = 'b.wasm'";
    let config = parse(&format!("{enforced}\n{shadow}"));
    let modes = config.import_policies.iter().map(|link| link.mode);
    assert!(modes.eq([Mode::Enforce, Mode::Shadow]));
}

#[test]
fn an_empty_file_is_all_defaults() {
    assert_eq!(
        parse(""),
        Config {
            source: Source::Kubernetes,
            bgp: BgpConfig {
                asn: Asn(64512),
                router_id: RouterIdConfig::Auto,
                cluster_id: None,
                listen: vec!["0.0.0.0:179".parse().unwrap(), "[::]:179".parse().unwrap()],
                hold_time: HoldTime::DEFAULT,
                restart_time: Some(RestartTime::DEFAULT),
            },
            calico: super::CalicoConfig::default(),
            advertise: AdvertiseConfig {
                pod_cidrs: PodCidrs::Advertise,
                service_cluster_cidrs: Vec::new(),
                service_external_cidrs: Vec::new(),
                service_load_balancer_cidrs: Vec::new(),
                load_balancer_classes: None,
                service_proxy_names: Vec::new(),
                address_sharing: AddressSharing::WithinNamespace,
                limits: RouteLimits::DEFAULT,
                peer_addresses: BTreeMap::new(),
                own_addresses: BTreeSet::new(),
            },
            peers: Vec::new(),
            guard: Guard::default(),
            policy_default: ChainDefault::Reject,
            policies: vec![PolicyLink {
                name: "default".into(),
                module: PolicyModule::Builtin(Builtin::Default),
                digest: None,
                require_signature: None,
                signed_for: None,
                settings: serde_json::json!({}),
                on_error: OnError::KeepLast,
                limits: Limits::DEFAULT,
                audience: Audience::Everyone,
                mode: Mode::Enforce,
            }],
            import_policy_default: ChainDefault::Reject,
            import_policies: Vec::new(),
            kernel: None,
            ip_pools: Vec::new(),
            policy: super::PolicyConfig {
                compile_cache: Some("/var/cache/rutter/compiled".into()),
                module_cache: Some("/var/cache/rutter/modules".into()),
                pinning: Pinning::Required,
                require_signature: None,
                registry_auth: None,
                on_start_failure: OnStartFailure::KeepLast,
            },
            api: ApiConfig {
                socket: "/run/rutter/rutter.sock".into(),
                metrics: Some("0.0.0.0:9473".parse().unwrap()),
            },
            warnings: Vec::new(),
        }
    );
}

#[test]
fn a_peer_needs_an_address_and_an_as_and_nothing_else() {
    let config = parse("[[peers]]\naddress = 'fd00::1'\nasn = 4200000000");
    assert_eq!(
        config.peers,
        [Peer {
            name: "fd00::1".into(),
            peer_type: PeerType::NodePeer,
            address: "fd00::1".parse().unwrap(),
            port: 179,
            asn: Asn(4_200_000_000),
            local_address: None,
            password_file: None,
            connect_mode: ConnectMode::Active,
            group: None,
            labels: BTreeMap::new(),
            first_as: FirstAs::Peers,
            limits: ReceiveLimits::DEFAULT,
            reflection: Reflection::NonClient,
            next_hop_mode: NextHopMode::Auto,
            local_asn: None,
            own_asn_allowed: 0,
            ttl_security: None,
            keepalive_time: None,
            restart_time: Some(RestartTime::DEFAULT),
        }]
    );
}

#[test]
fn a_policy_needs_a_name_and_nothing_else() {
    let config = parse("[[policies]]\nname = 'only'");
    let [link] = &config.policies[..] else {
        panic!("{:?}", config.policies);
    };
    assert_eq!(link.name, "only");
    assert_eq!(link.module.to_string(), "builtin:default");
    assert_eq!(link.on_error, OnError::KeepLast);
    assert_eq!(parse("policies = []").policies, parse("").policies);
}

#[test]
fn the_reference_is_valid_and_has_the_defaults_it_tells() {
    let mut config = parse(REFERENCE);
    let [peer] = &config.peers[..] else {
        panic!("{:?}", config.peers);
    };
    assert_eq!(peer.name, "tor");
    assert_eq!(
        peer.password_file.as_deref(),
        Some(Path::new("/etc/rutter/tor.key"))
    );
    config.peers.clear();
    let advertise = &mut config.advertise;
    assert_eq!(std::mem::take(&mut advertise.peer_addresses).len(), 1);
    assert_eq!(std::mem::take(&mut advertise.own_addresses).len(), 1);
    assert_eq!(config.import_policies[0].name, "import-filter");
    config.import_policies.clear();
    assert_eq!(config, parse(""));
}

#[test]
fn an_import_policy_takes_what_a_policy_takes() {
    let config = parse(
        "[[peers]]\nname = 'a'\naddress = '192.0.2.1'\nasn = 64513\ngroup = 'tors'\n\
         [policy]\nrequire-digest = false\nrequire-signature = 'key.pub'\n\
         [[import-policies]]\nname = 'file'\nmodule = 'modules'\n\
         require-signature = '/other.pub'\nmode = 'enforce'\n\
         [[import-policies]]\nname = 'registry'\nmodule = 'oci://registry.example/a:1'\n\
         peers = ['tors']\nsigned-for = 'origin.example/b'\n\
         [[import-policies]]\nname = 'web'\nmodule = 'https://a.example/a.wasm'\n",
    );
    let [file, registry, web] = &config.import_policies[..] else {
        panic!("{:?}", config.import_policies);
    };
    assert_eq!(file.module.to_string(), "modules");
    assert_eq!(
        file.require_signature.as_deref(),
        Some(Path::new("/other.pub"))
    );
    assert!(matches!(registry.module, PolicyModule::Oci(_)));
    assert_eq!(
        registry.audience,
        Audience::Only(["tors".to_owned()].into())
    );
    assert_eq!(
        registry.require_signature.as_deref(),
        Some(Path::new("key.pub"))
    );
    let signed_for = RepositoryName::parse("origin.example/b").unwrap();
    assert_eq!(registry.signed_for, Some(signed_for));
    assert!(matches!(web.module, PolicyModule::Http(_)));
    assert_eq!(web.audience, Audience::Everyone);
}

#[test]
fn the_reference_names_every_key() {
    let keys = [
        super::TOP_KEYS,
        super::API_KEYS,
        super::bgp::KEYS,
        super::advertise::KEYS,
        super::peers::KEYS,
        super::peer_options::KEYS,
        super::policies::KEYS,
        super::policies::COMMON_KEYS,
        super::limits::KEYS,
        super::guard::KEYS,
        super::kernel::KEYS,
        super::ip_pools::KEYS,
    ];
    for key in keys.concat() {
        let named = REFERENCE.lines().any(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{key} = "))
                || line.contains(&format!("{{ {key} = "))
                || line.contains(&format!(", {key} = "))
                || line.trim_matches(['[', ']']) == key
        });
        assert!(named, "{key}");
    }
}

#[test]
fn a_full_file_is_read_as_it_is_written() {
    let text = r#"
        source = "files"
        files = "dir"
        guard = { max-withdraw = 7 }
        [bgp]
        asn = 64513
        router-id = "10.0.0.7"
        cluster-id = "244.0.0.1"
        listen = ["127.0.0.2:1179"]
        hold-time = "1m30s"
        [advertise]
        pod-cidrs = false
        service-cluster-cidrs = ["172.16.0.0/16", "fd00:1::/112"]
        service-external-cidrs = ["203.0.113.0/24"]
        service-load-balancer-cidrs = ["198.51.100.0/24"]
        [[peers]]
        name = "tor"
        address = "192.168.83.1"
        port = 1179
        asn = 64512
        local-address = "192.168.83.2"
        password-file = "tor.key"
        passive = true
        group = "tors"
        labels = { site = "a" }
        enforce-first-as = false
        max-received = { ipv4 = 100, warn-at = "50%", restart = "1h" }
        route-reflector-client = true
        next-hop = "keep"
        local-asn = 64512
        allow-own-asn = 2
        ttl-security = 1
        keepalive-time = "5s"
        [[policies]]
        name = "mine"
        module = "mine.wasm"
        digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
        require-signature = "mine.pub"
        on-error = "skip"
        peers = ["tors"]
        mode = "shadow"
        limits = { time = "250ms", memory = "8MiB", output = "512KiB" }
        [policies.settings]
        text = "a"
        numbers = [1, 0x10, 1.5]
        nested = { yes = true }
        [[policies]]
        name = "rest"
        on-error = "withdraw"
        [[policies]]
        name = "remote"
        module = "oci://registry.example:5000/policies/drain:1.2"
        [policy]
        compile-cache = "compiled"
        module-cache = "modules"
        require-digest = false
        require-signature = "cosign.pub"
        registry-auth = "registry.json"
        [api]
        socket = "rutter.sock"
        metrics = "off"
    "#;
    let config = Config::parse("/etc/rutter/rutter.toml", text, &Overrides::default());
    insta::assert_debug_snapshot!(config.unwrap());
}

#[test]
fn the_words_for_what_is_no_toml() {
    insta::assert_snapshot!(catalogue(&[
        "[bgp",
        "asn = = 3",
        "[bgp]\nasn = 1\nasn = 2",
        "[bgp]\nlisten = [\n  'a'\n",
        "é = 1 2",
    ]));
}

#[test]
fn the_words_for_unknown_keys() {
    insta::assert_snapshot!(catalogue(&[
        "[bgp]\nhold-tme = '90s'",
        "[bgp]\nhold_time = '90s'",
        "[bgp]\nholdTime = '90s'",
        "[bgp]\nfoo = 1",
        "souce = 'kubernetes'",
        "[bpg]\nasn = 1",
        "[advertise]\nservice-clusters-cidr = []",
        "[[peers]]\naddress = '192.0.2.1'\nasn = 1\npasive = true",
        "[[policies]]\nname = 'a'\nonerror = 'skip'",
        "[policy]\ncompile-cash = 'off'",
        "[policy]\ncompile-cache = true",
        "[policy]\ncompile-cache = ''",
        "[api]\nsockets = 'a'",
        "bgp.colour = 'red'",
    ]));
}

#[test]
fn the_words_for_wrong_kinds_of_values() {
    insta::assert_snapshot!(catalogue(&[
        "source = 1",
        "bgp = 3",
        "[bgp]\nasn = '64512'",
        "[bgp]\nlisten = '0.0.0.0:179'",
        "[bgp]\nlisten = [179]",
        "[bgp]\nhold-time = 90",
        "[advertise]\npod-cidrs = 'yes'",
        "[advertise]\nservice-cluster-cidrs = { a = 1 }",
        "[peers]\nname = 'tor'",
        "peers = ['192.0.2.1']",
        "[[policies]]\nname = 'a'\nsettings = 'x'",
        "[[policies]]\nname = 'a'\nsettings = { day = 2026-01-01, deep = [{ x = nan }] }",
        "[[policies]]\nname = 'a'\nsettings = { big = 9223372036854775808 }",
        "[api]\nmetrics = 9473.5",
    ]));
}

#[test]
fn the_words_for_the_source() {
    insta::assert_snapshot!(catalogue(&[
        "source = 'kubernets'",
        "source = 'etcd'",
        "source = 'files'",
        "files = 'dir'",
        "source = 'kubernetes'\nfiles = 'dir'",
        "source = 'files'\nfiles = ''",
    ]));
}

#[test]
fn the_words_for_bgp() {
    insta::assert_snapshot!(catalogue(&[
        "[bgp]\nasn = 0",
        "[bgp]\nasn = 23456",
        "[bgp]\nasn = 65535",
        "[bgp]\nasn = 4294967295",
        "[bgp]\nasn = 4294967296",
        "[bgp]\nasn = -1",
        "[bgp]\nrouter-id = '0.0.0.0'",
        "[bgp]\nrouter-id = '127.0.0.1'",
        "[bgp]\nrouter-id = '224.0.0.1'",
        "[bgp]\nrouter-id = '255.255.255.255'",
        "[bgp]\nrouter-id = 'fd00::1'",
        "[bgp]\nhold-time = '2s'",
        "[bgp]\nhold-time = '1s'",
        "[bgp]\nhold-time = '90'",
        "[bgp]\nhold-time = '1500ms'",
        "[bgp]\nhold-time = '19h'",
        "[bgp]\ngraceful-restart = '0s'",
        "[bgp]\ngraceful-restart = '1h8m16s'",
        "[bgp]\ngraceful-restart = 'on'",
        "[bgp]\ngraceful-restart = true",
        "[bgp]\nlisten = ['0.0.0.0']",
        "[bgp]\nlisten = ['0.0.0.0:179', '0.0.0.0:179', '224.0.0.1:179']",
    ]));
}

#[test]
fn the_words_for_ranges() {
    insta::assert_snapshot!(catalogue(&[
        "[advertise]\nservice-cluster-cidrs = ['172.16.0.0.0/16']",
        "[advertise]\nservice-cluster-cidrs = ['172.16.0.0/33']",
        "[advertise]\nservice-cluster-cidrs = ['172.16.5.0/16']",
        "[advertise]\nservice-external-cidrs = [\n  '203.0.113.0/24',\n  '203.0.113.7',\n]",
        "[advertise]\nservice-cluster-cidrs = ['0.0.0.0/0']",
        "[advertise]\nservice-load-balancer-cidrs = ['::/0']",
        "[advertise]\nservice-cluster-cidrs = ['10.0.0.0/8', '10.0.0.0/8']",
        "[advertise]\nservice-cluster-cidrs = ['127.0.0.0/8', '224.0.0.0/4', 'fe80::/64']",
    ]));
}

#[test]
fn the_words_for_what_services_may_have() {
    let text = "[advertise]\nshared-addresses = 'all'\nmax-service-addresses = 0\n";
    let words = errors(&format!("{text}[bgp]\nasn = 64512\n"));
    for expected in [
        "within-namespace",
        "anyone",
        "max-service-addresses",
        "write 1 to",
    ] {
        assert!(words.contains(expected), "{words}");
    }
    let text = "[advertise]\nshared-addresses = 'anyone'\nmax-service-routes = 7\n";
    let advertise = parse(&format!("{text}[bgp]\nasn = 64512\n")).advertise;
    assert_eq!(advertise.address_sharing, AddressSharing::Anyone);
    let limits = RouteLimits {
        service_routes: 7,
        ..RouteLimits::DEFAULT
    };
    assert_eq!(advertise.limits, limits);
}

#[test]
fn the_words_for_peers() {
    insta::assert_snapshot!(catalogue(&[
        "[[peers]]",
        "[[peers]]\nname = ''\naddress = '0.0.0.0'\nasn = 0\nport = 0",
        "[[peers]]\nname = ' tor'\naddress = '224.0.0.5'\nasn = 1\nport = 65536",
        "[[peers]]\naddress = 'tor.example'\nasn = 1",
        "[[peers]]\naddress = 'fe80::1'\nasn = 1",
        "[[peers]]\naddress = '::ffff:192.0.2.1'\nasn = 1",
        "[[peers]]\naddress = '255.255.255.255'\nasn = 1",
        "[[peers]]\naddress = '192.0.2.1'\nasn = 1\nlocal-address = 'fd00::1'",
        "[[peers]]\naddress = '192.0.2.1'\nasn = 1\nlocal-address = '192.0.2.1'",
        "[[peers]]\naddress = '192.0.2.1'\nasn = 1\npassword-file = ''",
        "[bgp]\nlisten = []\n[[peers]]\naddress = '192.0.2.1'\nasn = 1\npassive = true",
        "[[peers]]\nname = 'tor'\naddress = '192.0.2.1'\nasn = 1\n\
         [[peers]]\nname = 'tor'\naddress = '192.0.2.2'\nasn = 1",
        "[[peers]]\naddress = '192.0.2.1'\nasn = 1\n\
         [[peers]]\naddress = '192.0.2.1'\nport = 1179\nasn = 1",
    ]));
}

#[test]
fn the_words_for_policies() {
    insta::assert_snapshot!(catalogue(&[
        "[[policies]]",
        "[[policies]]\nname = ''",
        "[[policies]]\nname = 'chain default'",
        "[[policies]]\nname = 'a'\n[[policies]]\nname = 'a'",
        "[[policies]]\nname = 'a'\nmodule = 'builtin:defualt'",
        "[[policies]]\nname = 'a'\nmodule = 'builtin:calico'",
        "[[policies]]\nname = 'a'\nmodule = 'default'",
        "[[policies]]\nname = 'a'\nmodule = 'https://example.com/a.wasm'",
        "[[policies]]\nname = 'a'\nmodule = ''",
        "[[policies]]\nname = 'a'\nmodule = 'http://example.com/a.wasm'",
        "[[policies]]\nname = 'a'\nmodule = 'ftp://example.com/a.wasm'",
        "[[policies]]\nname = 'a'\nmodule = 'oci://example.com/a'",
        "[[policies]]\nname = 'a'\nmodule = 'oci://example.com/a:1'",
        "[policy]\nrequire-digest = 'no'",
        "[policy]\nmodule-cache = 1\nregistry-auth = ''",
        "[[policies]]\nname = 'a'\nmodule = 'a'\ndigest = 'sha256:1'",
        "[[policies]]\nname = 'a'\nmodule = 'a'\ndigest = 1",
        "[[policies]]\nname = 'a'\ndigest = 'sha256:1'\nrequire-signature = 'key'",
        "[[policies]]\nname = 'a'\nmodule = 'a'\nrequire-signature = ''",
        "[[policies]]\nname = 'a'\nmodule = 'a'\nrequire-signature = 'key'\n\
         signed-for = 'r.example/a'",
        "policy.require-digest = false\n[[policies]]\nname = 'a'\n\
         module = 'oci://r.example/a:1'\nsigned-for = 'r.example/a'",
        "policy.require-digest = false\n[[policies]]\nname = 'a'\n\
         module = 'oci://r.example/a:1'\nrequire-signature = 'key'\nsigned-for = 'r.example/a:1'",
        "[policy]\non-start-failure = 'closed'",
        "[[policies]]\nname = 'a'\non-error = 'keep_last'",
        "[[policies]]\nname = 'a'\non-error = 'panic'",
        "[[policies]]\nname = 'a'\nmode = 'shadows'",
        "[[policies]]\nname = 'a'\nmode = 'shadow'\n[[policies]]\nname = 'b'\nmode = 'shadow'",
    ]));
}

#[test]
fn the_words_for_peer_groups() {
    let peers = |peers: &[&str]| {
        let table = |(n, more): (usize, &&str)| {
            format!("[[peers]]\nname = 'p{n}'\naddress = '192.0.2.{n}'\nasn = 1\n{more}\n")
        };
        peers.iter().enumerate().map(table).collect::<String>()
    };
    let asked = |groups: &str| {
        let peers = peers(&["group = 'tors'", "group = 'tors'", ""]);
        format!("{peers}[[policies]]\nname = 'a'\npeers = {groups}")
    };
    let valid = parse(&asked("['tors', 'p2']"));
    let names = ["p2".to_owned(), "tors".to_owned()];
    assert_eq!(valid.policies[0].audience, Audience::Only(names.into()));
    let texts = [
        peers(&["group = ''", "group = 7"]),
        peers(&["group = 'p1'", ""]),
        peers(&["labels = 'a'", "labels = { a = 1, b = 'two' }"]),
        asked("'tors'"),
        asked("[]"),
        asked("['tor']"),
        asked("['tors', 'somewhere', 'tors']"),
        asked("['p0']"),
        "[[policies]]\nname = 'a'\npeers = ['tors']".to_owned(),
        // Of a peer that is not valid it is not known which group it is in.
        "[[peers]]\naddress = 'x'\n[[policies]]\nname = 'a'\npeers = ['y']".to_owned(),
    ];
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    insta::assert_snapshot!(catalogue(&texts));
}

#[test]
fn a_chain_that_ends_in_accept_is_warned_about() {
    assert_eq!(parse("policy-default = 'reject'"), parse(""));
    let config = parse("policy-default = 'accept'");
    assert_eq!(config.policy_default, ChainDefault::Accept);
    let [warning] = &config.warnings[..] else {
        panic!("{:?}", config.warnings);
    };
    assert!(warning.contains("policy-default"), "{warning}");
    assert_eq!(
        errors("policy-default = 'acept'"),
        "rutter.toml:1:18: policy-default is \"acept\"; did you mean \"accept\"?"
    );
}

#[test]
fn the_words_for_limits() {
    let limits = |limits: &str| format!("[[policies]]\nname = 'a'\nlimits = {limits}");
    let texts = [
        "'1s'",
        "{ tiem = '1s' }",
        "{ time = 1 }",
        "{ time = '1' }",
        "{ time = '0ms' }",
        "{ time = '11s' }",
        "{ memory = '64MB' }",
        "{ memory = '512KiB', output = '1KiB' }",
        "{ memory = '2GiB' }",
    ]
    .map(limits);
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    insta::assert_snapshot!(catalogue(&texts));
}

#[test]
fn the_words_for_the_api() {
    let long = format!("[api]\nsocket = '/{}'", "s".repeat(107));
    insta::assert_snapshot!(catalogue(&[
        "[api]\nsocket = ''",
        &long,
        "[api]\nmetrics = ':9473'",
        "[api]\nmetrics = '[::]:179'",
    ]));
}

#[test]
fn every_error_is_told_at_once_in_the_order_of_the_file() {
    let text = "source = 'files'\n\
                [bgp]\n\
                hold-tme = '90s'\n\
                asn = 0\n\
                [[peers]]\n\
                address = '0.0.0.0'\n\
                [[policies]]\n\
                module = 'builtin:x'\n\
                [advertise]\n\
                service-cluster-cidrs = ['10.0.0.1/8']\n";
    let overrides = environment(Some("10.0.0.1/8"), None);
    let errors = Config::parse("rutter.toml", text, &overrides).unwrap_err();
    insta::assert_snapshot!(errors);
    let lines: Vec<_> = errors.iter().map(|error| error.place.clone()).collect();
    assert!(lines.is_sorted());
    assert_eq!(lines.last(), Some(&Place::Environment));
}

#[test]
fn columns_count_characters() {
    let text = "[advertise]\nservice-cluster-cidrs = ['é', 'ü']";
    let columns: Vec<_> = Config::parse("f", text, &Overrides::default())
        .unwrap_err()
        .iter()
        .map(|error| error.place.to_string())
        .collect();
    assert_eq!(columns, ["f:2:26: ", "f:2:31: "]);
}

#[test]
fn relative_paths_start_from_the_directory_of_the_file() {
    let text = "source = 'files'\nfiles = 'dir'\n[api]\nsocket = '/run/s'";
    let files = |name| {
        let config = Config::parse(name, text, &Overrides::default()).unwrap();
        assert_eq!(config.api.socket, Path::new("/run/s"));
        config.source
    };
    assert_eq!(
        files("/etc/rutter/rutter.toml"),
        Source::Files("/etc/rutter/dir".into())
    );
    assert_eq!(files("rutter.toml"), Source::Files("dir".into()));
}

#[test]
fn only_sockets_the_cache_and_the_source_need_a_restart() {
    let before = parse(REFERENCE);
    let same = parse(&REFERENCE.replace("64512", "64513").replace("90s", "30s"));
    assert_eq!(before.restart_needed(&same), Vec::<&str>::new());
    let after = parse(
        "source = 'files'\nfiles = 'dir'\n[bgp]\nlisten = []\n[kernel]\n\
         [policy]\ncompile-cache = 'off'\n[api]\nsocket = '/s'\nmetrics = 'off'",
    );
    assert_eq!(
        before.restart_needed(&after),
        [
            "source",
            "kernel",
            "policy.compile-cache",
            "api.socket",
            "api.metrics"
        ]
    );
}

/// Text that looks like a configuration from afar.
fn nearly_toml() -> impl Strategy<Value = String> {
    let pieces = REFERENCE.split_inclusive([' ', '\n', '"', '=', '[', ']']);
    let pieces: Vec<_> = pieces.map(str::to_owned).collect();
    let piece = prop_oneof![
        4 => proptest::sample::select(pieces),
        1 => any::<String>(),
        1 => any::<i64>().prop_map(|number| number.to_string()),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// The reference with one value replaced.
fn altered_reference() -> impl Strategy<Value = String> {
    let lines: Vec<_> = REFERENCE.lines().collect();
    let value = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<IpAddr>().prop_map(|address| format!("\"{address}\"")),
        "[-a-z0-9./:]{0,12}".prop_map(|text| format!("\"{text}\"")),
        "[-a-z0-9./:]{0,12}".prop_map(|text| format!("[\"{text}\"]")),
        Just("true".to_owned()),
        Just("{ a = 1.5 }".to_owned()),
    ];
    (0..lines.len(), value).prop_map(move |(index, value)| {
        let mut lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
        if let Some((key, _)) = lines[index].split_once(" = ") {
            lines[index] = format!("{key} = {value}");
        }
        lines.join("\n")
    })
}

/// Parses, and checks what holds for every text: errors are there and have places in it.
fn check_any(text: &str) {
    if let Err(errors) = Config::parse("f", text, &Overrides::default()) {
        assert!(errors.iter().count() > 0);
        for error in errors.iter() {
            let Place::File { line, column, .. } = &error.place else {
                panic!("{error}");
            };
            assert!(*line <= text.matches('\n').count() + 1, "{error}");
            assert!(*column >= 1);
            assert!(!error.problem.is_empty());
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        check_any(&text);
    }

    #[test]
    fn no_text_of_the_right_words_panics(text in nearly_toml()) {
        check_any(&text);
    }

    #[test]
    fn no_value_of_any_key_panics(text in altered_reference()) {
        check_any(&text);
    }

    #[test]
    fn no_variable_panics(ours in any::<String>(), calicos in "[0-9a-f:./, ]{0,30}") {
        let overrides = environment(Some(&ours), Some(&calicos));
        let _ = Config::parse("f", "", &overrides);
        let overrides = environment(None, Some(&calicos));
        let _ = Config::parse("f", "", &overrides);
    }
}

#[test]
fn of_mistakes_without_number_the_first_are_told_and_how_many_there_are() {
    let keys: String = (0..10_000)
        .map(|number| format!("k{number:04} = 1\n"))
        .collect();
    let long = format!("{} = 1\n", "a".repeat(100_000));
    let value = format!("source = '{}'\n", "b".repeat(100_000));
    let errors = Config::parse(
        "rutter.toml",
        &format!("{value}{long}{keys}"),
        &Overrides::default(),
    );
    let errors = errors.unwrap_err();
    assert_eq!(errors.iter().count(), 50);
    let text = errors.to_string();
    assert!(
        text.starts_with("rutter.toml:1:10: source is "),
        "{}",
        &text[..80]
    );
    assert!(
        text.contains("\nrutter.toml:3:1: k0000 is not a key;"),
        "{text}"
    );
    assert!(text.contains("\nrutter.toml:2:1: aaaa"), "{text}");
    assert!(!text.contains("k0060"), "{text}");
    let (_, more) = text.rsplit_once("\nand ").unwrap();
    let more: usize = more.strip_suffix(" more").unwrap().parse().unwrap();
    assert!((9_950..9_970).contains(&more), "{more}");
    assert!(text.len() < 50 * 400, "{}", text.len());
}
