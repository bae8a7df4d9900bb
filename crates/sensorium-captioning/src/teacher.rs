//! A batch of captions for teacher forcing.

use std::cmp::Reverse;

use burn::tensor::{Device, Int, Tensor};

use crate::attend::ints;

/// Captions of one batch, the longest first.
pub(crate) struct Captions<'a> {
    /// Each caption's place in the batch as it was given.
    pub(crate) order: Vec<usize>,
    /// What the decoder reads.
    read: Vec<&'a [u32]>,
    /// What it is to foretell.
    captions: Vec<&'a [u32]>,
}

impl<'a> Captions<'a> {
    /// Sorts captions, and what is read in their place, by length; those of one length stay in their order.
    ///
    /// # Panics
    /// If there is none, one has fewer than 2 numbers, or what is read differs from it in length.
    pub(crate) fn longest_first(read: &'a [Vec<u32>], captions: &'a [Vec<u32>]) -> Self {
        assert!(!captions.is_empty(), "a batch needs a caption");
        assert!(captions.iter().all(|caption| caption.len() > 1), "a caption has a start and an end");
        assert!(captions.iter().map(Vec::len).eq(read.iter().map(Vec::len)), "what is read has the captions' lengths");
        let mut order: Vec<usize> = (0..captions.len()).collect();
        order.sort_by_key(|place| Reverse(captions[*place].len()));
        let sorted = |captions: &'a [Vec<u32>]| order.iter().map(|place| captions[*place].as_slice()).collect();
        Self { read: sorted(read), captions: sorted(captions), order }
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
        ints(self.read[..self.live(step)].iter().map(|read| i64::from(read[step])), device)
    }

    /// The words that all steps are to foretell `[words]`, step by step.
    pub(crate) fn targets(&self, device: &Device) -> Tensor<1, Int> {
        let of_step = |step| self.captions[..self.live(step)].iter().map(move |caption| i64::from(caption[step + 1]));
        ints((0..self.steps()).flat_map(of_step), device)
    }
}
