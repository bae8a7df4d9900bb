//! Strided views of a buffer, as torch lays tensors over storages.

/// One past the last element that a view touches, or `None` if that overflows. All in elements.
pub(super) fn end(offset: usize, shape: &[usize], strides: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(offset);
    }
    let last = shape.iter().zip(strides).try_fold(offset, |at, (size, stride)| {
        let span = (size - 1).checked_mul(*stride)?;
        at.checked_add(span)
    })?;
    last.checked_add(1)
}

/// The product of a shape's sizes, or `None` if it overflows.
pub(super) fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size))
}

/// Copies a view's elements of `width` bytes each (1, 2, 4 or 8), in row-major order.
///
/// # Panics
/// If the view reaches past the storage: check with [`end`] first.
pub(super) fn gather(storage: &[u8], width: usize, offset: usize, shape: &[usize], strides: &[usize]) -> Vec<u8> {
    if shape.contains(&0) {
        return Vec::new();
    }
    let storage = &storage[offset * width..];
    let axes = essential(shape, strides);
    match (axes.as_slice(), width) {
        ([], _) => storage[..width].to_vec(),
        ([(size, 1)], _) => storage[..size * width].to_vec(),
        (_, 1) => gather_fixed::<1>(storage, &axes),
        (_, 2) => gather_fixed::<2>(storage, &axes),
        (_, 4) => gather_fixed::<4>(storage, &axes),
        (_, 8) => gather_fixed::<8>(storage, &axes),
        _ => unreachable!("a number of {width} bytes"),
    }
}

/// The sizes and strides that matter: axes of size 1 are left out, and axes that lie within each other back to back
/// are one.
fn essential(shape: &[usize], strides: &[usize]) -> Vec<(usize, usize)> {
    let mut axes: Vec<(usize, usize)> = Vec::with_capacity(shape.len());
    for (size, stride) in shape.iter().copied().zip(strides.iter().copied()).filter(|(size, _)| *size != 1) {
        match axes.last_mut() {
            Some(outer) if outer.1 == size * stride => *outer = (outer.0 * size, stride),
            _ => axes.push((size, stride)),
        }
    }
    axes
}

fn gather_fixed<const WIDTH: usize>(storage: &[u8], axes: &[(usize, usize)]) -> Vec<u8> {
    let (storage, _) = storage.as_chunks::<WIDTH>();
    let ((columns, column_stride), rows) =
        axes.split_last().map(|(last, rows)| (*last, rows)).expect("one axis or more");
    let mut out = Vec::with_capacity(axes.iter().map(|(size, _)| size).product());
    let mut index = vec![0; rows.len()];
    let mut start = 0;
    loop {
        out.extend((0..columns).map(|column| storage[start + column * column_stride]));
        // Step the row index like an odometer, keeping `start` in step.
        let mut axis = rows.len();
        loop {
            if axis == 0 {
                return out.into_flattened();
            }
            axis -= 1;
            let (size, stride) = rows[axis];
            index[axis] += 1;
            start += stride;
            if index[axis] < size {
                break;
            }
            start -= size * stride;
            index[axis] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(offset: usize, shape: &[usize], strides: &[usize], expect: &[u8]) {
        let storage: Vec<u8> = (0..24).collect();
        assert_eq!(gather(&storage, 1, offset, shape, strides), expect, "{offset} {shape:?} {strides:?}");
    }

    #[test]
    fn views_of_a_small_storage() {
        check(3, &[], &[], &[3]);
        check(2, &[4], &[1], &[2, 3, 4, 5]);
        check(0, &[2, 3], &[3, 1], &[0, 1, 2, 3, 4, 5]);
        check(0, &[3, 2], &[1, 3], &[0, 3, 1, 4, 2, 5]);
        check(1, &[2, 2, 2], &[12, 2, 6], &[1, 7, 3, 9, 13, 19, 15, 21]);
        check(5, &[3], &[0], &[5, 5, 5]);
        check(0, &[2, 0], &[1, 1], &[]);
        check(4, &[1, 2], &[99, 1], &[4, 5]);
        check(4, &[2, 1, 3, 2], &[12, 99, 2, 1], &[4, 5, 6, 7, 8, 9, 16, 17, 18, 19, 20, 21]);
    }

    #[test]
    fn wide_elements_stay_whole() {
        let storage: Vec<u8> = (0..16).collect();
        assert_eq!(gather(&storage, 4, 0, &[2, 2], &[1, 2]), [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]);
    }

    #[test]
    fn overflow_is_seen() {
        assert_eq!(end(1, &[usize::MAX, 2], &[1, usize::MAX]), None);
        assert_eq!(end(7, &[3, 0], &[5, 5]), Some(7));
        assert_eq!(end(1, &[2, 3], &[3, 1]), Some(7));
        assert_eq!(count(&[usize::MAX, 2]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_element_is_where_the_strides_say(
            axes in prop::collection::vec((1usize..4, 0usize..7), 0..4), offset in 0usize..5,
        ) {
            let (shape, strides): (Vec<_>, Vec<_>) = axes.into_iter().unzip();
            let storage: Vec<u8> = (0..end(offset, &shape, &strides).unwrap()).map(|i| i as u8).collect();
            let got = gather(&storage, 1, offset, &shape, &strides);
            prop_assert_eq!(got.len(), count(&shape).unwrap());
            for (flat, value) in got.iter().enumerate() {
                let mut rest = flat;
                let mut at = offset;
                for (size, stride) in shape.iter().zip(&strides).rev() {
                    at += rest % size * stride;
                    rest /= size;
                }
                prop_assert_eq!(usize::from(*value), at);
            }
        }
    }
}
