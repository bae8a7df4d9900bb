//! What an object, a ground and a relation can be, and the words that say so.

use serde::{Deserialize, Serialize};

/// An enumeration whose variants each have one word, which is also their name in files.
macro_rules! worded {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// What a caption calls it.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The one that a caption calls `word`, if any.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }
    };
}

worded! {
    /// The outline of an object.
    Shape {
        /// A disc.
        Circle = "circle",
        /// Four equal sides.
        Square = "square",
        /// Three equal sides, point up.
        Triangle = "triangle",
        /// Five points.
        Star = "star",
        /// Two bars, one upright and one level.
        Cross = "cross",
        /// A disc with a hole; the ground shows through.
        Ring = "ring",
        /// A heart, point down.
        Heart = "heart",
        /// A crescent, open to the right.
        Moon = "moon",
    }
}

worded! {
    /// The colour of an object; no ground comes near any of them.
    Color {
        /// About (214, 32, 38).
        Red = "red",
        /// About (246, 132, 18).
        Orange = "orange",
        /// About (250, 222, 38).
        Yellow = "yellow",
        /// About (28, 160, 60).
        Green = "green",
        /// About (30, 78, 216).
        Blue = "blue",
        /// About (136, 40, 170).
        Purple = "purple",
        /// About (248, 248, 246).
        White = "white",
        /// About (22, 22, 26).
        Black = "black",
    }
}

worded! {
    /// The size of an object: the longer side of its box. No size between the two occurs.
    Size {
        /// 46 to 54 pixels.
        Small = "small",
        /// 88 to 98 pixels.
        Large = "large",
    }
}

worded! {
    /// The texture behind the objects, in two muted tones.
    Ground {
        /// Straight bands, at any angle.
        Striped = "striped",
        /// A chessboard.
        Checked = "checked",
        /// Dots much smaller than any object, in rows.
        Dotted = "dotted",
        /// Wavy brown grain.
        Wooden = "wooden",
        /// Grains of four tones, at random.
        Grainy = "grainy",
        /// One tone going over into the other.
        Shaded = "shaded",
    }
}

worded! {
    /// Where one object is as seen from another.
    Relation {
        /// Its centre is to the left.
        Left = "left",
        /// Its centre is to the right.
        Right = "right",
        /// Its centre is nearer the top.
        Above = "above",
        /// Its centre is nearer the bottom.
        Below = "below",
    }
}

impl Size {
    /// Shortest and longest that the longer side of a box of this size is, in pixels, both included.
    pub const fn pixels(self) -> (u32, u32) {
        match self {
            Self::Small => (46, 54),
            Self::Large => (88, 98),
        }
    }
}

impl Relation {
    /// Pixels that lie at least between the boxes of two objects in a relation, along its axis.
    pub const GAP: u32 = 14;

    /// The words between the two objects of a caption.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Left => "to the left of",
            Self::Right => "to the right of",
            Self::Above => "above",
            Self::Below => "below",
        }
    }

    /// The same seen from the other object.
    pub const fn inverse(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
            Self::Above => Self::Below,
            Self::Below => Self::Above,
        }
    }

    /// Where box `a` (`[x0, y0, x1, y1]`, y down) is as seen from box `b`, if that is beyond doubt: along one axis the
    /// boxes are at least [`GAP`](Self::GAP) apart, and the centres' offset is at least twice that along the other.
    pub fn between(a: [u32; 4], b: [u32; 4]) -> Option<Self> {
        let [x, y] = [0, 1].map(|axis| center_twice(b, axis) - center_twice(a, axis));
        let (axis, offset, across) = if x.abs() > y.abs() { (0, x, y) } else { (1, y, x) };
        let (first, second) = if offset > 0 { (a, b) } else { (b, a) };
        let is_far = i64::from(second[axis]) - i64::from(first[axis + 2]) >= i64::from(Self::GAP);
        if !is_far || offset.abs() < 2 * across.abs() {
            return None;
        }
        Some(match (axis, offset > 0) {
            (0, true) => Self::Left,
            (0, false) => Self::Right,
            (_, true) => Self::Above,
            (_, false) => Self::Below,
        })
    }
}

/// Twice the centre of a box along an axis, which is whole.
fn center_twice(bounds: [u32; 4], axis: usize) -> i64 {
    i64::from(bounds[axis]) + i64::from(bounds[axis + 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back() {
        assert!(Shape::ALL.iter().all(|&s| Shape::from_word(s.word()) == Some(s)));
        assert!(Color::ALL.iter().all(|&c| Color::from_word(c.word()) == Some(c)));
        assert_eq!((Shape::ALL.len(), Color::ALL.len()), (8, 8));
        assert_eq!(Shape::from_word("red"), None);
        assert_eq!(serde_json::to_string(&Relation::Left).unwrap(), "\"left\"");
    }

    #[test]
    fn relations_hold_only_beyond_doubt() {
        let at = |x: u32, y: u32| [x, y, x + 50, y + 50];
        assert_eq!(Relation::between(at(10, 60), at(100, 60)), Some(Relation::Left));
        assert_eq!(Relation::between(at(100, 60), at(10, 100)), Some(Relation::Right));
        assert_eq!(Relation::between(at(60, 10), at(60, 74)), Some(Relation::Above));
        assert_eq!(Relation::between(at(60, 100), at(60, 10)), Some(Relation::Below));
        assert_eq!(Relation::between(at(60, 10), at(60, 73)), None, "too near");
        assert_eq!(Relation::between(at(10, 10), at(100, 56)), None, "diagonal");
        assert_eq!(Relation::between(at(10, 10), at(10, 10)), None);
    }

    #[test]
    fn the_inverse_is_the_view_from_the_other() {
        let (a, b) = ([10, 60, 60, 110], [100, 70, 190, 160]);
        assert_eq!(Relation::between(b, a), Relation::between(a, b).map(Relation::inverse));
        assert!(Relation::ALL.iter().all(|r| r.inverse() != *r && r.inverse().inverse() == *r));
    }
}
