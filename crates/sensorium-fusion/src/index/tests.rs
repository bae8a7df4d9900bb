//! What the files of an index must withstand, and what its searches must find.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::format::{GRAPH, HEADER_BYTES, IDS, MANIFEST, VECTORS};
use super::*;

const FILES: [&str; 3] = [VECTORS, IDS, MANIFEST];

fn info(dim: usize, dtype: Dtype) -> IndexInfo {
    IndexInfo { dim, dtype, model: "0badcafe".into(), encoder: "efficientnet-lite0".into() }
}

/// `[rows, dim]` directions at random.
fn units(rows: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut vectors: Vec<f32> = (0..rows * dim).map(|_| rng.random_range(-1.0..1.0)).collect();
    vectors.chunks_mut(dim).for_each(normalise);
    vectors
}

fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
}

/// Ids that a line of text would not survive without escapes.
fn id(row: usize) -> String {
    format!("Bilder/größe \"{row}\"\n.png")
}

/// Adds what is not there yet of `vectors` and gives how many rows were there.
fn fill(folder: &Path, info: &IndexInfo, vectors: &[f32]) -> usize {
    let (mut writer, already) = IndexWriter::create_or_resume(folder, info).unwrap();
    for (row, vector) in vectors.chunks(info.dim).enumerate() {
        if !already.contains(&id(row)) {
            writer.append(&id(row), vector).unwrap();
        }
    }
    assert_eq!(writer.finish().unwrap() as usize, vectors.len() / info.dim);
    already.len()
}

fn filled(info: &IndexInfo, vectors: &[f32]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(fill(dir.path(), info, vectors), 0);
    dir
}

fn contents(folder: &Path) -> Vec<Vec<u8>> {
    FILES.iter().map(|name| fs::read(folder.join(name)).unwrap()).collect()
}

fn put(folder: &Path, contents: &[Vec<u8>]) {
    FILES.iter().zip(contents).for_each(|(name, bytes)| replace(&folder.join(name), bytes));
}

/// A new file, since some file systems wait for the disk when one is overwritten.
fn replace(path: &Path, bytes: &[u8]) {
    drop(fs::remove_file(path));
    fs::write(path, bytes).unwrap();
}

/// The description as it stands while rows are still to come.
fn unfinished(manifest: &[u8]) -> Vec<u8> {
    let mut json: serde_json::Value = serde_json::from_slice(manifest).unwrap();
    json["count"] = serde_json::Value::Null;
    serde_json::to_vec(&json).unwrap()
}

fn message<T: std::fmt::Debug>(result: crate::Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn rows_come_back_with_their_ids() {
    for (dtype, tolerance) in [(Dtype::F32, 0.0), (Dtype::F16, 5e-4)] {
        let vectors = units(600, 17, 1);
        let dir = filled(&info(17, dtype), &vectors);
        let index = Index::open(dir.path()).unwrap();
        assert_eq!((index.len(), index.dim(), index.info()), (600, 17, &info(17, dtype)));
        for (row, vector) in vectors.chunks(17).enumerate() {
            assert_eq!(index.ids()[row], id(row));
            for (stored, given) in index.vector(row).iter().zip(vector) {
                assert!((stored - given).abs() <= tolerance, "{stored} for {given}");
            }
        }
        assert_eq!(index.position(&id(599)), Some(599));
        assert_eq!(index.position("none"), None);
        assert_eq!(index.search(&[], 3, &[]), Vec::<Vec<Hit>>::new());
    }
}

#[test]
fn an_empty_index_is_searched() {
    let dir = filled(&info(3, Dtype::F32), &[]);
    let index = Index::open(dir.path()).unwrap();
    assert!(index.is_empty());
    assert_eq!(index.search(&[1.0, 0.0, 0.0], 5, &[]), [vec![]]);
    let hnsw = Hnsw::build(&index, &HnswParams::default(), |_| ()).unwrap();
    assert_eq!(hnsw.search(&[1.0, 0.0, 0.0], 5, 10, &[]), []);
    assert_eq!(hnsw.recall_against_exact(&[1.0, 0.0, 0.0], 5, 10), 1.0);
}

#[test]
fn a_row_must_be_a_unit_vector() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = IndexWriter::create_or_resume(dir.path(), &info(2, Dtype::F16)).unwrap();
    for bad in [[f32::NAN, 0.0], [f32::INFINITY, 0.0], [0.0, 0.0], [1.0, 0.5]] {
        let error = message(writer.append("black.png", &bad));
        assert!(error.contains("'black.png'") && error.contains("length 1"), "{error}");
    }
    writer.append("fine.png", &[0.0, 1.0]).unwrap();
    assert_eq!(writer.finish().unwrap(), 1);
}

