//! What can be watched, and how it becomes an [`Object`].

use std::fmt;

use ::kube::Resource;
use ::kube::core::DeserializeGuard;
use serde::de::DeserializeOwned;

use crate::kube::convert::slim;
use crate::kube::{Kind, Object, ObjectRef};

/// A kind of object that can be watched.
pub(super) trait Watched: Resource + DeserializeOwned + Clone + fmt::Debug + Send {}

impl<K: Resource + DeserializeOwned + Clone + fmt::Debug + Send> Watched for K {}

/// Makes an [`Object`] of it.
pub(super) type Wrap<K> = Box<dyn Fn(Box<K>) -> Object + Send + Sync>;

pub(super) fn object<K: Watched>(kind: Kind, wrap: &Wrap<K>, item: DeserializeGuard<K>) -> Object {
    match item.0 {
        Ok(mut object) => {
            slim(object.meta_mut());
            wrap(Box::new(object))
        }
        Err(invalid) => {
            let metadata = invalid.metadata;
            let name = ObjectRef::new(
                kind,
                metadata.namespace.as_deref().unwrap_or_default(),
                metadata.name.as_deref().unwrap_or_default(),
            );
            Object::Unreadable(name, invalid.error)
        }
    }
}
