//! What was in force last on this node, for a start at which modules cannot be had: what names a
//! policy's module among those kept, and which are kept.

use serde_json::json;

use super::links::{Chains, LoadedLink};
use super::load::{Loaded, ModuleBytes};
use super::sources::{Sources, demands};
use crate::config::{Config, PolicyLink, PolicyModule};
use crate::policy::{Audience, Direction, Limits, Mode};
use crate::source::{LastModule, LastModules};

/// What was in force last, where anything of it may be used.
#[derive(Debug)]
pub(super) struct Last(Option<LastModules>);

impl Last {
    /// Nothing.
    pub(super) const NONE: Self = Self(None);

    /// What is kept where the configuration says.
    pub(super) fn of(config: &Config) -> Self {
        Self(LastModules::new(&config.policy))
    }

    /// The module that decided for a policy last, if it was configured as it is.
    ///
    /// # Errors
    /// What is kept cannot be used, and why.
    pub(super) fn recall(
        &self,
        direction: Direction,
        link: &PolicyLink,
    ) -> Result<Option<ModuleBytes>, String> {
        let Some(modules) = &self.0 else {
            return Ok(None);
        };
        let policy = text_of(direction, link);
        let recalled = modules.recall(&policy, &link.module, &demands(link))?;
        Ok(recalled.map(|obtained| ModuleBytes {
            digest: obtained.digest.to_string(),
            source: obtained.source.to_string(),
            bytes: obtained.bytes,
            artifact: None,
        }))
    }
}

/// Keeps the modules in force for the next start. `found` is what there was when the files were
/// read last. That it cannot be done is a warning.
pub(super) async fn keep(sources: &Sources, config: &Config, chains: &Chains, found: &Loaded) {
    let Some(modules) = LastModules::new(&config.policy) else {
        return sources.note_kept(Ok(()));
    };
    let links = chains.links();
    let kept: Vec<_> = links
        .filter_map(|(direction, link)| module_of(direction, link, found))
        .collect();
    let policies = config.policies.iter().chain(&config.import_policies);
    let used: Vec<_> = policies.map(|link| link.module.clone()).collect();
    let keeping = tokio::task::spawn_blocking(move || {
        let used: Vec<_> = used.iter().collect();
        modules.keep(&kept, &used)
    });
    let kept = keeping.await.unwrap_or_else(|error| Err(error.to_string()));
    sources.note_kept(kept);
}

/// The module that runs for a policy in force, with what it was checked by if that is known.
fn module_of(direction: Direction, link: &LoadedLink, found: &Loaded) -> Option<LastModule> {
    match (&link.config.module, link.config.mode) {
        // One comes with the agent, the other decides nothing.
        (PolicyModule::Builtin(_), _) | (_, Mode::Shadow) => return None,
        (PolicyModule::File(_) | PolicyModule::Oci(_) | PolicyModule::Http(_), Mode::Enforce) => {}
    }
    let (links, modules) = match direction {
        Direction::Export => (&found.config.policies, &found.modules.exports),
        Direction::Import => (&found.config.import_policies, &found.modules.imports),
    };
    let mut found = links.iter().zip(modules);
    let module = found.find(|(config, _)| **config == link.config);
    let module = module.and_then(|(_, module)| module.as_ref().ok());
    let module = module.filter(|module| Some(&module.digest) == link.digest.as_ref());
    Some(LastModule {
        policy: text_of(direction, &link.config),
        digest: link.digest.clone(),
        artifact: module.and_then(|module| module.artifact.clone()),
    })
}

/// All that makes a policy the one that it is.
fn text_of(direction: Direction, link: &PolicyLink) -> String {
    // Taken apart in full, so that a new field is not forgotten here.
    let PolicyLink {
        name,
        module,
        digest,
        require_signature,
        signed_for,
        settings,
        on_error,
        limits,
        audience,
        mode,
    } = link;
    let Limits {
        time,
        memory_bytes,
        output_bytes,
    } = limits;
    let audience = match audience {
        Audience::Everyone => None,
        Audience::Only(names) => Some(names),
    };
    json!({
        "direction": direction.label(),
        "name": name,
        "module": module.to_string(),
        "digest": digest.map(|digest| digest.to_string()),
        "require-signature": require_signature.as_ref().map(|key| key.display().to_string()),
        "signed-for": signed_for.as_ref().map(ToString::to_string),
        "settings": settings,
        "on-error": on_error,
        "limits": [time.as_millis().to_string(), memory_bytes.to_string(), output_bytes.to_string()],
        "audience": audience,
        "mode": mode,
    })
    .to_string()
}