#[test]
#[should_panic(expected = "a row of this index has 2 numbers")]
fn a_row_of_another_dimension_is_a_bug() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = IndexWriter::create_or_resume(dir.path(), &info(2, Dtype::F16)).unwrap();
    drop(writer.append("a.png", &[1.0]));
}

#[test]
fn an_unfinished_index_is_not_searched() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = IndexWriter::create_or_resume(dir.path(), &info(2, Dtype::F32)).unwrap();
    writer.append("a.png", &[1.0, 0.0]).unwrap();
    drop(writer);
    let error = message(Index::open(dir.path()));
    assert!(error.contains("run `sensorium joint index` again to finish it"), "{error}");
}

#[test]
fn a_folder_that_is_no_index_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let error = message(Index::open(dir.path()));
    assert!(error.contains("it has no index.json; make an index"), "{error}");
    assert!(message(Index::open("/nowhere")).contains("/nowhere"));
    fs::write(dir.path().join(IDS), "mine").unwrap();
    let error = message(IndexWriter::create_or_resume(dir.path(), &info(2, Dtype::F32)));
    assert!(error.contains("ids.jsonl") && error.contains("choose another folder"), "{error}");
    assert_eq!(fs::read(dir.path().join(IDS)).unwrap(), b"mine");
}

#[test]
fn another_model_dim_or_dtype_is_refused_and_leaves_the_index_whole() {
    let there = info(4, Dtype::F16);
    let dir = filled(&there, &units(3, 4, 1));
    let before = contents(dir.path());
    let others = [
        ("model", IndexInfo { model: "other".into(), ..there.clone() }),
        ("encoder", IndexInfo { encoder: "other".into(), ..there.clone() }),
        ("dim", IndexInfo { dim: 5, ..there.clone() }),
        ("dtype", IndexInfo { dtype: Dtype::F32, ..there.clone() }),
    ];
    for (field, other) in others {
        let error = message(IndexWriter::create_or_resume(dir.path(), &other));
        assert!(error.starts_with(field) && error.contains("choose another folder"), "{error}");
    }
    assert!(message(IndexWriter::create_or_resume(dir.path(), &info(0, Dtype::F32))).contains("dim = 0"));
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn an_index_in_use_is_not_written() {
    let dir = filled(&info(2, Dtype::F32), &[1.0, 0.0]);
    let index = Index::open(dir.path()).unwrap();
    Index::open(dir.path()).expect("readers share");
    let error = message(IndexWriter::create_or_resume(dir.path(), &info(2, Dtype::F32)));
    assert!(error.contains("another program is using this index"), "{error}");
    drop(index);
    let writer = IndexWriter::create_or_resume(dir.path(), &info(2, Dtype::F32)).unwrap();
    assert!(message(Index::open(dir.path())).contains("another program is using this index"));
    drop(writer);
    Index::open(dir.path()).expect("untouched, so still finished");
}

#[test]
fn a_finished_index_grows() {
    let info = info(8, Dtype::F16);
    let vectors = units(700, 8, 2);
    let dir = filled(&info, &vectors[..8 * 300]);
    let index = Index::open(dir.path()).unwrap();
    Hnsw::build(&index, &HnswParams::default(), |_| ()).unwrap();
    drop(index);
    assert_eq!(fill(dir.path(), &info, &vectors[..8 * 300]), 300);
    assert!(dir.path().join(GRAPH).exists(), "nothing was added");
    assert_eq!(fill(dir.path(), &info, &vectors), 300);
    assert_eq!(contents(dir.path()), contents(filled(&info, &vectors).path()));
    assert!(Hnsw::open(&Index::open(dir.path()).unwrap()).unwrap().is_none(), "the old graph lacks the new rows");
}

#[test]
fn a_dropped_writer_loses_at_most_a_chunk() {
    let info = info(5, Dtype::F32);
    let vectors = units(600, 5, 3);
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = IndexWriter::create_or_resume(dir.path(), &info).unwrap();
    vectors.chunks(5).enumerate().for_each(|(row, vector)| writer.append(&id(row), vector).unwrap());
    drop(writer);
    assert_eq!(fill(dir.path(), &info, &vectors), 512);
    assert_eq!(contents(dir.path()), contents(filled(&info, &vectors).path()));
}

/// A kill may leave any prefix of either file.
#[test]
fn after_a_kill_at_any_byte_resuming_gives_the_files_of_an_unbroken_run() {
    let info = info(3, Dtype::F32);
    let vectors = units(4, 3, 4);
    let whole = contents(filled(&info, &vectors).path());
    let dir = tempfile::tempdir().unwrap();
    let (vectors_end, ids_end) = (whole[0].len(), whole[1].len());
    let cuts = (0..=vectors_end).map(|cut| (cut, ids_end)).chain((0..=ids_end).map(|cut| (vectors_end, cut)));
    let both = (0..=vectors_end.min(ids_end)).step_by(3).map(|cut| (vectors_end - cut, ids_end - cut));
    for (vectors_cut, ids_cut) in cuts.chain(both) {
        put(dir.path(), &[whole[0][..vectors_cut].to_vec(), whole[1][..ids_cut].to_vec(), unfinished(&whole[2])]);
        let whole_vectors = vectors_cut.saturating_sub(HEADER_BYTES) / 12;
        let whole_ids = whole[1][..ids_cut].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(fill(dir.path(), &info, &vectors), whole_vectors.min(whole_ids));
        assert_eq!(contents(dir.path()), whole, "cut at {vectors_cut} and {ids_cut}");
    }
    fs::remove_file(dir.path().join(VECTORS)).unwrap();
    fs::remove_file(dir.path().join(IDS)).unwrap();
    fs::write(dir.path().join(MANIFEST), unfinished(&whole[2])).unwrap();
    assert_eq!(fill(dir.path(), &info, &vectors), 0, "killed before the first row");
    assert_eq!(contents(dir.path()), whole);
}

#[test]
fn a_finished_index_that_lost_its_tail_is_repaired() {
    let info = info(3, Dtype::F16);
    let vectors = units(4, 3, 5);
    let dir = filled(&info, &vectors);
    let whole = contents(dir.path());
    fs::write(dir.path().join(VECTORS), &whole[0][..whole[0].len() - 1]).unwrap();
    let error = message(Index::open(dir.path()));
    assert!(error.contains("vectors.bin") && error.contains("again to repair it"), "{error}");
    assert_eq!(fill(dir.path(), &info, &vectors), 3);
    assert_eq!(contents(dir.path()), whole);
}

#[test]
fn resuming_does_not_throw_away_rows_behind_a_damaged_line() {
    let info = info(3, Dtype::F32);
    let dir = filled(&info, &units(4, 3, 6));
    let mut whole = contents(dir.path());
    whole[1][3] = b'!';
    put(dir.path(), &whole);
    let error = message(IndexWriter::create_or_resume(dir.path(), &info));
    assert!(error.contains("ids.jsonl") && error.contains("line 1"), "{error}");
    assert_eq!(contents(dir.path()), whole);
}

/// Opens and uses whatever lies in `folder`; only a panic or a crash is a failure.
fn use_index(folder: &Path) -> crate::Result<()> {
    let index = Index::open(folder)?;
    let query = vec![1.0; index.dim()];
    index.search(&query, 3, &[0]);
    index.sample(2, 0);
    index.ids().iter().for_each(|id| assert!(index.position(id).is_some()));
    if let Some(hnsw) = Hnsw::open(&index)? {
        hnsw.search(&query, 3, 10, &[0]);
    }
    Hnsw::build(&index, &HnswParams { m: 2, ef_construction: 4, parallel: false }, |_| ())?;
    Ok(())
}

#[test]
fn damaged_files_are_errors() {
    for dtype in [Dtype::F32, Dtype::F16] {
        let info = info(3, dtype);
        let whole = contents(filled(&info, &units(3, 3, 7)).path());
        let dir = tempfile::tempdir().unwrap();
        for (file, name) in FILES.iter().enumerate() {
            let try_with = |bytes: Vec<u8>| {
                let mut damaged = whole.clone();
                damaged[file] = bytes;
                put(dir.path(), &damaged);
                drop(fs::remove_file(dir.path().join(GRAPH)));
                use_index(dir.path())
            };
            for length in 0..whole[file].len() {
                let cut = try_with(whole[file][..length].to_vec());
                let only_white_space_lost = *name == MANIFEST && length + 1 == whole[file].len();
                assert_eq!(cut.is_ok(), only_white_space_lost, "{name} cut to {length}");
            }
            for place in 0..whole[file].len() {
                for flip in [0x01, 0x80, 0xff] {
                    let mut bytes = whole[file].clone();
                    bytes[place] ^= flip;
                    let flipped = try_with(bytes);
                    if *name == VECTORS && place < HEADER_BYTES {
                        assert!(flipped.is_err(), "header byte {place}");
                    }
                }
            }
            let longer = [&whole[file][..], &whole[file]].concat();
            assert!(try_with(longer).is_err(), "{name} twice");
            let mut rng = ChaCha8Rng::seed_from_u64(8);
            for length in [1, 63, 64, 65, 300] {
                let bytes = (0..length).map(|_| rng.random()).collect();
                assert!(try_with(bytes).is_err(), "{length} random bytes as {name}");
            }
        }
    }
}

#[test]
fn huge_counts_are_errors() {
    let whole = contents(filled(&info(3, Dtype::F32), &units(3, 3, 9)).path());
    let dir = tempfile::tempdir().unwrap();
    for (key, value) in [
        ("count", u64::MAX),
        ("count", u64::MAX / 12),
        ("count", 1 << 40),
        ("dim", u64::MAX),
        ("dim", 65_536),
        ("dim", 0),
        ("version", 2),
    ] {
        let mut json: serde_json::Value = serde_json::from_slice(&whole[2]).unwrap();
        json[key] = value.into();
        put(dir.path(), &[whole[0].clone(), whole[1].clone(), serde_json::to_vec(&json).unwrap()]);
        let error = message(Index::open(dir.path()));
        assert!(error.contains("index.json"), "{key} = {value}: {error}");
    }
    let mut header = whole.clone();
    header[0][16..24].fill(0xff);
    put(dir.path(), &header);
    assert!(message(Index::open(dir.path())).contains("vectors.bin"));
}

#[test]
fn a_damaged_graph_is_an_error() {
    let dir = filled(&info(3, Dtype::F32), &units(40, 3, 10));
    let index = Index::open(dir.path()).unwrap();
    Hnsw::build(&index, &HnswParams { m: 2, ef_construction: 8, parallel: false }, |_| ()).unwrap();
    let path = dir.path().join(GRAPH);
    let whole = fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        replace(&path, bytes);
        let error = message(Hnsw::open(&index));
        assert!(error.contains("graph.bin") && error.contains("delete the file"), "{error}");
    };
    (0..whole.len()).for_each(|length| refused(&whole[..length]));
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        refused(&bytes);
    }
    replace(&path, &whole);
    assert!(Hnsw::open(&index).unwrap().is_some());
}

