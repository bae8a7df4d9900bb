//! Which scenes are for training, and which combinations of attributes they never show.

use serde::{Deserialize, Serialize};

use super::{Color, Shape};

/// The part of the set that a scene is in, by its number: of every ten, eight train, one validates, one tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// To learn from. No held-out combination occurs.
    Train,
    /// To choose by. No held-out combination occurs.
    Val,
    /// To measure on. Each scene has at least one object of a held-out combination.
    Test,
}

impl Split {
    /// The split of the scene of this number.
    pub const fn of(id: usize) -> Self {
        match id % 10 {
            0..=7 => Self::Train,
            8 => Self::Val,
            _ => Self::Test,
        }
    }
}

/// Whether only test scenes show this colour on this shape: 8 of the 64 combinations, each colour and each shape once.
///
/// ```
/// use sensorium_captioning::scenes::{Color, Shape, is_held_out};
///
/// assert!(is_held_out(Color::Red, Shape::Square));
/// assert!(!is_held_out(Color::Red, Shape::Circle));
/// ```
pub const fn is_held_out(color: Color, shape: Shape) -> bool {
    (3 * color as usize + 1) % 8 == shape as usize
}

/// All combinations of colour and shape.
pub(super) fn combinations() -> impl Iterator<Item = (Color, Shape)> {
    Color::ALL.iter().flat_map(|&color| Shape::ALL.iter().map(move |&shape| (color, shape)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_colour_and_each_shape_is_held_out_once() {
        let held: Vec<_> = combinations().filter(|&(color, shape)| is_held_out(color, shape)).collect();
        assert_eq!(held.len(), 8);
        assert_eq!(held.iter().map(|h| h.0).collect::<HashSet<_>>().len(), 8);
        assert_eq!(held.iter().map(|h| h.1).collect::<HashSet<_>>().len(), 8);
    }

    #[test]
    fn eight_of_ten_train() {
        let count = |split| (0..100).filter(|&id| Split::of(id) == split).count();
        assert_eq!([Split::Train, Split::Val, Split::Test].map(count), [80, 10, 10]);
    }
}
