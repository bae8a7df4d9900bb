//! Text to learn from: files, folders and standard input, compressed or not, read piece by piece.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use sensorium_core::Error;

use crate::Result;

/// A line longer than this is cut between two words, so that a file without line ends takes no more memory.
const LONGEST: usize = 1 << 20;

/// The sentences of a text, one a line.
///
/// `path` is a file, a folder (all its files, by name, subfolders included) or `-` for standard input. Files whose names
/// end in `.gz` or `.zst` are unpacked on the way. Words within a line stand apart by white space.
///
/// # Errors
/// If the path cannot be read or the folder holds no file; the iterator's items are errors where a file cannot be read or
/// is not UTF-8, with the file and the line.
///
/// ```
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("text.txt");
/// std::fs::write(&path, "a red heart\na cat\n").unwrap();
/// let lines: Vec<String> = sensorium_text::word2vec::sentences(&path)?.collect::<Result<_, _>>()?;
/// assert_eq!(lines, ["a red heart", "a cat"]);
/// # Ok::<(), sensorium_text::Error>(())
/// ```
pub fn sentences(path: impl AsRef<Path>) -> Result<impl Iterator<Item = Result<String>>> {
    let files = files(path.as_ref())?;
    Ok(files.into_iter().flat_map(|file| match Lines::open(&file) {
        Ok(lines) => Box::new(lines) as Box<dyn Iterator<Item = Result<String>>>,
        Err(error) => Box::new(std::iter::once(Err(error))),
    }))
}

/// All files that `path` stands for.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(Error::io(&folder, "list"))? {
            let entry = entry.map_err(Error::io(&folder, "list"))?.path();
            if entry.is_dir() { folders.push(entry) } else { found.push(entry) }
        }
    }
    if found.is_empty() {
        let reason = "it holds no file; name a file or a folder of text";
        return Err(Error::format(path, "folder of text", reason).into());
    }
    found.sort();
    Ok(found)
}

/// The frames of a Zstandard file, one after the other.
struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
    open: bool,
}

impl<R: BufRead> Frames<R> {
    /// The largest window that `zstd` makes by default at any level.
    const LARGEST_WINDOW: u64 = 1 << 27;

    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(Self::LARGEST_WINDOW);
        Self { source, decoder, open: false }
    }

    /// Begins the next frame; `false` at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        match self.decoder.init(&mut self.source) {
            Ok(()) => self.open = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                io::copy(&mut self.source.by_ref().take(length.into()), &mut io::sink())?;
            }
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(true)
    }

    /// Ends a frame, whose checksum must be that of its content if it has one.
    fn end(&mut self) -> io::Result<()> {
        self.open = false;
        let said = self.decoder.get_checksum_from_data();
        if said.is_some() && said != self.decoder.get_calculated_checksum() {
            return Err(io::Error::other("a checksum is wrong: the file is damaged"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.open {
                while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                    let block = BlockDecodingStrategy::UptoBlocks(1);
                    self.decoder.decode_blocks(&mut self.source, block).map_err(io::Error::other)?;
                }
                let read = self.decoder.read(buffer)?;
                if read > 0 {
                    return Ok(read);
                }
                self.end()?;
            }
            if !self.begin()? {
                return Ok(0);
            }
        }
    }
}

/// The lines of one file.
struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    number: usize,
    /// What was read of a line that is too long.
    rest: Vec<u8>,
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        let reader: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(std::io::stdin().lock())
        } else {
            let file = BufReader::new(File::open(path).map_err(Error::io(path, "read"))?);
            match path.extension().and_then(|e| e.to_str()) {
                Some("gz") => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))),
                Some("zst") => Box::new(BufReader::new(Frames::new(file))),
                _ => Box::new(file),
            }
        };
        Ok(Self { path: path.to_path_buf(), reader, number: 0, rest: Vec::new() })
    }

    /// The next line, or as much of it as ends between two words; nothing at the end.
    fn read(&mut self) -> Result<Option<String>> {
        let mut line = std::mem::take(&mut self.rest);
        let room = (LONGEST - line.len().min(LONGEST - 1)) as u64;
        self.reader.by_ref().take(room).read_until(b'\n', &mut line).map_err(Error::io(&self.path, "read"))?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            self.number += 1;
        } else if line.len() >= LONGEST
            && let Some(space) = line.iter().rposition(u8::is_ascii_whitespace)
        {
            self.rest = line.split_off(space + 1);
        }
        let line = String::from_utf8(line).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let reason = format!("line {}, byte {at}: not UTF-8", self.number.max(1));
            Error::format(&self.path, "text", reason)
        })?;
        Ok(Some(line.trim_end().to_string()))
    }
}

impl Iterator for Lines {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ruzstd::encoding::CompressionLevel;

    use super::*;

    fn all(path: &Path) -> Vec<String> {
        sentences(path).unwrap().collect::<Result<_>>().unwrap()
    }

    #[test]
    fn a_folder_is_read_by_name_and_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("b.txt"), "three\r\n\nfour").unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all("one\ntwo\n".as_bytes()).unwrap();
        std::fs::write(folder.path().join("a.gz"), packed.finish().unwrap()).unwrap();
        std::fs::write(folder.path().join("sub/a.txt"), "五 六").unwrap();
        assert_eq!(all(folder.path()), ["one", "two", "three", "", "four", "五 六"]);
    }

    #[test]
    fn zstandard_frames_follow_each_other_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.zst");
        let frame = |text: &str| ruzstd::encoding::compress_to_vec(text.as_bytes(), CompressionLevel::Fastest);
        let long = "many words ".repeat(50_000);
        // A frame to be skipped, as parallel compressors write them: its number, its length, its content.
        let skipped = [&0x184D_2A50u32.to_le_bytes()[..], &3u32.to_le_bytes(), b"xyz"].concat();
        let packed = [frame("one\ntwo\n"), skipped, frame(&long), frame("")].concat();
        std::fs::write(&path, &packed).unwrap();
        assert_eq!(all(&path), ["one", "two", long.trim_end()]);
        for damaged in [&packed[..packed.len() / 2], &[packed.as_slice(), b"junk"].concat()] {
            std::fs::write(&path, damaged).unwrap();
            let error = sentences(&path).unwrap().find_map(Result::err).unwrap().to_string();
            assert!(error.contains("text.zst"), "{error}");
        }
    }

    #[test]
    fn a_line_without_end_comes_in_pieces_of_whole_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.txt");
        let text = "word ".repeat(LONGEST);
        std::fs::write(&path, &text).unwrap();
        let pieces = all(&path);
        assert!(pieces.len() >= 5 && pieces.iter().all(|piece| piece.len() <= LONGEST), "{}", pieces.len());
        assert_eq!(pieces.iter().map(|piece| piece.split(' ').count()).sum::<usize>(), LONGEST);
        assert!(pieces.iter().all(|piece| piece.split(' ').all(|word| word == "word")));
    }

    #[test]
    fn what_is_no_text_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latin1.txt");
        std::fs::write(&path, b"good\ncaf\xe9 noir\n").unwrap();
        let error = sentences(&path).unwrap().find_map(Result::err).unwrap().to_string();
        assert!(error.contains("latin1.txt") && error.contains("line 2, byte 3"), "{error}");
        let error = sentences(folder.path().join("none")).unwrap().find_map(Result::err).unwrap().to_string();
        assert!(error.contains("none"), "{error}");
        let empty = folder.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        assert!(sentences(&empty).is_err());
    }
}
