//! Builds without the feature `auth-checks` sign nothing: a configuration with keys does not start in them.

use std::convert::Infallible;
use std::sync::Arc;

use super::{PrivateKey, Selector};
use crate::address::Domain;

/// There is none.
pub struct NoSigner(Infallible);

impl NoSigner {
    /// There is none.
    pub(super) fn new(_: &Domain, _: Vec<(Arc<PrivateKey>, Selector)>) -> Result<Self, String> {
        Err("this leafmail was built without the feature auth-checks".to_owned())
    }

    /// Signs nothing.
    ///
    /// # Errors
    /// None.
    pub fn sign<E>(
        &self,
        _: &[u8],
        _: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), E>,
    ) -> Result<Result<Vec<u8>, String>, E> {
        match self.0 {}
    }
}
