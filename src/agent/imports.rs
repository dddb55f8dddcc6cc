//! The import policies of a configuration, compiled; and learned routes as policies see them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tracing::warn;

use crate::bgp::wire::{AsPathSegmentKind, OriginCode};
use crate::config::{Config, ImportPolicyLink};
use crate::policy::{
    ChainDefault, ImportBatch, ImportDecision, ImportLink, ImportPolicy, ImportVerdict,
    LearnedChange, LearnedPath, LearnedRoute, Limits, OnError, PathOrigin, PathSegment,
    PolicyFailure, SegmentKind,
};
use crate::rib::AttributesRef;
use crate::source::{Demands, Fetcher};
use crate::speaker::{Undecided, UndecidedRoute, route_attributes};
use crate::types::RouteAttributes;
use crate::wasm::{Engine, Module, WasmImportPolicy};

/// What reading a file may take; only the network is waited for, and none is asked here.
const READ_TIME_MAX: Duration = Duration::from_secs(30);

/// What decides on learned routes.
#[derive(Debug)]
pub(super) enum ImportChain {
    /// Nothing does: all that may be used are.
    None,
    /// These policies.
    Links {
        links: Vec<ImportLink>,
        default: ChainDefault,
    },
}

/// Reads and compiles the import policies. Their modules are files; signed ones, where the
/// configuration requires that of modules.
///
/// # Errors
/// The first that cannot be had, does not load or refuses its settings, by name.
pub(super) async fn chain(engine: &Engine, config: &Arc<Config>) -> anyhow::Result<ImportChain> {
    if config.import_policies.is_empty() {
        return Ok(ImportChain::None);
    }
    let fetcher = Fetcher::without_cache(None, READ_TIME_MAX);
    let demands = Demands {
        digest: None,
        signed_by: config.policy.require_signature.clone(),
    };
    let mut modules = Vec::new();
    for link in &config.import_policies {
        let module = fetcher.obtain(&link.module, &demands).await;
        modules.push(module.with_context(|| place(link))?);
    }
    let (engine, config) = (engine.clone(), Arc::clone(config));
    let compiled = tokio::task::spawn_blocking(move || {
        let links = config.import_policies.iter().zip(&modules);
        Ok(ImportChain::Links {
            links: links
                .map(|(link, module)| self::link(&engine, link, &module.bytes))
                .collect::<anyhow::Result<_>>()?,
            default: config.import_policy_default,
        })
    });
    compiled.await?
}

/// The import policies that an agent starts with: where the configured ones cannot be had, one
/// that uses no route and says why.
pub(super) async fn first_chain(engine: &Engine, config: &Arc<Config>) -> ImportChain {
    chain(engine, config).await.unwrap_or_else(|refusal| {
        let words = format!("{refusal:#}");
        warn!("{words}; no learned route is used");
        let name = config
            .import_policies
            .first()
            .map(|link| link.name.as_str());
        ImportChain::Links {
            links: vec![ImportLink {
                name: name.unwrap_or_default().into(),
                module: "none".to_owned(),
                policy: Arc::new(Absent { words }),
                on_error: OnError::KeepLast,
                limits: Limits::DEFAULT,
            }],
            default: ChainDefault::Reject,
        }
    })
}

fn link(engine: &Engine, link: &ImportPolicyLink, module: &[u8]) -> anyhow::Result<ImportLink> {
    let policy = Module::from_bytes(engine, &link.name, module)
        .and_then(|module| WasmImportPolicy::new(&module, &link.settings, link.limits))
        .with_context(|| place(link))?;
    Ok(ImportLink {
        name: link.name.as_str().into(),
        module: link.module.to_string(),
        policy: Arc::new(policy),
        on_error: link.on_error,
        limits: link.limits,
    })
}

fn place(link: &ImportPolicyLink) -> String {
    format!("import-policies.module {}", link.module)
}

/// Stands for policies that do not load.
#[derive(Debug)]
struct Absent {
    words: String,
}

impl ImportPolicy for Absent {
    fn evaluate(&self, batch: &ImportBatch<'_>) -> Result<Vec<ImportDecision>, PolicyFailure> {
        let reason = format!("the import policies do not load: {}", self.words);
        let decision = ImportDecision {
            verdict: ImportVerdict::Reject,
            reason: Some(reason.into()),
        };
        Ok(vec![decision; batch.routes.len()])
    }
}

/// Routes as policies see them; those that share their attributes go on sharing.
pub(super) fn learned(undecided: Vec<Undecided>) -> Vec<LearnedChange> {
    let mut seen: BTreeMap<AttributesRef, (Arc<LearnedPath>, Arc<RouteAttributes>)> =
        BTreeMap::new();
    let mut shared = |attributes: AttributesRef| {
        let parts = seen.entry(attributes).or_insert_with_key(|attributes| {
            let path = Arc::new(path(attributes));
            (path, Arc::new(route_attributes(attributes)))
        });
        parts.clone()
    };
    let mut route = |route: UndecidedRoute| {
        let UndecidedRoute {
            version,
            router_id,
            attributes,
        } = route;
        let (path, attributes) = shared(attributes);
        LearnedRoute {
            version,
            router_id,
            path,
            attributes,
        }
    };
    undecided
        .into_iter()
        .map(|undecided| LearnedChange {
            peer: undecided.peer,
            prefix: undecided.prefix,
            route: undecided.route.map(&mut route),
        })
        .collect()
}

fn path(attributes: &AttributesRef) -> LearnedPath {
    let segments = attributes.path.as_path.segments.iter();
    LearnedPath {
        origin: match attributes.path.origin {
            OriginCode::Igp => PathOrigin::Igp,
            OriginCode::Egp => PathOrigin::Egp,
            OriginCode::Incomplete => PathOrigin::Incomplete,
        },
        as_path: segments
            .map(|segment| PathSegment {
                kind: match segment.kind {
                    AsPathSegmentKind::Sequence => SegmentKind::Sequence,
                    AsPathSegmentKind::Set => SegmentKind::Set,
                },
                asns: segment.asns.clone(),
            })
            .collect(),
    }
}
