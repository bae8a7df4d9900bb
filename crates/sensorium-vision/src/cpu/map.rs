//! Feature maps in the layout of the kernels.

/// Channel counts are padded to a multiple of this with zeros: one AVX-512 register, two of AVX2.
const PADDING: usize = 16;
/// Channels that stand side by side: three AVX-512 registers.
pub(super) const GROUP: usize = 48;

/// The widths of the groups that `channels` are kept in: [`GROUP`], and a narrower multiple of 16 at the end.
pub(super) fn group_widths(channels: usize) -> impl Iterator<Item = usize> + Clone {
    let padded = channels.next_multiple_of(PADDING);
    (0..padded).step_by(GROUP).map(move |first| GROUP.min(padded - first))
}

/// One picture's maps. Channels are kept in groups, one group after the other, each `[height, width, group width]`.
#[derive(Default)]
pub(super) struct Map {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    numbers: Vec<f32>,
}

impl Map {
    /// Takes on a shape, keeping the memory. The numbers are anything until they are written.
    pub(super) fn reshape(&mut self, channels: usize, height: usize, width: usize) {
        (self.channels, self.height, self.width) = (channels, height, width);
        self.numbers.resize(height * width * channels.next_multiple_of(PADDING), 0.0);
    }

    pub(super) fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// The width of a group.
    pub(super) fn group_width(&self, group: usize) -> usize {
        GROUP.min(self.channels.next_multiple_of(PADDING) - group * GROUP)
    }

    /// The numbers of a group, `[height, width, group width]`.
    pub(super) fn group(&self, group: usize) -> &[f32] {
        let widest = self.pixels() * GROUP;
        &self.numbers[group * widest..self.numbers.len().min((group + 1) * widest)]
    }

    /// Each group's width and numbers.
    pub(super) fn groups(&self) -> impl Iterator<Item = (usize, &[f32])> {
        group_widths(self.channels).enumerate().map(|(index, width)| (width, self.group(index)))
    }

    /// Each group's width and numbers, to be written.
    pub(super) fn groups_mut(&mut self) -> impl Iterator<Item = (usize, &mut [f32])> {
        let widest = self.pixels() * GROUP;
        group_widths(self.channels).zip(self.numbers.chunks_mut(widest))
    }

    /// The numbers as `[channels, height, width]`.
    pub(super) fn planes(&self) -> Vec<f32> {
        let mut planes = vec![0.0; self.channels * self.pixels()];
        for (channel, plane) in planes.chunks_exact_mut(self.pixels()).enumerate() {
            let width = group_widths(self.channels).nth(channel / GROUP).expect("a group for each channel");
            let column = self.group(channel / GROUP)[channel % GROUP..].iter().step_by(width);
            plane.iter_mut().zip(column).for_each(|(number, from)| *number = *from);
        }
        planes
    }
}
