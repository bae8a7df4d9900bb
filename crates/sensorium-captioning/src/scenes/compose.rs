//! What a scene shows, and where.

use std::array::from_fn;
use std::cmp::Reverse;

use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::outline::Outline;
use super::split::combinations;
use super::{Color, Ground, Object, Purpose, Relation, SIDE, Scene, Shape, Size, Split, is_held_out, store, stream};

/// How often a scene has two objects.
const TWO_OBJECTS: f64 = 0.5;
/// Pixels between an object and the edge of the picture, at least.
pub(super) const MARGIN: u32 = 6;
/// Degrees that an object is turned, at most.
pub(super) const MOST_TURN: f32 = 8.0;

impl Scene {
    /// Scene number `id` of the set of this seed, whatever the size of the set.
    pub fn compose(seed: u64, id: usize) -> Self {
        let mut rng = stream(seed, id, Purpose::Compose);
        let split = Split::of(id);
        let ground = *pick(Ground::ALL, &mut rng);
        let objects = if rng.random_bool(TWO_OBJECTS) {
            let (first, second) = two_kinds(split, &mut rng);
            let mut pair = [cast(first, &mut rng), cast(second, &mut rng)];
            // Which of the two stands first along the axis.
            pair.shuffle(&mut rng);
            place_two(&mut pair, &mut rng);
            pair.sort_by_key(|object| (Reverse(object.size), object.color));
            pair.to_vec()
        } else {
            let mut only = cast(first_kind(split, &mut rng), &mut rng);
            place_one(&mut only, &mut rng);
            vec![only]
        };
        let relation = match objects.as_slice() {
            [a, b] => Relation::between(a.bounds, b.bounds),
            _ => None,
        };
        Self { seed, id, image: store::image_path(id), split, ground, objects, relation }
    }
}

type Kind = (Color, Shape);

/// A held-out combination in a test scene, another one elsewhere.
fn first_kind(split: Split, rng: &mut ChaCha8Rng) -> Kind {
    let wanted = split == Split::Test;
    let kinds: Vec<Kind> = combinations().filter(|&(color, shape)| is_held_out(color, shape) == wanted).collect();
    *pick(&kinds, rng)
}

/// As [`first_kind`], and one that differs from it in colour and in shape.
fn two_kinds(split: Split, rng: &mut ChaCha8Rng) -> (Kind, Kind) {
    let first = first_kind(split, rng);
    let may_follow = |&(color, shape): &Kind| {
        let is_allowed = split == Split::Test || !is_held_out(color, shape);
        is_allowed && color != first.0 && shape != first.1
    };
    let kinds: Vec<Kind> = combinations().filter(may_follow).collect();
    (first, *pick(&kinds, rng))
}

/// An object of a random size and turn, its box still in the corner.
fn cast((color, shape): Kind, rng: &mut ChaCha8Rng) -> Object {
    let size = *pick(Size::ALL, rng);
    let (shortest, longest) = size.pixels();
    let side = rng.random_range(shortest..=longest);
    let turn = rng.random_range(-MOST_TURN..=MOST_TURN);
    let [width, height] = Outline::new(shape, turn, side).pixels();
    Object { shape, color, size, turn, bounds: [0, 0, width, height] }
}

/// Anywhere that the margin allows.
fn place_one(object: &mut Object, rng: &mut ChaCha8Rng) {
    let [_, _, width, height] = object.bounds;
    let corner = [width, height].map(|extent| rng.random_range(MARGIN..=SIDE - MARGIN - extent));
    move_to(object, corner);
}

