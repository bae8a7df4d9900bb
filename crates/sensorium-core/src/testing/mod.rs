//! What the tests of every crate share: golden fixtures, the contract every model passes, kernels on every instruction
//! set.

mod contract;
pub mod formula;
pub mod golden;
mod instruction_sets;

pub use contract::check_model;
pub use golden::{Fixture, assert_close};
pub use instruction_sets::{KernelCheck, on_every_instruction_set};
