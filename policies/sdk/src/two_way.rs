//! Modules that decide both ways: a [`Policy`] and an [`ImportPolicy`] with the same settings.

use std::marker::PhantomData;

use crate::bindings::{announce, learn, module};
use crate::{
    Description, Exported, ExportedImport, ImportPolicy, Policy, validate_import_settings,
    validate_settings,
};

/// Whether a module that decides both ways takes these settings: either of its policies must.
///
/// # Errors
/// What is wrong with them, in the words of the first policy that refuses them.
pub fn validate_two_way_settings<E, I>(json: &str) -> Result<(), String>
where
    E: Policy,
    I: ImportPolicy<Settings = E::Settings>,
{
    validate_settings::<E>(json)?;
    validate_import_settings::<I>(json)
}

/// The exports of a module whose policies are `E` and `I`; named by
/// [`export_two_way_policy!`](crate::export_two_way_policy) only.
#[derive(Debug)]
pub struct ExportedTwoWay<E, I>(PhantomData<(E, I)>)
where
    E: Policy,
    I: ImportPolicy<Settings = E::Settings>;

impl<E, I> module::Guest for ExportedTwoWay<E, I>
where
    E: Policy,
    I: ImportPolicy<Settings = E::Settings>,
{
    fn describe() -> Description {
        E::describe()
    }

    fn validate_settings(settings: String) -> Result<(), String> {
        validate_two_way_settings::<E, I>(&settings)
    }
}

impl<E, I> announce::Guest for ExportedTwoWay<E, I>
where
    E: Policy,
    I: ImportPolicy<Settings = E::Settings>,
{
    fn evaluate(batch: announce::Batch) -> Result<announce::Answer, String> {
        <Exported<E> as announce::Guest>::evaluate(batch)
    }
}

impl<E, I> learn::Guest for ExportedTwoWay<E, I>
where
    E: Policy,
    I: ImportPolicy<Settings = E::Settings>,
{
    fn evaluate(batch: learn::Batch) -> Result<learn::Answer, String> {
        <ExportedImport<I> as learn::Guest>::evaluate(batch)
    }
}

#[cfg(test)]
mod tests;