/// A right checksum says nothing of the content: any word may be anything.
#[test]
fn a_forged_graph_is_an_error_or_harmless() {
    let dir = filled(&info(3, Dtype::F32), &units(40, 3, 10));
    let index = Index::open(dir.path()).unwrap();
    Hnsw::build(&index, &HnswParams { m: 2, ef_construction: 8, parallel: false }, |_| ()).unwrap();
    let path = dir.path().join(GRAPH);
    let whole = fs::read(&path).unwrap();
    let content = &whole[..whole.len() - 8];
    let mut rejected = HashSet::new();
    for place in (0..content.len()).step_by(4) {
        for word in [0, 1, 39, 40, 1000, u32::MAX] {
            let mut bytes = content.to_vec();
            bytes[place..place + 4].copy_from_slice(&word.to_le_bytes());
            bytes.extend(format::checksum(&bytes).to_le_bytes());
            replace(&path, &bytes);
            match Hnsw::open(&index) {
                Ok(hnsw) => drop(hnsw.unwrap().search(&[0.0, 0.6, 0.8], 5, 10, &[])),
                Err(_) => drop(rejected.insert(place)),
            }
        }
    }
    assert!(rejected.len() > content.len() / 8, "most words cannot be just anything");
}

#[test]
fn a_graph_of_another_index_is_refused() {
    let [one, other] = [11, 12].map(|rows| filled(&info(3, Dtype::F32), &units(rows, 3, 11)));
    let index = Index::open(one.path()).unwrap();
    Hnsw::build(&index, &HnswParams::default(), |_| ()).unwrap();
    fs::copy(one.path().join(GRAPH), other.path().join(GRAPH)).unwrap();
    let error = message(Hnsw::open(&Index::open(other.path()).unwrap()));
    assert!(error.contains("another state of the index"), "{error}");
}

