//! What the tests of every crate share: golden fixtures, the contract every model passes, kernels on every instruction
//! set, how much memory a reader may take.

mod contract;
pub mod formula;
pub mod golden;
mod instruction_sets;
mod memory;

pub use contract::check_model;
pub use golden::{Fixture, assert_close};
pub use instruction_sets::{KernelCheck, on_every_instruction_set};
pub use memory::check_memory;
