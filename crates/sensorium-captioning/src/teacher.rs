//! A batch of captions for teacher forcing.

use std::cmp::Reverse;

use burn::tensor::{Device, Int, Tensor};

use crate::attend::ints;

/// Captions of one batch, the longest first.
pub(crate) struct Captions<'a> {
    /// Each caption's place in the batch as it was given.
    pub(crate) order: Vec<usize>,
    captions: Vec<&'a [u32]>,
}

impl<'a> Captions<'a> {
    /// Sorts captions by length; those of one length stay in their order.
    ///
    /// # Panics
    /// If there is none, or one has fewer than 2 numbers.
    pub(crate) fn longest_first(captions: &'a [Vec<u32>]) -> Self {
        assert!(!captions.is_empty(), "a batch needs a caption");
        assert!(captions.iter().all(|caption| caption.len() > 1), "a caption has a start and an end");
        let mut order: Vec<usize> = (0..captions.len()).collect();
        order.sort_by_key(|place| Reverse(captions[*place].len()));
        let captions = order.iter().map(|place| captions[*place].as_slice()).collect();
        Self { order, captions }
    }

    /// Steps that foretell something: one fewer than the longest caption has numbers.
    pub(crate) fn steps(&self) -> usize {
        self.captions[0].len() - 1
    }

    /// Steps of each caption.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        self.captions.iter().map(|caption| caption.len() - 1).collect()
    }

    /// How many captions have a word to foretell at `step`.
    pub(crate) fn live(&self, step: usize) -> usize {
        self.captions.partition_point(|caption| caption.len() - 1 > step)
    }

    /// The captions' places in the batch `[batch]`.
    pub(crate) fn places(&self, device: &Device) -> Tensor<1, Int> {
        ints(self.order.iter().map(|place| *place as i64), device)
    }

    /// The words that are read at `step` `[live]`.
    pub(crate) fn words(&self, step: usize, device: &Device) -> Tensor<1, Int> {
        ints(self.captions[..self.live(step)].iter().map(|caption| i64::from(caption[step])), device)
    }

    /// The words that all steps are to foretell `[words]`, step by step.
    pub(crate) fn targets(&self, device: &Device) -> Tensor<1, Int> {
        let of_step = |step| self.captions[..self.live(step)].iter().map(move |caption| i64::from(caption[step + 1]));
        ints((0..self.steps()).flat_map(of_step), device)
    }
}