#[test]
fn params_out_of_range_are_errors() {
    let dir = filled(&info(2, Dtype::F32), &[1.0, 0.0]);
    let index = Index::open(dir.path()).unwrap();
    for (m, ef_construction) in [(1, 10), (129, 10), (16, 0), (16, 65_537)] {
        assert!(Hnsw::build(&index, &HnswParams { m, ef_construction, parallel: false }, |_| ()).is_err());
    }
}

#[test]
fn the_same_rows_give_the_same_graph() {
    let dir = filled(&info(16, Dtype::F16), &units(500, 16, 12));
    let index = Index::open(dir.path()).unwrap();
    let graph = || {
        Hnsw::build(&index, &HnswParams::default(), |_| ()).unwrap();
        fs::read(dir.path().join(GRAPH)).unwrap()
    };
    assert_eq!(graph(), graph());
}

#[test]
fn hnsw_finds_nearly_all_of_the_exact_neighbours() {
    for (dtype, parallel) in [(Dtype::F32, false), (Dtype::F16, true)] {
        let mut vectors = units(1200, 16, 13);
        // Some pictures are there twice, and one a hundred times.
        vectors.copy_within(0..16 * 100, 16 * 600);
        (1000..1100).for_each(|row| vectors.copy_within(0..16, 16 * row));
        let dir = filled(&info(16, dtype), &vectors);
        let index = Index::open(dir.path()).unwrap();
        let params = HnswParams { parallel, ..HnswParams::default() };
        let mut done = 0;
        let hnsw = Hnsw::build(&index, &params, |rows| done = rows).unwrap();
        assert_eq!(done, 1200);
        let queries = [units(50, 16, 14), index.sample(50, 15)].concat();
        let recall = hnsw.recall_against_exact(&queries, 10, 100);
        assert!(recall > 0.95, "{recall}");

        let opened = Hnsw::open(&index).unwrap().unwrap();
        assert_eq!(opened.params(), &params);
        for query in queries.chunks(16) {
            let hits = hnsw.search(query, 10, 100, &[]);
            assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
            assert_eq!(opened.search(query, 10, 100, &[]), hits);
            let excluded = hnsw.search(query, 9, 100, &[hits[0].row]);
            assert_eq!(excluded, hits[1..], "the same without the first");
        }
    }
}

