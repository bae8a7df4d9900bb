//! `joint index`, `search`, `tag` and `arithmetic`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use burn::tensor::Device;
use sensorium_core::draw::sheet::{Row, Sheet, Tile};
use sensorium_fusion::index::{Dtype, Hit, Hnsw, HnswParams, Index, IndexInfo, IndexWriter};
use sensorium_fusion::joint::features::{Extractor, Matrix};
use sensorium_fusion::joint::space::Space;
use sensorium_vision::io;
use sensorium_vision::pairs::read_picture;
use serde_json::json;

use super::{Arithmetic, Hits, IndexKind, Search, Tag};
use crate::progress::bar;
use crate::{Global, joint};

/// Pictures that are embedded together.
const BATCH: usize = 32;
/// The folder inside an index that holds the space its vectors are from.
const SPACE: &str = "space";
/// Neighbours that a search of the graph keeps in view.
const EF: usize = 128;
/// Queries that the graph's recall is measured on.
const RECALL_QUERIES: usize = 200;

/// A space with its image encoder.
struct Eye {
    space: Space,
    extractor: Extractor,
}

impl Eye {
    fn open(folder: &Path, device: &Device) -> anyhow::Result<Self> {
        let space = Space::load(folder, device)?;
        let extractor = space.settings().features.load(device)?;
        Ok(Self { space, extractor })
    }

    fn embed(&self, files: &[PathBuf]) -> anyhow::Result<Matrix> {
        let pictures = files.iter().map(|file| read_picture(file)).collect::<Result<Vec<_>, _>>()?;
        let values = self.extractor.forward(&pictures)?;
        let width = values.len() / files.len();
        Ok(self.space.embed_features(&Matrix { values, width }))
    }

    fn words(&self, text: &str) -> anyhow::Result<Matrix> {
        let embedded = self.space.embed_texts(&[text]);
        let known = embedded.values.iter().any(|v| *v != 0.0);
        ensure!(known, "'{text}': no word of it was seen in training or has a GloVe vector; use other words");
        Ok(embedded)
    }
}

impl joint::Index {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let files = io::list(&self.images)?;
        ensure!(!files.is_empty(), "{}: no picture in this folder or below it", self.images.display());
        let eye = Eye::open(&self.run, &global.device()?)?;
        let info = IndexInfo {
            dim: eye.space.dim(),
            dtype: if self.half { Dtype::F16 } else { Dtype::F32 },
            model: eye.space.fingerprint(),
            encoder: eye.space.settings().features.encoder(),
        };
        let (mut writer, already) = IndexWriter::create_or_resume(&self.out, &info)?;
        // The writer has seen to it that an index there is of this space.
        if already.is_empty() {
            eye.space.save(&self.out.join(SPACE))?;
        }
        let id = |file: &PathBuf| file.to_string_lossy().into_owned();
        let left: Vec<PathBuf> = files.into_iter().filter(|file| !already.contains(&id(file))).collect();
        let progress = bar(left.len(), "pictures", global.progress());
        for batch in left.chunks(BATCH) {
            let vectors = eye.embed(batch)?;
            for (row, file) in batch.iter().enumerate() {
                writer.append(&id(file), vectors.row(row))?;
            }
            progress.inc(batch.len() as u64);
        }
        let rows = writer.finish()?;
        progress.finish_and_clear();
        let index = Index::open(&self.out)?;
        let recall = match self.index {
            IndexKind::Exact => None,
            IndexKind::Hnsw => Some(build_graph(&index, global)?),
        };
        let mut out = std::io::stdout().lock();
        if global.json {
            writeln!(
                out,
                "{}",
                json!({"pictures": rows, "new": left.len(), "dim": info.dim, "hnsw_recall_at_10": recall})
            )?;
        } else {
            writeln!(out, "{rows} pictures in {}, {} of them new", self.out.display(), left.len())?;
            if let Some(recall) = recall {
                writeln!(out, "HNSW finds {:.1}% of the exact first ten", recall * 100.0)?;
            }
        }
        Ok(())
    }
}

fn build_graph(index: &Index, global: &Global) -> anyhow::Result<f64> {
    let progress = bar(index.len(), "rows in the graph", global.progress());
    let graph = Hnsw::build(index, &HnswParams::default(), |row| progress.set_position(row as u64))?;
    progress.finish_and_clear();
    Ok(graph.recall_against_exact(&index.sample(RECALL_QUERIES, 0), 10, EF))
}

/// An index with the space it is from.
struct Searched {
    index: Index,
    eye: Eye,
}

impl Searched {
    fn open(folder: &Path, device: &Device) -> anyhow::Result<Self> {
        let index = Index::open(folder)?;
        let eye = Eye::open(&folder.join(SPACE), device)?;
        let (stored, present) = (&index.info().model, eye.space.fingerprint());
        ensure!(
            *stored == present,
            "{}: its vectors are of space {stored}, the space beside them is {present}; index the pictures again",
            folder.display()
        );
        Ok(Self { index, eye })
    }