/// Beside or above each other, so that the [`Relation`] between them is beyond doubt.
fn place_two([a, b]: &mut [Object; 2], rng: &mut ChaCha8Rng) {
    let axis: usize = rng.random_range(0..2);
    let across = 1 - axis;
    let mut corners = [[0u32; 2]; 2];

    let free = SIDE - 2 * MARGIN - Relation::GAP - a.bounds[axis + 2] - b.bounds[axis + 2];
    let [u, v]: [u32; 2] = from_fn(|_| rng.random_range(0..=free));
    corners[0][axis] = MARGIN + u.min(v);
    corners[1][axis] = MARGIN + u.max(v) + a.bounds[axis + 2] + Relation::GAP;

    let (a_extent, b_extent) = (i64::from(a.bounds[across + 2]), i64::from(b.bounds[across + 2]));
    let end = i64::from(SIDE - MARGIN);
    let start = i64::from(MARGIN);
    let at = rng.random_range(start..=end - a_extent);
    // Twice the centres' offset along the axis is `apart`; across it, half of that is allowed.
    let centers = [(&*a, 0), (&*b, 1)].map(|(object, k)| 2 * corners[k][axis] + object.bounds[axis + 2]);
    let apart = i64::from(centers[1] - centers[0]);
    let level = at + (a_extent - b_extent).div_euclid(2);
    let play = apart / 4 - 1;
    let beside = rng.random_range((level - play).max(start)..=(level + play).min(end - b_extent));
    corners[0][across] = at as u32;
    corners[1][across] = beside as u32;

    move_to(a, corners[0]);
    move_to(b, corners[1]);
}

fn move_to(object: &mut Object, [x, y]: [u32; 2]) {
    let [_, _, width, height] = object.bounds;
    object.bounds = [x, y, x + width, y + height];
}

fn pick<'a, T>(all: &'a [T], rng: &mut ChaCha8Rng) -> &'a T {
    all.choose(rng).expect("a list with something in it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenes() -> impl Iterator<Item = Scene> {
        (0..20_000).map(|id| Scene::compose(5, id))
    }

    #[test]
    fn held_out_combinations_are_in_all_test_scenes_and_in_no_other() {
        for scene in scenes() {
            let has_one = scene.objects.iter().any(|o| is_held_out(o.color, o.shape));
            assert_eq!(has_one, scene.split == Split::Test, "{scene:?}");
        }
    }

    #[test]
    fn two_objects_differ_and_stand_in_a_relation() {
        let mut counts = [0usize; 4];
        for scene in scenes() {
            let [a, b] = scene.objects.as_slice() else { continue };
            assert!(a.shape != b.shape && a.color != b.color, "{scene:?}");
            let relation = scene.relation.unwrap_or_else(|| panic!("no relation: {scene:?}"));
            assert_eq!(Relation::between(b.bounds, a.bounds), Some(relation.inverse()));
            counts[relation as usize] += 1;
        }
        assert!(counts.iter().all(|&n| n > 2000), "{counts:?}");
    }

    #[test]
    fn boxes_keep_the_margin_and_their_size() {
        for object in scenes().flat_map(|scene| scene.objects) {
            let [x0, y0, x1, y1] = object.bounds;
            assert!(x0.min(y0) >= MARGIN && x1.max(y1) <= SIDE - MARGIN, "{object:?}");
            let (width, height) = (x1 - x0, y1 - y0);
            let (shortest, longest) = object.size.pixels();
            assert!((shortest..=longest).contains(&width.max(height)), "{object:?}");
            assert!(width.min(height) > SIDE / 7, "each box holds the centre of a cell of a 7x7 map: {object:?}");
        }
    }

    #[test]
    fn every_combination_occurs_about_equally_often() {
        let mut counts = [[0usize; 8]; 8];
        for object in scenes().filter(|s| s.split != Split::Test).flat_map(|scene| scene.objects) {
            counts[object.color as usize][object.shape as usize] += 1;
        }
        let seen: Vec<usize> = counts.into_iter().flatten().filter(|&n| n > 0).collect();
        assert_eq!(seen.len(), 56);
        assert!(seen.iter().all(|n| (380..600).contains(n)), "{seen:?}");
    }
}