#[test]
fn a_sample_is_distinct_rows_by_seed() {
    let dir = filled(&info(6, Dtype::F32), &units(50, 6, 16));
    let index = Index::open(dir.path()).unwrap();
    let rows_of = |sample: Vec<f32>| -> HashSet<usize> {
        sample.chunks(6).map(|vector| (0..50).find(|row| index.vector(*row) == vector).unwrap()).collect()
    };
    assert_eq!(rows_of(index.sample(20, 1)).len(), 20);
    assert_eq!(rows_of(index.sample(99, 1)).len(), 50);
    assert_eq!(index.sample(20, 1), index.sample(20, 1));
    assert_ne!(index.sample(20, 1), index.sample(20, 2));
}

#[test]
fn of_equal_scores_the_lower_row_comes_first() {
    let vectors = units(1, 24, 17).repeat(2000);
    let dir = filled(&info(24, Dtype::F16), &vectors);
    let index = Index::open(dir.path()).unwrap();
    for queries in [1, 7] {
        for hits in index.search(&units(queries, 24, 18), 50, &[3, 4]) {
            let rows: Vec<usize> = hits.iter().map(|hit| hit.row).collect();
            assert_eq!(rows, [vec![0, 1, 2], (5..52).collect()].concat());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn exact_search_is_a_full_sort(
        rows in 1_usize..400, dim in 1_usize..40, queries in 1_usize..5, k in 0_usize..500,
        exclude in proptest::collection::vec(0_usize..400, 0..6), half in any::<bool>(), seed in 0_u64..1000,
    ) {
        let info = info(dim, if half { Dtype::F16 } else { Dtype::F32 });
        let dir = filled(&info, &units(rows, dim, seed));
        let index = Index::open(dir.path()).unwrap();
        let queries = units(queries, dim, seed + 1);
        let found = index.search(&queries, k, &exclude);
        prop_assert_eq!(found.len(), queries.len() / dim);
        for (query, hits) in queries.chunks(dim).zip(found) {
            let score = |row: usize| index.vector(row).iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
            let mut expected: Vec<f32> = (0..rows).filter(|row| !exclude.contains(row)).map(score).collect();
            expected.sort_by(|a, b| b.total_cmp(a));
            expected.truncate(k);
            prop_assert_eq!(hits.len(), expected.len());
            let distinct: HashSet<usize> = hits.iter().map(|hit| hit.row).collect();
            prop_assert_eq!(distinct.len(), hits.len());
            for (hit, expected) in hits.iter().zip(expected) {
                prop_assert!((hit.score - expected).abs() < 1e-5 && (score(hit.row) - expected).abs() < 1e-5);
                prop_assert!(!exclude.contains(&hit.row));
                prop_assert_eq!(&hit.id, &id(hit.row));
            }
        }
    }
}