    fn hits(&self, query: &Matrix, hits: &Hits, exclude: &[usize]) -> anyhow::Result<Vec<Hit>> {
        ensure!(hits.k > 0, "-k 0: ask for at least one result");
        Ok(match hits.index {
            IndexKind::Exact => self.index.search(&query.values, hits.k, exclude).remove(0),
            IndexKind::Hnsw => {
                let graph = Hnsw::open(&self.index)?;
                let graph = graph.context("the index has no graph; make one by `joint index ... --index hnsw`")?;
                graph.search(&query.values, hits.k, EF, exclude)
            }
        })
    }
}

fn print(found: &[Hit], global: &Global) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if global.json {
        let hits: Vec<_> = found.iter().map(|hit| json!({"id": hit.id, "score": hit.score})).collect();
        writeln!(out, "{}", json!(hits))?;
        return Ok(());
    }
    for (rank, hit) in found.iter().enumerate() {
        writeln!(out, "{:>3}  {:.3}  {}", rank + 1, hit.score, hit.id)?;
    }
    Ok(())
}

fn draw(query: Tile, found: &[Hit], hits: &Hits, title: &str) -> anyhow::Result<()> {
    let Some(path) = &hits.contact_sheet else { return Ok(()) };
    let tile = |hit: &Hit| {
        let picture = read_picture(Path::new(&hit.id)).map_or_else(|_| Tile::missing(), Tile::picture);
        picture.caption(format!("{:.3} {}", hit.score, hit.id))
    };
    let sheet = Sheet::new(title).row(Row::search(query, found.iter().map(tile)));
    Ok(sheet.draw().save(path)?)
}

impl Search {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let searched = Searched::open(&self.folder, &global.device()?)?;
        let (query, tile, exclude, title) = match (&self.text, &self.image) {
            (Some(text), None) => (searched.eye.words(text)?, Tile::words(text), Vec::new(), text.clone()),
            (None, Some(image)) => {
                let query = searched.eye.embed(std::slice::from_ref(image))?;
                let itself = searched.index.position(&image.to_string_lossy());
                let tile = Tile::picture(read_picture(image)?).caption("query");
                (query, tile, itself.into_iter().collect(), image.display().to_string())
            }
            _ => bail!("give words to search by, or --image"),
        };
        let found = searched.hits(&query, &self.hits, &exclude)?;
        draw(tile, &found, &self.hits, &title)?;
        print(&found, global)
    }
}

impl Tag {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let eye = Eye::open(&self.run, &global.device()?)?;
        let tags = &eye.space.settings().tags;
        ensure!(!tags.is_empty(), "{}: its training pairs had no tags", self.run.display());
        let tag_vectors = eye.space.embed_texts(tags);
        let mut out = std::io::stdout().lock();
        for batch in self.images.chunks(BATCH) {
            let pictures = eye.embed(batch)?;
            let best = sensorium_core::metrics::top_k(&pictures.values, &tag_vectors.values, pictures.width, self.top);
            for (file, hits) in batch.iter().zip(best) {
                if global.json {
                    let hits: Vec<_> = hits.iter().map(|h| json!({"tag": tags[h.id], "score": h.score})).collect();
                    writeln!(out, "{}", json!({"image": file, "tags": hits}))?;
                } else {
                    let hits: Vec<_> = hits.iter().map(|h| format!("{} {:.2}", tags[h.id], h.score)).collect();
                    writeln!(out, "{}: {}", file.display(), hits.join(", "))?;
                }
            }
        }
        Ok(())
    }
}

impl Arithmetic {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let searched = Searched::open(&self.folder, &global.device()?)?;
        let eye = &searched.eye;
        let scale = self.scale.unwrap_or(eye.space.settings().scale);
        ensure!(scale.is_finite(), "--scale {scale}: give a finite number");
        let mut query = eye.embed(std::slice::from_ref(&self.image))?;
        let (minus, plus) = (eye.words(&self.minus)?, eye.words(&self.plus)?);
        for ((v, minus), plus) in query.values.iter_mut().zip(&minus.values).zip(&plus.values) {
            *v += scale * (plus - minus);
        }
        let query = query.normalised();
        let itself: Vec<usize> = searched.index.position(&self.image.to_string_lossy()).into_iter().collect();
        let found = searched.hits(&query, &self.hits, &itself)?;
        let title = format!("{} − \"{}\" + \"{}\"", self.image.display(), self.minus, self.plus);
        let tile = Tile::picture(read_picture(&self.image)?).caption(format!("− {} + {}", self.minus, self.plus));
        draw(tile, &found, &self.hits, &title)?;
        print(&found, global)
    }
}
