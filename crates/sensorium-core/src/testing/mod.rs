//! What the tests of every crate share: golden fixtures and the contract every model passes.

mod contract;
pub mod formula;
pub mod golden;

pub use contract::check_model;
pub use golden::{Fixture, assert_close};
