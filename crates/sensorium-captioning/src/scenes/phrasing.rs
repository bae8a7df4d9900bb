//! All that can truly be said about a scene.

use rand::seq::IndexedRandom;

use super::{Color, Ground, Object, Purpose, Relation, Scene, Shape, Size, stream};

/// A word of a caption that names an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mention {
    /// The word's place in the caption.
    pub word: usize,
    /// The object's place in [`Scene::objects`].
    pub object: usize,
}

impl Scene {
    /// Every true caption: each object is named by its colour and shape, with its size or without; two of them by where
    /// the one is as seen from the other, or by `and`; the ground is told or not. They are distinct, of at most 18 words,
    /// in lower case.
    pub fn captions(&self) -> Vec<String> {
        match self.objects.as_slice() {
            [only] => self.told(&names(only)),
            [first, second] => [self.told_of(first, second), self.told_of(second, first)].concat(),
            _ => vec![],
        }
    }

    /// So many of the [`captions`](Self::captions) as people would give them, who tell of the striking object first;
    /// drawn without repetition, all of them if there are fewer.
    ///
    /// A captioner could not learn from captions in either order where it should look: when Show, Attend and Tell looks
    /// for the shape, it does not yet know which colour has been told.
    pub fn reference_captions(&self, count: usize) -> Vec<String> {
        let captions = match self.objects.as_slice() {
            [first, second] => self.told_of(first, second),
            _ => self.captions(),
        };
        captions.sample(&mut stream(self.seed, self.id, Purpose::Phrase), count).cloned().collect()
    }

    /// The captions that tell of `first` first.
    fn told_of(&self, first: &Object, second: &Object) -> Vec<String> {
        let relation = Relation::between(first.bounds, second.bounds);
        let related = relation.into_iter().flat_map(|relation| joined(first, relation.phrase(), second));
        self.told(&related.chain(joined(first, "and", second)).collect::<Vec<_>>())
    }

    /// Each of `cores` with and without words before and after it.
    fn told(&self, cores: &[String]) -> Vec<String> {
        let told = cores.iter().flat_map(|core| [core.clone(), format!("there is {core}")]);
        let ground = self.ground.word();
        told.flat_map(|told| [told.clone(), format!("{told} on a {ground} ground")]).collect()
    }

    /// Whether a caption is one of the true ones.
    pub fn is_true(&self, caption: &str) -> bool {
        self.captions().iter().any(|known| known == caption)
    }

    /// Which words of a caption name which object: the nouns. No two objects of a scene have one shape.
    pub fn mentions(&self, words: &[&str]) -> Vec<Mention> {
        let object = |shape| self.objects.iter().position(|object| object.shape == shape);
        let mention = |(word, text): (usize, &&str)| Some(Mention { word, object: object(Shape::from_word(text)?)? });
        words.iter().enumerate().filter_map(mention).collect()
    }
}

/// An object with its size and without.
fn names(object: &Object) -> Vec<String> {
    let (size, color, shape) = (object.size.word(), object.color.word(), object.shape.word());
    let article = if object.color == Color::Orange { "an" } else { "a" };
    vec![format!("a {size} {color} {shape}"), format!("{article} {color} {shape}")]
}

fn joined(a: &Object, between: &str, b: &Object) -> Vec<String> {
    let names_of_b = names(b);
    names(a).iter().flat_map(|a| names_of_b.iter().map(move |b| format!("{a} {between} {b}"))).collect()
}

/// All words that captions are made of.
pub fn vocabulary() -> Vec<&'static str> {
    let mut words = vec!["a", "an", "there", "is", "on", "ground", "and"];
    words.extend(Size::ALL.iter().map(|size| size.word()));
    words.extend(Color::ALL.iter().map(|color| color.word()));
    words.extend(Shape::ALL.iter().map(|shape| shape.word()));
    words.extend(Ground::ALL.iter().map(|ground| ground.word()));
    for word in Relation::ALL.iter().flat_map(|relation| relation.phrase().split(' ')) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn captions_are_distinct_true_and_of_the_vocabulary() {
        let known: HashSet<&str> = vocabulary().into_iter().collect();
        assert_eq!(known.len(), 38);
        let mut used = HashSet::new();
        for id in 0..400 {
            let scene = Scene::compose(2, id);
            let captions = scene.captions();
            let distinct: HashSet<&String> = captions.iter().collect();
            assert_eq!(distinct.len(), if scene.objects.len() == 1 { 8 } else { 64 });
            for caption in &captions {
                let words: Vec<&str> = caption.split(' ').collect();
                assert!(words.len() <= 18 && scene.is_true(caption));
                assert_eq!(scene.mentions(&words).len(), scene.objects.len(), "{caption}");
                used.extend(words.into_iter().map(String::from));
            }
            let drawn = scene.reference_captions(5);
            assert!(drawn.len() == 5 && drawn.iter().all(|caption| scene.is_true(caption)));
        }
        assert_eq!(used.len(), known.len());
    }

    #[test]
    fn what_is_not_so_is_not_true() {
        let of = |color, shape, size| Object { shape, color, size, turn: 0.0, bounds: [10, 60, 60, 110] };
        let mut far = of(Color::Orange, Shape::Star, Size::Large);
        far.bounds = [100, 60, 190, 150];
        let scene = Scene {
            objects: vec![of(Color::Red, Shape::Circle, Size::Small), far],
            relation: Some(Relation::Left),
            ground: Ground::Dotted,
            ..Scene::compose(0, 0)
        };
        for caption in [
            "a small red circle to the left of an orange star",
            "there is a large orange star to the right of a red circle on a dotted ground",
            "an orange star and a red circle",
        ] {
            assert!(scene.is_true(caption), "{caption}");
        }
        for caption in [
            "a small red circle to the right of an orange star",
            "a large red circle and an orange star",
            "a red star and an orange circle",
            "a red circle and an orange star on a striped ground",
            "a red circle",
            "",
        ] {
            assert!(!scene.is_true(caption), "{caption}");
        }
        let words: Vec<&str> = "an orange star and a red circle".split(' ').collect();
        assert_eq!(scene.mentions(&words), [Mention { word: 2, object: 1 }, Mention { word: 6, object: 0 }]);
    }
}
