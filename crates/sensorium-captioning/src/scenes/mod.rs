//! A made set of pictures whose truth is known: shapes, colours, sizes and relations on textured grounds.
//!
//! A [`Scene`] has one or two objects that nothing hides, and is fixed by the seed of its set and its number alone.
//! [`Scene::picture`] paints it; [`Scene::captions`] says all that is true of it in a language of
//! [38 words](vocabulary). Eight combinations of colour and shape [are held out](is_held_out) for the test split, so
//! that a captioner is measured on objects that it never saw.
//!
//! ```
//! use sensorium_captioning::scenes::Scene;
//!
//! let scene = Scene::compose(0, 17);
//! assert_eq!(scene.picture().dimensions(), (224, 224));
//! assert!(scene.captions().iter().all(|caption| scene.is_true(caption)));
//! assert_eq!(scene.reference_captions(5).len(), 5);
//! ```

mod attributes;
mod compose;
mod draw;
mod ground;
mod judge;
mod outline;
mod phrasing;
mod split;
mod store;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use attributes::{Color, Ground, Relation, Shape, Size};
pub use judge::Judged;
pub use phrasing::{Mention, vocabulary};
pub use split::{Split, is_held_out};
pub use store::{MOST, read, write};

/// Width and height of a picture, in pixels.
pub const SIDE: u32 = 224;

/// The truth about one picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// The seed of the set. With `id` it fixes everything.
    pub seed: u64,
    /// Its number in the set, from 0.
    pub id: usize,
    /// Its picture's path in the folder of the set: `images/00017.png`.
    pub image: String,
    /// The part of the set that it belongs to.
    pub split: Split,
    /// What is behind the objects.
    pub ground: Ground,
    /// One object, or two that differ in shape and in colour: the more striking first, which is the larger or else the
    /// one whose colour is first in [`Color::ALL`].
    pub objects: Vec<Object>,
    /// Where the first of two objects is as seen from the second.
    pub relation: Option<Relation>,
}

/// The truth about one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Its outline.
    pub shape: Shape,
    /// Its colour.
    pub color: Color,
    /// Small or large, as the longer side of its box is.
    pub size: Size,
    /// How far it is turned clockwise, in degrees: -8 to 8.
    pub turn: f32,
    /// The smallest box of whole pixels around it, `[x0, y0, x1, y1]`: y points down, `x1` and `y1` are just outside.
    #[serde(rename = "box")]
    pub bounds: [u32; 4],
}

/// What a scene's random numbers are for; each use has its own, so that none depends on how many another took.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Compose,
    Paint,
    Phrase,
}

/// The random numbers of a scene for one purpose.
fn stream(seed: u64, id: usize, purpose: Purpose) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((id as u64) << 2) | purpose as u64);
    rng
}
